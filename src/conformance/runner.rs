//! Runs cases on a subject, group by group.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::case::{Case, Kind};
use super::failure::Failure;
use super::link::Link;
use super::process::Process;
use super::record::{Record, Report, Side};
use super::subject::{Server, Subject, Unreachable};
use super::transcript::Transcript;
use super::trial::Trial;

/// How long to look whether a server that failed a case has ended by it.
const DEATH_TIME: Duration = Duration::from_millis(100);

/// How long a server may take to remove all entries between groups.
const CLEAR_TIMEOUT: Duration = Duration::from_secs(1);

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The time that a case may take, unless it is one that waits for longer.
    pub timeout: Duration,
    /// How long the server says that a frame may take (F8).
    pub frame_timeout: Duration,
    /// Ids of cases that are known to fail: they run, and do not count.
    pub known_failing: HashSet<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            frame_timeout: Duration::from_secs(30),
            known_failing: HashSet::new(),
        }
    }
}

/// Runs the cases, and tells `progress` of each when it begins, with `None`,
/// and when it has ended.
///
/// The server's entries are removed at the begin of each group and at the end.
/// Fails when no server can be reached; one that goes away later fails cases.
pub fn run(
    subject: &Subject,
    cases: &[&'static Case],
    options: &Options,
    progress: &mut dyn FnMut(&'static Case, Option<&Record>),
) -> Result<Report, Unreachable> {
    let begun = Instant::now();
    let mut host = Host {
        subject,
        options,
        server: Some(subject.server()?),
    };
    let mut records = Vec::new();
    for group in cases.chunk_by(|a, b| a.group() == b.group()) {
        records.extend(host.group(group, progress));
    }
    Ok(Report {
        side: Side::Server,
        subject: subject.to_string(),
        command: subject.command(),
        records,
        took: begun.elapsed(),
    })
}

/// Has a server for the cases.
struct Host<'a> {
    subject: &'a Subject,
    options: &'a Options,
    /// `None` until the next case needs one.
    server: Option<Server>,
}

impl Host<'_> {
    fn group(
        &mut self,
        cases: &[&'static Case],
        progress: &mut dyn FnMut(&'static Case, Option<&Record>),
    ) -> Vec<Record> {
        self.clear();
        let records = thread::scope(|scope| {
            let options = self.options;
            let waiting = cases.iter().filter(|case| case.kind == Kind::Waiting);
            let mut waiting: VecDeque<_> = waiting
                .map(|&case| {
                    let address = self.server().map(|server| server.address());
                    scope.spawn(move || attempt(case, address, options, None))
                })
                .collect();
            let mut run = |&case: &&'static Case| {
                progress(case, None);
                let record = match case.kind {
                    Kind::Plain => self.plain(case),
                    Kind::OwnProcess => on_its_own(case, self.subject, options),
                    Kind::Waiting => {
                        let thread = waiting.pop_front().expect("one for each");
                        thread.join().expect("cases do not panic")
                    }
                };
                progress(case, Some(&record));
                record
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

    /// The server, started if there is none.
    fn server(&mut self) -> Result<&mut Server, Failure> {
        if self.server.is_none() {
            let server = self.subject.server();
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
        let mut record = attempt(case, address, self.options, None);
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
        if let Some(server) = &self.server {
            let deadline = Instant::now() + CLEAR_TIMEOUT;
            let link = Link::connect("", server.address(), deadline, &Transcript::new());
            let _ = link.and_then(|mut link| link.ask(r#"{"command":"RST"}"#));
        }
    }
}

fn on_its_own(case: &'static Case, subject: &Subject, options: &Options) -> Record {
    if let Subject::Running(_) = subject {
        let mut skipped = record(case, options);
        skipped.remark = "only --spawn can start and stop a server".to_owned();
        return skipped;
    }
    match subject.process() {
        Err(error) => {
            let failure = Failure::new("a server that starts", error.to_string());
            attempt(case, Err(failure), options, None)
        }
        Ok(mut process) => {
            let address = process.address();
            let record = attempt(case, Ok(address), options, Some(&mut process));
            // One that failed may be one that does not end; it is killed.
            if record.failure.is_none() {
                process.child.stop();
            }
            record
        }
    }
}

fn attempt(
    case: &'static Case,
    address: Result<SocketAddr, Failure>,
    options: &Options,
    process: Option<&mut Process>,
) -> Record {
    let begun = Instant::now();
    let timeout = case.timeout.unwrap_or(options.timeout);
    let timeout = match case.kind {
        Kind::Waiting => timeout + options.frame_timeout,
        Kind::Plain | Kind::OwnProcess => timeout,
    };
    let mut record = record(case, options);
    match address {
        Err(failure) => record.judge(Err(failure), &Transcript::new()),
        Ok(address) => {
            let frame_timeout = options.frame_timeout;
            let mut trial = Trial::new(address, unique_key(), timeout, frame_timeout, process);
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
