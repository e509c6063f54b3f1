//! The request to stop, and who has to hear of it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Asks a server to stop (S2, S2a). Clones ask the same server.
#[derive(Clone, Default)]
pub struct Shutdown(Arc<Inner>);

#[derive(Default)]
struct Inner {
    triggered: OnceLock<(Instant, StopCause)>,
    wakers: Mutex<Vec<Waker>>,
    told: Condvar,
}

/// Why a server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// The program that it is a part of has asked for it.
    Asked,
    /// A signal has.
    Signal,
    /// The store broke, and nobody knows what it has executed.
    StoreLost,
    /// An event loop broke.
    LoopLost,
}

impl StopCause {
    /// As a JSON line of the log has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Signal => "signal",
            Self::StoreLost => "store_lost",
            Self::LoopLost => "loop_lost",
        }
    }
}

impl fmt::Display for StopCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "it was asked to",
            Self::Signal => "a signal has asked for it (SIGINT, SIGTERM or SIGHUP)",
            Self::StoreLost => "the store is lost",
            Self::LoopLost => "an event loop is lost",
        })
    }
}

type Waker = Box<dyn FnOnce() + Send>;

impl Shutdown {
    /// A request that nobody has made yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the request. The server stops accepting, answers what it has
    /// received, and [`serve`](super::serve) returns. Further calls do nothing.
    pub fn trigger(&self) {
        self.trigger_because(StopCause::Asked);
    }

    /// As [`trigger`](Self::trigger), with what the log says about it.
    pub fn trigger_because(&self, cause: StopCause) {
        if self.0.triggered.set((Instant::now(), cause)).is_err() {
            return;
        }
        // Taken out, because they hold on to what they wake.
        let wakers = std::mem::take(&mut *self.wakers());
        self.0.told.notify_all();
        for wake in wakers {
            wake();
        }
    }

    /// Whether the request has been made.
    pub fn is_triggered(&self) -> bool {
        self.0.triggered.get().is_some()
    }

    /// Waits until the request is made.
    pub fn wait(&self) {
        let wakers = self.wakers();
        drop(self.0.told.wait_while(wakers, |_| !self.is_triggered()));
    }

    /// The time since the request was made; zero before it.
    pub(super) fn elapsed(&self) -> Duration {
        let triggered = self.0.triggered.get();
        triggered.map_or(Duration::ZERO, |(at, _)| at.elapsed())
    }

    /// Why the request was made, if it was.
    pub(super) fn cause(&self) -> Option<StopCause> {
        self.0.triggered.get().map(|(_, cause)| *cause)
    }

    /// Has `wake` called when the request is made, or now if it was.
    pub(super) fn on_trigger(&self, wake: impl FnOnce() + Send + 'static) {
        let mut wakers = self.wakers();
        // Under the lock: either `trigger` takes the waker, or this sees that
        // it was made.
        if self.is_triggered() {
            drop(wakers);
            wake();
        } else {
            wakers.push(Box::new(wake));
        }
    }

    /// Sleeps for `duration`, or less when the request is made.
    pub(super) fn sleep(&self, duration: Duration) {
        let wakers = self.wakers();
        let _ = self
            .0
            .told
            .wait_timeout_while(wakers, duration, |_| !self.is_triggered());
    }

    fn wakers(&self) -> MutexGuard<'_, Vec<Waker>> {
        // A waker that panicked leaves the list as it was.
        self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown")
            .field("triggered", &self.0.triggered.get())
            .finish_non_exhaustive()
    }
}
