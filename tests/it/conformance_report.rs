//! What the kit shows of servers with one fault, and when it stops.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use speicher::conformance::report::Format;
use speicher::conformance::{Case, Level, Options, Report, Subject, Verdict, all, run};
use speicher::server::Model;

use crate::conformance::{complained, conform, printed};
use crate::faults::faulty;
use crate::harness::*;

/// What comes of the cases on the server with the fault.
fn report_on(fault: &str, is_chosen: impl Fn(&Case) -> bool, options: &Options) -> Report {
    let cases: Vec<_> = all().iter().filter(|case| is_chosen(case)).collect();
    let subject = Subject::Spawned(faulty(fault));
    run(&subject, &cases, options, &mut |_, _| ()).expect("it starts")
}

fn quick() -> Options {
    Options {
        timeout: Duration::from_millis(300),
        ..Options::default()
    }
}

#[test]
fn a_fault_that_the_bytes_show_is_named() {
    let is_first = |case: &Case| case.id == "frame/one-request" || case.id == "reply/one-write";
    for (fault, words) in [
        ("little-endian", "has read a length in the other byte order"),
        ("little-endian-all", "right in the other byte order"),
        ("little-endian-replies", "right in the other byte order"),
        ("header-left-out", "there is no header"),
        ("header-counted", "counts the 4 bytes of the header"),
        (
            "greets",
            "comes before the frame and belongs to none, 9 bytes",
        ),
        (
            "payload-in-second-write",
            "put header and payload into one buffer",
        ),
    ] {
        let report = report_on(fault, is_first, &quick());
        let failures = report
            .records
            .iter()
            .filter_map(|record| record.failure.as_ref());
        let hints: Vec<_> = failures
            .filter_map(|failure| failure.hint.as_deref())
            .collect();
        assert!(
            hints.iter().any(|hint| hint.contains(words)),
            "{fault}: {hints:?}"
        );
        for format in Format::ALL {
            assert!(report.render(format).contains(words), "{fault}: {format:?}");
        }
    }
}

#[test]
fn failures_get_no_hint_where_the_bytes_show_nothing() {
    let report = report_on("del-never-ok", |case| case.group() == "store", &quick());
    let failed = report
        .records
        .iter()
        .filter_map(|record| record.failure.as_ref());
    let hints: Vec<_> = failed.map(|failure| failure.hint.as_deref()).collect();
    assert!(
        !hints.is_empty() && hints.iter().all(Option::is_none),
        "{hints:?}"
    );
}

