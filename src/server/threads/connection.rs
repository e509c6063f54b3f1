//! What a worker does with its connection, from its first byte to its last.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Shutdown as Side, TcpStream};
use std::thread;
use std::time::Duration;

use super::store_thread::{Batch, StoreGone, StoreHandle};
use super::wakeable::Wakeable;
use crate::protocol::{Decoder, Encoder, FrameError, Reply, Request};
use crate::server::end::End;
use crate::server::limits::{
    BATCH_LEN_MAX, CONFIRM_TIME_MAX, DRAIN_TIME_MAX, LAST_LOOK_INTERVAL, LAST_LOOKS,
    PENDING_LEN_MAX,
};
use crate::server::pace::{FramePace, Pace};
use crate::server::socket::{is_timeout, linger, prepare, unconfirmed_len};
use crate::server::{Config, Shutdown, discard};

/// How often an idle connection's worker looks whether to give back memory.
const IDLE_TICK: Duration = Duration::from_secs(30);

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
        frame: FramePace::new(config.frame_timeout),
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
    frame: FramePace,
    /// What the socket's read timeout is set to.
    read_timeout: Duration,
    /// How many of the [`LAST_LOOKS`] have been taken.
    last_looks: u32,
}

impl Connection<'_> {
    fn run(&mut self) -> Result<Infallible, End> {
        prepare(self.stream)?;
        self.stream
            .set_write_timeout(Some(write_tick(self.config)))?;
        loop {
            // An error of the stream comes after the replies to what was
            // before it.
            let decoded = self.decode();
            self.answer()?;
            let more = decoded.map_err(End::OutOfStep)?;
            if !more {
                // After the replies: the time that the peer took to read them
                // does not count against the frame that it has begun.
                self.frame.wait(self.decoder.buffered());
                self.read()?;
            }
        }
    }

    /// Takes the complete frames that have arrived into the batch; whether it
    /// stopped because the batch is full.
    fn decode(&mut self) -> Result<bool, FrameError> {
        for _ in 0..BATCH_LEN_MAX {
            match self.decoder.next_frame() {
                Ok(Some(payload)) => {
                    self.frame.end();
                    match Request::parse(payload) {
                        Ok(request) => self.batch.requests.push(request),
                        Err(error) => self.push_bad(&error),
                    }
                }
                Ok(None) => return Ok(false),
                Err(error) => {
                    self.push_bad(&error);
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    fn push_bad(&mut self, error: &impl fmt::Display) {
        let reply = Reply::BadRequest(error.to_string());
        self.bad.push((self.batch.requests.len(), reply));
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
        // Before the first write: a peer that does not read must not keep what
        // was removed.
        let count = batch.requests.len();
        batch.requests.clear();
        discard(std::mem::take(&mut batch.discarded));
        let mut bad = self.bad.drain(..).peekable();
        let mut good = batch.replies.drain(..);
        for index in 0..=count {
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
        let limit = match self.frame.pace() {
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
        if self.frame.pace().is_none() {
            match self.config.idle_timeout {
                Some(limit) if self.read_timeout >= limit => return Err(End::Idle),
                _ => {}
            }
            self.decoder.release();
            self.encoder.release();
            self.batch = Batch::default();
            self.bad = Vec::new();
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

/// How often a blocked write looks whether the peer is late.
fn write_tick(config: &Config) -> Duration {
    (config.write_timeout / 8).max(Duration::from_millis(1))
}

/// Writes what is pending, within the time that the peer has.
fn write_pending(encoder: &mut Encoder, stream: &TcpStream, config: &Config) -> Result<(), End> {
    let pace = Pace::begin(config.write_timeout);
    let mut written = 0;
    while encoder.pending() > 0 {
        match encoder.write_to(&mut &*stream) {
            Ok(0) => return Err(io::Error::from(ErrorKind::WriteZero).into()),
            Ok(n) => written += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error.into()),
        }
        if encoder.pending() > 0 {
            let taken = written.saturating_sub(unconfirmed_len(stream));
            if pace.time_left(taken).is_zero() {
                return Err(End::WriteTimeout);
            }
        }
    }
    Ok(())
}
