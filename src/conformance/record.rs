//! What came of cases.

use std::time::Duration;

use super::case::Level;
use super::failure::Failure;
use super::transcript::Transcript;

/// What came of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The server does as the case says.
    Pass,
    /// It does not, and has to.
    Fail,
    /// It does not, and need not.
    Differ,
    /// The case reports and does not judge.
    Info,
    /// It could not run; the remark says why.
    Skip,
}

/// One case that was run.
#[derive(Clone, Debug)]
pub struct Record {
    /// The case's id.
    pub id: &'static str,
    /// The case's level.
    pub level: Level,
    /// The clauses that it proves.
    pub clauses: &'static [&'static str],
    /// What the case claims, as a sentence.
    pub claim: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
    /// Whether the case is known to fail.
    pub is_known: bool,
    /// What was expected and what came, where the two differ.
    pub failure: Option<Failure>,
    /// The id of the first case that failed in the same way, where this is another.
    pub alike: Option<&'static str>,
    /// What went over the connections, in lines with hexdumps; empty unless
    /// there is a failure.
    pub transcript: String,
    /// What else there is to say; may be empty.
    pub remark: String,
}

impl Record {
    /// The record of a case that has not run.
    pub(crate) fn skipped(
        id: &'static str,
        level: Level,
        clauses: &'static [&'static str],
        claim: &'static str,
        is_known: bool,
    ) -> Self {
        Self {
            id,
            level,
            clauses,
            claim,
            verdict: Verdict::Skip,
            took: Duration::ZERO,
            is_known,
            failure: None,
            alike: None,
            transcript: String::new(),
            remark: String::new(),
        }
    }

    /// Whether this case makes the server fail.
    pub fn counts_against(&self) -> bool {
        self.verdict == Verdict::Fail && !self.is_known
    }

    /// Whether it counts for or against the server.
    pub fn is_judged(&self) -> bool {
        let is_of_level = matches!(self.level, Level::Must | Level::Client);
        is_of_level && self.verdict != Verdict::Skip && !self.is_known
    }

    /// Whether the case is known to fail and did not.
    pub fn is_unexpected_pass(&self) -> bool {
        self.is_known && self.verdict == Verdict::Pass
    }

    /// The part of the id before the slash.
    pub fn group(&self) -> &'static str {
        self.id.split('/').next().unwrap_or(self.id)
    }

    /// Takes in how a case ended.
    pub(crate) fn judge(&mut self, outcome: Result<String, Failure>, transcript: &Transcript) {
        match (outcome, self.level) {
            (Ok(remark), Level::Info) => (self.verdict, self.remark) = (Verdict::Info, remark),
            (Err(failure), Level::Info) => {
                self.verdict = Verdict::Info;
                self.remark = format!("not seen: {failure}");
            }
            (Ok(remark), _) => (self.verdict, self.remark) = (Verdict::Pass, remark),
            (Err(failure), level) => {
                self.verdict = match level {
                    Level::Must | Level::Client => Verdict::Fail,
                    Level::Should | Level::Info => Verdict::Differ,
                };
                self.failure = Some(failure);
                self.transcript = transcript.render();
            }
        }
    }
}

/// Which end of the protocol was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A server, by [`run`](super::run).
    Server,
    /// A client, by [`run_client`](super::run_client).
    Client,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which end was tried.
    pub side: Side,
    /// What was tried: an address or a command.
    pub subject: String,
    /// The begin of a command that tries it again.
    pub command: String,
    /// One record a case, in the order of the cases.
    pub records: Vec<Record>,
    /// Why the last cases were not run, in a sentence without its end; it is their remark
    /// too.
    pub ended_early: Option<String>,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// Whether every MUST and CLIENT case passes that is not known to fail. Of a run that
    /// ended early nobody knows.
    pub fn conforms(&self) -> bool {
        self.ended_early.is_none() && !self.records.iter().any(Record::counts_against)
    }

    /// Whether the run had ended before the case was done.
    pub(crate) fn is_not_run(&self, record: &Record) -> bool {
        record.verdict == Verdict::Skip && self.ended_early.as_ref() == Some(&record.remark)
    }

    /// The others that failed as the record did, which is the first of its kind.
    pub(crate) fn alike(&self, record: &Record) -> Vec<&Record> {
        let is_alike = |other: &&Record| other.alike == Some(record.id);
        self.records.iter().filter(is_alike).collect()
    }

    /// A command that runs just that case again.
    pub fn command_for(&self, record: &Record) -> String {
        format!("{} --case {}", self.command, record.id)
    }
}
