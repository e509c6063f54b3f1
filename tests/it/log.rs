//! Claims about the lines that a server writes on standard error.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use serde_json::Value;
use speicher::server::{Log, Model};

use crate::harness::*;

every_model!(
    refusals_are_two_lines_with_their_number,
    a_stop_says_why_and_that_all_had_their_replies,
    a_stop_says_how_many_were_cut_off,
    a_second_signal_is_said,
);

fn serve(model: Model, flags: &[&str]) -> Process {
    Process::serve(&[&["--model", model.name()], flags].concat())
}

/// What the process has said until its end, which it comes to by itself.
fn last_words(process: &mut Process, words: &str) -> String {
    process.wait();
    process.complaint(words)
}

fn line_with<'a>(said: &'a str, words: &str) -> &'a str {
    let mut lines = said.lines().filter(|line| line.contains(words));
    let line = lines.next();
    assert_eq!(lines.next(), None, "one line is enough");
    line.unwrap_or_else(|| panic!("{words:?} is not in {said}"))
}

/// The message of a line that begins with a time.
fn without_time(line: &str) -> &str {
    let (time, message) = line.split_once(" speicher: ").expect("a time before it");
    let shape: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{line}");
    message
}

#[test]
fn the_first_line_has_all_limits_and_a_time() {
    let server = Process::serve(&["--frame-max", "1M", "--idle-timeout", "5m"]);
    let said = server.complaint("started ");
    let message = without_time(line_with(&said, "started "));
    for words in [
        &server.address().to_string(),
        "model threads",
        "workers 256",
        "frame-max 1 MiB",
        "idle-timeout 5 min",
        "write-timeout 30 s",
        "verbose off",
    ] {
        assert!(message.contains(words), "{message}");
    }
}

/// The options of a server that refuses whoever comes second, at once.
fn one_place(room_option: &str) -> [&str; 6] {
    [
        room_option,
        "1",
        "--queue-timeout",
        "1ms",
        "--idle-eviction",
        "0",
    ]
}

fn refusals_are_two_lines_with_their_number(model: Model) {
    const REFUSED: usize = 20;

    let mut server = serve(model, &one_place(room_option(model)));
    let mut served = server.connect();
    assert_eq!(served.set("k", "1"), 200);
    for _ in 0..REFUSED {
        assert_eq!(status_of(&server.connect().reply()), 503);
    }
    let said = server.complaint("refusing connections");
    let line = without_time(line_with(&said, "refusing connections"));
    assert!(line.contains(room_option(model)), "{line}");
    server.signal("TERM");
    let said = last_words(&mut server, "refusing no more");
    let line = without_time(line_with(&said, "refusing no more"));
    let count = format!("; {REFUSED} connections got 503 within ");
    assert!(line.contains(&count), "{line}");
    line_with(&said, "refusing connections");
}

fn a_stop_says_why_and_that_all_had_their_replies(model: Model) {
    let mut server = serve(model, &[]);
    let mut peers = [server.connect(), server.connect()];
    for peer in &mut peers {
        assert_eq!(peer.set("k", "1"), 200);
    }
    server.signal("TERM");
    let said = last_words(&mut server, "stopped after ");
    let why = without_time(line_with(&said, "stopping: "));
    assert!(why.contains("signal"), "{why}");
    let how = without_time(line_with(&said, "stopped after "));
    assert!(how.ends_with(": 2 connections had all replies"), "{how}");
}

fn a_stop_says_how_many_were_cut_off(model: Model) {
    let mut server = serve(model, &[]);
    let peer = peer_that_does_not_read(&server);
    let mut good = server.connect();
    assert_eq!(good.status(get("absent")), 404);
    server.signal("TERM");
    let said = last_words(&mut server, "stopped after ");
    let how = without_time(line_with(&said, "stopped after "));
    assert!(how.contains("1 connection did not take"), "{how}");
    assert!(how.ends_with("; 1 had all"), "{how}");
    drop(peer);
}

fn a_second_signal_is_said(model: Model) {
    let mut server = serve(model, &[]);
    let peer = peer_that_does_not_read(&server);
    server.signal("TERM");
    server.complaint("stopping: ");
    server.signal("INT");
    let said = last_words(&mut server, "second signal");
    without_time(line_with(&said, "second signal"));
    drop(peer);
}

