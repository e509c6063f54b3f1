//! What ends a loop's wait for events.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use mio::{Poll, Token};

/// The token of the loop's waker.
pub(super) const WAKER: Token = Token(usize::MAX);

/// Ends a loop's wait for events, for whoever has something for it: the accept
/// loop, a store, the stop.
pub(super) struct LoopWaker {
    waker: mio::Waker,
    /// Whether it has been woken and does not know: then it need not be again.
    is_woken: AtomicBool,
}

impl LoopWaker {
    pub(super) fn new(poll: &Poll) -> io::Result<Self> {
        Ok(Self {
            waker: mio::Waker::new(poll.registry(), WAKER)?,
            is_woken: AtomicBool::new(false),
        })
    }

    /// The loop knows that it was woken, and looks for what there is after this.
    pub(super) fn heard(&self) {
        self.is_woken.store(false, Ordering::SeqCst);
    }
}

impl Wake for LoopWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::SeqCst) {
            // It fails when the loop is gone.
            let _ = self.waker.wake();
        }
    }
}
