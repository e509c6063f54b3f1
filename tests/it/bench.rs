//! `speicher bench`: what it measures, and what it says when it can't.

mod limits;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use serde_json::Value;
use speicher::server::Model;

use crate::harness::*;

/// Runs `speicher bench` with the arguments and reads its JSON.
fn bench(address: SocketAddr, name: &str, args: &[&str]) -> (Output, Value) {
    let json = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{name}.json"));
    let output = speicher()
        .args(["bench", &address.to_string(), "--warmup", "100ms", "--json"])
        .arg(&json)
        .args(args)
        .output()
        .expect("the program is there");
    let text = fs::read_to_string(&json).expect("it writes the file");
    let report = serde_json::from_str(&text).unwrap_or(Value::Null);
    (output, report)
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

const DONE: &[u8] = b"\0\0\0\x13{\"status_code\":200}";

/// Reads one frame; false at the end of the stream.
fn read_request(stream: &mut TcpStream) -> bool {
    let mut header = [0; 4];
    if stream.read_exact(&mut header).is_err() {
        return false;
    }
    let mut payload = vec![0; u32::from_be_bytes(header) as usize];
    stream.read_exact(&mut payload).is_ok()
}

every_model!(every_value_read_was_written_and_the_table_says_so);

fn every_value_read_was_written_and_the_table_says_so(model: Model) {
    let server = Server::start(model);
    let (output, report) = bench(
        server.address,
        &format!("verify-{model}"),
        &[
            "--verify",
            "--requests",
            "20K",
            "--keys",
            "500",
            "--pipeline",
            "8",
            "--value-size",
            "2:10,64:80,20K:10",
            "--distribution",
            "zipf",
        ],
    );
    let table = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{table}");
    for word in ["closed", "p99.9", "errors  none", "generator"] {
        assert!(table.contains(word), "{word}: {table}");
    }
    let measurement = &report["measurement"];
    assert_eq!(measurement["operations"], 20_000);
    assert_eq!(measurement["loop"], "closed");
}

/// The file's histogram is one that HDR's own readers read, and holds every
/// operation.
#[test]
fn the_json_has_the_histogram_in_hdrs_format() {
    let server = Server::start(Model::default());
    let (_, report) = bench(server.address, "histogram", &["--load", "--requests", "3K"]);
    let measurement = &report["measurement"];
    let base64 = measurement["histogram"].as_str().expect("text");
    let decoded = Command::new("base64")
        .arg("-d")
        .stdin(fs::File::open(written("histogram.base64", base64)).expect("it is there"))
        .output()
        .expect("base64 is there");
    let histogram: Histogram<u64> = Deserializer::new()
        .deserialize(&mut &decoded.stdout[..])
        .expect("HDR's format");
    assert_eq!(histogram.len(), 3000);
    let p50 = histogram.value_at_quantile(0.5);
    assert_eq!(measurement["latency_ns"]["p50"], p50);
}

fn written(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("a folder to write to");
    path
}

/// A server that gives every second value away to the wrong key.
#[test]
fn a_value_that_nobody_wrote_under_its_key_exits_with_1() {
    let server = Server::start(Model::default());
    let address = server.address;
    let liar = serve_each(move |mut stream| {
        let mut behind = TcpStream::connect(address).expect("the server listens");
        let mut copy = stream.try_clone().expect("a socket");
        let mut replies = behind.try_clone().expect("a socket");
        thread::spawn(move || {
            let mut room = [0; 4096];
            while let Ok(n @ 1..) = replies.read(&mut room) {
                // A letter of every value becomes another.
                for at in 0..n {
                    if room[at..n].starts_with(b"\"value\":\"") {
                        room[(at + 12).min(n - 1)] ^= 1;
                    }
                }
                if copy.write_all(&room[..n]).is_err() {
                    return;
                }
            }
        });
        let _ = std::io::copy(&mut stream, &mut behind);
    });
    let (output, report) = bench(
        liar,
        "liar",
        &["--verify", "--requests", "1K", "--keys", "50"],
    );
    assert_eq!(output.status.code(), Some(1));
    let wrong = &report["measurement"]["errors"]["wrong_value"]["count"];
    assert!(wrong.as_u64().expect("a count") > 0);
    assert!(stdout(&output).contains("wrong value"));
}

/// A server that answers 500 requests and then reads on in silence.
#[test]
fn a_server_that_stops_answering_is_said_to_have_and_exits_with_1() {
    let address = serve_each(|mut stream| {
        let mut answered = 0;
        while read_request(&mut stream) {
            answered += 1;
            if answered <= 500 && stream.write_all(DONE).is_err() {
                return;
            }
        }
    });
    let args = ["--get", "0", "--connections", "2", "--duration", "60"];
    let begun = Instant::now();
    let (output, report) = bench(address, "silent", &args);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "it gives up early"
    );
    assert_eq!(output.status.code(), Some(1));
    let table = stdout(&output);
    assert!(table.contains("stopped answering"), "{table}");
    let lost = &report["measurement"]["errors"]["lost"]["count"];
    assert_eq!(lost.as_u64(), Some(2), "one of each connection: {table}");
}