/// Every line is an object with the same four names first.
fn objects(said: &str) -> Vec<Value> {
    let read = |line: &str| {
        let object: Value = serde_json::from_str(line).expect("JSON");
        let begin = format!(
            r#"{{"time":{},"level":{},"event":{},"message":"#,
            object["time"], object["level"], object["event"]
        );
        assert!(line.starts_with(&begin), "{line}");
        without_time(&format!(
            "{} speicher: {}",
            object["time"].as_str().expect("a string"),
            object["message"].as_str().expect("a string")
        ));
        object
    };
    said.lines().map(read).collect()
}

fn events(objects: &[Value]) -> Vec<&str> {
    let events = objects.iter().map(|object| object["event"].as_str());
    events.map(|event| event.expect("a string")).collect()
}

#[test]
fn a_log_of_json_has_an_object_for_each_line_with_its_figures() {
    let flags = [
        "--log",
        "json",
        "--verbose",
        "--workers",
        "1",
        "--queue-timeout",
        "1ms",
        "--idle-eviction",
        "0",
    ];
    let mut server = Process::serve(&flags);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "1"), 200);
    let name = peer.0.local_addr().expect("connected").to_string();
    assert_eq!(status_of(&server.connect().reply()), 503);
    server.complaint("refusing");
    server.signal("TERM");
    let said = last_words(&mut server, "\"stopped\"");
    let objects = objects(&said);
    let events = events(&objects);
    let object = |event| {
        let index = events.iter().position(|it| *it == event);
        &objects[index.unwrap_or_else(|| panic!("{event} is not in {said}"))]
    };
    assert_eq!(events[0], "started");
    let started = object("started");
    assert_eq!(started["frame_max_bytes"], 64 << 20);
    assert_eq!(started["queue_timeout_seconds"], 0.001);
    assert_eq!(started["workers"], 1);
    assert_eq!(started["verbose"], true);
    assert_eq!(started["address"], server.address().to_string());
    assert_eq!(object("connected")["peer"], name);
    assert_eq!(object("refusing")["reason"], "all_busy");
    assert_eq!(object("refusing")["level"], "warn");
    assert_eq!(object("refusing_ended")["refused"], 1);
    assert_eq!(object("stopping")["cause"], "signal");
    assert_eq!(object("disconnected")["end"], "the server stops");
    assert_eq!(object("stopped")["drained"], 1);
    assert_eq!(object("stopped")["cut_off"], 0);
    assert_eq!(events.last(), Some(&"stopped"));
}

#[test]
fn a_server_that_fails_says_so_in_the_format_of_its_log() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let run = |args: &[&str]| {
        let output = speicher().arg("serve").args(args).output();
        let output = output.expect("it runs");
        (
            output.status.code(),
            String::from_utf8(output.stderr).expect("UTF-8"),
        )
    };
    let (code, said) = run(&["--port", &port]);
    assert_eq!(code, Some(1));
    assert!(without_time(said.trim_end()).contains("another process"));
    let (code, said) = run(&["--log", "json", "--port", &port]);
    assert_eq!(code, Some(1));
    let objects_said = objects(&said);
    assert_eq!(events(&objects_said), ["failed"]);
    assert_eq!(objects_said[0]["level"], "error");

    // The options make no sense together.
    let mistake = ["--connections-max", "3"];
    let (code, said) = run(&mistake);
    assert_eq!(code, Some(2));
    assert!(said.starts_with("speicher: "), "for people, {said}");
    let (code, said) = run(&[&["--log", "json"], &mistake[..]].concat());
    assert_eq!(code, Some(2));
    assert_eq!(events(&objects(&said)), ["failed"]);
}

#[test]
fn a_refusal_is_over_when_there_was_none_for_ten_seconds() {
    let server = Process::serve(&one_place("--workers"));
    let mut served = server.connect();
    assert_eq!(served.set("k", "1"), 200);
    for _ in 0..3 {
        assert_eq!(status_of(&server.connect().reply()), 503);
    }
    let said = server.complaint("refusing no more connections; 3 ");
    assert!(!said.contains("stopping"), "{said}");
}

/// Says to the test below that it is the process that panics.
const PANICS: &str = "LOG_TEST_PANICS";

