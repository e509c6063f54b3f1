//! One connection's way from bytes to batches and back, without any I/O, in
//! order and within bounds.
//!
//! A session knows neither sockets nor stores and waits for nothing. It says
//! what it needs [next](Session::next); a model does that, in its own way of
//! waiting, and asks again until the session has [ended](End). So every model
//! reads, parses, answers and gives up alike.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use super::config::Config;
use super::counts::{Sample, ThreadCounts};
use super::end::End;
use super::limits::{DRAIN_CONFIRM_MAX, DRAIN_EMPTY_READS, DRAIN_READ_MAX, PENDING_LEN_MAX};
use super::linger::Linger;
use super::pace::{FramePace, Pace};
use crate::memory::ceiling;
use crate::protocol::{Decoder, Encoder, FrameError, Reply};
use crate::store::Batch;

/// What a session needs to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Bytes of the peer: [`Session::read_from`] its socket.
    Read,
    /// A store that executes [`Session::batch`].
    Execute,
    /// Room for replies: [`Session::write_to`] the socket.
    Write,
    /// The socket's sending side ended, once: no reply follows.
    EndOutput,
    /// Nothing but time: the connection drains, and nothing more is read.
    Wait,
}

/// Buffers that the connections of one thread share: each takes them to be
/// driven, and releases those with nothing in them.
#[cfg(any(feature = "tokio", feature = "epoll"))]
#[derive(Debug, Default)]
pub(super) struct Scratch {
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    batch: Option<Box<Batch>>,
}

/// Replies on their way to a peer that is slower than the server.
#[derive(Debug)]
struct Blocked {
    pace: Pace,
    /// Bytes that were unconfirmed at its begin or have been written since.
    sent: usize,
    /// How many of those the peer had confirmed when it was last asked.
    confirmed: usize,
}

