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
        let who = match self.side {
            Side::Server => "server",
            Side::Client => "client",
        };
        let judged = self.records.iter().filter(|record| record.is_judged());
        let judged = judged.count();
        let failed = self.records.iter().filter(|record| record.counts_against());
        let known = self.records.iter().filter(|record| record.is_known);
        let mut sentence = match (judged, failed.count()) {
            (0, _) => "No MUST or CLIENT case ran.".to_owned(),
            (all, 0) if self.ended_early.is_some() => {
                format!("The {who} passes {}.", of_all(all))
            }
            (all, 0) => format!("The {who} conforms: it passes {}.", of_all(all)),
            (all, n) => format!("The {who} fails {n} of the {all} MUST and CLIENT cases that ran."),
        };
        match known.count() {
            0 => {}
            n => sentence += &format!(" {n} that are known to fail do not count."),
        }
        let ran = count_levels(&self.records, &[Level::Should]);
        let differs = self
            .records
            .iter()
            .filter(|record| record.verdict == Verdict::Differ);
        match (ran, differs.count()) {
            (0, _) => {}
            (all, 0) => sentence += &format!(" It agrees in {}.", of_all_should(all)),
            (all, n) => {
                sentence += &format!(" It differs in {n} of {all} SHOULD cases, which it may.");
            }
        }
        match &self.ended_early {
            None => sentence,
            Some(cause) => format!("The run ended early: {cause}. {sentence}"),
        }
    }
}

fn of_all(cases: usize) -> String {
    match cases {
        1 => "the one MUST or CLIENT case that ran".to_owned(),
        n => format!("all {n} MUST and CLIENT cases that ran"),
    }
}

fn of_all_should(cases: usize) -> String {
    match cases {
        1 => "the one SHOULD case that ran".to_owned(),
        n => format!("all {n} SHOULD cases"),
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
