//! Which connections get a worker, which wait for one, which are refused.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Shutdown as Side, TcpStream};
use std::panic::catch_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use threadpool::ThreadPool;

use super::refusal::{self, Reason, Refusals};

/// A worker's stack in bytes. No call of a worker is deep: values are skipped
/// over, not descended into.
const WORKER_STACK_LEN: usize = 128 << 10;

/// Refusals that may wait to be carried out with patience; those beyond get
/// their 503 and are closed at once.
const REFUSED_MAX: usize = 256;

/// Gives each connection to a free worker, or has it wait for one, within
/// bounds of time and number (S4).
pub(super) struct Admission {
    pool: ThreadPool,
    workers: usize,
    queue_timeout: Duration,
    /// What a worker does with its connection.
    serve: Box<dyn Fn(&TcpStream) + Send + Sync>,
    state: Mutex<State>,
    /// Something in `state` changed that somebody may wait for.
    changed: Condvar,
}

struct State {
    free_workers: usize,
    /// The connections that workers serve, to be woken when the server stops.
    served: HashMap<u64, Arc<TcpStream>>,
    next_id: u64,
    /// Longest first; empty while a worker is free.
    waiting: VecDeque<Waiting>,
    refused: VecDeque<(TcpStream, Reason)>,
    stopping: bool,
    closed: bool,
}

struct Waiting {
    stream: TcpStream,
    until: Instant,
}

impl Admission {
    /// Starts the workers. Fails when there can't be so many threads.
    pub(super) fn new(
        workers: usize,
        queue_timeout: Duration,
        serve: impl Fn(&TcpStream) + Send + Sync + 'static,
    ) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            pool: start_pool(workers)?,
            workers,
            queue_timeout,
            serve: Box::new(serve),
            state: Mutex::new(State {
                free_workers: workers,
                served: HashMap::new(),
                next_id: 0,
                waiting: VecDeque::new(),
                refused: VecDeque::new(),
                stopping: false,
                closed: false,
            }),
            changed: Condvar::new(),
        }))
    }

    /// Takes a connection that has just been accepted. Never blocks on it.
    pub(super) fn admit(self: &Arc<Self>, stream: TcpStream) {
        let mut state = self.state();
        if state.free_workers > 0 {
            state.free_workers -= 1;
            self.seat(&mut state, stream);
        } else if state.waiting.len() < self.workers {
            state.waiting.push_back(Waiting {
                stream,
                until: Instant::now() + self.queue_timeout,
            });
            if state.waiting.len() == 1 {
                self.changed.notify_all();
            }
        } else if state.refused.len() < REFUSED_MAX {
            state.refused.push_back((stream, self.all_busy()));
            self.changed.notify_all();
        } else {
            drop(state);
            refusal::refuse(&stream, self.all_busy());
        }
    }

    /// Wakes the workers that wait for their peers, and has every connection
    /// end after what it has sent so far.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.stopping = true;
        for stream in state.served.values() {
            end_input(stream);
        }
        self.changed.notify_all();
    }

    /// Waits until no connection is served or waits, at most for `patience`;
    /// then cuts off those that are left. Call it after [`stop`](Self::stop),
    /// when no more connections are admitted.
    pub(super) fn drain(&self, patience: Duration) {
        /// Enough for workers to notice that their sockets are gone.
        const CUT_OFF_TIME: Duration = Duration::from_millis(250);

        let is_busy = |state: &mut State| !state.served.is_empty() || !state.waiting.is_empty();
        let wait_while_busy = |state, patience| {
            let waited = self.changed.wait_timeout_while(state, patience, is_busy);
            waited.unwrap_or_else(PoisonError::into_inner).0
        };
        let mut state = wait_while_busy(self.state(), patience);
        for stream in state.served.values() {
            let _ = stream.shutdown(Side::Both);
        }
        while let Some(waiting) = state.waiting.pop_front() {
            state.refused.push_back((waiting.stream, Reason::Stopping));
        }
        let mut state = wait_while_busy(state, CUT_OFF_TIME);
        state.closed = true;
        self.changed.notify_all();
    }

    /// Refuses connections that have waited too long, until [`drain`](Self::drain)
    /// is through. Runs on a thread of its own.
    pub(super) fn refuse_late(&self) {
        let mut refusals = Refusals::default();
        let mut state = self.state();
        loop {
            let now = Instant::now();
            while state.waiting.front().is_some_and(|head| head.until <= now) {
                let late = state.waiting.pop_front().expect("its front was there");
                state.refused.push_back((late.stream, self.all_busy()));
            }
            if !state.refused.is_empty() {
                self.changed.notify_all();
            }
            let refused = std::mem::take(&mut state.refused);
            let closed = state.closed;
            let next = state.waiting.front().map(|head| head.until - now);
            if !refused.is_empty() || !refusals.is_empty() {
                drop(state);
                refusals.extend(refused);
                refusals.poll();
                state = self.state();
            }
            if closed {
                return;
            }
            let nap = match (refusals.is_empty(), next) {
                (true, next) => next,
                (false, next) => Some(next.map_or(Refusals::POLL_INTERVAL, |next| {
                    next.min(Refusals::POLL_INTERVAL)
                })),
            };
            state = self.nap(state, nap);
        }
    }

    fn all_busy(&self) -> Reason {
        Reason::AllBusy {
            workers: self.workers,
            queue_timeout: self.queue_timeout,
        }
    }

    /// Gives the connection to a worker; one has been set aside for it.
    fn seat(self: &Arc<Self>, state: &mut State, stream: TcpStream) {
        let stream = Arc::new(stream);
        if state.stopping {
            end_input(&stream);
        }
        let id = state.next_id;
        state.next_id += 1;
        state.served.insert(id, Arc::clone(&stream));
        let seat = Seat {
            admission: Arc::clone(self),
            id,
        };
        self.pool.execute(move || {
            (seat.admission.serve)(&stream);
            drop(stream);
        });
    }

    fn nap<'a>(
        &self,
        state: MutexGuard<'a, State>,
        duration: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        match duration {
            Some(duration) => {
                let waited = self.changed.wait_timeout(state, duration);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = self.changed.wait(state);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No panic can happen between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker's hold on its connection. Dropped when the worker is done or has
/// panicked, it passes the worker on to the connection that waits longest.
struct Seat {
    admission: Arc<Admission>,
    id: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let admission = &self.admission;
        let mut state = admission.state();
        let served = state.served.remove(&self.id);
        match state.waiting.pop_front() {
            Some(next) => admission.seat(&mut state, next.stream),
            None => state.free_workers += 1,
        }
        if state.stopping {
            admission.changed.notify_all();
        }
        drop(state);
        // Closes the socket, which nobody should wait for.
        drop(served);
    }
}

/// Wakes a worker that waits for the peer. On Linux what has arrived can
/// still be read, and after it the stream is at its end.
fn end_input(stream: &TcpStream) {
    // It fails when the peer has gone, which wakes the worker just as well.
    let _ = stream.shutdown(Side::Read);
}

fn start_pool(workers: usize) -> io::Result<ThreadPool> {
    // The pool panics when a thread can't be started.
    catch_unwind(|| {
        threadpool::Builder::new()
            .num_threads(workers)
            .thread_name("worker".to_owned())
            .thread_stack_size(WORKER_STACK_LEN)
            .build()
    })
    .map_err(|_| {
        io::Error::other(format!(
            "can't start {workers} worker threads; lower --workers, or raise the limit \
             on processes (ulimit -u)"
        ))
    })
}
