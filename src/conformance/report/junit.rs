//! JUnit's XML: a suite for each group.

use std::fmt::Write;

use super::super::failure::Failure;
use super::super::record::{Record, Report, Verdict};
use super::words::escaped;

pub(super) fn report(report: &Report) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let _ = writeln!(
        text,
        "<testsuites name=\"speicher conform\" {} time=\"{:.3}\">",
        counts(&report.records),
        report.took.as_secs_f64()
    );
    for (name, records) in report.by_group() {
        let _ = writeln!(text, "  <testsuite name=\"{name}\" {}>", counts(records));
        for record in records {
            text += &test_case(report, record);
        }
        text += "  </testsuite>\n";
    }
    text + "</testsuites>\n"
}

fn counts(records: &[Record]) -> String {
    let failures = records
        .iter()
        .filter(|record| record.counts_against())
        .count();
    let skipped = records.iter().filter(|record| is_skipped(record)).count();
    format!(
        "tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\"",
        records.len()
    )
}

/// JUnit has no word for what does not count: it is skipped, with the reason.
fn is_skipped(record: &Record) -> bool {
    match record.verdict {
        Verdict::Skip | Verdict::Differ => true,
        Verdict::Fail => record.is_known,
        Verdict::Pass | Verdict::Info => false,
    }
}

fn test_case(report: &Report, record: &Record) -> String {
    let name = record
        .id
        .split_once('/')
        .map_or(record.id, |(_, name)| name);
    let mut text = format!(
        "    <testcase classname=\"{}.{}\" name=\"{name}\" time=\"{:.3}\">\n",
        record.group(),
        record.level,
        record.took.as_secs_f64()
    );
    let failure = record.failure.as_ref().map(in_words).unwrap_or_default();
    if record.counts_against() {
        let _ = writeln!(
            text,
            "      <failure message=\"{}\">{}\n{}\n{}</failure>",
            escaped(&failure),
            escaped(record.claim),
            escaped(&evidence(record)),
            escaped(&report.command_for(record))
        );
    } else if is_skipped(record) {
        let reason = match record.verdict {
            Verdict::Skip => record.remark.clone(),
            Verdict::Differ => format!("it may differ here: {failure}"),
            _ => format!("known to fail: {failure}"),
        };
        let _ = writeln!(text, "      <skipped message=\"{}\"/>", escaped(&reason));
    } else if !record.remark.is_empty() {
        let _ = writeln!(
            text,
            "      <system-out>{}</system-out>",
            escaped(&record.remark)
        );
    }
    text + "    </testcase>\n"
}

fn in_words(failure: &Failure) -> String {
    match &failure.hint {
        Some(hint) => format!("{failure}: {hint}"),
        None => failure.to_string(),
    }
}

/// The bytes, or where they are: with the first case that failed alike.
fn evidence(record: &Record) -> String {
    match record.alike {
        Some(first) => format!("It fails as {first} does."),
        None => record.transcript.clone(),
    }
}
