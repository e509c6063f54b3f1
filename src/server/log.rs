//! The log: lines for the operator, on standard error.

mod episode;
mod event;
mod limiter;
mod line;
mod timestamp;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::io::{self, Write};
use std::net::TcpStream;
use std::panic;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

pub use event::{Event, Figure, Level};
pub use line::LogFormat;

use super::end::End;
use super::pool;
use super::refusal::Reason;
use super::shutdown::StopCause;
use episode::{Counter, Episode};
use limiter::Limiter;
use line::{BACKTRACE, Clock, line};

/// Where a server says what happens: on standard error, or nowhere. Clones
/// write to the same log.
#[derive(Clone, Default)]
pub struct Log(Option<Arc<Inner>>);

struct Inner {
    format: LogFormat,
    clock: Clock,
    /// Held while a line is written, so that they come in their order.
    limiter: Mutex<Limiter>,
    /// One for each of [`Episode::ALL`].
    episodes: [Counter; Episode::ALL.len()],
    is_stopping: AtomicBool,
    /// Connections that ended at the stop with all their replies, and without.
    drained: AtomicU64,
    cut_off: AtomicU64,
    /// Wakes the thread that writes what has to wait.
    wake: SyncSender<()>,
}

impl Log {
    /// A log that is not written: what a server that another program embeds has
    /// unless it asks for one.
    pub fn off() -> Self {
        Self(None)
    }

