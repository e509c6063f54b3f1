//! The thread that owns the store, and the workers' access to it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, RecvError, Sender, TryRecvError, bounded};

use crate::protocol::{Reply, Request};
use crate::server::Shutdown;
use crate::store::{Discarded, Store};

/// Batches that may wait for the store thread; a worker that finds the queue
/// full waits its turn.
const QUEUE_LEN_MAX: usize = 1024;

/// Requests that travel to the store together, and their replies.
///
/// The same vectors go back and forth, so that a warm worker allocates none.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// In the order they came; afterwards, what the store left of them.
    pub(super) requests: Vec<Request>,
    /// Empty on the way there; on the way back one for each request.
    pub(super) replies: Vec<Reply>,
    /// What the requests removed, for the worker to drop.
    pub(super) discarded: Discarded,
}

/// A batch and the way back to the worker that waits for it.
struct Errand {
    batch: Batch,
    reply_to: Sender<Errand>,
}

/// The store thread is gone: nothing can be executed any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoreGone;

/// One connection's access to the store thread, with a reply channel made
/// once and used for every batch.
pub(super) struct StoreHandle {
    errands: Sender<Errand>,
    /// Travels with each errand and comes back with it: if the store thread
    /// dies it dies too, and the wait for `replies` ends.
    reply_to: Option<Sender<Errand>>,
    replies: Receiver<Errand>,
}

impl StoreHandle {
    /// Has the batch's requests executed in order, and waits for the replies.
    pub(super) fn apply(&mut self, batch: Batch) -> Result<Batch, StoreGone> {
        let reply_to = self.reply_to.take().ok_or(StoreGone)?;
        let errand = Errand { batch, reply_to };
        self.errands.send(errand).map_err(|_| StoreGone)?;
        let Errand { batch, reply_to } = receive(&self.replies).map_err(|_| StoreGone)?;
        self.reply_to = Some(reply_to);
        Ok(batch)
    }
}

/// The store thread, as long as somebody may want a handle of it.
pub(super) struct StoreThread {
    errands: Sender<Errand>,
    broken: Arc<AtomicBool>,
}

impl StoreThread {
    /// Starts the thread. It ends with the last handle; if it panics it
    /// triggers `shutdown`, so that the process does not outlive its store.
    pub(super) fn start(shutdown: &Shutdown) -> io::Result<Self> {
        let mut store = Store::default();
        Self::start_with(shutdown, move |batch| {
            for request in &mut batch.requests {
                let reply = store.apply(request, &mut batch.discarded);
                batch.replies.push(reply);
            }
        })
    }

    fn start_with(
        shutdown: &Shutdown,
        mut apply: impl FnMut(&mut Batch) + Send + 'static,
    ) -> io::Result<Self> {
        let (errands, queue) = bounded::<Errand>(QUEUE_LEN_MAX);
        let broken = Arc::new(AtomicBool::new(false));
        let on_panic = (shutdown.clone(), Arc::clone(&broken));
        thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                let outcome = catch_unwind(AssertUnwindSafe(|| run(&queue, &mut apply)));
                if outcome.is_err() {
                    let (shutdown, broken) = on_panic;
                    broken.store(true, Ordering::SeqCst);
                    // Ends the waits for replies. The store itself, which can
                    // take long to drop, goes after all others know.
                    drop(queue);
                    shutdown.trigger();
                }
            })?;
        Ok(Self { errands, broken })
    }

    /// Access for one connection.
    pub(super) fn handle(&self) -> StoreHandle {
        let (reply_to, replies) = bounded(1);
        StoreHandle {
            errands: self.errands.clone(),
            reply_to: Some(reply_to),
            replies,
        }
    }

    /// Whether the thread has panicked.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst)
    }
}

/// Executes batches for as long as there is somebody to send them.
fn run(queue: &Receiver<Errand>, apply: &mut impl FnMut(&mut Batch)) {
    while let Ok(mut errand) = receive(queue) {
        apply(&mut errand.batch);
        let reply_to = errand.reply_to.clone();
        // The worker waits; if it is gone there is nobody to tell.
        let _ = reply_to.send(errand);
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

    #[test]
    fn a_panic_of_the_store_acknowledges_nothing_and_triggers_the_shutdown() {
        let shutdown = Shutdown::new();
        let store = StoreThread::start_with(&shutdown, |batch| {
            assert!(batch.requests.len() < 2, "the fault of this test");
        })
        .expect("a thread");
        let mut healthy = store.handle();
        let mut faulty = store.handle();
        assert!(healthy.apply(Batch::default()).is_ok());
        assert!(!store.is_broken());

        let requests = vec![Request::Reset, Request::Reset];
        let outcome = faulty.apply(Batch {
            requests,
            ..Batch::default()
        });
        assert!(outcome.is_err());
        assert!(healthy.apply(Batch::default()).is_err());
        assert!(healthy.apply(Batch::default()).is_err(), "and ever after");
        shutdown.wait();
        assert!(store.is_broken());
    }
}
