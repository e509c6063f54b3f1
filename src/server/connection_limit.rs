//! How many connections are open, and how many may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the connections of a server.
#[derive(Clone, Debug)]
pub(super) struct ConnectionLimit {
    open: Arc<AtomicUsize>,
    connections_max: usize,
}

/// One connection's right to be served, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit(Arc<AtomicUsize>);

impl ConnectionLimit {
    pub(super) fn new(connections_max: usize) -> Self {
        Self {
            open: Arc::default(),
            connections_max,
        }
    }

    /// A permit for one more connection, if there is one. Called by the accept
    /// loop alone, so that no two can take the last.
    pub(super) fn acquire(&self) -> Option<Permit> {
        if self.open() >= self.connections_max {
            return None;
        }
        self.open.fetch_add(1, Ordering::SeqCst);
        Some(Permit(Arc::clone(&self.open)))
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
