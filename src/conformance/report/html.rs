//! A page that needs nothing but itself.

use std::fmt::Write;

use super::super::case::Level;
use super::super::record::{Record, Report, Verdict};
use super::words::{clauses, escaped, word};

const STYLE: &str = include_str!("html.css");

pub(super) fn report(report: &Report) -> String {
    let subject = escaped(&report.subject);
    let outcome = if report.conforms() { "pass" } else { "fail" };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Conformance of {subject}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>Conformance to the speicher protocol</h1>\n\
         <p class=\"subject\"><code>{subject}</code></p>\n\
         <p class=\"verdict {outcome}\">{}</p>\n\
         <p>Tried by speicher {} in {:.1} s. MUST and CLIENT cases pass or fail; in SHOULD cases \
         it may differ; INFO cases report.</p>\n",
        escaped(&report.verdict()),
        env!("CARGO_PKG_VERSION"),
        report.took.as_secs_f64()
    );
    page += &table(report);
    page += &not_passed(report);
    for (name, records) in report.by_group() {
        let _ = writeln!(page, "<h2 id=\"{name}\">{name}</h2>");
        for record in records {
            page += &case(report, record);
        }
    }
    page + "</body>\n</html>\n"
}

/// Links to the cases that the server did not pass, one for those that failed alike; what counts
/// comes first.
fn not_passed(report: &Report) -> String {
    let mut records: Vec<_> = report.records.iter().collect();
    records.retain(|record| record.failure.is_some() && record.alike.is_none());
    records.sort_by_key(|record| !record.counts_against());
    if records.is_empty() {
        return String::new();
    }
    let mut text = "<h2>Not passed</h2>\n<ul>\n".to_owned();
    for record in records {
        let _ = writeln!(
            text,
            "<li><span class=\"{}\">{0}</span> <a href=\"#{}\"><code>{1}</code></a> {}{}</li>",
            word(record),
            record.id,
            escaped(record.claim),
            others(report.alike(record).len())
        );
    }
    text + "</ul>\n"
}

fn others(alike: usize) -> String {
    match alike {
        0 => String::new(),
        n => format!(" <em>and {n} alike</em>"),
    }
}

fn table(report: &Report) -> String {
    let mut text = "<table>\n<thead><tr><th scope=\"col\">group</th>".to_owned();
    for level in Level::ALL {
        let _ = write!(text, "<th scope=\"col\">{level}</th>");
    }
    text += "</tr></thead>\n<tbody>\n";
    for (name, records) in report.by_group() {
        let _ = write!(
            text,
            "<tr><th scope=\"row\"><a href=\"#{name}\">{name}</a></th>"
        );
        for level in Level::ALL {
            text += &cell(records, level);
        }
        text += "</tr>\n";
    }
    text += "<tr class=\"all\"><th scope=\"row\">all</th>";
    for level in Level::ALL {
        text += &cell(&report.records, level);
    }
    text + "</tr>\n</tbody>\n</table>\n"
}

fn cell(records: &[Record], level: Level) -> String {
    let ran: Vec<_> = records
        .iter()
        .filter(|record| record.level == level && record.verdict != Verdict::Skip)
        .collect();
    let count = |verdict| {
        ran.iter()
            .filter(|record| record.verdict == verdict)
            .count()
    };
    let not_passed = count(Verdict::Fail) + count(Verdict::Differ);
    if ran.is_empty() {
        return "<td class=\"none\">–</td>".to_owned();
    }
    let class = match (not_passed, level) {
        (0, Level::Info) => "info",
        (0, _) => "pass",
        (_, Level::Must | Level::Client) => "fail",
        _ => "differ",
    };
    format!(
        "<td class=\"{class}\">{} of {}</td>",
        ran.len() - not_passed,
        ran.len()
    )
}

fn case(report: &Report, record: &Record) -> String {
    let class = word(record);
    let known = match (record.is_known, record.is_unexpected_pass()) {
        (true, true) => " <em>was known to fail</em>",
        (true, false) => " <em>known to fail</em>",
        _ => "",
    };
    let open = match record.counts_against() && record.alike.is_none() {
        true => " open",
        false => "",
    };
    let mut text = format!(
        "<details{open}><summary><span class=\"mark {class}\">{class}</span> \
         <span class=\"level\">{}</span> <code>{}</code>{known} {}</summary>\n\
         <div id=\"{}\">\n",
        record.level,
        record.id,
        escaped(record.claim),
        record.id
    );
    for (id, clause) in clauses(record) {
        let _ = writeln!(text, "<p><b>{id}</b> {}</p>", escaped(clause));
    }
    if let Some(failure) = &record.failure {
        let _ = writeln!(
            text,
            "<dl><dt>Expected</dt><dd>{}</dd><dt>Got</dt><dd>{}</dd></dl>",
            escaped(&failure.expected),
            escaped(&failure.got)
        );
        if let Some(hint) = &failure.hint {
            let _ = writeln!(text, "<p><b>Hint</b> {}</p>", escaped(hint));
        }
    }
    if let Some(first) = record.alike {
        let _ = writeln!(
            text,
            "<p>As <a href=\"#{first}\"><code>{first}</code></a></p>"
        );
    }
    if !record.remark.is_empty() {
        let _ = writeln!(text, "<pre>{}</pre>", escaped(record.remark.trim_end()));
    }
    if !record.transcript.is_empty() {
        let _ = writeln!(text, "<pre>{}</pre>", escaped(&record.transcript));
    }
    let again = escaped(&report.command_for(record));
    let took = record.took.as_secs_f64() * 1e3;
    let _ = writeln!(
        text,
        "<p>{took:.1} ms; again: <code>{again}</code></p>\n</div></details>"
    );
    text
}
