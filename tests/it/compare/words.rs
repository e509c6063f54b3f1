//! What a report says about rounds, and what it does not.

use std::sync::atomic::AtomicBool;

use speicher::bench::compare::pinning::Pinning;
use speicher::bench::compare::plan::{Extent, Plan};
use speicher::bench::compare::scenario::Scenario;
use speicher::bench::compare::target::Target;
use speicher::bench::compare::{self, Comparison, Point};
use speicher::bench::measurement::{Errors, GeneratorUse, Measurement, Percentiles, latencies};
use speicher::bench::report;

/// A load that reached this rate, while others used so much of the processors' time.
fn measurement(rate: f64, others_share: f64) -> Measurement {
    Measurement {
        r#loop: "closed",
        rate_wanted: None,
        seconds: 1.0,
        operations: rate as u64,
        rate,
        latency_ns: Percentiles::default(),
        misses: 0,
        bytes_sent: 0,
        bytes_received: 0,
        errors: Errors::default(),
        connections_served: 8,
        late_connection: 0,
        late_generator: 0,
        unsent: 0,
        overload: None,
        generator: GeneratorUse {
            threads: 1,
            cpu_share: 0.5,
            busy_share: 0.5,
            bottleneck: None,
        },
        others_share: Some(others_share),
        server: None,
        stopped_answering: None,
        interrupted: false,
        histogram: latencies(),
    }
}

/// A comparison of targets that are built in, without a round.
fn nothing_done(names: &[&str]) -> Comparison {
    let targets: Result<Vec<_>, _> = names.iter().map(|name| Target::parse(name)).collect();
    let targets = targets.expect("they are built in");
    let plan = Plan::new(Extent::Quick, &Scenario::QUICK, 1);
    let stopped = AtomicBool::new(true);
    let comparison = compare::run(&targets, &plan, &Pinning::default(), &stopped, &mut |_| ());
    Comparison {
        interrupted: false,
        ..comparison.expect("nothing is pinned")
    }
}

/// Adds what each target reached in each round, as a share of 100,000 a second.
fn add(comparison: &mut Comparison, scenario: Scenario, x: f64, rounds: &[&[f64]]) {
    for (target, rates) in rounds.iter().enumerate() {
        comparison
            .points
            .extend(rates.iter().enumerate().map(|(round, rate)| Point {
                target,
                round,
                scenario,
                x,
                measurement: Some(measurement(rate * 1e5, 0.01)),
                bytes_each: None,
                idle: x as usize,
                attacked: None,
            }));
    }
}

fn requests(names: &[&str], rounds: &[&[f64]]) -> Comparison {
    let mut comparison = nothing_done(names);
    add(&mut comparison, Scenario::Request, 0.0, rounds);
    comparison
}

const STEADY: &[f64] = &[1.0, 1.01, 0.99, 1.02, 0.98, 1.0, 1.01];

fn times(factor: f64) -> Vec<f64> {
    STEADY.iter().map(|rate| factor * rate).collect()
}

fn sentence(sentences: &[String], words: &str) -> String {
    let mut found = sentences.iter().filter(|sentence| sentence.contains(words));
    found
        .next()
        .unwrap_or_else(|| panic!("{words}: {sentences:#?}"))
        .clone()
}

/// The rounds of an echo as they once were: no share of its rate is worth telling.
#[test]
#[cfg(feature = "tokio")]
fn two_clusters_are_named_and_no_share_of_them_is_told() {
    let echo = [4.75, 4.84, 1.40, 1.53, 1.52, 4.67, 4.78];
    let rounds = [STEADY, &times(1.7), &times(2.0), &echo];
    let comparison = requests(&["threads", "tokio", "echo-threads", "echo-epoll"], &rounds);
    let sentences = report::sentences(&comparison);
    let named = sentence(&sentences, "two clusters");
    let clusters = "echo-epoll (request), 3 near 152,000/s and 4 near 476,500/s";
    assert!(named.contains(clusters), "{named}");
    assert!(named.contains("more --rounds, or --pin"), "{named}");
    let shares = sentence(&sentences, "echo's rate");
    assert!(shares.contains("threads 50 %"), "{shares}");
    assert!(
        shares.contains("tokio can't be told (4 rounds say 36 %, 3 say more than all)"),
        "{shares}"
    );
    let page = report::page(&comparison);
    assert!(page.contains("Rounds of echo-epoll fall into two clusters, 3 near 152,000/s"));
}

#[test]
fn rounds_that_spread_are_named() {
    let mut wild = times(2.0);
    wild[3] = 1.4;
    let comparison = requests(&["threads", "echo-threads"], &[STEADY, &wild]);
    let named = sentence(
        &report::sentences(&comparison),
        "spread by more than a fifth",
    );
    assert!(named.contains(": echo-threads (request)."), "{named}");
    assert!(named.contains("Close other programs"), "{named}");
    let page = report::page(&comparison);
    assert!(page.contains("Rounds of echo-threads spread from 140,000/s to 202,000/s."));
}

#[test]
#[cfg(feature = "tokio")]
fn a_wide_interval_is_not_said_to_show_no_difference() {
    let noisy = [1.84, 0.71, 1.66, 1.70, 0.95, 1.3, 1.68];
    let comparison = requests(&["threads", "tokio"], &[STEADY, &noisy]);
    let said = sentence(&report::sentences(&comparison), "One request at a time");
    assert!(
        said.contains("tokio can't be told apart by these rounds (0."),
        "{said}"
    );
    assert!(!report::text(&comparison).contains("no difference"));
    let comparison = requests(&["threads", "tokio"], &[STEADY, STEADY]);
    assert!(report::text(&comparison).contains("1.00 .. 1.00: no difference"));
}

