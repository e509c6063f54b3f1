//! A connection to the server under test, which remembers what went over it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::answer::Answer;
use super::failure::Failure;
use super::hint::{hint, is_enough};
use super::stop::Stop;
use super::transcript::{Event, Transcript};
use crate::protocol::frame::{self, HEADER_LEN, framed};

/// Bytes that a server may have sent before anyone asked for so much.
const INBOX_LEN_MAX: usize = 128 << 20;

/// Bytes asked of the socket at once.
const READ_LEN: usize = 64 << 10;

/// How long to wait for what is behind a header that can't be right.
const REST_TIME: Duration = Duration::from_millis(50);

/// How often to look whether the wait is still wanted.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// A connection that never waits beyond its case's deadline.
///
/// While it sends it also takes in what comes, so that a server which answers
/// each request at once and this peer never wait for each other.
pub(crate) struct Link {
    name: String,
    stream: TcpStream,
    deadline: Instant,
    transcript: Transcript,
    inbox: Vec<u8>,
    /// The header of the frame that was sent last.
    header: Option<[u8; HEADER_LEN]>,
    end: Option<End>,
    /// Whether the peer takes no more bytes.
    is_deaf: bool,
    /// Raised when nobody needs the outcome any more.
    cancelled: Stop,
}

/// How the server ended its side.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
    /// It sent more than anyone asked for; the rest is not read.
    Flooded,
}

impl Link {
    pub(crate) fn connect(
        name: &str,
        address: SocketAddr,
        deadline: Instant,
        transcript: &Transcript,
    ) -> Result<Self, Failure> {
        let left = deadline.saturating_duration_since(Instant::now());
        TcpStream::connect_timeout(&address, left.max(Duration::from_millis(1)))
            .and_then(|stream| Self::over(name, stream, deadline, transcript))
            .map_err(|error| {
                Failure::new(
                    "the server accepts a connection",
                    format!("connect: {error}"),
                )
            })
    }

    /// A link over a connection that is already there.
    pub(crate) fn over(
        name: &str,
        stream: TcpStream,
        deadline: Instant,
        transcript: &Transcript,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        transcript.add(name, Event::Connected);
        Ok(Self {
            name: name.to_owned(),
            stream,
            deadline,
            transcript: transcript.clone(),
            inbox: Vec::new(),
            header: None,
            end: None,
            is_deaf: false,
            cancelled: Stop::default(),
        })
    }

    /// The link, which gives up at once when the flag is raised.
    pub(crate) fn cancelled_by(mut self, stop: &Stop) -> Self {
        self.cancelled = stop.clone();
        self
    }

