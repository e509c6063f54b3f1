//! One connection: requests out, replies in.

use std::collections::VecDeque;
use std::io;

use mio::net::TcpStream;
use mio::{Registry, Token};

use super::decoder::{Answer, Decoder, Failure};
use super::event;
use super::load::Load;
use crate::bench::protocol::{Outcome, Protocol};
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
    /// Whether a good reply has come.
    pub(super) is_served: bool,
    protocol: Protocol,
    out: Vec<u8>,
    written: usize,
    decoder: Decoder,
}

impl Connection {
    pub(super) fn register(
        mut stream: TcpStream,
        load: &Load,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        event::register(&mut stream, registry, token)?;
        Ok(Self {
            stream,
            in_flight: VecDeque::new(),
            is_dirty: false,
            is_served: false,
            protocol: load.protocol,
            out: Vec::new(),
            written: 0,
            decoder: Decoder::new(load, load.verify),
        })
    }

    /// Puts a request behind those that wait to be written.
    pub(super) fn push(&mut self, operation: Operation, values: &Values, at_ns: u64) {
        self.protocol.push(&mut self.out, operation, values);
        self.in_flight.push_back(InFlight {
            at_ns,
            key: operation.key,
            is_get: operation.is_get,
        });
    }

    /// Whether requests are left that the socket did not take.
    pub(super) fn has_unsent(&self) -> bool {
        self.written < self.out.len()
    }

    /// Writes what the socket takes of one event; adds how many bytes that is to `sent`.
    ///
    /// Returns whether the socket may take more, for which there will be no event.
    pub(super) fn flush(&mut self, sent: &mut u64) -> Result<bool, Failure> {
        let out = &self.out;
        let takes_more = event::write(&mut self.stream, &mut self.written, sent, |at| &out[at..])?;
        if !self.has_unsent() {
            self.out.clear();
            self.written = 0;
        }
        Ok(takes_more)
    }

    /// Reads into `scratch` what is there for one event, and hands each reply to `deliver`, which
    /// says whether it is a good one; adds how many bytes came to `received`. To the end of the
    /// stream if `ends`, for which there will be no event.
    ///
    /// Returns whether more is there, for which there will be no event either.
    pub(super) fn receive(
        &mut self,
        scratch: &mut [u8],
        ends: bool,
        received: &mut u64,
        mut deliver: impl FnMut(InFlight, Answer<'_>) -> bool,
    ) -> Result<bool, Failure> {
        let (in_flight, is_served) = (&mut self.in_flight, &mut self.is_served);
        let protocol = self.protocol;
        let mut answered = |answer: Answer<'_>| match in_flight.pop_front() {
            Some(request) => {
                *is_served |= deliver(request, answer);
                Ok(())
            }
            // A server that has no room says so before it is asked.
            None if answer.outcome == Outcome::Unavailable => {
                Err(Failure::Refused(protocol.sentence(answer.bytes)))
            }
            None => Err(Failure::Malformed(
                "a reply came that nobody asked for".to_owned(),
            )),
        };
        let decoder = &mut self.decoder;
        event::read(&mut self.stream, scratch, ends, received, |bytes| {
            decoder.take(bytes, &mut answered)
        })
    }

    /// Has the poll tell once more what the connection is ready for.
    pub(super) fn ask_again(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        event::ask_again(&mut self.stream, registry, token)
    }
}
