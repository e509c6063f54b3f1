//! The kit on this project's own server, and the command that runs it.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use speicher::conformance::report::Format;
use speicher::conformance::{Case, Options, Record, Report, Subject, Verdict, all, groups, run};
use speicher::protocol::frame::read_frame;
use speicher::server::Model;

use crate::faults::{faulty, memory_option};
use crate::harness::*;

every_model!(all_cases_pass_at_every_level);

fn all_cases_pass_at_every_level(model: Model) {
    let program = env!("CARGO_BIN_EXE_speicher");
    assert_all_pass(format!(
        "'{program}' serve --model {model} --port {{port}} --frame-timeout 1s"
    ));
}

#[test]
fn all_cases_pass_on_the_broken_server_without_a_fault() {
    assert_all_pass(faulty("none"));
}

fn assert_all_pass(command: String) {
    let cases: Vec<_> = all().iter().collect();
    let options = Options {
        frame_timeout: Duration::from_secs(1),
        memory_option: Some(memory_option()),
        ..Options::default()
    };
    let subject = Subject::Spawned(command);
    let report = run(&subject, &cases, &options, &mut |_, _| ()).expect("it starts");
    assert_eq!(report.records.len(), cases.len());
    for record in &report.records {
        assert!(
            matches!(record.verdict, Verdict::Pass | Verdict::Info),
            "{}: {:?}\n{}",
            record.id,
            record.failure,
            record.transcript
        );
    }
}