/// A server that reads and writes lengths in the other byte order never has a frame.
#[test]
fn who_answers_only_headers_with_swapped_bytes_is_told_so() {
    let address = serve_each(|mut stream| {
        let mut header = [0; 4];
        while stream.read_exact(&mut header).is_ok() {
            let len = u64::from(u32::from_le_bytes(header));
            let mut payload = Vec::new();
            let read = (&stream).take(len).read_to_end(&mut payload);
            if read.is_err() || payload.len() as u64 != len {
                return;
            }
            let mut reply = framed(r#"{"status_code":404}"#);
            reply[..4].reverse();
            // The kit hangs up when it has seen enough.
            let _ = stream.write_all(&reply);
        }
    });
    let cases: Vec<_> = all().iter().collect();
    let subject = Subject::Running(address.to_string());
    let report = run(&subject, &cases, &quick(), &mut |_, _| ()).expect("it accepts");
    let cause = report.ended_early.as_deref().unwrap_or_default();
    assert!(
        cause.contains("the bytes of the header are swapped"),
        "{cause}"
    );
}

#[test]
fn cases_that_fail_alike_are_shown_once_with_their_number_and_names() {
    let report = report_on(
        "little-endian-replies",
        |case| case.level == Level::Must,
        &quick(),
    );
    let failed: Vec<_> = report
        .records
        .iter()
        .filter(|record| record.verdict == Verdict::Fail)
        .collect();
    assert!(failed.len() > 100, "{}", failed.len());
    let text = report.render(Format::Human);
    assert!(text.lines().count() < 500, "{} lines", text.lines().count());
    assert_eq!(text.matches("What went over the connections:").count(), 1);
    assert!(text.contains(&format!("{} other cases are not passed", failed.len() - 1)));
    let (_, named) = text
        .split_once("not passed in the same way:")
        .expect("it is there");
    for record in &failed[1..] {
        assert_eq!(record.alike, Some(failed[0].id), "{}", record.id);
        assert!(named.contains(record.id), "{}", record.id);
    }
}

/// 404 in place of 200, and a value in place of another, are two kinds of failures.
#[test]
fn cases_that_fail_for_other_reasons_are_shown_each() {
    let is_chosen = |case: &Case| ["reply", "store"].contains(&case.group());
    let report = report_on("set-keeps-first", is_chosen, &quick());
    let shown = report.render(Format::Human);
    let first = |id: &str| shown.contains(&format!("\nFAIL    MUST  {id}\n"));
    assert!(
        first("store/set-replaces") && first("store/seen-by-others"),
        "{shown}"
    );
}

#[test]
fn a_run_ends_when_so_many_have_failed() {
    let outcome = conform(&["--spawn", &faulty("always-400"), "--max-failures", "3"]);
    assert_eq!(outcome.status.code(), Some(1), "{}", printed(&outcome));
    let text = printed(&outcome);
    assert!(
        text.contains("3 cases failed, as many as --max-failures allows"),
        "{text}"
    );
    assert!(text.contains("fails 3 of"), "{text}");

    let passing = ["--case", "reply/set", "--max-failures", "1"];
    let outcome = conform(&[&["--spawn", &faulty("none")], &passing[..]].concat());
    assert_eq!(outcome.status.code(), Some(0), "{}", printed(&outcome));
    let refused = conform(&["--list", "--max-failures", "0"]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn a_quiet_run_shows_what_counts_and_the_verdict() {
    let store = ["--quiet", "--group", "store"];
    let good = conform(&[&["--spawn", &faulty("none")], &store[..]].concat());
    assert_eq!(good.status.code(), Some(0));
    assert_eq!(printed(&good).lines().count(), 1, "{}", printed(&good));
    assert_eq!(complained(&good), "");

    let bad = conform(&[&["--spawn", &faulty("rst-ignored")], &store[..]].concat());
    assert_eq!(bad.status.code(), Some(1));
    let text = printed(&bad);
    assert!(
        text.contains("FAIL    MUST  store/rst-removes-everything"),
        "{text}"
    );
    assert!(!text.contains("pass   "), "{text}");
    assert!(text.ends_with(" s)\n"), "{text}");
}

/// The server answers only GETs, so that a case waits when the signal comes.
#[test]
fn ctrl_c_shows_what_was_found_so_far() {
    let begun = Instant::now();
    let mut child = speicher()
        .args([
            "conform",
            "--timeout",
            "60s",
            "--run-timeout",
            "40s",
            "--spawn",
            &faulty("bad-json-silent"),
        ])
        .args(["--group", "request"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("the program is there");
    let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    while !line.contains("request/true") {
        line.clear();
        assert!(
            stdout.read_line(&mut line).expect("UTF-8") > 0,
            "it goes on"
        );
    }
    send_signal("INT", &format!("-{}", child.id()));
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("UTF-8");
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{rest}");
    assert!(begun.elapsed() < Duration::from_secs(30), "at once");
    assert!(
        rest.contains("The run ended early: a signal ended it."),
        "{rest}"
    );
    assert!(rest.contains("cases were not run"), "{rest}");
}

/// `script` gives the command a terminal.
#[test]
fn a_dumb_terminal_gets_no_escapes() {
    let program = env!("CARGO_BIN_EXE_speicher");
    let server = Server::start(Model::default());
    let command = format!(
        "'{program}' conform {} --yes --case reply/set",
        server.address
    );
    let on_terminal = |name: &str| {
        let output = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .env("TERM", name)
            .env_remove("NO_COLOR")
            .stdin(Stdio::null())
            .output();
        String::from_utf8(output.expect("script runs").stdout).expect("UTF-8")
    };
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no `script`, which gives a command a terminal");
        return;
    }
    let shown = on_terminal("xterm");
    assert!(shown.contains("\x1b[32m"), "{shown:?}");
    let shown = on_terminal("dumb");
    assert!(
        shown.contains("reply/set") && !shown.contains('\x1b'),
        "{shown:?}"
    );
}

#[test]
fn the_example_in_python_passes_every_case_that_counts() {
    let is_new = "import sys; sys.exit(sys.version_info < (3, 8))";
    let python = Command::new("python3").args(["-c", is_new]).status();
    if !python.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: there is no python3 of 3.8 or newer");
        return;
    }
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/server.py");
    let counts = |case: &&Case| matches!(case.level, Level::Must | Level::Client);
    let cases: Vec<_> = all().iter().filter(counts).collect();
    let subject = Subject::Spawned(format!("python3 '{}' {{port}}", server.display()));
    let report = run(&subject, &cases, &Options::default(), &mut |_, _| ()).expect("it starts");
    assert!(report.conforms(), "{}", report.render(Format::Human));
    assert_eq!(report.records.len(), cases.len());
}
