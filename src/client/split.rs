//! The two directions of a connection, for a thread each.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::error::Error;
use super::stream::{allowed, is_timeout};
use crate::protocol::frame::FrameError;
use crate::protocol::reply::MalformedReply;
use crate::protocol::{Decoder, Frame, Reply};

/// What is written at a time, in bytes, so that the other half sees how it gets on.
const WRITE_LEN_MAX: usize = 64 << 10;

/// How long a reply is waited for before the caller can look at other things.
const PATIENCE: Duration = Duration::from_millis(100);

/// The half of a connection that sends; see [`Client::into_split`](super::Client::into_split).
#[derive(Debug)]
pub struct RequestHalf {
    socket: TcpStream,
    sent: Arc<AtomicU64>,
}

impl RequestHalf {
    /// Sends these bytes: frames, or a part of one. It waits as long as the server does not
    /// read; the other half has the deadline.
    pub fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.socket.write(&bytes[..bytes.len().min(WRITE_LEN_MAX)]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.sent.fetch_add(n as u64, Ordering::Relaxed);
                    bytes = &bytes[n..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The half of a connection that receives; see [`Client::into_split`](super::Client::into_split).
/// Dropped, it ends both halves.
#[derive(Debug)]
pub struct ReplyHalf {
    socket: TcpStream,
    decoder: Decoder,
    reply_len_max: usize,
    timeout: Duration,
    sent: Arc<AtomicU64>,
    /// What is counted here counts for the deadline.
    begun: Instant,
    sent_before: u64,
    received: u64,
}

/// Divides a connection.
pub(super) fn split(
    socket: TcpStream,
    timeout: Duration,
    reply_len_max: usize,
) -> io::Result<(RequestHalf, ReplyHalf)> {
    socket.set_write_timeout(None)?;
    socket.set_read_timeout(Some(PATIENCE.min(timeout)))?;
    let sent = Arc::<AtomicU64>::default();
    let requests = RequestHalf {
        socket: socket.try_clone()?,
        sent: Arc::clone(&sent),
    };
    let replies = ReplyHalf {
        socket,
        decoder: Decoder::new(reply_len_max),
        reply_len_max,
        timeout,
        sent,
        begun: Instant::now(),
        sent_before: 0,
        received: 0,
    };
    Ok((requests, replies))
}

impl ReplyHalf {
    /// The next reply; `None` if it has not come within 100 ms, and the deadline is not over.
    /// That runs from the reply before, or from [`restart`](Self::restart), and is put off by
    /// 1 s for each MiB that either half moves.
    ///
    /// After an error this half is of no more use.
    pub fn receive(&mut self) -> Result<Option<Reply>, Error> {
        loop {
            if let Some(reply) = self.decoded()? {
                self.restart();
                return Ok(Some(reply));
            }
            match self.decoder.read_from(&mut self.socket) {
                Ok(0) => return Err(Error::Closed),
                Ok(n) => self.received += n as u64,
                Err(error) if is_timeout(&error) => {
                    self.check_deadline()?;
                    return Ok(None);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Io(error)),
            }
            self.check_deadline()?;
        }
    }

    /// The deadline runs from now: for one who has waited for no reply.
    pub fn restart(&mut self) {
        self.begun = Instant::now();
        self.sent_before = self.sent.load(Ordering::Relaxed);
        self.received = 0;
    }

    fn check_deadline(&self) -> Result<(), Error> {
        let sent = self.sent.load(Ordering::Relaxed) - self.sent_before;
        match self.begun.elapsed() < allowed(self.timeout, sent + self.received) {
            true => Ok(()),
            false => Err(Error::TimedOut(self.timeout)),
        }
    }

    /// A reply that has arrived.
    fn decoded(&mut self) -> Result<Option<Reply>, Error> {
        let reply_len_max = self.reply_len_max;
        let frame = self.decoder.next_frame().map_err(|error| match error {
            FrameError::TooLong { len, .. } => Error::ReplyTooLong { len, reply_len_max },
            error => Error::Malformed(MalformedReply::new(error)),
        })?;
        let reply = match frame {
            None => return Ok(None),
            Some(Frame::Short(payload)) => Reply::parse(payload),
            Some(Frame::Long(frame)) => Reply::parse(frame.payload()),
            Some(Frame::Dropped(reason)) => Err(MalformedReply::new(reason)),
        };
        reply.map(Some).map_err(Error::Malformed)
    }
}

impl Drop for ReplyHalf {
    fn drop(&mut self) {
        // It may be closed already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}
