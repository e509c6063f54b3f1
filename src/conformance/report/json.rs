//! One JSON object, with all that is known.

use serde_json::{Value, json};

use super::super::case::Level;
use super::super::record::{Record, Report, Verdict};
use super::summary::count_levels;
use super::words::word;

pub(super) fn report(report: &Report) -> String {
    let cases: Vec<Value> = report
        .records
        .iter()
        .map(|record| case(report, record))
        .collect();
    let object = json!({
        "subject": report.subject,
        "version": env!("CARGO_PKG_VERSION"),
        "conforms": report.conforms(),
        "verdict": report.verdict(),
        "ended_early": report.ended_early,
        "seconds": report.took.as_secs_f64(),
        "levels": Level::ALL.map(|level| level_counts(report, level)),
        "cases": cases,
    });
    format!("{object:#}\n")
}

fn level_counts(report: &Report, level: Level) -> Value {
    let of_level = report.records.iter().filter(|record| record.level == level);
    let passed = of_level.filter(|record| matches!(record.verdict, Verdict::Pass | Verdict::Info));
    json!({
        "level": level.name(),
        "ran": count_levels(&report.records, &[level]),
        "passed": passed.count(),
    })
}

fn case(report: &Report, record: &Record) -> Value {
    json!({
        "id": record.id,
        "group": record.group(),
        "level": record.level.name(),
        "clauses": record.clauses,
        "says": record.claim,
        "verdict": word(record),
        "known_failing": record.is_known,
        "seconds": record.took.as_secs_f64(),
        "expected": record.failure.as_ref().map(|failure| &failure.expected),
        "got": record.failure.as_ref().map(|failure| &failure.got),
        "hint": record.failure.as_ref().and_then(|failure| failure.hint.as_ref()),
        "alike": record.alike,
        "remark": record.remark,
        "transcript": record.transcript,
        "again": report.command_for(record),
    })
}
