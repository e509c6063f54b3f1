//! What a worker does with its connection, from its first byte to its last.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Shutdown as Side, TcpStream};
use std::thread;
use std::time::Duration;

use super::store_thread::{Batch, StoreGone, StoreHandle};
use super::wakeable::Wakeable;
use crate::protocol::{Decoder, Encoder, FrameError, Reply, Request};
use crate::server::pace::Pace;
use crate::server::socket::{enable_keepalive, is_timeout, linger, unconfirmed_len};
use crate::server::{Config, Shutdown};

/// The most requests that go to the store together. It bounds what a peer's
/// pipeline can hold in memory and how long other connections wait.
const BATCH_LEN_MAX: usize = 1024;

/// Replies are written when this many bytes of them are pending, or when the
/// batch ends.
const PENDING_LEN_MAX: usize = 256 << 10;

/// How often an idle connection's worker looks whether to give back memory.
const IDLE_TICK: Duration = Duration::from_secs(30);

/// After the server was asked to stop: the longest that a connection is still
/// read from, if it never has nothing to read.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// After the server was asked to stop: the longest that peers may take for
/// their last replies. Shorter than the patience with the connection itself.
const CONFIRM_TIME_MAX: Duration = Duration::from_millis(1400);

/// After the server was asked to stop: how often a connection may have nothing
/// to read before it counts as having sent all, and how long each look waits.
const LAST_LOOKS: u32 = 5;
const LAST_LOOK_INTERVAL: Duration = Duration::from_millis(4);

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// The peer closed its sending side (F7).
    PeerClosed,
    /// The server stops (S2).
    Stopping,
    /// No frame began within the idle timeout.
    Idle,
    /// A frame begun did not finish in time (F8).
    FrameTimeout,
    /// The peer did not take its replies in time.
    WriteTimeout,
    /// The stream is out of step (F4, F5).
    OutOfStep(FrameError),
    /// The store thread has panicked.
    StoreGone,
    /// The socket failed.
    Io(io::Error),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerClosed => f.write_str("closed by the peer"),
            Self::Stopping => f.write_str("the server stops"),
            Self::Idle => f.write_str("silent for longer than --idle-timeout"),
            Self::FrameTimeout => f.write_str("a frame took longer than --frame-timeout"),
            Self::WriteTimeout => f.write_str("replies not read within --write-timeout"),
            Self::OutOfStep(error) => error.fmt(f),
            Self::StoreGone => f.write_str("the store is gone"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Serves the connection until it ends, and says why it did.
pub(super) fn serve(
    wakeable: &Wakeable,
    store: StoreHandle,
    config: &Config,
    shutdown: &Shutdown,
) -> End {
    let stream = wakeable.stream();
    let mut connection = Connection {
        wakeable,
        stream,
        store,
        config,
        shutdown,
        decoder: Decoder::new(config.frame_len_max),
        encoder: Encoder::default(),
        batch: Batch::default(),
        bad: Vec::new(),
        frame: None,
        read_timeout: Duration::ZERO,
        last_looks: 0,
    };
    let end = match connection.run() {
        Ok(never) => match never {},
        Err(end) => end,
    };
    // The peer may already have gone, and then there is nobody to be kind to.
    let _ = match end {
        End::OutOfStep(_) => linger(stream, &mut &*wakeable),
        End::Stopping => {
            wait_until_confirmed(stream, shutdown);
            stream.shutdown(Side::Write)
        }
        _ => stream.shutdown(Side::Write),
    };
    end
}

/// Gives a peer that is slow to read, and may still be sending, the time to
/// take its last replies.
fn wait_until_confirmed(stream: &TcpStream, shutdown: &Shutdown) {
    while unconfirmed_len(stream) > 0 && shutdown.elapsed() < CONFIRM_TIME_MAX {
        thread::sleep(LAST_LOOK_INTERVAL);
    }
}

enum Never {}

struct Connection<'a> {
    /// For reads that wait.
    wakeable: &'a Wakeable,
    stream: &'a TcpStream,
    store: StoreHandle,
    config: &'a Config,
    shutdown: &'a Shutdown,
    decoder: Decoder,
    encoder: Encoder,
    batch: Batch,
    /// Replies to frames of the batch that were no requests, each with the
    /// number of requests before it.
    bad: Vec<(usize, Reply)>,
    /// The pace of the frame that has begun and not ended (F8).
    frame: Option<Pace>,
    /// What the socket's read timeout is set to.
    read_timeout: Duration,
    /// How many of the [`LAST_LOOKS`] have been taken.
    last_looks: u32,
}

