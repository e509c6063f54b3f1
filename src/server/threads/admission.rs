//! Which connections get a worker, which wait for one, which are refused.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Shutdown as Side, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use threadpool::ThreadPool;

use super::interruptible::Interruptible;
use crate::memory;
use crate::server::config::Config;
use crate::server::counts::{Counts, WorkerCounts};
use crate::server::eviction::Evictor;
use crate::server::log::Log;
use crate::server::pool;
use crate::server::refusal::{Reason, Refuser};

/// A worker's stack in bytes. No call of a worker is deep: values are skipped
/// over, not descended into.
const WORKER_STACK_LEN: usize = 128 << 10;

/// Gives each connection to a free worker, or has it wait for one, within
/// bounds of time and number (S4).
pub(super) struct Admission {
    pool: ThreadPool,
    workers: usize,
    queue_timeout: Duration,
    refuser: Refuser,
    log: Log,
    /// What a worker does with its connection, and since when that has waited, if
    /// anybody may ask.
    serve: Box<Serve>,
    counts: Arc<Counts>,
    state: Mutex<State>,
    /// Something in `state` changed that somebody may wait for.
    changed: Condvar,
}

type Serve = dyn Fn(&Interruptible, Option<Instant>) + Send + Sync;

struct State {
    free_workers: usize,
    /// The connections that workers serve, to be interrupted when the server stops.
    served: HashMap<u64, Arc<Interruptible>>,
    next_id: u64,
    /// Longest first; empty while a worker is free.
    waiting: VecDeque<Waiting>,
    /// Of the connections served, the ones that were evicted and drain.
    leaving: usize,
    evictor: Evictor<u64>,
    stopping: bool,
    closed: bool,
}

struct Waiting {
    stream: TcpStream,
    since: Instant,
}

impl Admission {
    /// Starts the workers. Fails when there can't be so many threads.
    pub(super) fn new(
        config: &Config,
        counts: &Arc<Counts>,
        serve: impl Fn(&Interruptible, Option<Instant>) + Send + Sync + 'static,
    ) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            pool: start_pool(config.workers)?,
            workers: config.workers,
            queue_timeout: config.queue_timeout,
            refuser: Refuser::start(&config.log, counts)?,
            log: config.log.clone(),
            serve: Box::new(serve),
            counts: Arc::clone(counts),
            state: Mutex::new(State {
                free_workers: config.workers,
                served: HashMap::new(),
                next_id: 0,
                waiting: VecDeque::new(),
                leaving: 0,
                evictor: Evictor::new(config.idle_eviction),
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
            self.assign(&mut state, stream, self.counts.now());
        } else if state.waiting.len() < self.workers {
            state.waiting.push_back(Waiting {
                stream,
                since: Instant::now(),
            });
            self.changed.notify_all();
        } else {
            drop(state);
            let workers = self.workers;
            self.refuser.refuse(stream, Reason::QueueFull { workers });
        }
    }

    /// Evicts a connection, if one can be, for somebody who waits for its
    /// descriptor.
    pub(super) fn make_room(&self) {
        let mut state = self.state();
        // When all are interrupted, none is left to evict.
        if !state.stopping {
            state.evict_one();
        }
    }

    /// How to ask for the workers; it does not keep them.
    pub(super) fn worker_counts(
        this: &Arc<Self>,
    ) -> impl Fn() -> Option<WorkerCounts> + Send + Sync + use<> {
        let admission = Arc::downgrade(this);
        move || {
            let admission = admission.upgrade()?;
            let state = admission.state();
            Some(WorkerCounts {
                workers: admission.workers,
                busy: state.served.len(),
                waiting: state.waiting.len(),
            })
        }
    }

    /// Interrupts the workers, so that every connection ends after what its peer
    /// has sent so far.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.stopping = true;
        for served in state.served.values() {
            served.interrupt();
        }
        self.changed.notify_all();
    }

    /// Waits until no connection is served or waits, at most for `timeout`;
    /// then cuts off those that are left. Call it after [`stop`](Self::stop),
    /// when no more connections are admitted.
    pub(super) fn drain(&self, timeout: Duration) {
        /// Enough for workers to notice that their sockets are gone.
        const CUT_OFF_TIME: Duration = Duration::from_millis(250);

        let is_busy = |state: &mut State| !state.served.is_empty() || !state.waiting.is_empty();
        let wait_while_busy = |state, timeout| {
            let waited = self.changed.wait_timeout_while(state, timeout, is_busy);
            waited.unwrap_or_else(PoisonError::into_inner).0
        };
        let mut state = wait_while_busy(self.state(), timeout);
        for served in state.served.values() {
            // It fails when the peer has gone.
            let _ = served.stream().shutdown(Side::Both);
        }
        while let Some(waiting) = state.waiting.pop_front() {
            self.refuser.refuse(waiting.stream, Reason::Stopping);
        }
        let mut state = wait_while_busy(state, CUT_OFF_TIME);
        self.log.note_cut_off(state.served.len());
        state.closed = true;
        self.changed.notify_all();
    }

    /// Evicts silent connections for those that wait, and refuses those that have
    /// waited too long, until [`drain`](Self::drain) is through. Runs on a
    /// thread of its own.
    pub(super) fn attend_waiting(&self) {
        let mut state = self.state();
        while !state.closed {
            let now = Instant::now();
            match state.waiting.front() {
                Some(head) if head.since + self.queue_timeout <= now => {
                    let late = state.waiting.pop_front().expect("its front was there");
                    self.changed.notify_all();
                    drop(state);
                    self.refuser.refuse(late.stream, self.all_busy());
                    state = self.state();
                }
                head => {
                    let until = head.map(|head| head.since + self.queue_timeout);
                    let until = until.into_iter().chain(state.evict()).min();
                    let left = until.map(|until| until.saturating_duration_since(now));
                    state = self.wait(state, left);
                }
            }
        }
    }

    fn all_busy(&self) -> Reason {
        Reason::AllBusy {
            workers: self.workers,
            queue_timeout: self.queue_timeout,
        }
    }

    /// Gives the connection to a worker; one has been set aside for it.
    fn assign(
        self: &Arc<Self>,
        state: &mut State,
        stream: TcpStream,
        waiting_since: Option<Instant>,
    ) {
        let served = Arc::new(Interruptible::new(stream));
        if state.stopping {
            served.interrupt();
        }
        let id = state.next_id;
        state.next_id += 1;
        state.served.insert(id, Arc::clone(&served));
        let permit = Permit {
            admission: Arc::clone(self),
            id,
        };
        self.pool.execute(move || {
            (permit.admission.serve)(&served, waiting_since);
            drop(served);
        });
    }

    /// Waits for a change, at most for `duration` if there is one.
    fn wait<'a>(
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

