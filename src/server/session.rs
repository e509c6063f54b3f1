//! One connection's way from bytes to replies, for models whose sockets never
//! block: bytes in, requests, replies, bytes out, in order and within bounds.
//!
//! A session waits for nothing. A model calls [`Session::turn`] when its
//! socket may be ready, and closes the connection when the session says so.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::end::End;
use super::limits::{BATCH_LEN_MAX, CONFIRM_TIME_MAX, DRAIN_TIME_MAX, LAST_LOOKS, PENDING_LEN_MAX};
use super::pace::{FramePace, Pace};
use super::socket::{Linger, unconfirmed_len};
use super::{Config, Shutdown, discard};
use crate::protocol::{Decoder, Encoder, FrameError, Reply, Request};
use crate::store::Discarded;
use crate::store::shards::Shards;

/// A socket that never blocks: it fails with `WouldBlock`, and the model knows
/// when to try again.
pub(super) trait Socket: Read + Write + AsFd {
    /// Ends what the peer can read, after what has been written.
    fn end_output(&mut self) -> io::Result<()>;
}

/// Batches that are executed, and reads, before other connections get their
/// turns. More made those wait: 200 ms behind two peers that only pipeline.
const BATCHES_PER_TURN: usize = 2;
const READS_PER_TURN: usize = 8;

/// Buffers for the sessions of one thread. A session has them during its
/// turn, and keeps them only if the turn ends with bytes in them.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

/// Why a turn ended while the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The socket has nothing to read, or no room for replies.
    NotReady,
    /// There is more to do, after other connections had their turn.
    Again,
}

/// Replies on their way to a peer that is slower than the server.
#[derive(Debug)]
struct Writing {
    pace: Pace,
    /// Bytes that were unconfirmed at its begin or have been written since.
    sent: usize,
    /// How many of those the peer had confirmed when that was last looked at.
    taken: usize,
}

impl Writing {
    fn begin(write_timeout: Duration, socket: &impl AsFd) -> Self {
        Self {
            pace: Pace::begin(write_timeout),
            sent: unconfirmed_len(socket),
            taken: 0,
        }
    }

    fn look(&mut self, socket: &impl AsFd) {
        self.taken = self.sent.saturating_sub(unconfirmed_len(socket));
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Session {
    decoder: Decoder,
    encoder: Encoder,
    frame: FramePace,
    /// Of the replies that the socket had no room for.
    writing: Option<Writing>,
    write_timeout: Duration,
    idle_timeout: Option<Duration>,
    active_at: Option<Instant>,
    /// Why nothing more is read from the stream (F4, F5).
    out_of_step: Option<FrameError>,
    /// Begins when the last reply of a stream out of step is written.
    linger: Option<Linger>,
    last_looks: u32,
}

impl Session {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            decoder: Decoder::new(config.frame_len_max),
            encoder: Encoder::default(),
            frame: FramePace::new(config.frame_timeout),
            writing: None,
            write_timeout: config.write_timeout,
            idle_timeout: config.idle_timeout,
            active_at: config.idle_timeout.map(|_| Instant::now()),
            linger: None,
            out_of_step: None,
            last_looks: 0,
        }
    }

    /// Does all that the socket lets it do without waiting.
    pub(super) fn turn<S: Socket>(
        &mut self,
        socket: &mut S,
        store: &Shards,
        scratch: &mut Scratch,
    ) -> Result<Turn, End> {
        self.decoder.lend(&mut scratch.incoming);
        self.encoder.lend(&mut scratch.outgoing);
        let turn = self.rounds(socket, store);
        self.decoder.reclaim(&mut scratch.incoming);
        self.encoder.reclaim(&mut scratch.outgoing);
        turn
    }

