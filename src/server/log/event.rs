//! What an operator may want to know: one function for each kind of event, in
//! the order of the table in docs/operating.md.

use std::borrow::Cow;
use std::fmt;
use std::io;
#[cfg(feature = "data")]
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::super::end::End;
use super::super::refusal::Reason;
use super::super::shutdown::StopCause;
use crate::memory::Size;

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// All is as it should be.
    Info,
    /// Somebody is not served as they wish, and an operator may help.
    Warn,
    /// The server ends, or has a bug.
    Error,
}

impl Level {
    /// As a JSON line has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// A figure of an event, or a word.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// How many.
    Count(u64),
    /// How long, in seconds.
    Seconds(f64),
    /// Whether it is so.
    Flag(bool),
    /// A word or a sentence.
    Text(String),
}

impl From<u64> for Figure {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<usize> for Figure {
    fn from(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

impl From<Duration> for Figure {
    fn from(time: Duration) -> Self {
        // Milliseconds are what the time stamps have.
        Self::Seconds(time.as_millis() as f64 / 1000.0)
    }
}

impl From<bool> for Figure {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<String> for Figure {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Figure {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Something that has happened, for one line of the log: a kind, a sentence for
/// people, and the figures in it by name.
#[derive(Clone, Debug)]
pub struct Event {
    pub(super) at: SystemTime,
    pub(super) level: Level,
    pub(super) kind: &'static str,
    pub(super) message: String,
    pub(super) figures: Vec<(Cow<'static, str>, Figure)>,
    pub(super) pace: Pace,
}

/// How many lines of the same series are written.
#[derive(Clone, Debug)]
pub(super) enum Pace {
    /// All.
    Unlimited,
    /// So many at once, and then one in each
    /// [`INTERVAL`](super::limiter::INTERVAL).
    Limited { series: String, burst: u32 },
}

impl Event {
    fn new(level: Level, kind: &'static str, message: impl fmt::Display) -> Self {
        Self {
            at: SystemTime::now(),
            level,
            kind,
            message: message.to_string(),
            figures: Vec::new(),
            pace: Pace::Limited {
                series: kind.to_owned(),
                burst: 1,
            },
        }
    }

    /// Adds a figure. A name of what has a unit ends with it, as in
    /// `frame_max_bytes`.
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, figure: impl Into<Figure>) -> Self {
        self.figures.push((name.into(), figure.into()));
        self
    }

    /// Counts it among the lines of a series of its own, of which so many may
    /// come at once.
    fn in_series(self, series: String, burst: u32) -> Self {
        let pace = Pace::Limited { series, burst };
        Self { pace, ..self }
    }

    /// Has each of them written: it comes once, or somebody has asked for all.
    fn unlimited(self) -> Self {
        let pace = Pace::Unlimited;
        Self { pace, ..self }
    }

    /// The server is ready.
    pub fn started(message: impl fmt::Display) -> Self {
        Self::new(Level::Info, "started", message).unlimited()
    }

    /// Something in the environment has no effect.
    pub fn variable_ignored(variable: &str, message: impl fmt::Display) -> Self {
        Self::new(Level::Warn, "variable_ignored", message)
            .with("variable", variable)
            .unlimited()
    }

    /// The line that says that the server is ready can't be written.
    pub fn output_failed(message: impl fmt::Display) -> Self {
        Self::new(Level::Warn, "output_failed", message).unlimited()
    }

    /// Connections can't be accepted.
    pub(in crate::server) fn accept_failed(error: &io::Error, remedy: &str) -> Self {
        let message = format_args!("can't accept connections: {error}{remedy}");
        Self::new(Level::Warn, "accept_failed", message).with("error", error.to_string())
    }

    /// The first refusal for this reason in a while.
    pub(super) fn refusing(reason: Reason) -> Self {
        let message = format_args!("refusing connections with 503: {reason}");
        Self::new(Level::Warn, "refusing", message)
            .with("reason", reason.name())
            .unlimited()
    }

    /// No connection has been refused for a while.
    pub(super) fn refusing_ended(refused: u64, lasted: Duration) -> Self {
        let connections = counted(refused, "connection");
        let message = format_args!("refusing no more connections; {connections}");
        Self::new(Level::Info, "refusing_ended", message).got_503(refused, lasted)
    }

    /// The first SET or long frame in a while that the ceiling leaves no room for.
    pub(in crate::server) fn full(used: usize, max: usize) -> Self {
        let message = format_args!(
            "full: {} of {} are in use, and what would make it more gets 503; remove entries, or \
             start with more --memory-max",
            Size(used),
            Size(max)
        );
        Self::new(Level::Warn, "full", message)
            .with("used_bytes", used)
            .with("max_bytes", max)
            .unlimited()
    }

    /// Nothing has been refused for lack of memory for a while.
    pub(super) fn room_again(refused: u64, lasted: Duration) -> Self {
        let requests = counted(refused, "request");
        let message = format_args!("there is room again; {requests}");
        Self::new(Level::Info, "room_again", message).got_503(refused, lasted)
    }

    /// Ends the message of an episode in which so many were refused.
    fn got_503(mut self, refused: u64, lasted: Duration) -> Self {
        self.message += &format!(" got 503 within {}", seconds(lasted));
        self.with("refused", refused)
            .with("seconds", lasted)
            .unlimited()
    }

    /// A bug. `place` is where in the source.
    pub(super) fn panicked(thread: &str, place: &str, what: &str) -> Self {
        let message = format_args!("thread {thread} panicked at {place}: {what}");
        Self::new(Level::Error, "panicked", message)
            .with("thread", thread)
            .with("place", place)
            .with("panic", what)
            .in_series(format!("panicked {place}"), 1)
    }

    /// A connection begins.
    pub(super) fn connected(peer: &str) -> Self {
        Self::new(Level::Info, "connected", format_args!("{peer} connected"))
            .with("peer", peer)
            .unlimited()
    }

    /// A connection has ended.
    pub(super) fn disconnected(peer: &str, end: &End) -> Self {
        let message = format_args!("{peer} disconnected: {end}");
        Self::new(Level::Info, "disconnected", message)
            .with("peer", peer)
            .with("end", end.to_string())
            .unlimited()
    }

    /// The server accepts no more.
    pub(super) fn stopping(cause: StopCause) -> Self {
        let level = match cause {
            StopCause::Asked | StopCause::Signal => Level::Info,
            StopCause::StoreLost | StopCause::LoopLost => Level::Error,
        };
        Self::new(level, "stopping", format_args!("stopping: {cause}"))
            .with("cause", cause.name())
            .unlimited()
    }

    /// The server has ended, so long after it began to stop.
    pub(super) fn stopped(took: Duration, drained: u64, cut_off: u64) -> Self {
        let (level, how) = match (drained, cut_off) {
            (0, 0) => (Level::Info, "no connection was open".to_owned()),
            (_, 0) => {
                let connections = counted(drained, "connection");
                (Level::Info, format!("{connections} had all replies"))
            }
            _ => {
                let connections = counted(cut_off, "connection");
                let how = format!(
                    "{connections} did not take all replies, or waited for the store, and had to \
                     be cut off; {drained} had all"
                );
                (Level::Warn, how)
            }
        };
        let message = format!("stopped after {}: {how}", seconds(took));
        Self::new(level, "stopped", message)
            .with("seconds", took)
            .with("drained", drained)
            .with("cut_off", cut_off)
            .unlimited()
    }

    /// A second signal ends the process.
    pub fn killed() -> Self {
        let message = "ended at once by a second signal; connections may lack replies";
        Self::new(Level::Warn, "killed", message).unlimited()
    }

    /// The server could not start or not go on.
    pub fn failed(sentence: impl fmt::Display) -> Self {
        Self::new(Level::Error, "failed", sentence).unlimited()
    }
}

/// Of a journal.
#[cfg(feature = "data")]
impl Event {
    /// Entries are being loaded.
    pub(in crate::server) fn loading(percent: u64, changes: u64) -> Self {
        let changed = counted(changes, "change");
        let message = format_args!("loading: {percent}% are read, {changed} so far");
        Self::new(Level::Info, "loading", message)
            .with("percent", percent)
            .with("changes", changes)
            .unlimited()
    }

    /// All entries have been loaded.
    pub(in crate::server) fn loaded(dir: &Path, changes: u64, took: Duration) -> Self {
        let changed = counted(changes, "change");
        let dir = dir.display();
        let message = format_args!("loaded {changed} from {dir} in {}", seconds(took));
        Self::new(Level::Info, "loaded", message)
            .with("changes", changes)
            .with("seconds", took)
            .unlimited()
    }

    /// Changes can't be written, for the time being.
    pub(in crate::server) fn journal_unwritable(error: &str) -> Self {
        let message = format_args!(
            "the journal can't be written ({error}); changes get 503 until it can: make room on its \
             disk"
        );
        Self::new(Level::Warn, "journal_unwritable", message)
            .with("error", error)
            .unlimited()
    }

    /// They can again.
    pub(in crate::server) fn journal_writable(refused: u64, lasted: Duration) -> Self {
        let batches = counted(refused, "batch");
        let message = format_args!("the journal can be written again; the changes of {batches}");
        Self::new(Level::Info, "journal_writable", message).got_503(refused, lasted)
    }

    /// Nobody knows what is on the disk.
    pub(in crate::server) fn journal_lost(error: &str) -> Self {
        let message = format_args!(
            "the journal is lost ({error}): it is unknown what of the last changes is on the disk; \
             changes get 503 until the server is started again"
        );
        Self::new(Level::Error, "journal_lost", message)
            .with("error", error)
            .unlimited()
    }
}

/// Of a store that is elsewhere.
#[cfg(feature = "cluster")]
impl Event {
    /// So many changes of one node between up and down may come at once.
    const REACH_BURST: u32 = 6;

    /// A node can't be reached. `why` has no words that may be a password.
    pub(in crate::server) fn store_unreachable(node: &str, why: &str) -> Self {
        let message = format_args!(
            "the store's node {node} can't be reached ({why}); what needs it gets 503 until it can"
        );
        Self::new(Level::Warn, "store_unreachable", message)
            .with("node", node)
            .with("why", why)
            .in_series(format!("reach {node}"), Self::REACH_BURST)
    }

    /// It can again.
    pub(in crate::server) fn store_reachable(node: &str) -> Self {
        let message = format_args!("the store's node {node} can be reached again");
        Self::new(Level::Info, "store_reachable", message)
            .with("node", node)
            .in_series(format!("reach {node}"), Self::REACH_BURST)
    }

    /// A connection to a node has failed, or an answer was too late.
    pub(in crate::server) fn store_interrupted(node: &str) -> Self {
        let message = format_args!(
            "the store's node {node} closed a connection or did not answer in time; nobody knows \
             what became of the requests on it, and the clients that wait for them are disconnected"
        );
        Self::new(Level::Warn, "store_interrupted", message)
            .with("node", node)
            .in_series(format!("interrupted {node}"), 1)
    }

    /// A node refuses what it is asked, with such a code.
    pub(in crate::server) fn store_refuses(
        node: &str,
        command: &str,
        code: &str,
        sentence: &str,
    ) -> Self {
        let message =
            format_args!("the store's node {node} refuses {command} ({code}): {sentence}");
        Self::new(Level::Warn, "store_refuses", message)
            .with("node", node)
            .with("command", command)
            .with("code", code)
            .in_series(format!("refuses {code} {node}"), 1)
    }

    /// A node has got slots, or has lost its last.
    pub(in crate::server) fn store_slots(node: &str, has_some: bool) -> Self {
        let what = match has_some {
            true => "has slots now",
            false => "has no slots any more",
        };
        let message = format_args!("the store's node {node} {what}");
        Self::new(Level::Info, "store_slots", message)
            .with("node", node)
            .with("has_slots", has_some)
            .in_series(format!("slots {node}"), Self::REACH_BURST)
    }
}

fn counted(count: u64, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        _ if thing.ends_with("ch") => format!("{count} {thing}es"),
        _ => format!("{count} {thing}s"),
    }
}

fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}