/// The test runs itself again, because a process has one hook for panics.
#[test]
fn a_panic_is_one_line_of_the_log() {
    if let Ok(format) = std::env::var(PANICS) {
        let log = Log::start(format.parse().expect("a format")).expect("a thread");
        log.write_panics();
        let worker = thread::Builder::new().name("worker".to_owned());
        let worker = worker.spawn(|| panic!("the fault\nof this test"));
        let _ = worker.expect("a thread").join();
        return;
    }
    let said = |format: &str, backtrace| {
        let output = Command::new(std::env::current_exe().expect("it runs"))
            .args([
                "log::a_panic_is_one_line_of_the_log",
                "--exact",
                "--nocapture",
            ])
            .env(PANICS, format)
            .env("RUST_BACKTRACE", backtrace)
            .output();
        String::from_utf8(output.expect("it runs").stderr).expect("UTF-8")
    };
    let text = said("text", "0");
    let message = without_time(line_with(&text, "panicked"));
    assert!(
        message.starts_with("thread worker panicked at "),
        "{message}"
    );
    assert!(message.ends_with(": the fault\\nof this test"), "{message}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        said("text", "1").lines().count() > 1,
        "somebody asked for it"
    );
    for (backtrace, has_some) in [("0", false), ("1", true)] {
        let objects = objects(&said("json", backtrace));
        assert_eq!(events(&objects), ["panicked"]);
        assert_eq!(objects[0]["panic"], "the fault\nof this test");
        assert_eq!(objects[0]["backtrace"].is_string(), has_some);
    }
}

/// threadpool panics then, which is no bug.
#[test]
fn too_many_workers_are_one_line_and_no_panic() {
    let flags = ["--workers", "5000", "--log", "json"];
    let mut server = Process::serve_under("-v 500000", &flags);
    assert_eq!(server.ready_line, "");
    assert_eq!(server.wait().0.code(), Some(1));
    let said = server.complaint("failed");
    let objects = objects(&said);
    assert_eq!(events(&objects), ["failed"]);
    let message = objects[0]["message"].as_str().expect("a string");
    assert!(
        message.contains("can't start 5000 worker threads"),
        "{message}"
    );
}

/// A file of the test that is removed again.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("speicher-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What a server writes into a file as its standard error, of which
/// JOURNAL_STREAM says this.
fn written_with(stream: impl Fn(u64, u64) -> String) -> String {
    let scratch = Scratch::new("journal");
    let stderr = File::create(&scratch.0).expect("a file");
    let metadata = stderr.metadata().expect("it is there");
    let status = speicher()
        .args(["serve", "--port", "0", "--host", "no.such.host.invalid"])
        .env("JOURNAL_STREAM", stream(metadata.dev(), metadata.ino()))
        .stderr(stderr)
        .status();
    assert_eq!(status.expect("it runs").code(), Some(1));
    fs::read_to_string(&scratch.0).expect("it is there")
}

#[test]
fn the_journal_s_lines_have_no_time_but_a_level() {
    let said = written_with(|device, inode| format!("{device}:{inode}"));
    assert!(said.starts_with("<3>speicher: can't listen"), "{said}");
    for said in [
        written_with(|device, inode| format!("{device}:{}", inode + 1)),
        written_with(|_, _| "nonsense".to_owned()),
    ] {
        without_time(said.trim_end());
    }
}

/// The kinds of events are those that the table for operators explains.
#[test]
fn every_event_is_in_the_table_of_the_document() {
    let read = |path: &str| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        fs::read_to_string(root.join(path)).expect("the file is there")
    };
    let source = read("src/server/log/event.rs");
    let mut kinds = BTreeSet::new();
    for call in source.split("Self::new(").skip(1) {
        // A level, and then the kind.
        if let Some((_, rest)) = call.split_once('"') {
            kinds.extend(rest.split('"').next());
        }
    }
    assert!(kinds.len() >= 15, "{kinds:?}");
    let document = read("docs/operating.md");
    let (_, log) = document.split_once("## Log").expect("the section");
    let (table, _) = log.split_once("\n## ").unwrap_or((log, ""));
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let explained: BTreeSet<_> = rows.filter_map(|row| row.split('`').next()).collect();
    assert_eq!(kinds, explained);
}