    /// When the connection is late if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if let Some(linger) = &self.linger {
            return Some(linger.deadline());
        }
        if let Some(writing) = &self.writing {
            return Some(writing.pace.deadline(writing.taken));
        }
        if let Some(pace) = self.frame.pace() {
            return Some(pace.deadline(self.decoder.buffered()));
        }
        self.active_at
            .zip(self.idle_timeout)
            .map(|(active_at, timeout)| active_at + timeout)
    }

    /// How the connection ends now that its [`deadline`](Self::deadline) is
    /// past; `None` if a closer look shows that it is not.
    pub(super) fn late(&mut self, socket: &impl AsFd) -> Option<End> {
        if let Some(writing) = &mut self.writing {
            writing.look(socket);
        }
        let is_past = self.deadline().is_some_and(|at| at <= Instant::now());
        is_past.then(|| self.lateness())
    }

    fn lateness(&self) -> End {
        match (&self.linger, self.out_of_step, &self.writing) {
            (Some(_), Some(error), _) => End::OutOfStep(error),
            (_, _, Some(_)) => End::WriteTimeout,
            _ if self.frame.pace().is_some() => End::FrameTimeout,
            _ => End::Idle,
        }
    }

    /// A turn after the server was asked to stop, to be repeated every
    /// [`LAST_LOOK_INTERVAL`](super::limits::LAST_LOOK_INTERVAL) until it fails: when
    /// the peer has sent all it had to, and has all its replies.
    pub(super) fn last_look<S: Socket>(
        &mut self,
        socket: &mut S,
        store: &Shards,
        scratch: &mut Scratch,
        shutdown: &Shutdown,
    ) -> Result<(), End> {
        let may_read = self.last_looks < LAST_LOOKS && shutdown.elapsed() < DRAIN_TIME_MAX;
        if may_read {
            let turn = self.turn(socket, store, scratch)?;
            // A turn that was held up by its replies has not looked.
            if turn == Turn::NotReady && self.encoder.pending() == 0 {
                self.last_looks += 1;
            }
        } else if shutdown.elapsed() > CONFIRM_TIME_MAX {
            return Err(End::Stopping);
        } else if self.encoder.pending() > 0 {
            self.write(socket)?;
        } else if unconfirmed_len(socket) == 0 {
            return Err(End::Stopping);
        }
        Ok(())
    }

    fn rounds<S: Socket>(&mut self, socket: &mut S, store: &Shards) -> Result<Turn, End> {
        let (mut batches, mut reads) = (0, 0);
        loop {
            if !self.write(socket)? {
                return Ok(Turn::NotReady);
            }
            if let Some(error) = self.out_of_step {
                return self.drop_the_rest(socket, End::OutOfStep(error));
            }
            if batches == BATCHES_PER_TURN || reads == READS_PER_TURN {
                return Ok(Turn::Again);
            }
            if self.execute(store) {
                batches += 1;
            } else if self.read(socket)? {
                reads += 1;
            } else {
                return Ok(Turn::NotReady);
            }
        }
    }

    /// Writes what is pending; whether the socket has taken all of it.
    fn write(&mut self, socket: &mut impl Socket) -> Result<bool, End> {
        while self.encoder.pending() > 0 {
            match self.encoder.write_to(socket) {
                Ok(0) => return Err(io::Error::from(ErrorKind::WriteZero).into()),
                Ok(n) => {
                    if let Some(writing) = &mut self.writing {
                        writing.sent += n;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let begin = || Writing::begin(self.write_timeout, socket);
                    self.writing.get_or_insert_with(begin).look(socket);
                    return Ok(false);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        if self.writing.take().is_some() {
            // The time that the peer took to read counts neither as silence
            // nor against the frame that came meanwhile.
            self.active_at = self.idle_timeout.map(|_| Instant::now());
            self.frame.end();
            self.frame.wait(self.decoder.buffered());
        }
        Ok(true)
    }

    /// Executes the frames that have arrived, as many as may be executed
    /// together; whether there were any.
    fn execute(&mut self, store: &Shards) -> bool {
        let mut discarded = Discarded::default();
        let mut count = 0;
        while count < BATCH_LEN_MAX && self.encoder.pending() < PENDING_LEN_MAX {
            let reply = match self.decoder.next_frame() {
                Ok(Some(payload)) => {
                    self.frame.end();
                    match Request::parse(payload) {
                        Ok(mut request) => store.apply(&mut request, &mut discarded),
                        Err(error) => Reply::BadRequest(error.to_string()),
                    }
                }
                Ok(None) => {
                    self.frame.wait(self.decoder.buffered());
                    break;
                }
                Err(error) => {
                    self.out_of_step = Some(error);
                    self.encoder.push(&Reply::BadRequest(error.to_string()));
                    count += 1;
                    break;
                }
            };
            self.encoder.push(&reply);
            count += 1;
        }
        discard(discarded);
        count > 0
    }

    /// Takes what one read brings; whether it brought anything.
    fn read(&mut self, socket: &mut impl Read) -> Result<bool, End> {
        loop {
            match self.decoder.read_from(socket) {
                Ok(0) => return Err(End::PeerClosed),
                Ok(_) => {
                    self.active_at = self.idle_timeout.map(|_| Instant::now());
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// After the last reply of a stream out of step: drops what still comes.
    fn drop_the_rest<S: Socket>(&mut self, socket: &mut S, end: End) -> Result<Turn, End> {
        if self.linger.is_none() {
            socket.end_output()?;
            self.linger = Some(Linger::begin());
        }
        let linger = self.linger.get_or_insert_with(Linger::begin);
        match linger.drop_some(socket) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Turn::NotReady),
            Err(error) => Err(error.into()),
            Ok(true) => Ok(Turn::Again),
            Ok(false) => Err(end),
        }
    }
}
