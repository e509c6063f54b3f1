//! Frees what stores have removed where nobody waits for it: on one thread,
//! which also gives the memory back to the system.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::memory;
use crate::memory::ceiling::Leaving;
use crate::store::{Batch, Garbage};

/// Pieces of garbage that may wait, and bytes at which no more join them.
/// Whoever finds the queue full frees its garbage itself, so that nobody
/// removes faster than is freed.
const QUEUE_LEN_MAX: usize = 1024;
const QUEUE_BYTES_MAX: usize = 256 << 20;

/// Memory is given back when so many bytes have been freed that no new entry
/// has taken the place of, and that at most once in an interval. It is also
/// given back when so many were freed in all, and nothing for an interval: a
/// busy server would have to ask for it again.
const TRIM_LEN_MIN: usize = 16 << 20;
const TRIM_INTERVAL: Duration = Duration::from_secs(1);

/// Access to the thread, which ends with the last.
#[derive(Clone, Debug)]
pub(super) struct LazyFree {
    queue: SyncSender<Freed>,
    queue_bytes: Arc<AtomicUsize>,
    elsewhere: Arc<FreedElsewhere>,
}

#[derive(Debug)]
enum Freed {
    /// To be freed by the thread, and not counted as held until then.
    Here(Garbage, Leaving),
    /// Bytes that were freed by others.
    Elsewhere { bytes: usize, lasting: isize },
}

/// Bytes that were freed elsewhere and that the thread has not heard of.
#[derive(Debug, Default)]
struct FreedElsewhere {
    bytes: AtomicUsize,
    lasting: AtomicIsize,
}

impl LazyFree {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let (queue, freed) = sync_channel(QUEUE_LEN_MAX);
        let queue_bytes = Arc::<AtomicUsize>::default();
        thread::Builder::new().name("lazy-free".to_owned()).spawn({
            let queue_bytes = Arc::clone(&queue_bytes);
            move || run(&freed, &queue_bytes)
        })?;
        Ok(Self {
            queue,
            queue_bytes,
            elsewhere: Arc::default(),
        })
    }

    /// Frees what executing the batch has removed. Before its replies are
    /// written: a peer that does not read must not keep it.
    pub(super) fn free_of(&self, batch: &mut Batch) {
        if batch.has_garbage() {
            self.free(batch.take_garbage());
        }
    }

    /// Frees the garbage: in place if that takes no time to speak of, for a
    /// hand-off would cost more.
    pub(super) fn free(&self, garbage: Garbage) {
        if garbage.is_large() {
            self.enqueue(garbage);
            return;
        }
        let FreedElsewhere { bytes, lasting } = &*self.elsewhere;
        if garbage.lasting_bytes() != 0 {
            lasting.fetch_add(garbage.lasting_bytes(), Ordering::Relaxed);
        }
        if bytes.fetch_add(garbage.bytes(), Ordering::Relaxed) > TRIM_LEN_MIN {
            let freed = Freed::Elsewhere {
                bytes: bytes.swap(0, Ordering::Relaxed),
                lasting: lasting.swap(0, Ordering::Relaxed),
            };
            // With a full queue the thread will hear of enough that is freed.
            let _ = self.queue.try_send(freed);
        }
    }

    fn enqueue(&self, garbage: Garbage) {
        let bytes = garbage.bytes();
        let queued = self.queue_bytes.fetch_add(bytes, Ordering::Relaxed);
        let freed = || Freed::Here(garbage, Leaving::new(bytes));
        // Back in the error, it is freed here.
        if queued >= QUEUE_BYTES_MAX || self.queue.try_send(freed()).is_err() {
            self.queue_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

fn run(queue: &Receiver<Freed>, queue_bytes: &AtomicUsize) {
    let (mut untrimmed, mut lasting) = (0, 0);
    let mut trimmed_at = None;
    loop {
        let next = if untrimmed < TRIM_LEN_MIN {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            queue.recv_timeout(TRIM_INTERVAL)
        };
        let is_silent = next.is_err();
        match next {
            Ok(Freed::Here(garbage, leaving)) => {
                let bytes = garbage.bytes();
                untrimmed += bytes;
                lasting += garbage.lasting_bytes();
                drop(garbage);
                drop(leaving);
                memory::reserve::note_freed(bytes);
                queue_bytes.fetch_sub(bytes, Ordering::Relaxed);
            }
            Ok(Freed::Elsewhere {
                bytes,
                lasting: lasting_bytes,
            }) => {
                untrimmed += bytes;
                lasting += lasting_bytes;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let is_due = trimmed_at.is_none_or(|at: Instant| at.elapsed() > TRIM_INTERVAL);
        lasting = lasting.max(0);
        if is_silent || lasting >= TRIM_LEN_MIN as isize && is_due {
            memory::trim();
            (untrimmed, lasting) = (0, 0);
            trimmed_at = Some(Instant::now());
        }
    }
}
