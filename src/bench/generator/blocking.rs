//! A connection for what is not measured: it sends, and waits for the replies.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::decoder::{Answer, Decoder, Failure};
use super::limits::{CONNECT_TIMEOUT, LOOK_INTERVAL, REPLY_TIMEOUT};
use super::load::Load;

/// What one read takes, in bytes.
const READ_LEN: usize = 16 << 10;

/// It looks at the clock and at the stop flag after each read and write, and neither takes
/// longer than [`LOOK_INTERVAL`].
pub(super) struct Blocking<'a> {
    stream: TcpStream,
    decoder: Decoder,
    stop: &'a AtomicBool,
    deadline: Instant,
    /// When bytes were taken, or a reply came.
    progress: Instant,
}

impl<'a> Blocking<'a> {
    /// Connects; until the deadline it may be used.
    pub(super) fn connect(
        load: &Load,
        stop: &'a AtomicBool,
        deadline: Instant,
    ) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&load.address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK_INTERVAL))?;
        stream.set_write_timeout(Some(LOOK_INTERVAL))?;
        Ok(Self {
            stream,
            // All of a reply is kept: it is shown if it is a wrong one.
            decoder: Decoder::new(load, true),
            stop,
            deadline,
            progress: Instant::now(),
        })
    }

    /// Sends all of the bytes; fails with a sentence.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut rest = bytes;
        self.progress = Instant::now();
        while !rest.is_empty() {
            self.check()?;
            match self.stream.write(rest) {
                Ok(sent) => {
                    rest = &rest[sent..];
                    self.progress = Instant::now();
                }
                Err(error) if is_worth_another_look(&error) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    /// Hands so many replies to `deliver`; fails with a sentence, also when more come.
    pub(super) fn receive(
        &mut self,
        count: usize,
        mut deliver: impl FnMut(Answer<'_>) -> Result<(), Failure>,
    ) -> Result<(), String> {
        let mut left = count;
        let mut room = [0; READ_LEN];
        while left > 0 {
            self.check()?;
            let n = match self.stream.read(&mut room) {
                Ok(0) => return Err("it closed the connection".to_owned()),
                Ok(n) => n,
                Err(error) if is_worth_another_look(&error) => continue,
                Err(error) => return Err(error.to_string()),
            };
            let progress = &mut self.progress;
            let mut counted = |answer: Answer<'_>| {
                let too_many = || Failure::Malformed("it sent too many replies".to_owned());
                left = left.checked_sub(1).ok_or_else(too_many)?;
                *progress = Instant::now();
                deliver(answer)
            };
            let taken = self.decoder.take(&room[..n], &mut counted);
            taken.map_err(Failure::into_sentence)?;
        }
        Ok(())
    }

    /// The stream, for a caller that has all its replies.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    fn check(&self) -> Result<(), String> {
        if self.stop.load(Ordering::Relaxed) {
            return Err("interrupted".to_owned());
        }
        let now = Instant::now();
        if now.duration_since(self.progress) >= REPLY_TIMEOUT {
            let seconds = REPLY_TIMEOUT.as_secs();
            return Err(format!("no reply came for {seconds} s"));
        }
        if now >= self.deadline {
            return Err("it took too long".to_owned());
        }
        Ok(())
    }
}

fn is_worth_another_look(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
