//! What the generator's threads count.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::{Errors, latencies};
use crate::bench::process::ThreadUse;

/// What one of the generator's threads counted.
pub(in crate::bench) struct Tally {
    pub(in crate::bench) latencies: Histogram<u64>,
    /// Replies that count.
    pub(in crate::bench) operations: u64,
    /// All replies, of the warm-up too.
    pub(in crate::bench) replies: u64,
    pub(in crate::bench) misses: u64,
    pub(in crate::bench) bytes_sent: u64,
    pub(in crate::bench) bytes_received: u64,
    pub(in crate::bench) errors: Errors,
    /// Connections on which a good reply came.
    pub(in crate::bench) served: usize,
    /// Of an open loop: requests that left late for want of a connection.
    pub(in crate::bench) late_connection: u64,
    /// Of an open loop: requests that left late by the generator's fault.
    pub(in crate::bench) late_generator: u64,
    /// Of an open loop: requests that never left.
    pub(in crate::bench) unsent: u64,
    /// Of these: requests for which no connection was left.
    pub(in crate::bench) unsent_unconnected: u64,
    /// When the last reply that counts came, in nanoseconds.
    pub(in crate::bench) last_reply_ns: u64,
    /// When it sent no more and only waited for replies, in nanoseconds.
    pub(in crate::bench) ended_ns: u64,
    pub(in crate::bench) used: ThreadUse,
    /// For how long `used` was counted.
    pub(in crate::bench) elapsed: Duration,
    pub(in crate::bench) stopped_answering: Option<String>,
}

impl Tally {
    pub(in crate::bench) fn new() -> Self {
        Self {
            latencies: latencies(),
            operations: 0,
            replies: 0,
            misses: 0,
            bytes_sent: 0,
            bytes_received: 0,
            errors: Errors::default(),
            served: 0,
            late_connection: 0,
            late_generator: 0,
            unsent: 0,
            unsent_unconnected: 0,
            last_reply_ns: 0,
            ended_ns: 0,
            used: ThreadUse::default(),
            elapsed: Duration::ZERO,
            stopped_answering: None,
        }
    }

    /// Adds what another thread counted.
    pub(in crate::bench) fn merge(&mut self, other: Self) {
        self.latencies += &other.latencies;
        self.operations += other.operations;
        self.replies += other.replies;
        self.misses += other.misses;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.errors.merge(other.errors);
        self.served += other.served;
        self.late_connection += other.late_connection;
        self.late_generator += other.late_generator;
        self.unsent += other.unsent;
        self.unsent_unconnected += other.unsent_unconnected;
        self.ended_ns = self.ended_ns.max(other.ended_ns);
        self.last_reply_ns = self.last_reply_ns.max(other.last_reply_ns);
        self.used.running += other.used.running;
        self.used.waiting += other.used.waiting;
        self.elapsed += other.elapsed;
        self.stopped_answering = self.stopped_answering.take().or(other.stopped_answering);
    }
}
