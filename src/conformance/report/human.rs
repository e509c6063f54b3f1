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

/// What stands before the further lines of a case.
const MARGIN: &str = "                 ";

/// The width to which the names of cases are wrapped.
const WIDTH: usize = 100;

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
    if let Some(first) = record.alike {
        let _ = write!(line, "  as {first}");
    } else if let Some(failure) = &record.failure {
        let _ = write!(line, "\n{MARGIN}{}", first_line(&failure.to_string()));
        if let Some(hint) = &failure.hint {
            let _ = write!(line, "\n{MARGIN}{hint}");
        }
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
        let _ = write!(line, "\n{MARGIN}{remark}");
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

/// All that is known of the cases that were not passed, once for those that failed alike;
/// what counts comes last, where a terminal shows it first.
pub fn failures(report: &Report, style: Style) -> String {
    let mut not_passed: Vec<_> = report.records.iter().collect();
    not_passed.retain(|record| record.failure.is_some() && record.alike.is_none());
    not_passed.sort_by_key(|record| record.counts_against());
    let shown = not_passed.into_iter();
    shown.map(|record| failure(report, record, style)).collect()
}

/// Only what counts against the server, and how it stands.
pub fn quiet(report: &Report, style: Style) -> String {
    let counts = |record: &&Record| record.counts_against() && record.alike.is_none();
    let shown = report.records.iter().filter(counts);
    let mut text: String = shown.map(|record| failure(report, record, style)).collect();
    if !text.is_empty() {
        text.push('\n');
    }
    text + &verdict(report)
}

fn failure(report: &Report, record: &Record, style: Style) -> String {
    let (mark, level, id) = (mark(record, style), record.level, record.id);
    format!("\n{mark} {level}  {id}\n") + &details(report, record)
}

fn details(report: &Report, record: &Record) -> String {
    let mut text = format!("  The case: {}\n", record.claim);
    for (id, clause) in clauses(record) {
        let _ = writeln!(text, "  Clause {id}: {clause}");
    }
    if let Some(failure) = &record.failure {
        let _ = writeln!(text, "  Expected: {}", failure.expected);
        let _ = writeln!(text, "  Got:      {}", failure.got);
        if let Some(hint) = &failure.hint {
            let _ = writeln!(text, "  Hint:     {hint}");
        }
    }
    if !record.remark.is_empty() {
        let _ = writeln!(text, "  Remark:   {}", record.remark.trim_end());
    }
    if !record.transcript.is_empty() {
        let _ = writeln!(text, "  What went over the connections:");
        text += &record.transcript;
    }
    let _ = writeln!(text, "  This case alone: {}", report.command_for(record));
    text + &others(&report.alike(record))
}

/// The number and the names of the cases that failed alike.
fn others(alike: &[&Record]) -> String {
    let cases = match alike.len() {
        0 => return String::new(),
        1 => "1 other case is".to_owned(),
        n => format!("{n} other cases are"),
    };
    let mut text = format!("  {cases} not passed in the same way:");
    let mut room = 0;
    for record in alike {
        if record.id.len() + 1 > room {
            text += "\n   ";
            room = WIDTH - 3;
        }
        let _ = write!(text, " {}", record.id);
        room -= record.id.len() + 1;
    }
    text + "\n"
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
    for alike in skipped.chunk_by(|a, b| a.remark == b.remark) {
        let cases = match alike.len() {
            1 => "1 case was".to_owned(),
            n => format!("{n} cases were"),
        };
        let _ = writeln!(text, "{cases} skipped: {}.", alike[0].remark);
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
    text + "\n" + &verdict(report)
}

fn verdict(report: &Report) -> String {
    format!(
        "{} ({:.1} s)\n",
        report.verdict(),
        report.took.as_secs_f64()
    )
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
