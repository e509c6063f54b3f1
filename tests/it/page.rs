//! The page that the metrics address shows, in a browser.

mod browser;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use speicher::server::Model;

use crate::harness::*;
use browser::Browser;

/// The row of a table on the page: the text of its cells, joined by spaces.
fn row(browser: &Browser, name: &str) -> String {
    let rows = browser.evaluate(
        "[...document.querySelectorAll('#totals tr')].map((row) => [...row.cells].map((cell) => cell.innerText).join(' '))",
    );
    let rows = rows.as_array().expect("rows").clone();
    let mut rows = rows.iter().filter_map(|row| row.as_str());
    rows.find(|row| row.starts_with(name))
        .unwrap_or_default()
        .to_owned()
}

fn wait_for_row(browser: &Browser, name: &str, expected: &str) {
    wait_until(&format!("the page says {expected}"), || {
        row(browser, name) == expected
    });
}

every_model!(the_page_counts_what_was_asked);

fn the_page_counts_what_was_asked(model: Model) {
    if !browser::is_there() {
        return;
    }
    let mut server = Process::serve(&["--model", model.name(), "--metrics", "127.0.0.1:0"]);
    let browser = Browser::start(1280);
    browser.open(&server.metrics_url());
    browser.wait_for("#verdict", |text| {
        text.starts_with("Nothing is asked on 0 connections")
    });
    let mut peer = server.connect();
    for i in 0..30 {
        assert_eq!(peer.set(&format!("k{i}"), "1"), 200);
        assert_eq!(peer.status(get(&format!("k{i}"))), 200);
    }
    assert_eq!(peer.status(get("absent")), 404);
    assert_eq!(peer.status(del("k0")), 200);
    assert_eq!(peer.status("nonsense"), 400);
    wait_for_row(&browser, "GET", "GET 31 30 1 0 0");
    wait_for_row(&browser, "SET", "SET 30 30 0 0 0");
    wait_for_row(&browser, "DEL", "DEL 1 1 0 0 0");
    wait_for_row(&browser, "invalid", "invalid 1 0 0 1 0");
    wait_for_row(&browser, "entries", "entries 29");
    assert_eq!(peer.status(RST), 200);
    wait_for_row(&browser, "RST", "RST 1 1 0 0 0");
    let verdict = browser.text("#verdict");
    assert!(verdict.contains("on 1 connection; memory"), "{verdict}");
    assert!(
        verdict.ends_with("nobody was refused since this page was opened."),
        "{verdict}"
    );
    assert!(
        browser
            .text("#identity")
            .contains(&format!("{model} model, up "))
    );
    browser.assert_no_complaints();
}

/// Calls `watch` while a peer sends pipelines without a pause.
fn under_load(server: &Process, watch: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = server.connect();
            let pipeline = [framed(set("k", "1")), framed(get("k"))]
                .concat()
                .repeat(50);
            while !is_over.load(Ordering::Relaxed) {
                peer.send(&pipeline);
                (0..100).for_each(|_| drop(peer.payload()));
            }
        });
        watch();
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn under_load_the_page_has_rates_latencies_and_lines() {
    if !browser::is_there() {
        return;
    }
    let mut server = Process::serve(&["--metrics", "127.0.0.1:0"]);
    let browser = Browser::start(1280);
    browser.open(&server.metrics_url());
    under_load(&server, || {
        browser.wait_for("#verdict", |text| text.starts_with("Serving "));
        let legend = browser.wait_for("figure:nth-child(2) dl", |text| text.contains('s'));
        assert!(legend.contains("p99.9"), "{legend}");
        let is_drawn =
            "document.querySelector('#charts path.line').getAttribute('d').includes('L')";
        wait_until("a line of two points", || {
            browser.evaluate(is_drawn) == true
        });
    });
    browser.wait_for("#verdict", |text| text.starts_with("Nothing is asked"));
    browser.assert_no_complaints();
}

#[test]
fn the_page_says_that_the_server_is_gone_and_goes_on_when_it_is_back() {
    if !browser::is_there() {
        return;
    }
    let mut server = Process::serve(&["--metrics", "127.0.0.1:0"]);
    let url = server.metrics_url();
    let browser = Browser::start(1280);
    browser.open(&url);
    let mut peer = server.connect();
    (0..50).for_each(|_| assert_eq!(peer.set("k", "1"), 200));
    wait_for_row(&browser, "SET", "SET 50 50 0 0 0");
    server.signal("KILL");
    server.wait();
    let verdict = browser.wait_for("#verdict", |text| text.contains("not answered since"));
    assert!(verdict.contains(" ago. This page goes on"), "{verdict}");
    assert!(
        browser
            .text("#events")
            .contains("The server stopped answering")
    );
    assert_eq!(browser.evaluate("document.title"), "gone: speicher");

    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let server = Process::serve(&["--metrics", address]);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "1"), 200);
    browser.wait_for("#verdict", |text| text.contains("on 1 connection"));
    wait_for_row(&browser, "SET", "SET 1 1 0 0 0");
    assert!(
        browser
            .text("#events")
            .contains("The server was started again")
    );
    // The bottom of a chart is 100; below it are negative rates.
    let lowest = browser.evaluate(
        "Math.max(...[...document.querySelectorAll('#charts path')]
            .flatMap((path) => (path.getAttribute('d') ?? '').match(/[\\d.]+/g) ?? []))",
    );
    assert_eq!(lowest, 100, "a line below the bottom");
    browser.assert_no_complaints();
}

#[test]
fn the_page_fits_a_phone_and_is_light_or_dark_as_the_reader_likes() {
    if !browser::is_there() {
        return;
    }
    let mut server = Process::serve(&["--metrics", "127.0.0.1:0"]);
    let browser = Browser::start(360);
    browser.prefer("light");
    browser.open(&server.metrics_url());
    browser.wait_for("#verdict", |text| text.contains("memory"));
    assert_eq!(
        browser.evaluate("document.documentElement.scrollWidth"),
        360
    );
    let background = "getComputedStyle(document.body).backgroundColor";
    let light = browser.evaluate(background);
    browser.prefer("dark");
    assert_ne!(browser.evaluate(background), light);
    browser.assert_no_complaints();
}

#[test]
fn a_full_server_and_a_refused_connection_are_in_the_verdict() {
    if !browser::is_there() {
        return;
    }
    let mut server = Process::serve(&[
        "--metrics",
        "127.0.0.1:0",
        "--memory-max",
        "16M",
        "--workers",
        "1",
        "--queue-timeout",
        "0",
    ]);
    let browser = Browser::start(1280);
    browser.open(&server.metrics_url());
    browser.wait_for("#verdict", |text| text.starts_with("Nothing is asked"));
    let mut peer = server.connect();
    let value = format!("\"{}\"", "v".repeat(100_000));
    let is_full = (0..1000).any(|i| peer.set(&format!("k{i}"), &value) == 503);
    assert!(is_full);
    assert_eq!(
        status_of(&server.connect().reply()),
        503,
        "no worker is free"
    );
    let verdict = browser.wait_for("#verdict", |text| text.contains("1 request got 503"));
    assert!(verdict.contains("1 connection was refused"), "{verdict}");
    assert_eq!(
        browser.evaluate("document.querySelector('#verdict').className"),
        "warn"
    );
    let events = browser.text("#events");
    assert!(events.contains("1 connection refused: "), "{events}");
    browser.assert_no_complaints();
}
