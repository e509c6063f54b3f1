//! Starting pools of threads.

use std::cell::Cell;
use std::panic::catch_unwind;

use threadpool::{Builder, ThreadPool};

/// A thread can't be started.
pub(super) struct NoThread;

/// Starts the pool's threads. `threadpool` panics when there can't be so many.
pub(super) fn start(pool: Builder) -> Result<ThreadPool, NoThread> {
    IS_STARTING.set(true);
    let started = catch_unwind(|| pool.build());
    IS_STARTING.set(false);
    started.map_err(|_| NoThread)
}

/// Whether this thread starts a pool, so that a panic is no bug.
pub(super) fn is_starting() -> bool {
    IS_STARTING.get()
}

thread_local! {
    static IS_STARTING: Cell<bool> = const { Cell::new(false) };
}