/// What is left to do after the server was asked to stop.
#[derive(Clone, Copy, Debug)]
enum Drain {
    /// Read on, until nothing came so many times.
    Reading { empty_reads: u32 },
    /// Only answer what has been read.
    Answering,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Session {
    decoder: Decoder,
    encoder: Encoder,
    batch: Option<Box<Batch>>,
    /// The store has the batch.
    executing: bool,
    /// Of the batch that is executed, if it is one that is measured.
    sample: Option<Sample>,
    frame: FramePace,
    /// Of replies that the socket had no room for.
    blocked: Option<Box<Blocked>>,
    write_timeout: Duration,
    idle_timeout: Option<Duration>,
    active_at: Option<Instant>,
    /// Bytes have come that nobody has asked about.
    has_heard: bool,
    /// Why nothing more is decoded (F4, F5).
    out_of_step: Option<FrameError>,
    /// Begins when the last reply of a stream out of step is written.
    linger: Option<Box<Linger>>,
    drain: Option<Drain>,
}

impl Session {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            decoder: Decoder::new(config.frame_len_max),
            encoder: Encoder::default(),
            batch: None,
            executing: false,
            sample: None,
            frame: FramePace::new(config.frame_timeout),
            blocked: None,
            write_timeout: config.write_timeout,
            idle_timeout: config.idle_timeout,
            active_at: config.idle_timeout.map(|_| Instant::now()),
            has_heard: false,
            out_of_step: None,
            linger: None,
            drain: None,
        }
    }

    /// Takes buffers from `scratch` in place of those that it does not have;
    /// without it, it makes its own.
    #[cfg(any(feature = "tokio", feature = "epoll"))]
    pub(super) fn acquire(&mut self, scratch: &mut Scratch) {
        self.decoder.acquire(&mut scratch.incoming);
        self.encoder.acquire(&mut scratch.outgoing);
        if self.batch.is_none() {
            self.batch = scratch.batch.take();
        }
    }

    /// Gives the buffers with nothing in them to `scratch`, which keeps one of
    /// each kind.
    #[cfg(any(feature = "tokio", feature = "epoll"))]
    pub(super) fn release(&mut self, scratch: &mut Scratch) {
        self.decoder.release(&mut scratch.incoming);
        self.encoder.release(&mut scratch.outgoing);
        if !self.executing && !self.has_slots() && self.batch.is_some() {
            scratch.batch = self.batch.take();
        }
        if ceiling::is_frugal() {
            self.shrink();
        }
    }

    /// Gives up all room in which there is nothing.
    pub(super) fn shrink(&mut self) {
        self.decoder.shrink();
        self.encoder.shrink();
        match &mut self.batch {
            Some(batch) if !self.executing && batch.is_empty() => self.batch = None,
            Some(batch) => batch.shrink(),
            None => {}
        }
    }

    /// What it needs to go on. Parses what was read and encodes what was
    /// executed.
    pub(super) fn next(&mut self, counts: &mut ThreadCounts) -> Next {
        if self.executing {
            return Next::Execute;
        }
        if self.linger.is_some() {
            return self.read_on();
        }
        if !self.has_slots() {
            if self.encoder.pending() > 0 {
                return Next::Write;
            }
            if self.out_of_step.is_some() {
                self.linger = Some(Box::new(Linger::begin()));
                return Next::EndOutput;
            }
            if !self.fill() {
                // Not before: the time that the peer took to read its replies
                // does not count against the frame that it has begun.
                self.frame.wait(self.decoder.buffered());
                return self.read_on();
            }
        }
        if let Some(batch) = &mut self.batch {
            // One at a time, when there is no memory to keep more.
            let len_max = if ceiling::is_frugal() {
                1
            } else {
                PENDING_LEN_MAX
            };
            batch.encode(&mut self.encoder, len_max);
            // Before the peer can read a reply, and look whether it was counted.
            if !batch.tally().is_empty() {
                counts.answered(batch.tally());
                if let Some(sample) = self.sample {
                    counts.measured(sample);
                    self.sample = None;
                }
            }
        }
        if self.encoder.pending() > 0 {
            return Next::Write;
        }
        self.executing = true;
        if let Some(sample) = counts.sample_batch() {
            self.sample = Some(sample);
        }
        Next::Execute
    }

    /// The requests that a store has to execute, and in their places the
    /// replies that it makes.
    pub(super) fn batch(&mut self) -> &mut Batch {
        self.batch.get_or_insert_default()
    }

    /// When the batch was complete, if it is one that is measured.
    pub(super) fn sample(&self) -> Option<Sample> {
        self.sample
    }

    /// The store has executed the batch, or as much of it as has room.
    pub(super) fn executed(&mut self) {
        self.executing = false;
    }

    /// Takes what one read brings, and returns its length.
    ///
    /// Fails as the reader does, also where it would wait, and with the
    /// connection's end when the peer has no more to say.
    pub(super) fn read_from(
        &mut self,
        reader: &mut impl Read,
        counts: &mut ThreadCounts,
    ) -> Result<usize, End> {
        let came = match &mut self.linger {
            Some(linger) => linger.drop_some(reader),
            None => self.decoder.read_from(reader),
        };
        match came {
            Ok(0) if self.linger.is_some() => Err(self.late_end()),
            Ok(0) => Err(End::PeerClosed),
            Ok(n) => {
                counts.received(n);
                self.has_heard = true;
                self.active_at = self.idle_timeout.map(|_| Instant::now());
                Ok(n)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Hands what is pending to one write; whether it took all. Fails as the
    /// writer does, also where it would wait.
    pub(super) fn write_to(
        &mut self,
        writer: &mut impl Write,
        counts: &mut ThreadCounts,
    ) -> Result<bool, End> {
        let n = match self.encoder.write_to(writer) {
            Ok(0) => return Err(io::Error::from(ErrorKind::WriteZero).into()),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            Err(error) => return Err(error.into()),
        };
        counts.sent(n);
        if let Some(blocked) = &mut self.blocked {
            blocked.sent += n;
        }
        let is_all = self.encoder.pending() == 0;
        if is_all {
            self.blocked = None;
            // The time that the peer took to read is no silence.
            self.active_at = self.idle_timeout.map(|_| Instant::now());
        }
        Ok(is_all)
    }

    /// The socket has no room, and its peer has not confirmed so many bytes
    /// that it was sent. Fails if there is no memory to keep the rest.
    pub(super) fn write_blocked(&mut self, unconfirmed: usize) -> Result<(), End> {
        if ceiling::is_spent() {
            return Err(End::NoMemory);
        }
        self.note_blocked(unconfirmed);
        Ok(())
    }

    fn note_blocked(&mut self, unconfirmed: usize) {
        let blocked = self.blocked.get_or_insert_with(|| {
            Box::new(Blocked {
                pace: Pace::begin(self.write_timeout),
                sent: unconfirmed,
                confirmed: 0,
            })
        });
        blocked.confirmed = blocked.sent.saturating_sub(unconfirmed);
    }

    /// Whether it has nothing to do until its peer begins a frame.
    pub(super) fn is_silent(&self) -> bool {
        self.all_is_written() && self.decoder.buffered() == 0 && self.out_of_step.is_none()
    }

    /// Whether bytes have come since this was last asked.
    pub(super) fn take_has_heard(&mut self) -> bool {
        std::mem::take(&mut self.has_heard)
    }

    /// When the connection is late, if nothing happens before. None while a
    /// store has its batch: the peer can do nothing about that.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if let Some(linger) = &self.linger {
            return Some(linger.deadline());
        }
        if let Some(blocked) = &self.blocked {
            return Some(blocked.pace.deadline(blocked.confirmed));
        }
        if self.executing || self.has_requests() {
            return None;
        }
        if let Some(pace) = self.frame.pace() {
            return Some(pace.deadline(self.decoder.buffered()));
        }
        self.active_at
            .zip(self.idle_timeout)
            .map(|(active_at, timeout)| active_at + timeout)
    }

    /// How the connection ends if its [`deadline`](Self::deadline) is past,
    /// with so many bytes unconfirmed.
    pub(super) fn late(&mut self, unconfirmed: usize) -> Option<End> {
        if self.blocked.is_some() {
            self.note_blocked(unconfirmed);
        }
        let is_past = self.deadline().is_some_and(|at| at <= Instant::now());
        is_past.then(|| self.late_end())
    }

    /// The server was asked to stop so long ago. To be said again every
    /// [`DRAIN_INTERVAL`](super::limits::DRAIN_INTERVAL), before the socket is
    /// looked at. Fails when the peer has had its time.
    pub(super) fn drain(&mut self, since_stop: Duration) -> Result<(), End> {
        let drain = self.drain.get_or_insert(Drain::Reading { empty_reads: 0 });
        if since_stop >= DRAIN_READ_MAX {
            *drain = Drain::Answering;
        }
        if since_stop > DRAIN_CONFIRM_MAX {
            return Err(End::CutOff);
        }
        Ok(())
    }

    /// The connection's end, if the peer has sent all it had to and has all its
    /// replies.
    ///
    /// To be asked each time that the socket had nothing to read, with the
    /// bytes that the peer has not confirmed.
    pub(super) fn drained(&mut self, unconfirmed: usize) -> Result<(), End> {
        let all_is_written = self.all_is_written();
        if let Some(Drain::Reading { empty_reads }) = &mut self.drain {
            // One that is held up by its store or its peer has not read.
            *empty_reads += u32::from(all_is_written);
            if *empty_reads >= DRAIN_EMPTY_READS {
                self.drain = Some(Drain::Answering);
            }
        }
        let reads_on = matches!(self.drain, Some(Drain::Reading { .. }));
        if !reads_on && all_is_written && unconfirmed == 0 {
            return Err(End::Stopping);
        }
        Ok(())
    }

    fn all_is_written(&self) -> bool {
        !self.executing && !self.has_slots() && self.encoder.pending() == 0
    }

    fn has_slots(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| !batch.is_empty())
    }

    fn has_requests(&self) -> bool {
        self.batch
            .as_ref()
            .is_some_and(|batch| batch.has_requests())
    }

    fn read_on(&self) -> Next {
        match self.drain {
            Some(Drain::Answering) => Next::Wait,
            _ => Next::Read,
        }
    }

    /// Takes the frames that have arrived into the batch; whether there are any.
    fn fill(&mut self) -> bool {
        loop {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => {
                    self.frame.end();
                    let batch = self.batch.get_or_insert_default();
                    batch.push_frame(frame);
                    if batch.is_full() {
                        return true;
                    }
                }
                Ok(None) => return self.has_slots(),
                Err(error) => {
                    self.out_of_step = Some(error);
                    let batch = self.batch.get_or_insert_default();
                    batch.push_refusal(Reply::BadRequest(error.to_string()));
                    return true;
                }
            }
        }
    }

    fn late_end(&self) -> End {
        match (&self.linger, self.out_of_step) {
            (Some(_), Some(error)) => End::OutOfStep(error),
            _ if self.blocked.is_some() => End::WriteTimeout,
            _ if self.frame.pace().is_some() => End::FrameTimeout,
            _ => End::Idle,
        }
    }
}
