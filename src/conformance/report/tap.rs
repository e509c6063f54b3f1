//! The Test Anything Protocol, version 13.

use std::fmt::Write;

use super::super::record::{Record, Report, Verdict};
use super::words::{clauses, first_line};

pub(super) fn report(report: &Report) -> String {
    let mut text = format!("TAP version 13\n1..{}\n", report.records.len());
    for (index, record) in report.records.iter().enumerate() {
        let is_ok = matches!(
            record.verdict,
            Verdict::Pass | Verdict::Info | Verdict::Skip
        );
        let ok = if is_ok { "ok" } else { "not ok" };
        let _ = write!(
            text,
            "{ok} {} - {} ({})",
            index + 1,
            record.id,
            record.level
        );
        text += &directive(record);
        text.push('\n');
        if let Some(failure) = &record.failure {
            text += "  ---\n";
            let cited = clauses(record);
            let cited: Vec<_> = cited.iter().map(|(id, _)| *id).collect();
            let again = report.command_for(record);
            for (name, value) in [
                ("says", Some(record.claim)),
                ("clauses", Some(cited.join(" ").as_str())),
                ("expected", Some(failure.expected.as_str())),
                ("got", Some(failure.got.as_str())),
                ("hint", failure.hint.as_deref()),
                ("alike", record.alike),
                ("again", Some(again.as_str())),
            ] {
                // A JSON string is a YAML string.
                if let Some(value) = value.map(serde_json::Value::from) {
                    let _ = writeln!(text, "  {name}: {value}");
                }
            }
            text += "  ...\n";
        }
    }
    text
}

/// What differs and what is known to fail does not count, which TAP says with
/// the word TODO.
fn directive(record: &Record) -> String {
    match record.verdict {
        Verdict::Skip => format!(" # SKIP {}", first_line(&record.remark)),
        Verdict::Differ => " # TODO it may differ here".to_owned(),
        _ if record.is_known => " # TODO known to fail".to_owned(),
        Verdict::Info => format!(" # {}", first_line(&record.remark)),
        Verdict::Pass | Verdict::Fail => String::new(),
    }
}
