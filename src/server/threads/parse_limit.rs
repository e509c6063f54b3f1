//! How many workers parse long frames at the same time.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// As many as there are cores. More would parse no sooner, and the store
/// thread would have to share the cores with all of them.
#[derive(Clone)]
pub(super) struct ParseLimit(Arc<Inner>);

struct Inner {
    free: Mutex<usize>,
    freed: Condvar,
}

/// The right to parse a long frame, until it is dropped.
pub(super) struct ParsePermit<'a>(&'a Inner);

impl ParseLimit {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Inner {
            free: Mutex::new(thread::available_parallelism()?.get()),
            freed: Condvar::new(),
        })))
    }

    /// Waits until fewer parse.
    pub(super) fn acquire(&self) -> ParsePermit<'_> {
        let waited = self.0.freed.wait_while(self.0.free(), |free| *free == 0);
        *waited.unwrap_or_else(PoisonError::into_inner) -= 1;
        ParsePermit(&self.0)
    }
}

impl Inner {
    fn free(&self) -> MutexGuard<'_, usize> {
        // A number is right after each change.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ParsePermit<'_> {
    fn drop(&mut self) {
        *self.0.free() += 1;
        self.0.freed.notify_one();
    }
}
