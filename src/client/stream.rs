//! A socket whose reads and writes end by the deadline of a call.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Bytes that get a call a second more, whether sent or received: what moves so fast is
/// no silent peer, and what moves slower is not waited for.
const BYTES_PER_SECOND: u32 = 1 << 20;

/// A read or write may overstay the deadline by this part of the timeout: to set a
/// socket's own timeout each time would cost a system call for each.
const SLACK: u32 = 8;

/// The connection of a client.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    timeout: Duration,
    begun: Instant,
    /// Bytes sent and received since then.
    moved: usize,
    /// What the socket's timeouts are set to.
    read_timeout: Duration,
    write_timeout: Duration,
}

impl Stream {
    pub(super) fn new(socket: TcpStream, timeout: Duration) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(timeout))?;
        socket.set_write_timeout(Some(timeout))?;
        Ok(Self {
            socket,
            timeout,
            begun: Instant::now(),
            moved: 0,
            read_timeout: timeout,
            write_timeout: timeout,
        })
    }

    /// The socket, with whatever timeouts it has.
    pub(super) fn into_socket(self) -> TcpStream {
        self.socket
    }

    /// The deadline runs from now.
    pub(super) fn restart(&mut self) {
        (self.begun, self.moved) = (Instant::now(), 0);
    }

    /// The time to the deadline; `TimedOut` when there is none.
    fn left(&self) -> io::Result<Duration> {
        let allowed = allowed(self.timeout, self.moved as u64);
        match allowed.saturating_sub(self.begun.elapsed()) {
            Duration::ZERO => Err(ErrorKind::TimedOut.into()),
            left => Ok(left),
        }
    }

    /// Whether a socket's timeout has to be set anew: it would overstay the deadline, or
    /// wake the call much too often.
    fn is_off(&self, set: Duration, left: Duration) -> bool {
        set > left.saturating_add(self.timeout / SLACK) || set < left / 2
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.left()?;
            if self.is_off(self.read_timeout, left) {
                self.socket.set_read_timeout(Some(left))?;
                self.read_timeout = left;
            }
            match self.socket.read(buffer) {
                Err(error) if is_timeout(&error) => {}
                outcome => {
                    self.moved += *outcome.as_ref().unwrap_or(&0);
                    return outcome;
                }
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let left = self.left()?;
            if self.is_off(self.write_timeout, left) {
                self.socket.set_write_timeout(Some(left))?;
                self.write_timeout = left;
            }
            match self.socket.write(bytes) {
                Err(error) if is_timeout(&error) => {}
                outcome => {
                    self.moved += *outcome.as_ref().unwrap_or(&0);
                    return outcome;
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a call may take that has moved so many bytes.
pub(super) fn allowed(timeout: Duration, moved: u64) -> Duration {
    let earned = Duration::from_secs_f64(moved as f64 / f64::from(BYTES_PER_SECOND));
    timeout.saturating_add(earned)
}

/// A socket's own timeout shows as either of the two, by the system.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
