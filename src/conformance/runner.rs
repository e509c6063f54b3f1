//! Runs cases on a subject, group by group.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Failure;
use super::case::{Case, Kind, Level};
use super::link::Link;
use super::process::Process;
use super::subject::{Server, Subject, Unreachable};
use super::transcript::Transcript;
use super::trial::Trial;

/// How long to look whether a server that failed a case has ended by it.
const DEATH_TIME: Duration = Duration::from_millis(50);

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

/// What came of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The claim, as a sentence.
    pub says: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
    /// Whether the case is known to fail.
    pub is_known: bool,
    /// What was expected and what came, where the two differ.
    pub failure: Option<Failure>,
    /// What went over the connections, in lines with hexdumps; empty unless
    /// there is a failure.
    pub transcript: String,
    /// What else there is to say; may be empty.
    pub remark: String,
}

impl Record {
    /// Whether this case makes the server fail.
    pub fn counts_against(&self) -> bool {
        self.verdict == Verdict::Fail && !self.is_known
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
    /// A server, by [`run`].
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
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// Whether every MUST and CLIENT case passes that is not known to fail.
    pub fn conforms(&self) -> bool {
        !self.records.iter().any(Record::counts_against)
    }

    /// A command that runs just that case again.
    pub fn command_for(&self, record: &Record) -> String {
        format!("{} --case {}", self.command, record.id)
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
    let mut records = Vec::new();
    let same_group = |a: &&'static Case, b: &&'static Case| a.group() == b.group();
    for group in cases.chunk_by(same_group) {
        // A server for the group would have nobody to serve.
        if matches!(subject, Subject::Spawned(_)) && group.iter().all(|case| case.needs_spawn()) {
            for case in group {
                progress(case, None);
                let record = on_its_own(case, subject, options)?;
                progress(case, Some(&record));
                records.push(record);
            }
            continue;
        }
        let mut run = GroupRun {
            subject,
            options,
            server: subject.server()?,
        };
        run.clear();
        records.extend(run.group(group, progress)?);
        run.clear();
    }
    Ok(Report {
        side: Side::Server,
        subject: subject.to_string(),
        command: subject.command(),
        records,
        took: begun.elapsed(),
    })
}

/// A server, while a group of cases runs on it.
struct GroupRun<'a> {
    subject: &'a Subject,
    options: &'a Options,
    server: Server,
}

impl GroupRun<'_> {
    fn group(
        &mut self,
        cases: &[&'static Case],
        progress: &mut dyn FnMut(&'static Case, Option<&Record>),
    ) -> Result<Vec<Record>, Unreachable> {
        let (subject, options, address) = (self.subject, self.options, self.server.address());
        thread::scope(|scope| {
            let start =
                |case: &'static Case| scope.spawn(move || attempt(case, address, options, None));
            let is_patient = |case: &&&'static Case| case.kind == Kind::Patient;
            let patient: Vec<_> = cases
                .iter()
                .filter(is_patient)
                .map(|case| start(case))
                .collect();
            let mut patient = patient.into_iter();
            let mut records = Vec::new();
            for &case in cases {
                progress(case, None);
                let record = match case.kind {
                    Kind::Plain => self.plain(case)?,
                    Kind::OwnProcess => on_its_own(case, subject, options)?,
                    Kind::Patient => {
                        let thread = patient.next().expect("one for each");
                        thread.join().expect("cases do not panic")
                    }
                };
                progress(case, Some(&record));
                records.push(record);
            }
            Ok(records)
        })
    }

    fn plain(&mut self, case: &'static Case) -> Result<Record, Unreachable> {
        let mut record = attempt(case, self.server.address(), self.options, None);
        // The connections of a process that dies end a little before it does.
        let patience = match record.failure {
            Some(_) => DEATH_TIME,
            None => Duration::ZERO,
        };
        if let Server::Spawned(process) = &mut self.server
            && let Some(status) = process.wait(Instant::now() + patience)
        {
            let printed = process.printed();
            record.remark = format!("the server ended meanwhile ({status}){printed}");
            self.server = self.subject.server()?;
        }
        Ok(record)
    }

    /// Removes what is stored. A server that can't do that shows it in cases.
    fn clear(&self) {
        let deadline = Instant::now() + self.options.timeout;
        let link = Link::connect("", self.server.address(), deadline, &Transcript::new());
        let _ = link.and_then(|mut link| link.ask(r#"{"command":"RST"}"#));
    }
}

impl Drop for GroupRun<'_> {
    fn drop(&mut self) {
        if let Server::Spawned(process) = &mut self.server {
            process.end();
        }
    }
}

fn on_its_own(
    case: &'static Case,
    subject: &Subject,
    options: &Options,
) -> Result<Record, Unreachable> {
    if let Subject::Running(_) = subject {
        let mut skipped = record(case, options);
        skipped.remark = "only --spawn can start and stop a server".to_owned();
        return Ok(skipped);
    }
    let mut process = subject.process()?;
    let record = attempt(case, process.address(), options, Some(&mut process));
    // One that failed may be one that does not end; it is killed.
    if record.failure.is_none() {
        process.end();
    }
    Ok(record)
}

fn attempt(
    case: &'static Case,
    address: SocketAddr,
    options: &Options,
    process: Option<&mut Process>,
) -> Record {
    let begun = Instant::now();
    let timeout = case.timeout.unwrap_or(options.timeout);
    let timeout = match case.kind {
        Kind::Patient => timeout + options.frame_timeout,
        Kind::Plain | Kind::OwnProcess => timeout,
    };
    let mut trial = Trial::new(
        address,
        unique_key(),
        timeout,
        options.frame_timeout,
        process,
    );
    let outcome = case.act(&mut trial);
    let mut record = record(case, options);
    record.took = begun.elapsed();
    record.judge(outcome, trial.transcript());
    record
}

/// The record of a case that has not run.
fn record(case: &'static Case, options: &Options) -> Record {
    Record {
        id: case.id,
        level: case.level,
        clauses: &case.clauses,
        says: case.says,
        verdict: Verdict::Skip,
        took: Duration::ZERO,
        is_known: options.known_failing.contains(case.id),
        failure: None,
        transcript: String::new(),
        remark: String::new(),
    }
}

/// A key that no other case uses, in this run or one beside it.
fn unique_key() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);

    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("conform-{}-{count}", std::process::id())
}