/// An echo does nothing else, so a share of more than all is noise, or it is no floor.
#[test]
#[cfg(feature = "epoll")]
fn no_share_of_a_floor_is_over_100_percent() {
    let around = [0.9, 1.1, 1.05, 1.0, 1.2, 0.95, 1.08];
    let comparison = requests(&["epoll", "echo-epoll"], &[&around, STEADY]);
    let shares = sentence(&report::sentences(&comparison), "echo's rate");
    assert!(shares.contains("epoll at least 9"), "{shares}");
    let comparison = requests(&["epoll", "echo-epoll"], &[&times(1.3), STEADY]);
    let shares = sentence(&report::sentences(&comparison), "echo's rate");
    assert!(
        shares.contains("epoll more than its echo does (130"),
        "{shares}"
    );
    assert!(shares.contains("no floor of it"), "{shares}");
    assert!(report::text(&comparison).contains("no floor"));
}

/// When the generator is the bound of an echo, nobody knows what the kernel allows.
#[test]
fn a_share_of_an_echo_that_the_generator_bounded_is_a_bound() {
    let mut comparison = requests(&["threads", "echo-threads"], &[STEADY, &times(2.0)]);
    for point in comparison
        .points
        .iter_mut()
        .filter(|point| point.target == 1)
    {
        let measurement = point.measurement.as_mut().expect("a load");
        measurement.generator.bottleneck = Some("it was".to_owned());
    }
    let shares = sentence(&report::sentences(&comparison), "echo's rate");
    assert!(shares.contains("threads at most 5"), "{shares}");
}

#[test]
fn more_than_all_beside_idle_connections_is_noise() {
    let mut comparison = nothing_done(&["threads", "echo-threads"]);
    add(&mut comparison, Scenario::Idle, 0.0, &[STEADY, STEADY]);
    add(
        &mut comparison,
        Scenario::Idle,
        9928.0,
        &[&times(1.49), &times(0.8)],
    );
    let kept = sentence(&report::sentences(&comparison), "beside idle ones");
    assert!(
        kept.contains("threads beside 9,928 can't be told"),
        "{kept}"
    );
    assert!(
        kept.contains("echo-threads beside 9,928 keeps 80 %"),
        "{kept}"
    );
}

/// Few rounds are shown, and nothing is made of them.
#[test]
fn nothing_is_compared_in_too_few_rounds() {
    for rounds in [1, 2, 5] {
        let (first, echo) = (&STEADY[..rounds], &times(2.0)[..rounds]);
        let comparison = requests(&["threads", "echo-threads"], &[first, echo]);
        let text = [report::text(&comparison), report::page(&comparison)].concat();
        assert!(!text.contains("1 rounds"), "{text}");
        let sentences = report::sentences(&comparison);
        sentence(&sentences, "can't tell a difference from noise");
        let told = sentences
            .iter()
            .any(|said| said.contains(" % (") || said.contains("times"));
        assert!(!told, "{sentences:#?}");
    }
}

/// A second run without the other load would find something else.
#[test]
fn nothing_is_told_of_speed_when_others_took_the_processors() {
    let mut comparison = requests(&["threads", "echo-threads"], &[STEADY, &times(2.0)]);
    let verdict = "One request at a time";
    sentence(&report::sentences(&comparison), verdict);
    for point in &mut comparison.points {
        let measurement = point.measurement.as_mut().expect("a load");
        measurement.others_share = Some(0.3);
    }
    let sentences = report::sentences(&comparison);
    let said = sentence(&sentences, "took 30 % of the processors' time");
    assert!(said.contains("Close other programs"), "{said}");
    assert!(
        !sentences.iter().any(|sentence| sentence.contains(verdict)),
        "{sentences:#?}"
    );
    let table = report::text(&comparison);
    assert!(
        table.contains("100,000/s"),
        "the figures are there: {table}"
    );
}

/// The verdict, charts, tables, and then the rest, folded away.
#[test]
fn a_page_begins_with_the_verdict_and_charts_for_every_width() {
    let mut comparison = requests(&["threads", "echo-threads"], &[STEADY, &times(2.0)]);
    add(
        &mut comparison,
        Scenario::Pipelined,
        0.0,
        &[STEADY, &times(3.0)],
    );
    let page = report::page(&comparison);
    let at = |words: &str| page.find(words).unwrap_or_else(|| panic!("no {words}"));
    let order = [
        at("One request at a time (request): threads 100,000/s"),
        at("<svg"),
        at("All figures"),
        at("What was compared"),
        at("<details"),
        at("How it was measured"),
    ];
    assert!(order.is_sorted(), "{order:?}");
    let verdict = &page[at("ul class=\"verdict\"")..at("<svg")];
    assert!(
        (1..=3).contains(&verdict.matches("<li>").count()),
        "{verdict}"
    );
    assert_eq!(
        page.matches("class=\"wide\"").count(),
        2,
        "a chart for each scenario"
    );
    assert_eq!(page.matches("class=\"narrow\"").count(), 2);
}
