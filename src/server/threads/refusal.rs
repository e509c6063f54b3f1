//! Saying no: one 503, readable, without a worker and without blocking (S4).

use std::collections::VecDeque;
use std::fmt;
use std::io::{ErrorKind, Read};
use std::net::{Shutdown as Side, TcpStream};
use std::time::{Duration, Instant};

use crate::protocol::{Encoder, Reply};

/// Why a connection is not served.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reason {
    AllBusy {
        workers: usize,
        queue_timeout: Duration,
    },
    NoDescriptors,
    Stopping,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllBusy {
                workers,
                queue_timeout,
            } => write!(
                f,
                "All {workers} workers serve other connections, and none became free within \
                 {queue_timeout:?}; try again later, or start the server with more --workers."
            ),
            Self::NoDescriptors => f.write_str(
                "The server has no file descriptor left for this connection; try again later, \
                 or start the server under a higher limit (ulimit -n).",
            ),
            Self::Stopping => f.write_str("The server is stopping; try again when it is back."),
        }
    }
}

/// The longest that a refused peer may take to read its refusal and close.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(1);

/// Refused connections that are kept open at the same time; the oldest goes
/// when there are more.
const FAREWELLS_MAX: usize = 256;

/// The most that is read and dropped from one refused peer at a time.
const DROP_LEN: usize = 16 << 10;

/// Refused connections that may still be sending or have to read their 503.
#[derive(Default)]
pub(super) struct Refusals {
    farewells: VecDeque<(TcpStream, Instant)>,
}

impl Refusals {
    /// How often [`poll`](Self::poll) wants to be called.
    pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(10);

    pub(super) fn is_empty(&self) -> bool {
        self.farewells.is_empty()
    }

    pub(super) fn extend(&mut self, refused: impl IntoIterator<Item = (TcpStream, Reason)>) {
        let until = Instant::now() + FAREWELL_TIME_MAX;
        for (stream, reason) in refused {
            if self.farewells.len() == FAREWELLS_MAX {
                self.farewells.pop_front();
            }
            refuse(&stream, reason);
            self.farewells.push_back((stream, until));
        }
    }

    /// Drops what the peers have sent, and closes those that are done.
    pub(super) fn poll(&mut self) {
        let now = Instant::now();
        self.farewells
            .retain(|(stream, until)| now < *until && is_open(stream));
    }
}

/// Answers 503 and ends the replies. Never blocks: a new socket has room for
/// one short frame.
pub(super) fn refuse(stream: &TcpStream, reason: Reason) {
    let mut encoder = Encoder::default();
    encoder.push(&Reply::Unavailable(reason.to_string()));
    // A peer that has gone needs no answer.
    let _ = stream.set_nonblocking(true);
    let _ = encoder.write_to(&mut &*stream);
    let _ = stream.shutdown(Side::Write);
    is_open(stream);
}

/// Drops some of what a refused peer has sent; whether it may send more.
fn is_open(mut stream: &TcpStream) -> bool {
    match stream.read(&mut [0; DROP_LEN]) {
        Ok(n) => n > 0,
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}
