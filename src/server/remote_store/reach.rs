//! What the log has of one node, over all the connections to it.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::errors::Complaint;
use crate::server::log::{Event, Log};

/// See the module.
#[derive(Debug)]
pub(super) struct Reach {
    log: Log,
    /// For people: `HOST:PORT`.
    node: String,
    /// Connections that can't be opened. One line is enough for all.
    down: AtomicUsize,
}

impl Reach {
    pub(super) fn new(log: &Log, node: String) -> Self {
        Self {
            log: log.clone(),
            node,
            down: AtomicUsize::new(0),
        }
    }

    /// One more connection can't be opened.
    pub(super) fn note_down(&self, why: &str) {
        if self.down.fetch_add(1, Ordering::Relaxed) == 0 {
            self.log.write(Event::store_unreachable(&self.node, why));
        }
    }

    /// One of them is open again.
    pub(super) fn note_up(&self) {
        if self.down.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.log.write(Event::store_reachable(&self.node));
        }
    }

    /// What was sent has got no answer.
    pub(super) fn note_interrupted(&self) {
        self.log.write(Event::store_interrupted(&self.node));
    }

    /// It has refused what it was asked with this command.
    pub(super) fn note_refusal(&self, command: &str, complaint: &Complaint) {
        let event = Event::store_refuses(&self.node, command, complaint.code, complaint.sentence);
        self.log.write(event);
    }
}
