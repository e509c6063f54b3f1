//! The thread that owns the store, and the workers' access to it.

#[cfg(feature = "data")]
mod journaled;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvError, Sender, TryRecvError, bounded};

use super::parse_limit::ParseLimit;
use crate::server::config::Config;
use crate::server::counts::{Sample, ThreadCounts};
#[cfg(feature = "data")]
use crate::server::journal_thread::{JournalHandle, JournalThread};
use crate::server::lazy_free::LazyFree;
use crate::server::shutdown::{Shutdown, StopCause};
use crate::store::{Batch, Store, StoreLost, StoreSize};

/// Batches that may wait for the store thread; a worker that finds the queue
/// full waits its turn.
const QUEUE_LEN_MAX: usize = 1024;

/// How long the store thread may take to say how much there is, for those who
/// only want to know.
const SIZE_TIMEOUT: Duration = Duration::from_millis(500);

/// What the store thread is asked.
#[allow(clippy::large_enum_variant, reason = "nearly all are batches")]
enum Job {
    Execute(Execute),
    Size(Sender<StoreSize>),
    #[cfg(feature = "data")]
    OfJournal(journaled::Job),
}

/// A batch on its way to the store thread, and the way back to the worker that
/// waits for it.
struct Execute {
    batch: Batch,
    reply_to: Sender<Execute>,
}

/// One connection's access to the store thread, with a reply channel made
/// once and used for every batch.
pub(super) struct StoreHandle {
    jobs: Sender<Job>,
    /// Travels with each job and comes back with it: if the store thread dies
    /// it dies too, and the wait for `replies` ends.
    reply_to: Option<Sender<Execute>>,
    replies: Receiver<Execute>,
    lazy_free: LazyFree,
    parse_limit: ParseLimit,
    #[cfg(feature = "data")]
    journal: Option<JournalHandle<Sender<Execute>>>,
}

impl StoreHandle {
    /// Has the batch's requests executed in order, and waits for it. That is
    /// measured if the batch is.
    pub(super) fn execute(
        &mut self,
        batch: &mut Batch,
        mut sample: Option<Sample>,
        counts: &mut ThreadCounts,
    ) -> Result<(), StoreLost> {
        if batch.has_long_frame() {
            // Here, for at the store thread everybody would wait.
            let _permit = self.parse_limit.acquire();
            batch.parse();
            if let Some(sample) = &mut sample {
                sample.begun = Instant::now();
            }
        }
        let job = Execute {
            batch: std::mem::take(batch),
            reply_to: self.reply_to.take().ok_or(StoreLost)?,
        };
        self.send(job)?;
        let job = receive(&self.replies).map_err(|_| StoreLost)?;
        counts.waited_for_store(sample);
        self.reply_to = Some(job.reply_to);
        *batch = job.batch;
        self.lazy_free.free_of(batch);
        Ok(())
    }

    fn send(&self, job: Execute) -> Result<(), StoreLost> {
        #[cfg(feature = "data")]
        if let Some(journal) = &self.journal
            && job.batch.has_changes()
        {
            journal.execute(job.batch, job.reply_to);
            return Ok(());
        }
        self.jobs.send(Job::Execute(job)).map_err(|_| StoreLost)
    }
}

/// The store thread, as long as somebody may want a handle of it.
pub(super) struct StoreThread {
    jobs: Sender<Job>,
    broken: Arc<AtomicBool>,
    lazy_free: LazyFree,
    parse_limit: ParseLimit,
    #[cfg(feature = "data")]
    journal: Option<JournalThread<Sender<Execute>>>,
}

impl StoreThread {
    /// Starts the thread, with a store that is empty or has the entries of the
    /// journal that `config` names. It ends with the last handle; if it panics it
    /// triggers `shutdown`, so that the process does not outlive its store.
    pub(super) fn start(config: &Config, shutdown: &Shutdown) -> io::Result<Self> {
        #[cfg(feature = "data")]
        if let Some(data) = &config.data {
            return Self::start_journaled(data, &config.log, shutdown);
        }
        let _ = config;
        Self::start_with(Store::default(), shutdown, Store::execute)
    }

    /// How to ask how much there is; it does not keep the thread. `None` if that
    /// does not answer in time.
    pub(super) fn size(this: &Arc<Self>) -> impl Fn() -> Option<StoreSize> + Send + Sync + use<> {
        let store = Arc::downgrade(this);
        move || {
            let jobs = store.upgrade()?.jobs.clone();
            let (reply_to, size) = bounded(1);
            jobs.send_timeout(Job::Size(reply_to), SIZE_TIMEOUT).ok()?;
            size.recv_timeout(SIZE_TIMEOUT).ok()
        }
    }

