//! Work that takes long, done on threads of its own, so that an event loop or a
//! runtime goes on meanwhile.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use threadpool::ThreadPool;

use super::pool;
use crate::store::StoreLost;

/// As many threads as there are cores. Each connection has one piece of work at
/// most that waits for them.
pub(super) struct Offload(ThreadPool);

/// What comes of one piece of work. Fails when that has panicked.
pub(super) struct Offloaded<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    /// Whom to wake.
    waker: Option<Waker>,
    outcome: Option<Result<T, StoreLost>>,
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

    /// Has `work` done on another thread.
    pub(super) fn execute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Offloaded<T> {
        let (promise, offloaded) = promise();
        self.start_work(move || promise.keep(work()));
        offloaded
    }

    /// Has work done on another thread that tells of its end itself.
    pub(super) fn start_work(&self, work: impl FnOnce() + Send + 'static) {
        self.0.execute(work);
    }
}

/// What comes of work that somebody else does.
pub(super) fn promise<T>() -> (Promise<T>, Offloaded<T>) {
    let state = Arc::new(Mutex::new(State {
        waker: None,
        outcome: None,
    }));
    (Promise(Arc::clone(&state)), Offloaded(state))
}

impl<T> Future for Offloaded<T> {
    type Output = Result<T, StoreLost>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
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

/// Tells who waits, also when it is dropped without having been kept: that is
/// the end of who should have done the work.
pub(super) struct Promise<T>(Arc<Mutex<State<T>>>);

impl<T> Promise<T> {
    /// Gives the outcome to who waits.
    pub(super) fn keep(self, outcome: T) {
        lock(&self.0).outcome = Some(Ok(outcome));
    }
}

impl<T> Drop for Promise<T> {
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

fn lock<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    // Each change is one assignment.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
