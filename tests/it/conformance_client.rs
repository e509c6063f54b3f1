//! The kit's cases for clients: what passes them, and that they bite.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use speicher::conformance::{ClientCase, Options, Record, Verdict, client_cases, run_client};

use crate::harness::*;

/// The ids of the cases that the client does not pass.
fn not_passed(command: &str, cases: &[&'static ClientCase]) -> BTreeSet<&'static str> {
    let options = Options {
        timeout: Duration::from_secs(3),
        ..Options::default()
    };
    let report = run_client(command, cases, &options, &mut |_, _| ());
    let records = report.expect("it starts").records;
    assert_eq!(records.len(), cases.len());
    let not_passed = records
        .iter()
        .filter(|record| record.verdict != Verdict::Pass);
    not_passed.map(|record| record.id).collect()
}

fn cases_of(ids: &[&str]) -> Vec<&'static ClientCase> {
    let named = |id: &&str| {
        let mut cases = client_cases().iter();
        let case = cases.find(|case| case.id == format!("client/{id}"));
        case.unwrap_or_else(|| panic!("there is no case {id}"))
    };
    ids.iter().map(named).collect()
}

/// Each fault of the faulty client, and the cases that have to catch it.
#[rustfmt::skip]
const CAUGHT: &[(&str, &[&str])] = &[
    ("little-endian", &["get", "set"]),
    ("header-read-once", &["split-header", "byte-by-byte"]),
    ("payload-read-once", &["payload-split", "1-mib", "byte-by-byte"]),
    ("keeps-broken-connections", &[
        "503-and-close", "turned-away", "close-without-reply", "close-between-calls", "truncated-header",
        "truncated-payload", "length-huge", "other-protocol", "late-reply",
    ]),
    ("waits-for-ever", &["silence", "silence-inside-a-frame"]),
    ("believes-every-status", &[
        "get-miss", "delete", "400", "503", "status-100", "status-302", "status-999", "status-text",
        "status-missing",
    ]),
    ("value-is-optional", &["value-missing"]),
    ("counts-characters", &["key-beyond-ascii"]),
    ("ends-at-an-error", &[
        "400", "503", "length-zero", "length-negative", "status-100", "array", "not-json", "not-utf-8",
        "other-protocol", "value-missing",
    ]),
    ("takes-what-came", &["truncated-payload", "length-huge"]),
    ("utf-8-with-replacements", &["not-utf-8"]),
    ("knows-all-members", &["unknown-members"]),
    ("falsy-is-absent", &["values"]),
    ("sends-anything", &["set", "delete", "reset", "empty-key"]),
    ("never-connects", &["set", "reset", "get-miss", "get-null", "delete"]),
    ("ends-at-once", &["get", "get-null", "other-words"]),
];

#[test]
fn the_rust_client_passes_every_case() {
    let all: Vec<_> = client_cases().iter().collect();
    let command = format!("{} {{port}} {{timeout}}", example("conform_client"));
    assert_eq!(not_passed(&command, &all), BTreeSet::new());
}

#[test]
fn a_fault_that_the_client_s_bytes_show_is_named() {
    let command = format!(
        "{} little-endian {{port}} {{timeout}}",
        example("faulty_client")
    );
    let options = Options::default();
    let report = run_client(&command, &cases_of(&["get"]), &options, &mut |_, _| ());
    let report = report.expect("it starts");
    let failure = report.records[0].failure.as_ref().expect("it fails");
    let hint = failure.hint.as_deref().unwrap_or_default();
    assert!(hint.contains("right in the other byte order"), "{hint}");
}

#[test]
fn each_fault_of_a_client_is_caught_by_its_cases() {
    thread::scope(|scope| {
        for (fault, ids) in CAUGHT {
            scope.spawn(move || {
                let cases = cases_of(ids);
                let wanted: BTreeSet<_> = cases.iter().map(|case| case.id).collect();
                let command = format!("{} {fault} {{port}} {{timeout}}", example("faulty_client"));
                assert_eq!(not_passed(&command, &cases), wanted, "{fault}");
            });
        }
    });
}

#[test]
fn a_client_without_a_fault_passes_the_cases_that_catch_one() {
    let ids: BTreeSet<&str> = CAUGHT
        .iter()
        .flat_map(|(_, ids)| ids.iter().copied())
        .collect();
    let ids: Vec<_> = ids.into_iter().collect();
    let command = format!("{} none {{port}} {{timeout}}", example("faulty_client"));
    assert_eq!(not_passed(&command, &cases_of(&ids)), BTreeSet::new());
}

#[test]
fn every_case_for_clients_catches_a_fault() {
    let caught = CAUGHT.iter().flat_map(|(_, ids)| ids.iter());
    let known: BTreeSet<_> = caught.map(|id| format!("client/{id}")).collect();
    let all: BTreeSet<_> = client_cases()
        .iter()
        .map(|case| case.id.to_owned())
        .collect();
    assert_eq!(known, all);
}

/// The command never answers, so that its first case takes longer than the run may.
#[test]
fn a_run_has_a_limit() {
    let options = Options {
        timeout: Duration::from_millis(100),
        run_timeout: Duration::from_millis(50),
        ..Options::default()
    };
    let cases: Vec<_> = client_cases().iter().collect();
    let report = run_client("cat >&2 # {port}", &cases, &options, &mut |_, _| ());
    let report = report.expect("it starts");
    assert_eq!(report.records.len(), cases.len());
    let ran = |record: &&Record| record.verdict != Verdict::Skip;
    assert_eq!(report.records.iter().filter(ran).count(), 1);
    let cause = report.ended_early.as_deref().unwrap_or_default();
    assert!(cause.contains("--run-timeout"), "{cause}");
    assert!(!report.conforms());
}
