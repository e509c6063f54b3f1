//! Runs cases on a subject, group by group.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::case::{Case, Kind};
use super::course::{Course, Options};
use super::failure::Failure;
use super::link::Link;
use super::process::Process;
use super::record::{Record, Report, Side, Verdict};
use super::stop::Stop;
use super::subject::{Server, Subject, Unreachable};
use super::transcript::Transcript;
use super::trial::Trial;
use crate::protocol::frame::HEADER_LEN;
use crate::protocol::frame::framed;

/// How long to look whether a server that failed a case has ended by it.
const DEATH_TIME: Duration = Duration::from_millis(100);

/// How long a server may take to remove all entries between groups.
const CLEAR_TIMEOUT: Duration = Duration::from_secs(1);

/// After so many cases that took all their time the server is asked whether it answers at
/// all.
const SILENT_CASES_MAX: usize = 3;

/// How long it may take to answer a header with its bytes swapped, which it should not.
const SWAPPED_TIME: Duration = Duration::from_secs(1);

/// Runs the cases, and tells `progress` of each when it begins, with `None`,
/// and when it has ended.
///
/// The server's entries are removed at the begin of each group and at the end.
/// Fails when no server can be reached; one that goes away later fails cases.
/// The run ends early when its time is over, and when the server does not answer
/// any more; the cases that are left are recorded as skipped, and `progress` does
/// not hear of them.
pub fn run(
    subject: &Subject,
    cases: &[&'static Case],
    options: &Options,
    progress: &mut dyn FnMut(&'static Case, Option<&Record>),
) -> Result<Report, Unreachable> {
    let server = subject.server(&options.stop)?;
    let mut host = Host {
        subject,
        options,
        server: Some(server),
        course: Course::begin(options),
        silent_cases: 0,
    };
    let mut records = Vec::new();
    for group in cases.chunk_by(|a, b| a.group() == b.group()) {
        records.extend(host.group(group, progress));
    }
    Ok(Report {
        side: Side::Server,
        subject: subject.to_string(),
        command: subject.command(options.memory_option.as_ref()),
        ended_early: host.course.ended_early(&records),
        took: host.course.took(),
        records,
    })
}

/// Has a server for the cases.
struct Host<'a> {
    subject: &'a Subject,
    options: &'a Options,
    /// `None` until the next case needs one.
    server: Option<Server>,
    course: Course<'a>,
    /// Cases that took all their time since the server last showed that it answers.
    silent_cases: usize,
}

impl Host<'_> {
    fn group(
        &mut self,
        cases: &[&'static Case],
        progress: &mut dyn FnMut(&'static Case, Option<&Record>),
    ) -> Vec<Record> {
        self.clear();
        let records = thread::scope(|scope| {
            let begun =
                |case: &&&'static Case| case.kind == Kind::Waiting && !self.course.is_over();
            let waiting: Vec<_> = cases.iter().filter(begun).collect();
            let mut waiting: VecDeque<_> = waiting
                .into_iter()
                .map(|&case| {
                    let address = self.server().map(|server| server.address());
                    let (options, limits) = (self.options, self.limits(case));
                    scope.spawn(move || attempt(case, address, options, limits, None))
                })
                .collect();
            let mut run = |&case: &&'static Case| {
                let beside = match case.kind {
                    Kind::Waiting => waiting.pop_front(),
                    Kind::Plain | Kind::OwnProcess | Kind::Ceiling => None,
                };
                self.case(case, beside, progress)
            };
            cases.iter().map(&mut run).collect()
        });
        self.clear();
        if let Some(Server::Spawned(process)) = &mut self.server {
            process.child.stop();
            self.server = None;
        }
        records
    }

    /// Runs the case, or waits for the thread that runs it already.
    fn case(
        &mut self,
        case: &'static Case,
        beside: Option<ScopedJoinHandle<'_, Record>>,
        progress: &mut dyn FnMut(&'static Case, Option<&Record>),
    ) -> Record {
        if let Some(not_run) = self.not_run(case) {
            return not_run;
        }
        progress(case, None);
        let begun = Instant::now();
        let mut record = match (beside, case.kind) {
            (Some(thread), _) => thread.join().expect("cases do not panic"),
            (None, Kind::OwnProcess | Kind::Ceiling) => self.on_its_own(case),
            (None, Kind::Plain | Kind::Waiting) => self.plain(case),
        };
        // One that was cut short says nothing of the server.
        if record.verdict != Verdict::Pass
            && let Some(not_run) = self.not_run(case)
        {
            progress(case, Some(&not_run));
            return not_run;
        }
        self.course.take_in(&mut record);
        progress(case, Some(&record));
        if begun.elapsed().max(record.took) >= timeout_of(case, self.options) {
            self.silent_cases += 1;
        }
        if self.silent_cases >= SILENT_CASES_MAX {
            self.look_whether_it_answers();
        }
        record
    }

    /// The record of a case for which there is no time, or no server any more.
    fn not_run(&mut self, case: &'static Case) -> Option<Record> {
        let mut record = record(case, self.options);
        record.remark = self.course.cause_of_end()?;
        Some(record)
    }

    /// Ends the run if the server lets the time pass for the plainest request as well.
    fn look_whether_it_answers(&mut self) {
        self.silent_cases = 0;
        let timeout = self.options.timeout;
        let request = framed(format!(r#"{{"command":"GET","key":"{}"}}"#, unique_key()).as_bytes());
        let Err(failure) = self.payload_after(&request, timeout) else {
            return;
        };
        let why = failure.hint.unwrap_or_else(|| {
            let mut swapped = request;
            swapped[..HEADER_LEN].reverse();
            let outcome = self.payload_after(&swapped, timeout.min(SWAPPED_TIME));
            match outcome.map_err(|failure| failure.hint) {
                Err(None) => "a slow server needs a longer --timeout",
                Ok(_) | Err(Some(_)) => {
                    "it does answer when the bytes of the header are swapped, but the most \
                     significant byte comes first"
                }
            }
            .to_owned()
        });
        self.course.end(format!(
            "the server let the time pass in {SILENT_CASES_MAX} cases, and a plain GET it did not \
             answer within {} s either; {why}",
            timeout.as_secs_f64()
        ));
    }

    /// What the server answers to the bytes, on a connection of their own.
    fn payload_after(&mut self, bytes: &[u8], timeout: Duration) -> Result<Vec<u8>, Failure> {
        let deadline = self.course.deadline().min(Instant::now() + timeout);
        let address = self.server()?.address();
        let mut link = Link::connect("", address, deadline, &Transcript::new())?;
        link.send(bytes);
        link.payload()
    }

    /// The server, started if there is none.
    fn server(&mut self) -> Result<&mut Server, Failure> {
        if self.server.is_none() {
            let server = self.subject.server(&self.course.stop);
            let gone = |error: Unreachable| Failure::new("a server that starts", error.to_string());
            self.server = Some(server.map_err(gone)?);
        }
        Ok(self.server.as_mut().expect("it was put there"))
    }

    fn plain(&mut self, case: &'static Case) -> Record {
        if let Some(Server::Spawned(process)) = &mut self.server {
            process.child.forget_output();
        }
        let address = self.server().map(|server| server.address());
        let limits = self.limits(case);
        let mut record = attempt(case, address, self.options, limits, None);
        if let (Some(_), Some(Server::Spawned(process))) = (&record.failure, &mut self.server) {
            // The connections of a process that dies end a little before it does.
            let ended = process.child.wait(Instant::now() + DEATH_TIME);
            record.remark = match ended {
                Some(status) => {
                    let sentence = format!("the server ended meanwhile ({status})");
                    process.child.with_output(sentence)
                }
                None => match process.child.final_output().as_str() {
                    "" => String::new(),
                    lines => format!("meanwhile the server printed:\n{lines}"),
                },
            };
            // One that has let the time pass may be stuck.
            if ended.is_some() || record.took >= self.options.timeout {
                self.server = None;
            }
        }
        record
    }

    /// Removes what is stored. A server that can't do that shows it in cases.
    fn clear(&mut self) {
        if let Some(server) = self.server.as_ref().filter(|_| !self.course.is_over()) {
            let deadline = Instant::now() + CLEAR_TIMEOUT;
            let link = Link::connect("", server.address(), deadline, &Transcript::new());
            let _ = link.and_then(|mut link| link.ask(r#"{"command":"RST"}"#));
        }
    }

    fn on_its_own(&self, case: &'static Case) -> Record {
        let options = self.options;
        if let Some(cause) = self.cannot_start(case) {
            let mut skipped = record(case, options);
            skipped.remark = cause.to_owned();
            return skipped;
        }
        let ceiling = options.memory_option.as_ref();
        let ceiling = ceiling.filter(|_| case.needs_memory_option());
        match self.subject.process(ceiling, &self.course.stop) {
            Err(error) => {
                let failure = Failure::new("a server that starts", error.to_string());
                attempt(case, Err(failure), options, self.limits(case), None)
            }
            Ok(mut process) => {
                let address = process.address();
                let limits = self.limits(case);
                let record = attempt(case, Ok(address), options, limits, Some(&mut process));
                // One that failed may be one that does not end; it is killed.
                if record.failure.is_none() {
                    process.child.stop();
                }
                record
            }
        }
    }

    /// Why there can be no server for the case, if that is so.
    fn cannot_start(&self, case: &Case) -> Option<&'static str> {
        match (self.subject, &self.options.memory_option) {
            (Subject::Running(_), _) if case.needs_memory_option() => {
                Some("only --spawn with --memory-option gives a server a small ceiling")
            }
            (Subject::Running(_), _) => Some("only --spawn can start and stop a server"),
            (Subject::Spawned(_), None) if case.needs_memory_option() => {
                Some("only --memory-option gives a server a small ceiling")
            }
            _ => None,
        }
    }

    fn limits(&self, case: &Case) -> Limits {
        let left = self
            .course
            .deadline()
            .saturating_duration_since(Instant::now());
        Limits {
            timeout: timeout_of(case, self.options).min(left),
            stop: self.course.stop.clone(),
        }
    }
}

/// When a case has to end.
struct Limits {
    timeout: Duration,
    stop: Stop,
}

/// The time that a case may take.
fn timeout_of(case: &Case, options: &Options) -> Duration {
    let timeout = case.timeout.unwrap_or(options.timeout);
    match case.kind {
        Kind::Waiting => timeout + options.frame_timeout,
        Kind::Plain | Kind::OwnProcess | Kind::Ceiling => timeout,
    }
}

fn attempt(
    case: &'static Case,
    address: Result<SocketAddr, Failure>,
    options: &Options,
    limits: Limits,
    process: Option<&mut Process>,
) -> Record {
    let begun = Instant::now();
    let Limits { timeout, stop } = limits;
    let mut record = record(case, options);
    match address {
        Err(failure) => record.judge(Err(failure), &Transcript::new()),
        Ok(address) => {
            let key = unique_key();
            let frame_timeout = options.frame_timeout;
            let mut trial = Trial::new(address, key, timeout, frame_timeout, process, stop);
            let outcome = case.act(&mut trial);
            record.judge(outcome, trial.transcript());
        }
    }
    record.took = begun.elapsed();
    record
}

fn record(case: &'static Case, options: &Options) -> Record {
    let is_known = options.known_failing.contains(case.id);
    Record::skipped(case.id, case.level, &case.clauses, case.claim, is_known)
}

/// A key that no other case uses, in this run or one beside it.
fn unique_key() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);

    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("conform-{}-{count}", std::process::id())
}
