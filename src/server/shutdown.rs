//! The request to stop, and who has to hear of it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Asks a server to stop (S2, S2a). Clones ask the same server.
#[derive(Clone, Default)]
pub struct Shutdown(Arc<Inner>);

#[derive(Default)]
struct Inner {
    triggered_at: OnceLock<Instant>,
    wakers: Mutex<Vec<Waker>>,
    triggered: Condvar,
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
        if self.0.triggered_at.set(Instant::now()).is_err() {
            return;
        }
        // Taken out, because they hold on to what they wake.
        let wakers = std::mem::take(&mut *self.wakers());
        self.0.triggered.notify_all();
        for wake in wakers {
            wake();
        }
    }

    /// Whether the request has been made.
    pub fn is_triggered(&self) -> bool {
        self.0.triggered_at.get().is_some()
    }

    /// Waits until the request is made.
    pub fn wait(&self) {
        let wakers = self.wakers();
        drop(
            self.0
                .triggered
                .wait_while(wakers, |_| !self.is_triggered()),
        );
    }

    /// The time since the request was made; zero before it.
    pub(super) fn elapsed(&self) -> Duration {
        self.0
            .triggered_at
            .get()
            .map_or(Duration::ZERO, Instant::elapsed)
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
            .triggered
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
            .field("triggered_at", &self.0.triggered_at.get())
            .finish_non_exhaustive()
    }
}
