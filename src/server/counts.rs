//! What a server counts while it serves.
//!
//! Each thread has counts of its own, which nobody else writes, so that to count
//! costs an addition. They are added up when somebody asks.

mod connections;
mod histogram;
mod named;
#[cfg(feature = "cluster")]
mod remote;
mod sampler;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use self::connections::ConnectionCounts;
pub(crate) use self::connections::{ConnectionSums, OpenConnection};
pub(crate) use self::histogram::Distribution;
use self::histogram::{Count, Sizes, Times};
#[cfg(feature = "cluster")]
use self::remote::RemoteCounts;
#[cfg(feature = "cluster")]
pub(crate) use self::remote::RemoteSums;
pub(crate) use self::sampler::Sample;
use self::sampler::Sampler;
use super::refusal::Reason;
use crate::store::{ANSWERS, StoreSize, Tally};

/// All counts of one server.
#[derive(Default)]
pub(crate) struct Counts {
    /// Whether somebody may ask how long things take. If not, no clock is read.
    is_timed: bool,
    threads: Mutex<Threads>,
    connections: ConnectionCounts,
    #[cfg(feature = "cluster")]
    remote: RemoteCounts,
    store_size: OnceLock<Source<StoreSize>>,
    workers: OnceLock<Source<WorkerCounts>>,
}

/// What is not counted, but looked up when somebody asks. `None` if that is
/// not possible now.
type Source<T> = Box<dyn Fn() -> Option<T> + Send + Sync>;

#[derive(Default)]
struct Threads {
    all: Vec<Arc<Cells>>,
    /// Those of threads that have ended.
    free: Vec<Arc<Cells>>,
}

/// Places for the kinds of answers: as many as there are, and more, so that a
/// place is found without a check.
const PLACES: usize = ANSWERS.next_power_of_two();

/// The counts of one thread at a time. The alignment keeps those of two threads
/// from sharing a cache line, also where lines are fetched in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Cells {
    /// By their kind, as in a [`Tally`].
    answers: [Count; PLACES],
    received: Count,
    sent: Count,
    batch_sizes: Sizes,
    batch_times: Times,
    drive_times: Times,
    store_waits: Times,
    worker_waits: Times,
}

/// What all threads have counted.
#[derive(Debug, Default)]
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "nobody asks"))]
pub(crate) struct Sums {
    /// By their kind, as in a [`Tally`].
    pub(crate) answers: [u64; ANSWERS],
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) batch_sizes: Distribution,
    pub(crate) batch_times: Distribution,
    pub(crate) drive_times: Distribution,
    pub(crate) store_waits: Distribution,
    pub(crate) worker_waits: Distribution,
}

/// The threads model's workers, and who waits for one.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "nobody asks"))]
pub(crate) struct WorkerCounts {
    pub(crate) workers: usize,
    pub(crate) busy: usize,
    pub(crate) waiting: usize,
}

impl Counts {
    /// Of a server that nobody has asked anything yet.
    pub(crate) fn new(is_timed: bool) -> Arc<Self> {
        Arc::new(Self {
            is_timed,
            ..Self::default()
        })
    }

    /// Counts for a thread, for as long as it keeps them.
    pub(crate) fn of_thread(self: &Arc<Self>) -> ThreadCounts {
        let mut threads = self.threads();
        let cells = threads.free.pop().unwrap_or_else(|| {
            let cells = Arc::<Cells>::default();
            threads.all.push(Arc::clone(&cells));
            cells
        });
        drop(threads);
        ThreadCounts {
            cells,
            batches: Sampler::new(self.is_timed),
            #[cfg(any(feature = "tokio", feature = "epoll"))]
            drives: Sampler::new(self.is_timed),
            server: Arc::clone(self),
        }
    }

    /// The time, if anybody may ask for how long something took.
    pub(crate) fn now(&self) -> Option<Instant> {
        self.is_timed.then(Instant::now)
    }

    /// A connection has come.
    pub(super) fn accept(&self) {
        self.connections.accept();
    }

    /// A connection was refused.
    pub(super) fn refuse(&self, reason: &Reason) {
        self.connections.refuse(reason);
    }

    /// A connection begins to be served.
    pub(crate) fn begin_connection(self: &Arc<Self>) -> OpenConnection {
        self.connections.begin();
        OpenConnection::new(Arc::clone(self))
    }

    /// A store that is elsewhere did not do so many commands, for this reason.
    #[cfg(feature = "cluster")]
    pub(super) fn fail_remotely(&self, kind: &str, commands: usize) {
        self.remote.fail(kind, commands);
    }

    /// A node of a store has answered, or not, what it was sent then.
    #[cfg(feature = "cluster")]
    pub(super) fn returned_from_node(&self, sent_at: Option<Instant>) {
        if let Some(sent_at) = sent_at {
            self.remote.observe_round_trip(sent_at.elapsed());
        }
    }

    /// How to ask for the size of the store.
    pub(crate) fn set_store_size(
        &self,
        source: impl Fn() -> Option<StoreSize> + Send + Sync + 'static,
    ) {
        // Nobody sets it twice.
        let _ = self.store_size.set(Box::new(source));
    }

