//! How a run is to go, and whether it goes on.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::alike::Kinds;
use super::memory_option::MemoryOption;
use super::record::{Record, Verdict};
use super::stop::Stop;

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The time that a case may take, unless it is one that waits for longer.
    pub timeout: Duration,
    /// How long the server says that a frame may take (F8).
    pub frame_timeout: Duration,
    /// How a server that is started is given a ceiling on its memory; cases that need
    /// one are skipped without.
    pub memory_option: Option<MemoryOption>,
    /// How long all cases may take, beside what a server takes to start and to end; those
    /// that are not done by then are not run.
    pub run_timeout: Duration,
    /// How many cases that count may fail before the run ends; `None` for all.
    pub failures_max: Option<usize>,
    /// Ids of cases that are known to fail: they run, and do not count.
    pub known_failing: HashSet<String>,
    /// Ends the run when it is raised; the case that runs is not recorded then.
    pub stop: Stop,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            frame_timeout: Duration::from_secs(30),
            memory_option: None,
            run_timeout: Duration::from_secs(600),
            failures_max: None,
            known_failing: HashSet::new(),
            stop: Stop::default(),
        }
    }
}

/// One run, from its first case to its end.
pub(crate) struct Course<'a> {
    options: &'a Options,
    begun: Instant,
    /// Raised at the end, for the cases that run beside others.
    pub(crate) stop: Stop,
    /// Why no more cases are run.
    ended: Option<String>,
    failures: usize,
    kinds: Kinds,
}

impl<'a> Course<'a> {
    pub(crate) fn begin(options: &'a Options) -> Self {
        Self {
            options,
            begun: Instant::now(),
            stop: options.stop.part(),
            ended: None,
            failures: 0,
            kinds: Kinds::default(),
        }
    }

    /// How long it has taken so far.
    pub(crate) fn took(&self) -> Duration {
        self.begun.elapsed()
    }

    /// When its time is over.
    pub(crate) fn deadline(&self) -> Instant {
        self.begun + self.options.run_timeout
    }

    pub(crate) fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    /// Why no more cases are to be run, if that is so.
    pub(crate) fn cause_of_end(&mut self) -> Option<String> {
        if self.options.stop.is_raised() {
            self.end("a signal ended it".to_owned());
        }
        if Instant::now() >= self.deadline() {
            let time = self.options.run_timeout.as_secs_f64();
            self.end(format!(
                "not all cases were done within {time} s; --run-timeout allows more"
            ));
        }
        self.ended.clone()
    }

    /// Ends the run, unless it has ended for another cause.
    pub(crate) fn end(&mut self, cause: String) {
        self.ended.get_or_insert(cause);
        self.stop.raise();
    }

    /// Notes what came of a case.
    pub(crate) fn take_in(&mut self, record: &mut Record) {
        self.kinds.note(record);
        self.failures += usize::from(record.counts_against());
        let Some(max) = self.options.failures_max else {
            return;
        };
        if self.failures >= max {
            let cases = match max {
                1 => "1 case".to_owned(),
                max => format!("{max} cases"),
            };
            self.end(format!("{cases} failed, as many as --max-failures allows"));
        }
    }

    /// Why the last of the records are of cases that were not run, if there are such.
    pub(crate) fn ended_early(&self, records: &[Record]) -> Option<String> {
        let cause = self.ended.as_ref()?;
        let is_left = |record: &Record| record.verdict == Verdict::Skip && record.remark == *cause;
        records.iter().any(is_left).then(|| cause.clone())
    }
}
