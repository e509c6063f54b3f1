//! Connections that made one request and then say nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Load, REPLY_TIMEOUT};
use crate::bench::protocol::{Outcome, Scan};
use crate::bench::workload::{Operation, Values, Workload};

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

    /// Opens more until there are so many, or as many as the server takes.
    pub(in crate::bench) fn grow_to(&mut self, load: &Load, count: usize, stop: &AtomicBool) {
        let values = Values::new(&Workload::default());
        let mut request = Vec::new();
        let operation = Operation {
            key: 0,
            is_get: true,
            value_len: 64,
            salt: 0,
        };
        load.protocol.push(&mut request, operation, &values);
        while self.connections.len() < count && !stop.load(Ordering::Relaxed) {
            match open(load, &request) {
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

/// `None` when the server does not serve it.
fn open(load: &Load, request: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&load.address, REPLY_TIMEOUT).ok()?;
    stream.set_read_timeout(Some(REPLY_TIMEOUT)).ok()?;
    stream.set_nodelay(true).ok()?;
    stream.write_all(request).ok()?;
    let mut reply = Vec::new();
    let mut room = [0; 4096];
    loop {
        match stream.read(&mut room).ok()? {
            0 => return None,
            n => reply.extend_from_slice(&room[..n]),
        }
        match load.protocol.scan(&reply).ok()? {
            Scan::Reply { len, outcome, .. } if len <= reply.len() => {
                let is_served = !matches!(outcome, Outcome::Unavailable | Outcome::BadRequest);
                return is_served.then_some(stream);
            }
            _ => {}
        }
    }
}