#[test]
fn a_connection_that_ends_loses_its_replies_and_exits_with_1() {
    let address = serve_each(|mut stream| {
        for _ in 0..100 {
            if !read_request(&mut stream) || stream.write_all(DONE).is_err() {
                return;
            }
        }
        // One more is read, and never answered.
        read_request(&mut stream);
    });
    let (output, report) = bench(address, "ends", &["--get", "0", "--duration", "5"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = &report["measurement"]["errors"];
    assert_eq!(errors["closed"]["count"], 8);
    assert_eq!(errors["lost"]["count"], 8);
}

/// A frame that ends where the value should begin.
#[test]
fn a_reply_without_the_value_that_it_begins_is_malformed_and_exits_with_1() {
    let address = serve_each(|mut stream| {
        while read_request(&mut stream) {
            let reply = b"\0\0\0\x1b{\"status_code\":200,\"value\":";
            if stream.write_all(reply).is_err() {
                return;
            }
        }
    });
    let (output, report) = bench(address, "cut", &["--get", "100", "--duration", "60"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report["measurement"]["errors"]["malformed"]["count"], 8);
}

/// Every GET is a miss, and nothing but what is measured counts.
#[test]
fn misses_and_bytes_are_those_of_the_measured_requests() {
    let miss = b"\0\0\0\x20{\"status_code\":404,\"value\":null}";
    let address = serve_each(
        move |mut stream| {
            while read_request(&mut stream) && stream.write_all(miss).is_ok() {}
        },
    );
    let load = ["--get", "100", "--connections", "1", "--requests", "1K"];
    let (_, report) = bench(address, "misses", &load);
    let measurement = &report["measurement"];
    let count = |name: &str| measurement[name].as_u64().expect("a count");
    assert_eq!((count("operations"), count("misses")), (1000, 1000));
    // One request is on its way when the measuring begins.
    let within = |bytes: u64, len: u64| (999 * len..=1001 * len).contains(&bytes);
    assert!(within(count("bytes_sent"), 44), "{measurement}");
    assert!(within(count("bytes_received"), 36), "{measurement}");
}

#[test]
fn what_no_connection_is_left_for_is_unsent_and_not_the_generators_fault() {
    let address = serve_each(|mut stream| {
        for _ in 0..50 {
            if !read_request(&mut stream) || stream.write_all(DONE).is_err() {
                return;
            }
        }
    });
    let load = ["--get", "0", "--connections", "2", "--rate", "500"];
    let length = ["--duration", "10"];
    let begun = Instant::now();
    let (_, report) = bench(address, "dead", &[&load[..], &length[..]].concat());
    assert!(begun.elapsed() < Duration::from_secs(8), "it ends early");
    let measurement = &report["measurement"];
    let unsent = measurement["unsent"].as_u64().expect("a count");
    assert!((4500..=5100).contains(&unsent), "{unsent} of about 4900");
    assert!(measurement["generator"]["bottleneck"].is_null());
}

/// One connection ends, and the other is then the only one that can be full.
#[test]
fn a_connection_that_ended_has_no_room() {
    let taken = Arc::new(AtomicUsize::new(0));
    let address = serve_each(move |mut stream| {
        let is_first = taken.fetch_add(1, Ordering::Relaxed) == 0;
        let mut answered = 0;
        while read_request(&mut stream) && !is_first {
            answered += 1;
            if answered == 200 {
                thread::sleep(Duration::from_millis(300));
            }
            if stream.write_all(DONE).is_err() {
                return;
            }
        }
    });
    let connections = ["--get", "0", "--connections", "2", "--pipeline", "1"];
    let open = ["--rate", "500", "--duration", "1.5"];
    let (_, report) = bench(address, "half", &[&connections[..], &open[..]].concat());
    let late = report["measurement"]["late_connection"].as_u64();
    assert!(
        late > Some(50),
        "{late:?} were late for want of a connection"
    );
}

/// While keys are set, while it warms up, and with twenty seconds of replies
/// to come.
#[test]
fn an_interrupt_is_heard_at_any_moment_and_exits_with_130() {
    let quick = |mut stream: TcpStream| {
        while read_request(&mut stream) && stream.write_all(DONE).is_ok() {}
    };
    let slow = |mut stream: TcpStream| {
        while read_request(&mut stream) && stream.write_all(DONE).is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    };
    for (address, args, moment) in [
        (
            serve_each(quick),
            &["--load", "--keys", "1000M"][..],
            "setting",
        ),
        (serve_each(quick), &["--warmup", "60"], "warming up"),
        (
            serve_each(slow),
            &["--pipeline", "1000", "--warmup", "0"],
            "1 s:",
        ),
    ] {
        let mut child = speicher()
            .args(["bench", &address.to_string(), "--get", "0"])
            .args(["--duration", "60"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program is there");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut lines = stderr.lines().map(|line| line.expect("UTF-8"));
        assert!(lines.any(|line| line.starts_with(moment)), "{moment}");
        let begun = Instant::now();
        send_signal("INT", &child.id().to_string());
        let output = child.wait_with_output().expect("it ends");
        let waited = begun.elapsed();
        assert!(waited < Duration::from_secs(5), "{moment}: {waited:?}");
        assert_eq!(output.status.code(), Some(130), "{moment}");
    }
}

/// The clock of an open loop runs from when a request was due: a server that
/// takes 200 us more for each shows them. Lenient, because others use this
/// machine too.
#[test]
fn an_open_loop_shows_by_how_much_a_server_was_slowed() {
    let slowed_by = |delay: Duration| {
        serve_each(move |mut stream| {
            while read_request(&mut stream) {
                let begun = Instant::now();
                while begun.elapsed() < delay {
                    thread::yield_now();
                }
                if stream.write_all(DONE).is_err() {
                    return;
                }
            }
        })
    };
    let p50_us = |address, name| {
        let args = ["--get", "0", "--rate", "300", "--duration", "1.5"];
        let (_, report) = bench(address, name, &args);
        report["measurement"]["latency_ns"]["p50"]
            .as_f64()
            .expect("a figure")
            / 1e3
    };
    let (fast, slow) = (
        slowed_by(Duration::ZERO),
        slowed_by(Duration::from_micros(200)),
    );
    // What else runs here may hold up a whole run, not several in a row.
    let mut shown = Vec::new();
    while shown.len() < 8 {
        let now = p50_us(slow, "slow") - p50_us(fast, "fast");
        if (150.0..350.0).contains(&now) {
            return;
        }
        shown.push(now);
    }
    panic!("{shown:?} us of 200");
}

/// A server that pauses once for 0.3 s, a fifth of the time: with one request at a
/// time on its way a single one is slow, and everyone who was due meanwhile
/// waited.
#[test]
fn a_pause_counts_for_every_request_that_was_due_in_it() {
    let address = serve_each(|mut stream| {
        let mut answered = 0;
        while read_request(&mut stream) {
            answered += 1;
            if answered == 200 {
                thread::sleep(Duration::from_millis(300));
            }
            if stream.write_all(DONE).is_err() {
                return;
            }
        }
    });
    let one_at_a_time = ["--get", "0", "--connections", "1", "--pipeline", "1"];
    let open = ["--rate", "500", "--duration", "1.5"];
    let (_, report) = bench(address, "pause", &[&one_at_a_time[..], &open[..]].concat());
    let measurement = &report["measurement"];
    let p90_ms = measurement["latency_ns"]["p90"].as_f64().expect("a figure") / 1e6;
    assert!((80.0..300.0).contains(&p90_ms), "{p90_ms} ms");
    let late = measurement["late_connection"].as_u64().expect("a count");
    assert!(late > 50, "{late} were late for want of a connection");
}

/// A server that answers a batch with one write of replies made in advance,
/// and reads nothing but lengths: it is always there first.
#[test]
fn a_generator_that_cannot_keep_up_says_so() {
    let address = serve_each(|mut stream| {
        // A GET's frame is 44 bytes long.
        let miss = b"\0\0\0\x20{\"status_code\":404,\"value\":null}";
        let replies = miss.repeat(8192);
        let mut room = vec![0; 44 * 8192];
        let mut rest = 0;
        while let Ok(n @ 1..) = stream.read(&mut room) {
            let requests = (rest + n) / 44;
            rest = (rest + n) % 44;
            let mut left = requests * miss.len();
            while left > 0 {
                let now = left.min(replies.len());
                if stream.write_all(&replies[..now]).is_err() {
                    return;
                }
                left -= now;
            }
        }
    });
    let load = ["--get", "100", "--pipeline", "4000", "--duration", "1"];
    let (output, report) = bench(address, "bounded", &load);
    let bottleneck = &report["measurement"]["generator"]["bottleneck"];
    assert!(bottleneck.is_string(), "{}", stdout(&output));
    assert!(stdout(&output).contains("the bottleneck"));

    let load = ["--get", "100", "--rate", "50M", "--duration", "500ms"];
    let (output, report) = bench(address, "unsent", &load);
    let measurement = &report["measurement"];
    assert!(measurement["unsent"].as_u64().expect("a count") > 0);
    assert!(
        measurement["generator"]["bottleneck"].is_string(),
        "{}",
        stdout(&output)
    );
}

/// More than any server takes: what came is counted, and the rest is said not to have left.
#[test]
fn an_open_loop_that_cannot_keep_up_counts_what_came_and_exits_with_1() {
    let server = Server::start(Model::default());
    let load = ["--rate", "100M", "--duration", "500ms"];
    let (output, report) = bench(server.address, "overload", &load);
    let (table, measurement) = (stdout(&output), &report["measurement"]);
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(measurement["operations"].as_u64() > Some(1000), "{table}");
    assert!(
        measurement["latency_ns"]["p50"].as_u64() > Some(0),
        "{table}"
    );
    assert!(table.contains("could not keep up"), "{table}");
    assert!(table.contains("ask for a lower --rate"), "{table}");
}

#[test]
fn nothing_is_told_of_no_replies_and_it_exits_with_1() {
    let server = Server::start(Model::default());
    let load = ["--rate", "0.001", "--duration", "100ms"];
    let (output, _) = bench(server.address, "none-due", &load);
    let table = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(table.contains("no request was due"), "{table}");
    assert!(!table.contains("0 ns"), "{table}");
}

every_model!(a_rate_says_on_how_many_connections_it_was_and_which_limit_there_is);

fn a_rate_says_on_how_many_connections_it_was_and_which_limit_there_is(model: Model) {
    let server = Server::with(room_for(model, 8));
    let load = ["--connections", "40", "--duration", "1500ms"];
    let (output, report) = bench(server.address, &format!("refused-{model}"), &load);
    let table = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert_eq!(report["measurement"]["connections_served"], 8, "{table}");
    assert!(
        table.contains("operations/s, on 8 of 40 connections"),
        "{table}"
    );
    let note = "32 connections had no reply but a refusal";
    let note = table.lines().find(|line| line.contains(note));
    let note = note.unwrap_or_else(|| panic!("{table}"));
    assert!(note.contains("8"), "{note}");
    assert!(note.contains(room_option(model)), "{note}");
}

#[test]
fn the_servers_process_is_measured_when_it_is_known() {
    let (program, target) = (
        env!("CARGO_BIN_EXE_speicher"),
        "serve --workers 16 --port {port}",
    );
    let output = speicher()
        .args(["bench", &format!("{program} {target}"), "--load"])
        .args(["--requests", "5K", "--warmup", "0"])
        .output()
        .expect("the program is there");
    let table = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{table}");
    for words in ["CPU and", "context switches an operation", "resident"] {
        assert!(table.contains(words), "{table}");
    }
}

#[test]
fn mistakes_with_a_load_get_a_sentence() {
    for (args, words) in [
        (&["nowhere"][..], "HOST:PORT"),
        (&["127.0.0.1:1"], "speicher serve"),
        (&["127.0.0.1:1", "--threads", "9"], "connections"),
        (&["127.0.0.1:1", "--value-size", "1"], "from 2"),
        (&["127.0.0.1:1", "--protocol", "http"], "speicher, resp"),
        (&["127.0.0.1:1", "--rate", "0"], "requests a second"),
        (
            &["127.0.0.1:1", "--duration", "1", "--requests", "1"],
            "either",
        ),
        (
            &["127.0.0.1:1", "--pid", "4294967295"],
            "uses can't be read",
        ),
        (&["no-such-program {port}"], "is it installed"),
        (&["false {port}"], "ended before it accepted"),
    ] {
        let output = speicher().arg("bench").args(args).output();
        let output = output.expect("the program is there");
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
}

#[test]
fn a_mistake_with_the_options_leaves_the_file_of_an_earlier_run() {
    let json = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-earlier.json");
    fs::write(&json, "earlier").expect("a file");
    for mistake in [&["127.0.0.1:1", "--threads", "9"][..], &["nowhere"]] {
        let output = speicher()
            .arg("bench")
            .args(mistake)
            .arg("--json")
            .arg(&json)
            .output()
            .expect("the program is there");
        assert_eq!(output.status.code(), Some(2), "{mistake:?}");
        let left = fs::read_to_string(&json).expect("it is there");
        assert_eq!(left, "earlier", "{mistake:?}");
    }
}

#[test]
fn what_was_measured_is_shown_when_the_file_can_not_be_written() {
    let program = env!("CARGO_BIN_EXE_speicher");
    let output = speicher()
        .args(["bench", &format!("{program} serve --port {{port}}")])
        .args(["--requests", "1K", "--warmup", "0", "--json", "/dev/full"])
        .output()
        .expect("the program is there");
    let (stdout, stderr) = (
        String::from_utf8(output.stdout).expect("UTF-8"),
        String::from_utf8(output.stderr).expect("UTF-8"),
    );
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("name another file"), "{stderr}");
    assert!(stdout.contains("p99"), "{stdout}");
}