/// A server that answers nothing, or nothing but GETs.
fn silent(answers_gets: bool) -> String {
    let address = serve_each(move |mut stream| {
        while let Ok(Some(payload)) = read_frame(&mut stream, 1 << 20) {
            let miss = framed(r#"{"status_code":404,"value":null}"#);
            let is_get = payload.starts_with(br#"{"command":"GET","key":"#);
            // A case that is over has closed.
            if answers_gets && is_get && stream.write_all(&miss).is_err() {
                return;
            }
        }
    });
    address.to_string()
}

fn run_on(address: &str, group: Option<&str>, run_timeout: Duration) -> Report {
    let is_chosen = |case: &&'static Case| group.is_none_or(|group| case.group() == group);
    let cases: Vec<_> = all().iter().filter(is_chosen).collect();
    let options = Options {
        timeout: Duration::from_millis(100),
        run_timeout,
        ..Options::default()
    };
    let subject = Subject::Running(address.to_owned());
    let report = run(&subject, &cases, &options, &mut |_, _| ()).expect("it accepts");
    assert_eq!(report.records.len(), cases.len());
    report
}

/// Those that wait for longer than others are given up too.
#[test]
fn a_server_that_lets_all_time_pass_is_given_up() {
    let begun = Instant::now();
    let report = run_on(&silent(false), None, Duration::from_secs(600));
    assert!(begun.elapsed() < Duration::from_secs(10), "it gives up");
    let cause = report.ended_early.as_deref().unwrap_or_default();
    assert!(cause.contains("a plain GET"), "{cause}");
    assert!(!report.conforms());
    let last = report.records.last().expect("there are cases");
    assert_eq!((last.verdict, last.remark.as_str()), (Verdict::Skip, cause));
    let ran = |record: &&Record| record.verdict != Verdict::Skip;
    assert!(report.records.iter().filter(ran).count() < 10);
    for format in Format::ALL {
        assert!(report.render(format).contains("a plain GET"), "{format:?}");
    }
}

#[test]
fn a_server_that_answers_is_not_given_up() {
    let report = run_on(&silent(true), Some("reply"), Duration::from_secs(600));
    assert_eq!(report.ended_early, None);
}

#[test]
fn a_run_has_a_limit_and_does_not_conform_when_it_is_over() {
    let begun = Instant::now();
    let report = run_on(&silent(true), Some("request"), Duration::from_millis(500));
    assert!(begun.elapsed() < Duration::from_secs(10), "it ends");
    let cause = report.ended_early.as_deref().unwrap_or_default();
    assert!(cause.contains("within 0.5 s; --run-timeout"), "{cause}");
    assert!(!report.conforms());

    let server = Server::start(Model::default());
    let address = server.address.to_string();
    let group = ["--yes", "--group", "frame"];
    let hurried = conform(&[&[&address, "--run-timeout", "1ms"], &group[..]].concat());
    assert_eq!(hurried.status.code(), Some(1), "{}", printed(&hurried));
    assert!(printed(&hurried).contains("The run ended early"));
    let said = complained(&hurried);
    assert!(said.contains("this takes at most 1 s"), "{said}");
}

pub fn conform(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_speicher"))
        .arg("conform")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program is there")
}

pub fn printed(output: &Output) -> &str {
    str::from_utf8(&output.stdout).expect("UTF-8")
}

pub fn complained(output: &Output) -> &str {
    str::from_utf8(&output.stderr).expect("UTF-8")
}

/// A file in the tests' folder with this text.
fn file_with(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("the folder is there");
    path
}

#[test]
fn the_exit_code_says_where_a_server_stands() {
    let server = Server::start(Model::default());
    let address = server.address.to_string();
    let good = conform(&[&address, "--yes", "--group", "store"]);
    assert_eq!(good.status.code(), Some(0), "{}", printed(&good));

    let broken = conform(&["--spawn", &faulty("del-ignored"), "--group", "store"]);
    assert_eq!(broken.status.code(), Some(1), "{}", printed(&broken));

    let differing = conform(&["--spawn", &faulty("nan-accepted"), "--case", "request/nan"]);
    assert_eq!(differing.status.code(), Some(0), "{}", printed(&differing));
    assert!(printed(&differing).contains("differ"));

    server.stop().expect("it stops");
    let absent = conform(&[&address, "--yes"]);
    assert_eq!(absent.status.code(), Some(2), "{}", printed(&absent));
    assert!(complained(&absent).contains(&address));
}

#[test]
fn entries_are_not_removed_without_a_yes() {
    let server = Server::start(Model::default());
    let mut peer = server.connect();
    assert_eq!(peer.set("kept", "1"), 200);
    let refused = conform(&[&server.address.to_string()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(complained(&refused).contains("--yes"), "{refused:?}");
    assert_eq!(peer.status(get("kept")), 200);
}

#[test]
fn cases_are_listed_and_chosen() {
    let listed = conform(&["--list"]);
    assert_eq!(printed(&listed).lines().count(), all().len());
    for group in groups() {
        let listed = conform(&["--list", "--group", group]);
        let prefix = format!("{group}/");
        assert!(printed(&listed).lines().all(|line| line.contains(&prefix)));
    }
    let listed = conform(&["--list", "--level", "client"]);
    assert!(
        printed(&listed)
            .lines()
            .all(|line| line.starts_with("CLIENT"))
    );

    let chosen = conform(&[
        "--spawn",
        &faulty("none"),
        "--case",
        "key/long",
        "--format",
        "tap",
    ]);
    assert!(printed(&chosen).contains("1..1\n"), "{chosen:?}");
    for wrong in ["--case", "--group", "--level"] {
        let refused = conform(&["--list", wrong, "nothing"]);
        assert_ne!(refused.status.code(), Some(0), "{wrong}");
        assert!(complained(&refused).contains("nothing"), "{refused:?}");
    }
}

#[test]
fn known_failures_run_and_do_not_count_and_their_passes_are_reported() {
    let known = "reply/del-miss # it says 200\nrequest/del\nreply/del-hit\n";
    let path = file_with("known-failing", known);
    let outcome = conform(&[
        "--spawn",
        &faulty("del-always-ok"),
        "--case",
        "reply/del-miss",
        "--case",
        "reply/del-hit",
        "--case",
        "request/del",
        "--known-failing",
        path.to_str().expect("UTF-8"),
    ]);
    assert_eq!(outcome.status.code(), Some(0), "{}", printed(&outcome));
    let line = printed(&outcome)
        .lines()
        .find(|line| line.contains("reply/del-hit"))
        .expect("it ran");
    assert!(line.contains("was known to fail, and passes"), "{line}");

    let path = file_with("known-failing-wrong", "reply/nothing\n");
    let path = path.to_str().expect("UTF-8");
    let refused = conform(&["--spawn", &faulty("none"), "--known-failing", path]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(complained(&refused).contains("reply/nothing"));
}

/// A report in the format, of a server that fails some and differs in some.
fn report_in(format: &str) -> String {
    let groups = [
        "--group",
        "reply",
        "--group",
        "store",
        "--group",
        "lifecycle",
    ];
    let mut arguments = vec!["--format", format];
    arguments.extend(groups);
    let server = Server::start(Model::default());
    let fault = faulty("rst-needs-key");
    // With an address, the cases of the life cycle are skipped.
    let skipped = conform(&[&arguments[..], &[&server.address.to_string(), "--yes"]].concat());
    assert_eq!(skipped.status.code(), Some(0), "{skipped:?}");
    let broken = conform(&["--spawn", &fault, "--format", format, "--group", "store"]);
    assert_eq!(broken.status.code(), Some(1), "{broken:?}");
    check(format, printed(&skipped));
    check(format, printed(&broken));
    printed(&broken).to_owned()
}

fn check(format: &str, text: &str) {
    match format {
        "tap" => assert_tap(text),
        "json" => drop(serde_json::from_str::<Value>(text).expect("JSON")),
        _ => assert_balanced(text),
    }
}

/// The plan and the numbers of the tests match.
fn assert_tap(text: &str) {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("TAP version 13"));
    let plan = lines.next().and_then(|line| line.strip_prefix("1.."));
    let plan: usize = plan.expect("a plan").parse().expect("a number");
    let is_test = |line: &&str| line.starts_with("ok ") || line.starts_with("not ok ");
    let numbers = lines.filter(is_test).map(|line| {
        let rest = line.trim_start_matches("not ").trim_start_matches("ok ");
        rest.split(' ')
            .next()
            .expect("a number")
            .parse()
            .expect("a number")
    });
    assert_eq!(
        numbers.collect::<Vec<usize>>(),
        (1..=plan).collect::<Vec<_>>()
    );
}

/// Every element is closed, by the one that is innermost.
fn assert_balanced(text: &str) {
    const VOID: [&str; 3] = ["meta", "br", "!doctype"];

    let mut open = Vec::new();
    for tag in text.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag ends");
        let name = tag.split([' ', '\n', '/']).find(|part| !part.is_empty());
        let name = name.expect("a name").to_ascii_lowercase();
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_deref(), Some(name.as_str()), "{tag}");
        } else if !tag.ends_with(['/', '?']) && !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn tap_reports_are_well_formed() {
    let text = report_in("tap");
    assert!(text.contains("\nnot ok "), "{text}");
}

#[test]
fn junit_reports_are_well_formed() {
    let text = report_in("junit");
    assert!(text.contains("<failure"), "{text}");
}

#[test]
fn json_reports_hold_what_there_is_to_know() {
    let report: Value = serde_json::from_str(&report_in("json")).expect("JSON");
    let cases = report["cases"].as_array().expect("cases");
    let by_id: HashMap<_, _> = cases
        .iter()
        .map(|case| (case["id"].as_str(), case))
        .collect();
    let failed = by_id[&Some("store/set-after-rst")];
    for member in ["expected", "got", "transcript", "again", "says"] {
        let text = failed[member].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "{member} in {failed}");
    }
    assert_eq!(report["conforms"], false);
}

#[test]
fn html_reports_need_nothing_from_elsewhere() {
    let text = report_in("html");
    for reference in ["http:", "https:", "src=", "<link", "@import", "url("] {
        assert!(!text.contains(reference), "{reference}");
    }
}