impl State {
    /// Evicts as many connections as others wait; when to try again, if there
    /// were too few.
    fn evict(&mut self) -> Option<Instant> {
        while !self.stopping && self.leaving < self.waiting.len() {
            if !self.evict_one() {
                return self.evictor.next_scan();
            }
        }
        None
    }

    /// Whether a connection could be evicted.
    fn evict_one(&mut self) -> bool {
        let Self {
            served, evictor, ..
        } = self;
        let all = || served.iter().map(|(id, served)| (*id, served.silence()));
        let find = |id| served.get(&id).map(|served| served.silence());
        let Some(id) = evictor.evict(all, find) else {
            return false;
        };
        self.leaving += 1;
        served[&id].interrupt();
        true
    }
}

/// A worker's hold on its connection. Dropped when the worker is done or has
/// panicked, it passes the worker on to the connection that waits longest.
struct Permit {
    admission: Arc<Admission>,
    id: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let admission = &self.admission;
        let mut state = admission.state();
        let served = state.served.remove(&self.id);
        if served.as_ref().is_some_and(|it| it.silence().is_evicted()) {
            state.leaving -= 1;
        }
        match state.waiting.pop_front() {
            Some(next) => {
                let waiting_since = admission.counts.now().map(|_| next.since);
                admission.assign(&mut state, next.stream, waiting_since);
            }
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

/// What a worker's thread takes of the address space besides its stack, in bytes: the
/// stack that std has it handle a stack overflow on, and guard pages.
const WORKER_REST_LEN: usize = 32 << 10;

fn start_pool(workers: usize) -> io::Result<ThreadPool> {
    // A thread that starts and then has no room for the rest ends the process.
    let has_room = memory::has_address_space(workers * (WORKER_STACK_LEN + WORKER_REST_LEN));
    let pool = threadpool::Builder::new()
        .num_threads(workers)
        .thread_name("worker".to_owned())
        .thread_stack_size(WORKER_STACK_LEN);
    let started = has_room.then(|| pool::start(pool).ok()).flatten();
    started.ok_or_else(|| {
        io::Error::other(format!(
            "can't start {workers} worker threads; lower --workers, or raise the limits \
             on processes and addresses (ulimit -u, ulimit -v)"
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Echoes single bytes, and panics at a `p`.
    fn echo(mut peer: &Interruptible, _: Option<Instant>) {
        let mut byte = [0];
        while peer.read(&mut byte).is_ok_and(|n| n > 0) {
            assert_ne!(byte, *b"p", "the panic of this test");
            peer.stream().write_all(&byte).expect("the peer reads");
        }
    }

    fn ask(mut peer: &TcpStream, byte: u8) -> Vec<u8> {
        peer.write_all(&[byte]).expect("the worker reads");
        let mut reply = [0];
        let n = peer.read(&mut reply).expect("an echo or an end");
        reply[..n].to_vec()
    }

    #[test]
    fn a_worker_that_panics_closes_one_connection_and_the_pool_keeps_its_size() {
        const WORKERS: usize = 3;

        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let config = Config {
            workers: WORKERS,
            queue_timeout: Duration::from_secs(20),
            ..Config::default()
        };
        let admission = Admission::new(&config, &Counts::new(true), echo).expect("threads");
        let queue_timeout = thread::spawn({
            let admission = Arc::clone(&admission);
            move || admission.attend_waiting()
        });
        let connect = || {
            let peer = TcpStream::connect(address).expect("it listens");
            admission.admit(listener.accept().expect("the peer").0);
            peer
        };

        for _ in 0..2 * WORKERS {
            let bystander = connect();
            assert_eq!(ask(&bystander, b'x'), b"x");
            assert_eq!(ask(&connect(), b'p'), b"", "closed without an answer");
            assert_eq!(ask(&bystander, b'x'), b"x");
        }
        let peers: Vec<_> = (0..WORKERS).map(|_| connect()).collect();
        for peer in &peers {
            assert_eq!(ask(peer, b'x'), b"x", "all are served at the same time");
        }

        let waiting = connect();
        assert_eq!(ask(&peers[0], b'p'), b"");
        assert_eq!(ask(&waiting, b'x'), b"x", "the worker passes to who waits");

        admission.stop();
        admission.drain(Duration::from_secs(20));
        queue_timeout.join().expect("it ends");
    }
}
