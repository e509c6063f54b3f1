//! The words for one record, and texts as markup.

use super::super::clause::clause;
use super::super::record::{Record, Verdict};

/// The clauses that the case cites, in words.
pub(super) fn clauses(record: &Record) -> Vec<(&'static str, &'static str)> {
    let cited = record.clauses.iter();
    cited
        .filter_map(|id| Some((*id, clause(id)?.text)))
        .collect()
}

/// The verdict in a word.
pub(super) fn word(record: &Record) -> &'static str {
    match record.verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Differ => "differ",
        Verdict::Info => "info",
        Verdict::Skip => "skip",
    }
}

pub(super) fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The text with what XML and HTML take for their own written as entities, and
/// without the control characters that XML can't hold.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_text_is_only_text() {
        assert_eq!(
            escaped("<a b=\"c\">&\u{1}"),
            "&lt;a b=&quot;c&quot;&gt;&amp;\u{fffd}"
        );
    }
}
