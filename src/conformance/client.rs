//! The other direction: a client is tried by a server that misbehaves.
//!
//! The client is a command that reads calls from its standard input and prints
//! what came of them; docs/conformance.md has the contract.

mod command;
mod script;

use std::sync::LazyLock;
use std::time::Instant;

use super::case::Level;
use super::case_file::{self, Entry};
use super::course::{Course, Options};
use super::record::{Record, Report, Side, Verdict};
use super::subject::Unreachable;
use super::transcript::Transcript;
use script::Step;

/// One claim about a client.
pub struct ClientCase {
    /// Stable name: `client/` and what it is about.
    pub id: &'static str,
    /// How much it counts.
    pub level: Level,
    /// The ids of the clauses that it proves.
    pub clauses: Vec<&'static str>,
    /// What it claims of the client, as a sentence.
    pub claim: &'static str,
    steps: Vec<Step>,
}

/// Every case for clients, in the order in which they run.
pub fn client_cases() -> &'static [ClientCase] {
    &CASES
}

/// Runs the cases on the client that the shell command starts, once for each
/// case, with `{port}` replaced by the port of the server that it is to use
/// and `{timeout}` by the seconds that it is to wait at most.
///
/// Tells `progress` of each case when it begins, with `None`, and when it has
/// ended. Those that have not begun when the run ends early are recorded as skipped.
/// Fails when no port can be had or no command be started.
pub fn run_client(
    command: &str,
    cases: &[&'static ClientCase],
    options: &Options,
    progress: &mut dyn FnMut(&'static ClientCase, Option<&Record>),
) -> Result<Report, Unreachable> {
    let mut records = Vec::new();
    let mut course = Course::begin(options);
    for &case in cases {
        if course.cause_of_end().is_some() {
            records.push(not_run(case, options, &mut course));
            continue;
        }
        progress(case, None);
        let mut record = attempt(case, command, options)?;
        // One that was cut short says nothing of the client.
        if record.verdict != Verdict::Pass && options.stop.is_raised() {
            record = not_run(case, options, &mut course);
        }
        course.take_in(&mut record);
        progress(case, Some(&record));
        records.push(record);
    }
    Ok(Report {
        side: Side::Client,
        subject: command.to_owned(),
        command: format!(
            "speicher conform --client '{}'",
            command.replace('\'', r"'\''")
        ),
        ended_early: course.ended_early(&records),
        took: course.took(),
        records,
    })
}

fn attempt(
    case: &'static ClientCase,
    command: &str,
    options: &Options,
) -> Result<Record, Unreachable> {
    let begun = Instant::now();
    let transcript = Transcript::new();
    let outcome = script::play(&case.steps, command, options, &transcript)?;
    let mut record = record(case, options);
    record.took = begun.elapsed();
    record.judge(outcome.map(|()| String::new()), &transcript);
    Ok(record)
}

/// The record of a case for which there is no time any more.
fn not_run(case: &'static ClientCase, options: &Options, course: &mut Course) -> Record {
    let mut record = record(case, options);
    record.remark = course.cause_of_end().unwrap_or_default();
    record
}

fn record(case: &'static ClientCase, options: &Options) -> Record {
    let is_known = options.known_failing.contains(case.id);
    Record::skipped(case.id, case.level, &case.clauses, case.claim, is_known)
}

static CASES: LazyLock<Vec<ClientCase>> = LazyLock::new(|| {
    let entries = case_file::read(include_str!("cases/client.toml"));
    entries.into_iter().map(of_data).collect()
});

fn of_data(entry: Entry<Step>) -> ClientCase {
    ClientCase {
        id: entry.id,
        level: entry.level,
        clauses: entry.clauses,
        claim: entry.claim,
        steps: entry.steps,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::conformance::clause::clause;

    #[test]
    fn every_case_can_be_read_and_cites_clauses_of_its_level() {
        let mut seen = HashSet::new();
        for case in client_cases() {
            assert!(seen.insert(case.id), "{} is there twice", case.id);
            assert!(case.id.starts_with("client/"), "{}", case.id);
            assert!(
                !case.clauses.is_empty() && !case.steps.is_empty(),
                "{}",
                case.id
            );
            for id in &case.clauses {
                let level = clause(id).map(|clause| clause.level);
                assert_eq!(level, Some(case.level), "{} cites {id}", case.id);
            }
            for step in &case.steps {
                step.check()
                    .unwrap_or_else(|error| panic!("{}: {error}", case.id));
            }
        }
    }
}
