//! Lines for people.

use std::fmt::Write;

use super::super::case::Level;
use super::super::record::{Record, Report, Verdict};
use super::words::{clauses, first_line, word};

/// How marks are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// With the colours of a terminal.
    Colour,
    /// Without.
    Plain,
}

pub(super) fn report(report: &Report) -> String {
    let mut text = String::new();
    for (name, records) in report.by_group() {
        let _ = writeln!(text, "\n{name}");
        for record in records {
            text += &line(record, Style::Plain);
        }
    }
    text + &failures(report, Style::Plain) + &summary(report)
}

/// The line of one case.
pub fn line(record: &Record, style: Style) -> String {
    let mark = mark(record, style);
    let (level, id) = (record.level, record.id);
    let mut line = format!("  {mark} {level:6}  {id}");
    let millis = record.took.as_millis();
    if millis >= 1000 {
        let _ = write!(line, "  ({:.1} s)", record.took.as_secs_f64());
    }
    if let (Some(failure), true) = (&record.failure, record.verdict != Verdict::Info) {
        let _ = write!(
            line,
            "\n                 {}",
            first_line(&failure.to_string())
        );
    }
    if record.is_known {
        line += match record.is_unexpected_pass() {
            true => "  (was known to fail, and passes)",
            false => "  (known to fail)",
        };
    }
    // What the server printed is in the details.
    let remark = first_line(&record.remark);
    if !remark.is_empty() && !remark.ends_with(':') {
        let _ = write!(line, "\n                 {remark}");
    }
    line + "\n"
}

fn mark(record: &Record, style: Style) -> String {
    let (text, colour) = match record.verdict {
        _ if record.verdict == Verdict::Fail && record.is_known => ("known  ", 33),
        Verdict::Pass => ("pass   ", 32),
        Verdict::Fail => ("FAIL   ", 31),
        Verdict::Differ => ("differs", 33),
        Verdict::Info => ("info   ", 36),
        Verdict::Skip => ("skipped", 90),
    };
    match style {
        Style::Colour => format!("\x1b[{colour}m{text}\x1b[0m"),
        Style::Plain => text.to_owned(),
    }
}

/// All that is known of each case that was not passed; those that count come
/// last, where a terminal shows them first.
pub fn failures(report: &Report, style: Style) -> String {
    let mut text = String::new();
    let mut not_passed: Vec<_> = report.records.iter().collect();
    not_passed.retain(|record| record.failure.is_some());
    not_passed.sort_by_key(|record| record.counts_against());
    for record in not_passed {
        let _ = writeln!(
            text,
            "\n{} {}  {}",
            mark(record, style),
            record.level,
            record.id
        );
        text += &details(report, record);
    }
    text
}

fn details(report: &Report, record: &Record) -> String {
    let mut text = format!("  The case: {}\n", record.claim);
    for (id, clause) in clauses(record) {
        let _ = writeln!(text, "  Clause {id}: {clause}");
    }
    if let Some(failure) = &record.failure {
        let _ = writeln!(text, "  Expected: {}", failure.expected);
        let _ = writeln!(text, "  Got:      {}", failure.got);
    }
    if !record.remark.is_empty() {
        let _ = writeln!(text, "  Remark:   {}", record.remark.trim_end());
    }
    if !record.transcript.is_empty() {
        let _ = writeln!(text, "  What went over the connections:");
        text += &record.transcript;
    }
    let _ = writeln!(text, "  This case alone: {}", report.command_for(record));
    text
}

/// A table by group and level, and how the server stands.
pub fn summary(report: &Report) -> String {
    let mut text = format!("\n{:14}", "");
    for level in Level::ALL {
        let _ = write!(text, "{:>14}", level.name());
    }
    text.push('\n');
    for (name, records) in report.by_group() {
        let _ = write!(text, "{name:14}");
        text += &row(records);
    }
    let _ = write!(text, "{:14}", "all");
    text += &row(&report.records);
    text += "Each cell: cases passed of those that ran; of INFO, those that ran.\n";
    let skipped = report
        .records
        .iter()
        .filter(|record| record.verdict == Verdict::Skip);
    let (not_run, skipped): (Vec<_>, Vec<_>) =
        skipped.partition(|record| report.is_not_run(record));
    if !skipped.is_empty() {
        let skipped = skipped.len();
        let _ = writeln!(text, "{skipped} cases were skipped; they need --spawn.");
    }
    if !not_run.is_empty() {
        let _ = writeln!(text, "{} cases were not run.", not_run.len());
    }
    for record in report
        .records
        .iter()
        .filter(|record| record.is_unexpected_pass())
    {
        let _ = writeln!(
            text,
            "{} was known to fail, and passes: take it off the list.",
            record.id
        );
    }
    let _ = writeln!(
        text,
        "\n{} ({:.1} s)",
        report.verdict(),
        report.took.as_secs_f64()
    );
    text
}

fn row(records: &[Record]) -> String {
    let mut text = String::new();
    for level in Level::ALL {
        let ran: Vec<_> = records
            .iter()
            .filter(|record| record.level == level && record.verdict != Verdict::Skip)
            .collect();
        let passed = ran
            .iter()
            .filter(|record| word(record) != "fail" && word(record) != "differ");
        let cell = match ran.len() {
            0 => "-".to_owned(),
            all if level == Level::Info => all.to_string(),
            all => format!("{} of {all}", passed.count()),
        };
        let _ = write!(text, "{cell:>14}");
    }
    text + "\n"
}
