//! How many connections are open, and how many may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the connections of a server.
#[derive(Clone, Debug)]
pub(super) struct Census {
    open: Arc<AtomicUsize>,
    connections_max: usize,
}

/// One connection's place in the count, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Census {
    pub(super) fn new(connections_max: usize) -> Self {
        Self {
            open: Arc::default(),
            connections_max,
        }
    }

    /// A place for one more connection, if there is one. Called by the accept
    /// loop alone, so that no two can take the last.
    pub(super) fn enter(&self) -> Option<Place> {
        if self.open() >= self.connections_max {
            return None;
        }
        self.open.fetch_add(1, Ordering::SeqCst);
        Some(Place(Arc::clone(&self.open)))
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
