//! Connections that made one request and then say nothing.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::blocking::Blocking;
use super::limits::connect_max;
use super::load::Load;
use crate::bench::protocol::Outcome;

/// They are closed when it is dropped.
pub(in crate::bench) struct Idle {
    connections: Vec<TcpStream>,
}

impl Idle {
    /// None yet.
    pub(in crate::bench) fn none() -> Self {
        Self {
            connections: Vec::new(),
        }
    }

    /// Opens more until there are so many, or as many as the server takes in the time
    /// that connections may take.
    pub(in crate::bench) fn grow_to(&mut self, load: &Load, count: usize, stop: &AtomicBool) {
        let request = load.protocol.get(0);
        let missing = count.saturating_sub(self.connections.len());
        let deadline = Instant::now() + connect_max(missing);
        while self.connections.len() < count && !stop.load(Ordering::Relaxed) {
            match open(load, &request, stop, deadline) {
                Some(connection) => self.connections.push(connection),
                None => break,
            }
        }
    }

    /// Closes so many of them.
    pub(in crate::bench) fn shrink_by(&mut self, count: usize) {
        let left = self.connections.len().saturating_sub(count);
        self.connections.truncate(left);
    }

    /// How many the server took.
    pub(in crate::bench) fn count(&self) -> usize {
        self.connections.len()
    }
}

/// How long it takes a new connection to be made and have its first reply; `None` when the
/// server does not serve it in so much time.
pub(in crate::bench) fn newcomer(
    load: &Load,
    stop: &AtomicBool,
    time_max: Duration,
) -> Option<Duration> {
    let begun = Instant::now();
    let connection = open(load, &load.protocol.get(0), stop, begun + time_max);
    connection.map(|_| begun.elapsed())
}

/// `None` when the server does not serve it.
fn open(load: &Load, request: &[u8], stop: &AtomicBool, deadline: Instant) -> Option<TcpStream> {
    let mut server = Blocking::connect(load, stop, deadline).ok()?;
    let mut is_served = false;
    server.send(request).ok()?;
    let received = server.receive(1, |answer| {
        let refusals = [Outcome::Unavailable, Outcome::BadRequest];
        is_served = !refusals.contains(&answer.outcome);
        Ok(())
    });
    received.ok()?;
    is_served.then(|| server.into_stream())
}
