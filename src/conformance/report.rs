//! What came of a run, for people and for programs.

mod html;
pub mod human;
mod json;
mod junit;
mod tap;

use std::str::FromStr;

use super::{Level, Record, Report, Side, Verdict};

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Lines for people, while the cases run.
    #[default]
    Human,
    /// The Test Anything Protocol, version 13.
    Tap,
    /// JUnit's XML, which build servers read.
    Junit,
    /// One JSON object.
    Json,
    /// A page that needs nothing but itself.
    Html,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Human, Self::Tap, Self::Junit, Self::Json, Self::Html];

    /// The format's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Tap => "tap",
            Self::Junit => "junit",
            Self::Json => "json",
            Self::Html => "html",
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = |format: &Self| format.name() == name;
        Self::ALL.into_iter().find(known).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no format {name:?}; choose one of {names}")
        })
    }
}

impl Report {
    /// The whole report in the format.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Human => human::report(self),
            Format::Tap => tap::report(self),
            Format::Junit => junit::report(self),
            Format::Json => json::report(self),
            Format::Html => html::report(self),
        }
    }

    /// The groups in their order, each with its records.
    fn by_group(&self) -> impl Iterator<Item = (&'static str, &[Record])> {
        let same = |a: &Record, b: &Record| a.group() == b.group();
        self.records
            .chunk_by(same)
            .map(|records| (records[0].group(), records))
    }

    /// How the server stands, in a sentence.
    fn verdict(&self) -> String {
        let count = |verdict| {
            self.records
                .iter()
                .filter(|record| record.verdict == verdict)
                .count()
        };
        let failed = self
            .records
            .iter()
            .filter(|record| record.counts_against())
            .count();
        let must = count_levels(&self.records, &[Level::Must, Level::Client]);
        let who = match self.side {
            Side::Server => "server",
            Side::Client => "client",
        };
        let differs = match count(Verdict::Differ) {
            0 => format!("In all else it does as this project's own {who} does."),
            1 => format!("In 1 case it differs from this project's own {who}, which it may."),
            n => format!("In {n} cases it differs from this project's own {who}, which it may."),
        };
        if must == 0 {
            return format!("No MUST or CLIENT case ran. {differs}");
        }
        match failed {
            0 => format!("The {who} conforms in all of {must} cases that count. {differs}"),
            n => format!("The {who} fails {n} of {must} cases that count. {differs}"),
        }
    }
}

/// How many of the records are of one of the levels and were not skipped.
fn count_levels(records: &[Record], levels: &[Level]) -> usize {
    let counts =
        |record: &&Record| levels.contains(&record.level) && record.verdict != Verdict::Skip;
    records.iter().filter(counts).count()
}

/// The clauses that the case cites, in words.
fn clauses(record: &Record) -> Vec<(&'static str, &'static str)> {
    let cited = record.clauses.iter();
    cited
        .filter_map(|id| Some((*id, super::clause(id)?)))
        .collect()
}

/// The verdict in a word.
fn word(record: &Record) -> &'static str {
    match record.verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Differ => "differ",
        Verdict::Info => "info",
        Verdict::Skip => "skip",
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The text with what XML and HTML take for their own written as entities, and
/// without the control characters that XML can't hold.
fn escaped(text: &str) -> String {
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
