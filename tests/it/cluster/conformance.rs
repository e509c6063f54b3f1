//! The conformance kit on a server in front of a cluster.

use std::time::Duration;

use speicher::conformance::{Options, Subject, Verdict, all, run};

use super::can_start;
use super::nodes::Cluster;

/// What differs: S3a, because entries outlive the server. All else is as with entries in memory.
const DIFFERS: [&str; 1] = ["lifecycle/starts-again"];

#[test]
fn only_that_entries_outlive_the_server_differs() {
    if !can_start() {
        return;
    }
    let cluster = Cluster::start(3, 1);
    let program = env!("CARGO_BIN_EXE_speicher");
    let store = format!("redis-cluster://{}", cluster.addresses());
    let subject = Subject::Spawned(format!(
        "'{program}' serve --store {store} --port {{port}} --frame-timeout 1s"
    ));
    // Entries have the ceilings of their nodes.
    let cases = all().iter().filter(|case| !case.needs_memory_option());
    let cases: Vec<_> = cases.collect();
    let options = Options {
        frame_timeout: Duration::from_secs(1),
        ..Options::default()
    };
    let report = run(&subject, &cases, &options, &mut |_, _| ()).expect("it starts");
    assert!(report.conforms());
    assert_eq!(report.records.len(), cases.len());
    let records = report.records.iter();
    let not_passed = records.filter(|it| !matches!(it.verdict, Verdict::Pass | Verdict::Info));
    let shown: Vec<_> = not_passed
        .clone()
        .map(|record| format!("{}: {:?}\n{}", record.id, record.failure, record.transcript))
        .collect();
    let ids: Vec<_> = not_passed.map(|it| (it.id, it.verdict)).collect();
    let differs = DIFFERS.map(|id| (id, Verdict::Differ));
    assert_eq!(ids, differs, "{}", shown.join("\n"));
}