impl Connection<'_> {
    fn run(&mut self) -> Result<Never, End> {
        enable_keepalive(self.stream)?;
        self.stream.set_nodelay(true)?;
        self.stream
            .set_write_timeout(Some(self.config.write_timeout))?;
        loop {
            // An error of the stream comes after the replies to what was
            // before it.
            let decoded = self.decode();
            self.answer()?;
            let more = decoded.map_err(End::OutOfStep)?;
            if !more {
                self.read()?;
            }
        }
    }

    /// Takes the complete frames that have arrived into the batch; whether it
    /// stopped because the batch is full.
    fn decode(&mut self) -> Result<bool, FrameError> {
        for _ in 0..BATCH_LEN_MAX {
            match self.decoder.next_frame() {
                Ok(Some(payload)) => match Request::parse(payload) {
                    Ok(request) => self.batch.requests.push(request),
                    Err(error) => self.bad.push((
                        self.batch.requests.len(),
                        Reply::BadRequest(error.to_string()),
                    )),
                },
                Ok(None) => {
                    if self.decoder.buffered() == 0 {
                        self.frame = None;
                    } else if self.frame.is_none() || !self.batch_is_empty() {
                        self.frame = Some(Pace::begin(self.config.frame_timeout));
                    }
                    return Ok(false);
                }
                Err(error) => {
                    self.bad.push((
                        self.batch.requests.len(),
                        Reply::BadRequest(error.to_string()),
                    ));
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    fn batch_is_empty(&self) -> bool {
        self.batch.requests.is_empty() && self.bad.is_empty()
    }

    /// Has the batch executed and writes its replies in the order of its
    /// frames (F6).
    fn answer(&mut self) -> Result<(), End> {
        if self.batch_is_empty() {
            return Ok(());
        }
        let mut batch = std::mem::take(&mut self.batch);
        if !batch.requests.is_empty() {
            batch = self
                .store
                .apply(batch)
                .map_err(|StoreGone| End::StoreGone)?;
        }
        let mut bad = self.bad.drain(..).peekable();
        let mut good = batch.replies.drain(..);
        for index in 0..=batch.requests.len() {
            while let Some((_, reply)) = bad.next_if(|(before, _)| *before == index) {
                self.encoder.push(&reply);
            }
            if let Some(reply) = good.next() {
                self.encoder.push(&reply);
            }
            if self.encoder.pending() >= PENDING_LEN_MAX {
                write_pending(&mut self.encoder, self.stream, self.config)?;
            }
        }
        drop((bad, good));
        write_pending(&mut self.encoder, self.stream, self.config)?;
        batch.clear();
        self.batch = batch;
        Ok(())
    }

    /// Waits for more bytes, within the time that the peer has.
    fn read(&mut self) -> Result<(), End> {
        while !self.wakeable.is_woken() {
            self.limit_next_read()?;
            match self.decoder.read_from(&mut &*self.wakeable) {
                Ok(0) if self.wakeable.input_is_ended() => {}
                Ok(0) => return Err(End::PeerClosed),
                Ok(_) => return Ok(()),
                Err(_) if self.wakeable.is_woken() => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => self.tick()?,
                Err(error) => return Err(error.into()),
            }
        }
        self.read_the_last()
    }

    /// Sets the socket's read timeout, if the one it has would let the peer
    /// overstay by more than an eighth.
    fn limit_next_read(&mut self) -> Result<(), End> {
        let limit = match self.frame {
            Some(frame) => match frame.time_left(self.decoder.buffered()) {
                Duration::ZERO => return Err(End::FrameTimeout),
                left => left,
            },
            None => self.config.idle_timeout.unwrap_or(IDLE_TICK),
        };
        let is_unset = self.read_timeout.is_zero();
        if is_unset || self.read_timeout > limit + limit / 8 {
            self.stream.set_read_timeout(Some(limit))?;
            self.read_timeout = limit;
        }
        Ok(())
    }

    /// A read's timeout was up.
    fn tick(&mut self) -> Result<(), End> {
        if self.frame.is_none() {
            match self.config.idle_timeout {
                Some(limit) if self.read_timeout >= limit => return Err(End::Idle),
                _ => {}
            }
            self.decoder.release();
            self.encoder.release();
            self.batch = Batch::default();
        }
        // The next limit may be longer than this one was.
        self.read_timeout = Duration::ZERO;
        Ok(())
    }

    /// Reads on after the server was asked to stop, but does not wait.
    fn read_the_last(&mut self) -> Result<(), End> {
        self.stream.set_read_timeout(Some(LAST_LOOK_INTERVAL))?;
        while self.last_looks < LAST_LOOKS && self.shutdown.elapsed() < DRAIN_TIME_MAX {
            match self.decoder.read_from(&mut &*self.stream) {
                Ok(0) if self.wakeable.input_is_ended() => thread::sleep(LAST_LOOK_INTERVAL),
                Ok(0) => return Err(End::PeerClosed),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error.into()),
            }
            self.last_looks += 1;
        }
        Err(End::Stopping)
    }
}

/// Writes what is pending, within the time that the peer has.
fn write_pending(
    encoder: &mut Encoder,
    mut stream: &TcpStream,
    config: &Config,
) -> Result<(), End> {
    let pace = Pace::begin(config.write_timeout);
    let mut written = 0;
    while encoder.pending() > 0 {
        match encoder.write_to(&mut stream) {
            Ok(0) => return Err(io::Error::from(ErrorKind::WriteZero).into()),
            Ok(n) => written += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => return Err(End::WriteTimeout),
            Err(error) => return Err(error.into()),
        }
        if encoder.pending() > 0 && pace.time_left(written).is_zero() {
            return Err(End::WriteTimeout);
        }
    }
    Ok(())
}