    fn start_with(
        mut store: Store,
        shutdown: &Shutdown,
        mut execute: impl FnMut(&mut Store, &mut Batch) + Send + 'static,
    ) -> io::Result<Self> {
        let lazy_free = LazyFree::start()?;
        let parse_limit = ParseLimit::new()?;
        let (jobs, queue) = bounded::<Job>(QUEUE_LEN_MAX);
        let broken = Arc::new(AtomicBool::new(false));
        let on_panic = (shutdown.clone(), Arc::clone(&broken));
        thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    run(&mut store, &queue, &mut execute);
                }));
                if outcome.is_err() {
                    let (shutdown, broken) = on_panic;
                    broken.store(true, Ordering::SeqCst);
                    shutdown.trigger_because(StopCause::StoreLost);
                    // Dropped, a job ends its worker's wait. To drop the queue
                    // would not do: what is sent at that time would stay in
                    // it, and its worker would wait for ever.
                    queue.iter().for_each(drop);
                }
            })?;
        Ok(Self {
            jobs,
            broken,
            lazy_free,
            parse_limit,
            #[cfg(feature = "data")]
            journal: None,
        })
    }

    /// Access for one connection.
    pub(super) fn handle(&self) -> StoreHandle {
        let (reply_to, replies) = bounded(1);
        StoreHandle {
            jobs: self.jobs.clone(),
            reply_to: Some(reply_to),
            replies,
            lazy_free: self.lazy_free.clone(),
            parse_limit: self.parse_limit.clone(),
            #[cfg(feature = "data")]
            journal: self
                .journal
                .as_ref()
                .map(|journal| journal.handle().clone()),
        }
    }

    /// Whether the thread has panicked.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst)
    }
}

/// Does jobs for as long as there is somebody to send them.
fn run(store: &mut Store, queue: &Receiver<Job>, execute: &mut impl FnMut(&mut Store, &mut Batch)) {
    while let Ok(job) = receive(queue) {
        match job {
            Job::Execute(mut job) => {
                execute(store, &mut job.batch);
                let reply_to = job.reply_to.clone();
                // The worker waits; if it is gone there is nobody to tell.
                let _ = reply_to.send(job);
            }
            Job::Size(reply_to) => {
                let _ = reply_to.send(store.size());
            }
            #[cfg(feature = "data")]
            Job::OfJournal(job) => job.execute(store),
        }
    }
}

/// How often a receiver lets others run before it waits.
const YIELDS: usize = 4;

/// Receives at once what is there, so that a queue is drained without parking.
///
/// What is not there yet comes from a thread that is ready to run but has no
/// core, more often than not: yielding lets it. The channel's own wait spins
/// before it yields, which on few cores only delays that thread.
fn receive<T>(receiver: &Receiver<T>) -> Result<T, RecvError> {
    for _ in 0..YIELDS {
        match receiver.try_recv() {
            Ok(received) => return Ok(received),
            Err(TryRecvError::Empty) => thread::yield_now(),
            Err(TryRecvError::Disconnected) => return Err(RecvError),
        }
    }
    receiver.recv()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Frame;
    use crate::server::counts::Counts;

    #[test]
    fn a_panic_of_the_store_acknowledges_nothing_and_triggers_the_shutdown() {
        let shutdown = Shutdown::new();
        let store = StoreThread::start_with(Store::default(), &shutdown, |_, batch| {
            assert!(batch.len() < 2, "the fault of this test");
        })
        .expect("a thread");
        let mut counts = Counts::new(true).of_thread();
        let mut healthy = store.handle();
        let mut faulty = store.handle();
        assert!(
            healthy
                .execute(&mut Batch::default(), None, &mut counts)
                .is_ok()
        );
        assert!(!store.is_broken());

        let mut batch = Batch::default();
        batch.push_frame(Frame::Short(br#"{"command":"RST"}"#));
        batch.push_frame(Frame::Short(br#"{"command":"RST"}"#));
        assert_eq!(
            faulty.execute(&mut batch, None, &mut counts),
            Err(StoreLost)
        );
        assert!(
            healthy
                .execute(&mut Batch::default(), None, &mut counts)
                .is_err()
        );
        assert!(
            healthy
                .execute(&mut Batch::default(), None, &mut counts)
                .is_err(),
            "and ever after"
        );
        shutdown.wait();
        assert!(store.is_broken());
    }
}
