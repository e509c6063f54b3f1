//! Starting pools of threads.

use std::panic::catch_unwind;

use threadpool::{Builder, ThreadPool};

/// A thread can't be started.
pub(super) struct NoThread;

/// Starts the pool's threads. `threadpool` panics when there can't be so many.
pub(super) fn start(pool: Builder) -> Result<ThreadPool, NoThread> {
    catch_unwind(|| pool.build()).map_err(|_| NoThread)
}
