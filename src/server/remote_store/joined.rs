//! Work that is done for many at once.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// Has work done one at a time, each time for all who asked before it began.
#[derive(Debug)]
pub(super) struct Joined<T> {
    /// How many have asked.
    asked: AtomicU64,
    /// Locked while the work is done.
    last: Mutex<Option<Done<T>>>,
}

#[derive(Debug)]
struct Done<T> {
    /// So many of those that asked first had asked before it began.
    is_for: u64,
    outcome: T,
}

impl<T> Default for Joined<T> {
    fn default() -> Self {
        Self {
            asked: AtomicU64::new(0),
            last: Mutex::new(None),
        }
    }
}

impl<T: Clone> Joined<T> {
    /// What comes of work that begins after this was asked for: of this, or of
    /// what another does meanwhile.
    pub(super) async fn run(&self, work: impl Future<Output = T>) -> T {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let mut last = self.last.lock().await;
        if let Some(done) = &*last
            && done.is_for > asked
        {
            return done.outcome.clone();
        }
        let is_for = self.asked.load(Ordering::Relaxed);
        let outcome = work.await;
        *last = Some(Done {
            is_for,
            outcome: outcome.clone(),
        });
        outcome
    }
}
