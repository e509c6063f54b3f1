//! A socket of which only changes are reported.

use std::io::{self, IoSlice, Read, Write};
use std::net;

use mio::event::Event;
use mio::net::TcpStream;

use crate::server::nonblocking::Socket;
use crate::server::socket;

/// A socket that is registered for edges: after a read that did not fill its
/// room the next one waits for an event, without asking the kernel again.
pub(super) struct EdgeSocket {
    stream: TcpStream,
    is_drained: bool,
    input_ends: bool,
}

impl EdgeSocket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            is_drained: false,
            input_ends: false,
        }
    }

    /// An event came for it.
    pub(super) fn ready(&mut self, event: &Event) {
        // The end of the input has no edge of its own if it comes with the
        // last bytes.
        self.input_ends |= event.is_read_closed();
        self.is_drained = false;
    }

    /// Reads without waiting for an event.
    pub(super) fn read_anyway(&mut self) {
        self.is_drained = false;
    }
}

impl Read for EdgeSocket {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.is_drained {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = self.stream.read(room)?;
        self.is_drained = n < room.len() && !self.input_ends;
        Ok(n)
    }
}

impl Write for EdgeSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for EdgeSocket {
    fn end_output(&mut self) -> io::Result<()> {
        self.stream.shutdown(net::Shutdown::Write)
    }

    fn unconfirmed_len(&self) -> usize {
        socket::unconfirmed_len(&self.stream)
    }
}
