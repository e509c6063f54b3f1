//! One connection: requests out, replies in.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;

use crate::bench::protocol::{Malformed, Outcome, Protocol, Scan};
use crate::bench::workload::{Operation, Values};

/// A request that waits for its reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    /// Closed loop: when it was sent. Open loop: when it was due. In
    /// nanoseconds.
    pub(super) at_ns: u64,
    pub(super) key: u32,
    pub(super) is_get: bool,
}

pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) in_flight: VecDeque<InFlight>,
    /// Whether requests wait in `out` for their turn to be written.
    pub(super) is_dirty: bool,
    out: Vec<u8>,
    written: usize,
    /// The begin of a reply of which the rest has not come.
    partial: Vec<u8>,
    /// Bytes that are still to come of a reply that is known already.
    skip: usize,
    skipped: Outcome,
}

/// Why a connection can't go on.
pub(super) enum Failure {
    /// It ended or failed; the sentence says how.
    Closed(String),
    /// The bytes are no reply.
    Malformed(String),
}

impl From<Malformed> for Failure {
    fn from(Malformed(sentence): Malformed) -> Self {
        Self::Malformed(sentence)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Closed(error.to_string())
    }
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            in_flight: VecDeque::new(),
            is_dirty: false,
            out: Vec::new(),
            written: 0,
            partial: Vec::new(),
            skip: 0,
            skipped: Outcome::Done,
        }
    }

    /// Puts a request behind those that wait to be written.
    pub(super) fn push(
        &mut self,
        protocol: Protocol,
        operation: Operation,
        values: &Values,
        at_ns: u64,
    ) {
        protocol.push(&mut self.out, operation, values);
        self.in_flight.push_back(InFlight {
            at_ns,
            key: operation.key,
            is_get: operation.is_get,
        });
    }

    /// Writes what the socket takes; how many bytes that is.
    pub(super) fn flush(&mut self) -> Result<usize, Failure> {
        let before = self.written;
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(n) => self.written += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(self.written - before);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let sent = self.written - before;
        self.out.clear();
        self.written = 0;
        Ok(sent)
    }

    /// Reads what is there into `scratch` and hands each reply to `deliver`,
    /// with its value if `wants_values`; how many bytes came. To the end of
    /// the stream if `ends`, for which there will be no event.
    pub(super) fn receive(
        &mut self,
        protocol: Protocol,
        scratch: &mut [u8],
        wants_values: bool,
        ends: bool,
        mut deliver: impl FnMut(InFlight, Outcome, &[u8]),
    ) -> Result<usize, Failure> {
        let mut received = 0;
        loop {
            let n = match self.stream.read(scratch) {
                Ok(0) => return Err(Failure::Closed("the server closed it".to_owned())),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(received),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            received += n;
            self.take(protocol, &scratch[..n], wants_values, &mut deliver)?;
            if n < scratch.len() && !ends {
                return Ok(received);
            }
        }
    }

    /// Cuts the bytes into replies.
    fn take(
        &mut self,
        protocol: Protocol,
        bytes: &[u8],
        wants_values: bool,
        deliver: &mut impl FnMut(InFlight, Outcome, &[u8]),
    ) -> Result<(), Failure> {
        let mut rest = bytes;
        if self.skip > 0 {
            let skipped = self.skip.min(rest.len());
            self.skip -= skipped;
            rest = &rest[skipped..];
            if self.skip > 0 {
                return Ok(());
            }
            deliver(answered(&mut self.in_flight)?, self.skipped, &[]);
        }
        let mut partial = std::mem::take(&mut self.partial);
        if !partial.is_empty() {
            partial.extend_from_slice(rest);
            rest = &partial;
        }
        while !rest.is_empty() {
            match protocol.scan(rest)? {
                Scan::Reply {
                    len,
                    outcome,
                    value,
                } if len <= rest.len() => {
                    deliver(answered(&mut self.in_flight)?, outcome, &rest[value]);
                    rest = &rest[len..];
                }
                // Its end says nothing new, so it need not be kept.
                Scan::Reply { len, outcome, .. } if !wants_values => {
                    self.skip = len - rest.len();
                    self.skipped = outcome;
                    return Ok(());
                }
                _ => {
                    self.partial = rest.to_vec();
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn answered(in_flight: &mut VecDeque<InFlight>) -> Result<InFlight, Failure> {
    in_flight
        .pop_front()
        .ok_or_else(|| Failure::Malformed("a reply came that nobody asked for".to_owned()))
}
