//! One connection: requests out, replies in.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::decoder::{Answer, Decoder, Failure};
use super::load::Load;
use crate::bench::protocol::{Outcome, Protocol};
use crate::bench::workload::{Operation, Values};

/// The most that is read or written for one event, in bytes: a server that is always there first
/// must not keep a thread from the clock.
const EVENT_LEN_MAX: usize = 1 << 20;

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
    decoder: Decoder,
}

impl Connection {
    const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

    pub(super) fn register(
        mut stream: TcpStream,
        load: &Load,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        registry.register(&mut stream, token, Self::INTEREST)?;
        Ok(Self {
            stream,
            in_flight: VecDeque::new(),
            is_dirty: false,
            out: Vec::new(),
            written: 0,
            decoder: Decoder::new(load, load.verify),
        })
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

    /// Whether requests are left that the socket did not take.
    pub(super) fn has_unsent(&self) -> bool {
        self.written < self.out.len()
    }

    /// Writes what the socket takes, but no more than [`EVENT_LEN_MAX`]; adds how many bytes
    /// that is to `sent`.
    ///
    /// Returns whether the socket may take more, for which there will be no event.
    pub(super) fn flush(&mut self, sent: &mut u64) -> Result<bool, Failure> {
        let mut left = EVENT_LEN_MAX;
        while self.has_unsent() {
            if left == 0 {
                return Ok(true);
            }
            let end = self.out.len().min(self.written + left);
            match self.stream.write(&self.out[self.written..end]) {
                Ok(0) => return Ok(false),
                Ok(n) => {
                    self.written += n;
                    *sent += n as u64;
                    left -= n;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(false)
    }

    /// Reads what is there into `scratch`, but no more than [`EVENT_LEN_MAX`], and hands each
    /// reply to `deliver`, with its value if they are wanted; adds how many bytes came to
    /// `received`. To the end of the stream if `ends`, for which there will be no event.
    ///
    /// Returns whether more is there, for which there will be no event either.
    pub(super) fn receive(
        &mut self,
        scratch: &mut [u8],
        ends: bool,
        received: &mut u64,
        mut deliver: impl FnMut(InFlight, Outcome, &[u8]),
    ) -> Result<bool, Failure> {
        let in_flight = &mut self.in_flight;
        let mut answered = |answer: Answer<'_>| {
            let request = in_flight.pop_front();
            let nobody = || Failure::Malformed("a reply came that nobody asked for".to_owned());
            deliver(request.ok_or_else(nobody)?, answer.outcome, answer.value);
            Ok(())
        };
        let mut left = EVENT_LEN_MAX;
        while left > 0 {
            let n = match self.stream.read(scratch) {
                Ok(0) => return Err(Failure::Closed("the server closed it".to_owned())),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            *received += n as u64;
            self.decoder.take(&scratch[..n], &mut answered)?;
            if n < scratch.len() && !ends {
                return Ok(false);
            }
            left = left.saturating_sub(n);
        }
        Ok(true)
    }

    /// Has the poll tell once more what the connection is ready for.
    pub(super) fn ask_again(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.reregister(&mut self.stream, token, Self::INTEREST)
    }
}
