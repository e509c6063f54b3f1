//! Frees what stores have removed where nobody waits for it: on one thread,
//! which also gives the memory back to the system.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::store::Garbage;

/// Pieces of garbage that may wait. Whoever finds the queue full frees its
/// garbage itself: nobody removes faster than it is freed.
const QUEUE_LEN_MAX: usize = 1024;

/// The memory is given back when this many bytes have been freed,
const TRIM_LEN_MIN: usize = 16 << 20;

/// and nothing was for so long,
const TRIM_SILENCE: Duration = Duration::from_millis(100);

/// or this time has passed since. What is given back has to be asked for
/// again, so a busy server should not do it more often.
const TRIM_INTERVAL: Duration = Duration::from_secs(1);

/// Access to the thread, which ends with the last.
#[derive(Clone, Debug)]
pub(super) struct LazyFree {
    queue: SyncSender<Freed>,
    /// Bytes that were freed elsewhere and that the thread has not heard of.
    freed_elsewhere: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Freed {
    /// To be freed by the thread.
    Here(Garbage),
    /// So many bytes were freed by others.
    Elsewhere(usize),
}

impl LazyFree {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let (queue, freed) = sync_channel(QUEUE_LEN_MAX);
        thread::Builder::new()
            .name("lazy-free".to_owned())
            .spawn(move || run(&freed))?;
        Ok(Self {
            queue,
            freed_elsewhere: Arc::default(),
        })
    }

    /// Frees the garbage: in place if that takes no time to speak of, for a
    /// hand-off would cost more.
    pub(super) fn free(&self, garbage: Garbage) {
        if garbage.is_empty() {
            return;
        }
        if garbage.is_large() {
            // Back in the error, it is freed here.
            let _ = self.queue.try_send(Freed::Here(garbage));
            return;
        }
        let freed = self
            .freed_elsewhere
            .fetch_add(garbage.bytes(), Ordering::Relaxed);
        if freed > TRIM_LEN_MIN {
            let freed = self.freed_elsewhere.swap(0, Ordering::Relaxed);
            if let Err(TrySendError::Full(_)) = self.queue.try_send(Freed::Elsewhere(freed)) {
                self.freed_elsewhere.fetch_add(freed, Ordering::Relaxed);
            }
        }
    }
}

fn run(queue: &Receiver<Freed>) {
    let mut untrimmed = 0;
    let mut trimmed_at = Instant::now();
    loop {
        let next = if untrimmed < TRIM_LEN_MIN {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            queue.recv_timeout(TRIM_SILENCE)
        };
        let is_silent = next.is_err();
        match next {
            // Freed at the end of this arm.
            Ok(Freed::Here(garbage)) => untrimmed += garbage.bytes(),
            Ok(Freed::Elsewhere(bytes)) => untrimmed += bytes,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if untrimmed >= TRIM_LEN_MIN && (is_silent || trimmed_at.elapsed() > TRIM_INTERVAL) {
            allocator::trim();
            untrimmed = 0;
            trimmed_at = Instant::now();
        }
    }
}

/// glibc keeps what is freed for later: a thread's share of the heap shrinks
/// only from its end, where some small allocation is always in use.
mod allocator {
    /// Gives whole pages that nothing lies in back to the system. Elsewhere
    /// than with glibc it does nothing.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "a call of a foreign function")]
    pub(super) fn trim() {
        use std::ffi::c_int;

        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> c_int;
        }

        // SAFETY: it takes no pointer, touches only memory that is not in use,
        // and may be called from any thread at any time.
        unsafe { malloc_trim(0) };
    }

    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    pub(super) fn trim() {}
}