    /// How to ask for the workers.
    pub(crate) fn set_workers(
        &self,
        source: impl Fn() -> Option<WorkerCounts> + Send + Sync + 'static,
    ) {
        let _ = self.workers.set(Box::new(source));
    }

    fn threads(&self) -> MutexGuard<'_, Threads> {
        // Each change is one of a list.
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For those who ask.
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "nobody asks"))]
impl Counts {
    /// Adds up what the threads have counted.
    pub(crate) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        // The list only grows, so nobody has to wait until all are added up.
        let all = self.threads().all.clone();
        for cells in &all {
            cells.add_to(&mut sums);
        }
        sums
    }

    pub(crate) fn connection_sums(&self) -> ConnectionSums {
        self.connections.sums()
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn remote_sums(&self) -> RemoteSums {
        self.remote.sums()
    }

    /// `None` where the store is elsewhere, or does not answer in time.
    pub(crate) fn store_size(&self) -> Option<StoreSize> {
        self.store_size.get()?()
    }

    /// `None` in models without workers.
    pub(crate) fn workers(&self) -> Option<WorkerCounts> {
        self.workers.get()?()
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counts")
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

impl Default for Cells {
    fn default() -> Self {
        Self {
            answers: std::array::from_fn(|_| Count::default()),
            received: Count::default(),
            sent: Count::default(),
            batch_sizes: Sizes::default(),
            batch_times: Times::default(),
            drive_times: Times::default(),
            store_waits: Times::default(),
            worker_waits: Times::default(),
        }
    }
}

impl Cells {
    #[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "nobody asks"))]
    fn add_to(&self, sums: &mut Sums) {
        for (sum, count) in sums.answers.iter_mut().zip(&self.answers) {
            *sum += count.get();
        }
        sums.received += self.received.get();
        sums.sent += self.sent.get();
        self.batch_sizes.add_to(&mut sums.batch_sizes);
        self.batch_times.add_to(&mut sums.batch_times);
        self.drive_times.add_to(&mut sums.drive_times);
        self.store_waits.add_to(&mut sums.store_waits);
        self.worker_waits.add_to(&mut sums.worker_waits);
    }
}

/// The counts of one thread, which only it changes.
pub(crate) struct ThreadCounts {
    cells: Arc<Cells>,
    batches: Sampler,
    #[cfg(any(feature = "tokio", feature = "epoll"))]
    drives: Sampler,
    server: Arc<Counts>,
}

impl ThreadCounts {
    /// A batch is complete, and about to be executed; it may be one that is
    /// measured.
    #[inline]
    pub(super) fn sample_batch(&mut self) -> Option<Sample> {
        match self.batches.is_next() {
            true => self.choose_batch(),
            false => None,
        }
    }

    #[cold]
    fn choose_batch(&mut self) -> Option<Sample> {
        let begun = Instant::now();
        let weight = self.batches.choose(begun)?;
        Some(Sample { begun, weight })
    }

    /// The batch that was measured is answered, and its replies have not left
    /// yet.
    #[cold]
    pub(super) fn measured(&mut self, sample: Sample) {
        sample.observe_in(&self.cells.batch_times);
    }

    /// A connection of this thread begins to be served.
    pub(super) fn begin_connection(&self) -> OpenConnection {
        self.server.begin_connection()
    }

    /// So many bytes have come.
    pub(super) fn received(&mut self, len: usize) {
        self.cells.received.add(len as u64);
    }

    /// The system has taken so many bytes.
    pub(super) fn sent(&mut self, len: usize) {
        self.cells.sent.add(len as u64);
    }

    /// A batch is answered, and its replies have not left yet.
    #[inline]
    pub(super) fn answered(&mut self, tally: &mut Tally) {
        let cells = &*self.cells;
        let requests = tally.take(|kind, count| cells.answers[kind % PLACES].add(count));
        cells.batch_sizes.observe_size(requests);
    }

    /// An event loop has gone round, or a connection was driven.
    #[cfg(any(feature = "tokio", feature = "epoll"))]
    #[inline]
    pub(super) fn drove(&mut self, begun: Instant, ended: Instant) {
        if self.drives.is_next() {
            self.choose_drive(begun, ended);
        }
    }

    #[cfg(any(feature = "tokio", feature = "epoll"))]
    #[cold]
    fn choose_drive(&mut self, begun: Instant, ended: Instant) {
        if let Some(weight) = self.drives.choose(ended) {
            let times = &self.cells.drive_times;
            times.observe_time(ended - begun, weight);
        }
    }

    /// A batch was on its way to the store thread and back since then.
    pub(super) fn waited_for_store(&mut self, sample: Option<Sample>) {
        if let Some(sample) = sample {
            sample.observe_in(&self.cells.store_waits);
        }
    }

    /// A connection has waited for a worker since then, and has one now.
    pub(super) fn waited_for_worker(&mut self, since: Option<Instant>) {
        if let Some(since) = since {
            self.cells.worker_waits.observe_time(since.elapsed(), 1);
        }
    }
}

impl Sample {
    fn observe_in(self, times: &Times) {
        times.observe_time(self.begun.elapsed(), self.weight);
    }
}

impl Drop for ThreadCounts {
    fn drop(&mut self) {
        let cells = Arc::clone(&self.cells);
        self.server.threads().free.push(cells);
    }
}
