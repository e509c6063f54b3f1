//! How many connections came, were refused and ended, and why.
//!
//! They come seldom compared with requests, so all threads share these.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::Counts;
use super::named::{count, named};
use crate::server::end::End;
use crate::server::refusal::Reason;

#[derive(Debug, Default)]
pub(super) struct ConnectionCounts {
    accepted: AtomicU64,
    refused: [AtomicU64; Reason::NAMES.len()],
    begun: AtomicU64,
    ended: [AtomicU64; End::NAMES.len()],
}

/// What [`ConnectionCounts`] have counted.
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "nobody asks"))]
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionSums {
    /// Those that are served now.
    pub(crate) open: u64,
    /// Those that were refused among them.
    pub(crate) accepted: u64,
    pub(crate) refused: Vec<(&'static str, u64)>,
    pub(crate) ended: Vec<(&'static str, u64)>,
}

impl ConnectionCounts {
    pub(super) fn accept(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refuse(&self, reason: &Reason) {
        count(&Reason::NAMES, &self.refused, reason.name(), 1);
    }

    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self, name: &str) {
        count(&End::NAMES, &self.ended, name, 1);
    }

    #[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "nobody asks"))]
    pub(super) fn sums(&self) -> ConnectionSums {
        let ended = named(&End::NAMES, &self.ended);
        let all_ended: u64 = ended.iter().map(|(_, count)| count).sum();
        // After those that have ended: none of these has not begun.
        let begun = self.begun.load(Ordering::Acquire);
        ConnectionSums {
            open: begun.saturating_sub(all_ended),
            refused: named(&Reason::NAMES, &self.refused),
            accepted: self.accepted.load(Ordering::Acquire),
            ended,
        }
    }
}

/// A connection that is served, until it [ends](Self::end) or is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    counts: Arc<Counts>,
    has_ended: bool,
}

impl OpenConnection {
    pub(super) fn new(counts: Arc<Counts>) -> Self {
        Self {
            counts,
            has_ended: false,
        }
    }

    pub(in crate::server) fn end(mut self, end: &End) {
        self.has_ended = true;
        self.counts.connections.end(end.name());
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        if !self.has_ended {
            // Who is cut off at a stop comes to no end either.
            let name = match thread::panicking() {
                true => "panicked",
                false => End::Stopping.name(),
            };
            self.counts.connections.end(name);
        }
    }
}
