//! What a worker does with its connection, from its first byte to its last.

use std::convert::Infallible;
use std::net::{Shutdown as Side, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::interruptible::Interruptible;
use super::store_thread::StoreHandle;
use crate::memory::ceiling;
use crate::server::config::Config;
use crate::server::counts::ThreadCounts;
use crate::server::end::End;
use crate::server::limits::{DRAIN_INTERVAL, DRAIN_MAX};
use crate::server::session::{Next, Session};
use crate::server::shutdown::Shutdown;
use crate::server::socket::{prepare, unconfirmed_len};

/// How often an idle connection's worker looks whether to give back memory.
const IDLE_TICK: Duration = Duration::from_secs(30);

/// Serves the connection until it ends, and says why it did.
pub(super) fn serve(
    socket: &Interruptible,
    store: StoreHandle,
    config: &Config,
    shutdown: &Shutdown,
    counts: &mut ThreadCounts,
) -> End {
    let mut connection = Connection {
        socket,
        stream: socket.stream(),
        session: Session::new(config),
        store,
        shutdown,
        counts,
        read_timeout: Duration::ZERO,
        evicted_at: None,
    };
    let end = match connection.run(config) {
        Ok(never) => match never {},
        Err(end) if socket.silence().is_evicted() => end.of_evicted(),
        // It has lost its socket to that.
        Err(_) if shutdown.elapsed() >= DRAIN_MAX => End::CutOff,
        Err(end) => end,
    };
    // It fails when the peer has gone.
    let _ = connection.stream.shutdown(Side::Write);
    end
}

struct Connection<'a> {
    /// For reads that wait.
    socket: &'a Interruptible,
    stream: &'a TcpStream,
    session: Session,
    store: StoreHandle,
    shutdown: &'a Shutdown,
    counts: &'a mut ThreadCounts,
    /// What the socket's read timeout is set to; zero when it is not known.
    read_timeout: Duration,
    evicted_at: Option<Instant>,
}

impl Connection<'_> {
    fn run(&mut self, config: &Config) -> Result<Infallible, End> {
        prepare(self.stream)?;
        self.stream.set_write_timeout(Some(write_tick(config)))?;
        loop {
            let is_draining = self.socket.is_interrupted();
            if is_draining {
                let since = self.drains_since();
                self.session.drain(since)?;
            }
            match self.session.next(self.counts) {
                Next::Execute => {
                    let sample = self.session.sample();
                    let batch = self.session.batch();
                    self.store.execute(batch, sample, self.counts)?;
                    self.session.executed();
                }
                Next::Write => self.write()?,
                Next::Read if is_draining => self.drain_input()?,
                Next::Read => self.read()?,
                Next::EndOutput => self.stream.shutdown(Side::Write)?,
                Next::Wait => {
                    thread::sleep(DRAIN_INTERVAL);
                    self.session.drained(unconfirmed_len(self.stream))?;
                }
            }
        }
    }

    /// For how long, from its eviction or the server's stop.
    fn drains_since(&mut self) -> Duration {
        if self.socket.silence().is_evicted() {
            self.evicted_at.get_or_insert_with(Instant::now).elapsed()
        } else {
            self.shutdown.elapsed()
        }
    }

    /// Waits for room, within the time that the peer has.
    fn write(&mut self) -> Result<(), End> {
        match self.session.write_to(&mut &*self.stream, self.counts) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(end) if end.is_not_ready() => {}
            Err(end) => return Err(end),
        }
        self.session.write_blocked(unconfirmed_len(self.stream))?;
        if ceiling::is_frugal() {
            self.session.shrink();
        }
        self.end_if_late()
    }

    /// Waits for more bytes, within the time that the peer has.
    fn read(&mut self) -> Result<(), End> {
        self.limit_next_read()?;
        if ceiling::is_frugal() {
            self.session.shrink();
        }
        let silence = self.socket.silence();
        silence.note(&mut self.session, Instant::now);
        match self.session.read_from(&mut &*self.socket, self.counts) {
            Ok(_) => {
                silence.end();
                Ok(())
            }
            // What is left is drained.
            Err(_) if self.socket.is_interrupted() => Ok(()),
            Err(end) if end.is_not_ready() => self.tick(),
            Err(end) => Err(end),
        }
    }

    /// Sets the socket's read timeout, if the one it has would let the peer
    /// overstay by more than an eighth.
    fn limit_next_read(&mut self) -> Result<(), End> {
        let limit = match self.session.deadline() {
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            None => IDLE_TICK,
        };
        if limit.is_zero() {
            self.end_if_late()?;
        }
        let is_unset = self.read_timeout.is_zero();
        if is_unset || self.read_timeout > limit + limit / 8 {
            // A timeout of zero would be none.
            self.read_timeout = limit.max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(self.read_timeout))?;
        }
        Ok(())
    }

    /// A read's timeout was up.
    fn tick(&mut self) -> Result<(), End> {
        self.end_if_late()?;
        self.session.shrink();
        // The next limit may be longer than this one was.
        self.read_timeout = Duration::ZERO;
        Ok(())
    }

    fn end_if_late(&mut self) -> Result<(), End> {
        let late = self.session.late(unconfirmed_len(self.stream));
        late.map_or(Ok(()), Err)
    }

    /// Reads on while it drains, but does not wait.
    fn drain_input(&mut self) -> Result<(), End> {
        self.stream.set_read_timeout(Some(DRAIN_INTERVAL))?;
        match self.session.read_from(&mut &*self.stream, self.counts) {
            Ok(_) => Ok(()),
            // The peer has not ended its input, the stop has.
            Err(End::PeerClosed) if self.socket.input_is_ended() => {
                thread::sleep(DRAIN_INTERVAL);
                self.session.drained(unconfirmed_len(self.stream))
            }
            Err(end) if end.is_not_ready() => self.session.drained(unconfirmed_len(self.stream)),
            Err(end) => Err(end),
        }
    }
}

/// How often a blocked write looks whether the peer is late.
fn write_tick(config: &Config) -> Duration {
    (config.write_timeout / 8).max(Duration::from_millis(1))
}
