//! Batches that take long, executed on threads of their own, so that an event
//! loop or a runtime goes on meanwhile.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use threadpool::ThreadPool;

use super::pool;
use crate::store::{Batch, StoreLost};

/// As many threads as there are cores. Each connection has one batch at most
/// that waits for them.
pub(super) struct Offload(ThreadPool);

/// One batch on its way.
pub(super) struct Offloaded(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Whom to wake.
    waker: Option<Waker>,
    outcome: Option<Result<Batch, StoreLost>>,
}

impl Offload {
    /// Starts the threads.
    pub(super) fn start() -> io::Result<Self> {
        let threads = thread::available_parallelism()?.get();
        let pool = threadpool::Builder::new()
            .num_threads(threads)
            .thread_name("offload".to_owned());
        let pool = pool::start(pool).map_err(|_| {
            io::Error::other("can't start a thread; raise the limit on processes (ulimit -u)")
        })?;
        Ok(Self(pool))
    }

    /// Has `execute` run over the batch on another thread.
    pub(super) fn execute(
        &self,
        mut batch: Batch,
        execute: impl FnOnce(&mut Batch) + Send + 'static,
    ) -> Offloaded {
        let state = Arc::<Mutex<State>>::default();
        let end = EndOnDrop(Arc::clone(&state));
        self.0.execute(move || {
            execute(&mut batch);
            lock(&end.0).outcome = Some(Ok(batch));
        });
        Offloaded(state)
    }
}

impl Offloaded {
    /// The batch, executed. Fails when that has panicked.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<Batch, StoreLost>> {
        let mut state = lock(&self.0);
        match state.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Tells who waits, also after a panic.
struct EndOnDrop(Arc<Mutex<State>>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.outcome.get_or_insert(Err(StoreLost));
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Each change is one assignment.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