    /// A log on standard error. Fails if its thread can't be started.
    pub fn start(format: LogFormat) -> io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let inner = Arc::new(Inner {
            format,
            clock: Clock::of_standard_error(),
            limiter: Mutex::default(),
            episodes: Episode::ALL.map(|_| Counter::new()),
            is_stopping: AtomicBool::new(false),
            drained: AtomicU64::new(0),
            cut_off: AtomicU64::new(0),
            wake,
        });
        let weak = Arc::downgrade(&inner);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || attend(&weak, &woken))?;
        Ok(Self(Some(inner)))
    }

    /// Whether nobody reads it.
    #[cfg(feature = "data")]
    pub(super) fn is_off(&self) -> bool {
        self.0.is_none()
    }

    /// Writes the event's line, unless too many like it were written just
    /// before: then the last of them is written later, and says how many were
    /// left out.
    pub fn write(&self, event: Event) {
        let Some(inner) = &self.0 else {
            return;
        };
        let mut limiter = inner.limiter();
        match limiter.admit(event, Instant::now()) {
            Some(event) => inner.put(&event),
            None => {
                drop(limiter);
                inner.wake();
            }
        }
    }

    /// Counts so many requests that the ceiling on memory left no room for.
    pub(super) fn note_full(&self, count: u64, first: impl FnOnce() -> Event) {
        self.note(Episode::Full, count, first);
    }

    /// Counts so many that are a part of an episode, and if that begins with
    /// them, writes this line. The line that it is over comes by itself.
    fn note(&self, episode: Episode, count: u64, first: impl FnOnce() -> Event) {
        let Some(inner) = &self.0 else {
            return;
        };
        if inner.episodes[episode as usize].note(Instant::now(), count) {
            self.write(first());
            inner.wake();
        }
    }

    /// Has panics written as events, in place of what the standard library says
    /// of them. For a program that has one log.
    pub fn write_panics(&self) {
        let log = self.clone();
        panic::set_hook(Box::new(move |panic| {
            if pool::is_starting() {
                return;
            }
            let thread = thread::current();
            let thread = thread.name().unwrap_or("without a name");
            let place = panic.location().map(ToString::to_string);
            let place = place.unwrap_or_default();
            let payload = panic.payload();
            let what = payload.downcast_ref::<&str>().copied();
            let what = what.or(payload.downcast_ref::<String>().map(String::as_str));
            let event = Event::panicked(thread, &place, what.unwrap_or("without words"));
            let backtrace = Backtrace::capture();
            log.write(match backtrace.status() {
                BacktraceStatus::Captured => event.with(BACKTRACE, backtrace.to_string()),
                _ => event,
            });
        }));
    }

    /// The server stops. What is refused from now on is refused for that.
    pub(super) fn note_stop(&self, cause: StopCause) {
        if let Some(inner) = &self.0
            && !inner.is_stopping.swap(true, Ordering::Relaxed)
        {
            self.write(Event::stopping(cause));
        }
    }

    /// Counts a connection that is refused.
    pub(super) fn note_refusal(&self, reason: Reason) {
        if let Some(inner) = &self.0
            && !inner.is_stopping.load(Ordering::Relaxed)
        {
            self.note(Episode::Refusing, 1, || Event::refusing(reason));
        }
    }

    /// So many connections had to be cut off by the model.
    pub(super) fn note_cut_off(&self, connections: usize) {
        if let Some(inner) = &self.0 {
            let count = connections as u64;
            inner.cut_off.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// The server has ended: writes what had to wait, and how it stopped, if it
    /// did not fail before it began.
    pub(super) fn stopped(&self, took: Duration) {
        let Some(inner) = &self.0 else {
            return;
        };
        inner.end_episodes(Instant::now(), true);
        let mut limiter = inner.limiter();
        for event in limiter.take_all() {
            inner.put(&event);
        }
        drop(limiter);
        if inner.is_stopping.swap(false, Ordering::Relaxed) {
            let drained = inner.drained.swap(0, Ordering::Relaxed);
            let cut_off = inner.cut_off.swap(0, Ordering::Relaxed);
            self.write(Event::stopped(took, drained, cut_off));
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = self.0.as_ref().map(|inner| inner.format);
        f.debug_tuple("Log").field(&format).finish()
    }
}

impl Inner {
    /// Writes one line; a closed standard error is no reason to stop serving.
    fn put(&self, event: &Event) {
        let line = line(event, self.format, self.clock);
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }

    fn limiter(&self) -> MutexGuard<'_, Limiter> {
        // A panic would leave a line out.
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the thread look at what there is to wait for.
    fn wake(&self) {
        // If it was woken already it will see this too.
        let _ = self.wake.try_send(());
    }

    fn end_episodes(&self, now: Instant, at_once: bool) {
        for episode in Episode::ALL {
            if let Some((count, lasted)) = self.episodes[episode as usize].end(now, at_once) {
                self.put(&episode.ended(count, lasted));
            }
        }
    }

    /// Writes what is due; how long there will be nothing, if anything is to
    /// come.
    fn write_due(&self) -> Option<Duration> {
        /// How exact the end of an episode is.
        const EPISODE_TICK: Duration = Duration::from_secs(1);

        let now = Instant::now();
        self.end_episodes(now, false);
        let mut limiter = self.limiter();
        for event in limiter.due(now) {
            self.put(&event);
        }
        let next_due = limiter.next_due();
        let next_due = next_due.map(|at| at.saturating_duration_since(now));
        let is_open = self.episodes.iter().any(Counter::is_open);
        let tick = is_open.then_some(EPISODE_TICK);
        next_due.into_iter().chain(tick).min()
    }
}

/// Writes what has to wait, until the log is dropped.
fn attend(log: &Weak<Inner>, woken: &Receiver<()>) {
    let mut wait = None;
    loop {
        let woken = match wait {
            Some(wait) => woken.recv_timeout(wait),
            None => woken.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        if woken == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        let Some(log) = log.upgrade() else {
            return;
        };
        wait = log.write_due();
    }
}

/// What is said and counted of one connection. The lines are written only if so
/// configured.
#[derive(Debug)]
pub(super) struct ConnectionLog {
    log: Log,
    peer: Option<String>,
}

impl ConnectionLog {
    pub(super) fn begin(log: &Log, stream: &TcpStream, verbose: bool) -> Self {
        let peer = verbose.then(|| match stream.peer_addr() {
            Ok(address) => address.to_string(),
            Err(error) => format!("a peer that has gone ({error})"),
        });
        if let Some(peer) = &peer {
            log.write(Event::connected(peer));
        }
        let log = log.clone();
        Self { log, peer }
    }

    pub(super) fn end(&self, end: &End) {
        let Some(inner) = &self.log.0 else {
            return;
        };
        match end {
            End::Stopping => inner.drained.fetch_add(1, Ordering::Relaxed),
            End::CutOff => inner.cut_off.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        if let Some(peer) = &self.peer {
            self.log.write(Event::disconnected(peer, end));
        }
    }
}
