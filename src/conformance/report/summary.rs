//! How the server or the client stands, of all its cases.

use super::super::case::Level;
use super::super::record::{Record, Report, Side, Verdict};

impl Report {
    /// The groups in their order, each with its records.
    pub(super) fn by_group(&self) -> impl Iterator<Item = (&'static str, &[Record])> {
        let same = |a: &Record, b: &Record| a.group() == b.group();
        self.records
            .chunk_by(same)
            .map(|records| (records[0].group(), records))
    }

    /// How the server stands, in a sentence.
    pub(super) fn verdict(&self) -> String {
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
pub(super) fn count_levels(records: &[Record], levels: &[Level]) -> usize {
    let counts =
        |record: &&Record| levels.contains(&record.level) && record.verdict != Verdict::Skip;
    records.iter().filter(counts).count()
}