    /// Moves the deadline, for a case that waits for less than all its time.
    pub(crate) fn until(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Does something that may wait for so long at most.
    pub(crate) fn within<T>(&mut self, time: Duration, act: impl FnOnce(&mut Self) -> T) -> T {
        let earlier = self.deadline.min(Instant::now() + time);
        let deadline = std::mem::replace(&mut self.deadline, earlier);
        let outcome = act(self);
        self.deadline = deadline;
        outcome
    }

    /// Sends the bytes, as far as the server takes them. Whether it took all
    /// shows in its replies, which are what a case is about.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() && self.end != Some(End::Reset) && !self.is_deaf {
            match self.stream.write(rest) {
                Ok(sent) => {
                    self.transcript.add(&self.name, Event::sent(&rest[..sent]));
                    rest = &rest[sent..];
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // A side that has ended would be ready to read for ever.
                    let events = match self.end {
                        None => PollFlags::POLLIN | PollFlags::POLLOUT,
                        Some(_) => PollFlags::POLLOUT,
                    };
                    if !self.wait(events) {
                        let left = rest.len();
                        self.note(format!("the peer does not take the last {left} bytes"));
                        return;
                    }
                    self.take_in();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.note(format!("no more could be sent: {error}"));
                    self.is_deaf = true;
                    return;
                }
            }
        }
    }

    /// Sends pieces of the lengths in `cut`, then pieces of `len` bytes or all
    /// the rest, with a pause between them.
    pub(crate) fn send_in_pieces(
        &mut self,
        bytes: &[u8],
        cut: &[usize],
        len: Option<usize>,
        pause: Duration,
    ) {
        self.header = bytes.first_chunk().copied();
        let mut cuts = cut.iter().copied();
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = cuts.next().or(len).unwrap_or(rest.len());
            let (piece, later) = rest.split_at(len.min(rest.len()));
            self.send(piece);
            rest = later;
            if !rest.is_empty() && !pause.is_zero() {
                thread::sleep(pause);
            }
        }
    }

    /// Sends the payload in a frame.
    pub(crate) fn send_frame(&mut self, payload: impl AsRef<[u8]>) {
        let frame = framed(payload.as_ref());
        self.header = frame.first_chunk().copied();
        self.send(&frame);
    }

    /// Sends the payload in a frame and waits for the reply.
    pub(crate) fn ask(&mut self, payload: impl AsRef<[u8]>) -> Result<Answer, Failure> {
        self.send_frame(payload);
        self.answer()
    }

    /// Sends the payload and fails unless the reply has the status.
    pub(crate) fn expect(
        &mut self,
        payload: impl AsRef<[u8]>,
        status: u64,
    ) -> Result<Answer, Failure> {
        self.ask(payload)?.with_status(status)
    }

    /// Waits for the next reply.
    pub(crate) fn answer(&mut self) -> Result<Answer, Failure> {
        let payload = self.payload()?;
        let answer = Answer::read(&payload).map_err(|failure| {
            let frame = framed(&payload);
            failure.with_hint(|| hint(&[frame.as_slice(), &self.inbox].concat()))
        })?;
        Ok(match self.header {
            Some(header) => answer.asked_with(header),
            None => answer,
        })
    }

    /// Waits for the payload of the next frame.
    pub(crate) fn payload(&mut self) -> Result<Vec<u8>, Failure> {
        self.next_payload().map_err(|failure| {
            // What is behind a header that can't be right may still be on its way.
            self.within(REST_TIME, |link| {
                while !is_enough(&link.inbox) && link.end.is_none() && link.wait(PollFlags::POLLIN)
                {
                    link.take_in();
                }
            });
            failure.with_hint(|| self.fault())
        })
    }

    fn next_payload(&mut self) -> Result<Vec<u8>, Failure> {
        self.gather(HEADER_LEN)?;
        let header = self.inbox[..HEADER_LEN].try_into().expect("4 bytes");
        let len = frame::payload_len(header, frame::FRAME_LEN_MAX).map_err(|_| {
            Failure::new(
                "a frame: a 4-byte big-endian length from 0 up, then so many bytes",
                format!("a header of {header:02x?}, which is no length"),
            )
        })?;
        if len > INBOX_LEN_MAX {
            return Err(Failure::new(
                "a reply as long as its value",
                format!("the announcement of {len} bytes, more than any case asks for"),
            ));
        }
        self.gather(HEADER_LEN + len)?;
        let payload = self.inbox[HEADER_LEN..HEADER_LEN + len].to_vec();
        self.inbox.drain(..HEADER_LEN + len);
        Ok(payload)
    }

    /// The payload of a frame that has come as a whole, without waiting.
    pub(crate) fn payload_that_came(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        self.take_in();
        let header = self.inbox.first_chunk::<HEADER_LEN>();
        let len = header.map(|header| i32::from_be_bytes(*header));
        match len {
            Some(len) if self.inbox.len() < HEADER_LEN + usize::try_from(len).unwrap_or(0) => {
                Ok(None)
            }
            Some(_) => self.payload().map(Some),
            None => Ok(None),
        }
    }

    /// What is wrong with the bytes that have come and were not taken, where they show it.
    pub(crate) fn fault(&self) -> Option<String> {
        hint(&self.inbox)
    }

    /// Waits for the first bytes that come, and returns how many came at once.
    ///
    /// It asks without pause, so that the two halves of a reply that was
    /// written in two pieces are seen apart.
    pub(crate) fn first_piece(&mut self) -> Result<usize, Failure> {
        while self.inbox.is_empty() {
            self.take_in();
            if self.end.is_some() || Instant::now() > self.deadline {
                return Err(self.missing(HEADER_LEN));
            }
        }
        Ok(self.inbox.len())
    }

    /// Fails unless the server now closes the connection, without a word more.
    pub(crate) fn expect_close(&mut self) -> Result<(), Failure> {
        const EXPECTED: &str = "the server closes the connection";

        while self.end.is_none() && self.inbox.is_empty() {
            if !self.wait(PollFlags::POLLIN) {
                return Err(Failure::new(EXPECTED, "it stays open"));
            }
            self.take_in();
        }
        match self.inbox.len() {
            0 => Ok(()),
            len => Err(Failure::new(EXPECTED, format!("{len} bytes more came"))),
        }
    }

    /// Fails if anything comes within the time. The connection may end.
    pub(crate) fn expect_silence(&mut self, time: Duration) -> Result<(), Failure> {
        self.within(time, |link| {
            while link.inbox.is_empty() && link.end.is_none() && link.wait(PollFlags::POLLIN) {
                link.take_in();
            }
        });
        match self.inbox.len() {
            0 => Ok(()),
            len => {
                let failure = Failure::new("no reply", format!("{len} bytes came"));
                Err(failure.with_hint(|| self.fault()))
            }
        }
    }

    /// Ends this side's output; replies can still come.
    pub(crate) fn half_close(&mut self) {
        // A connection that is gone shows in what is read next.
        let _ = self.stream.shutdown(Shutdown::Write);
        self.transcript.add(&self.name, Event::HalfClosed);
    }

    fn gather(&mut self, len: usize) -> Result<(), Failure> {
        while self.inbox.len() < len {
            if self.end.is_some() || !self.wait(PollFlags::POLLIN) {
                return Err(self.missing(len));
            }
            self.take_in();
        }
        Ok(())
    }

    fn missing(&self, len: usize) -> Failure {
        let came = match self.inbox.len() {
            0 => "nothing".to_owned(),
            have => format!("{have} of {len} bytes"),
        };
        let got = match self.end {
            None => format!("{came}; the time was up"),
            Some(End::Closed) => format!("{came}; the peer closed the connection"),
            Some(End::Reset) => format!("{came}; the peer reset the connection"),
            Some(End::Flooded) => format!("more than {INBOX_LEN_MAX} bytes"),
        };
        Failure::new("a reply", got)
    }

    /// Waits until the socket is ready; not beyond the deadline.
    fn wait(&self, events: PollFlags) -> bool {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.cancelled.is_raised() {
                return false;
            }
            // A millisecond more, because poll counts in whole ones.
            let time = left.min(LOOK_INTERVAL) + Duration::from_millis(1);
            let time = PollTimeout::try_from(time.as_millis()).unwrap_or(PollTimeout::ZERO);
            let mut fds = [PollFd::new(self.stream.as_fd(), events)];
            match poll(&mut fds, time) {
                Ok(0) | Err(Errno::EINTR) => {}
                outcome => return outcome.is_ok(),
            }
        }
    }

    /// Reads all that has come.
    fn take_in(&mut self) {
        while self.end.is_none() {
            let have = self.inbox.len();
            if have > INBOX_LEN_MAX {
                self.note(format!(
                    "more than {INBOX_LEN_MAX} bytes came; no more are read"
                ));
                self.ended(End::Flooded);
                return;
            }
            self.inbox.resize(have + READ_LEN, 0);
            let outcome = self.stream.read(&mut self.inbox[have..]);
            self.inbox.truncate(have + *outcome.as_ref().unwrap_or(&0));
            match outcome {
                Ok(0) => self.ended(End::Closed),
                Ok(_) => {
                    let event = Event::received(&self.inbox[have..]);
                    self.transcript.add(&self.name, event);
                    return;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.ended(End::Reset),
            }
        }
    }

    fn ended(&mut self, end: End) {
        self.end = Some(end);
        let event = match end {
            End::Closed => Event::Closed,
            End::Reset => Event::Reset,
            End::Flooded => return,
        };
        self.transcript.add(&self.name, event);
    }

    fn note(&self, text: String) {
        self.transcript.add(&self.name, Event::Note(text));
    }
}
