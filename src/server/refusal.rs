//! Saying no: one 503, readable, without a worker and without blocking (S4).

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown as Side, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

#[cfg(any(feature = "tokio", feature = "epoll"))]
use super::config::Config;
use super::counts::Counts;
use super::log::Log;
use crate::protocol::{Encoder, Reply};

/// Why a connection is not served.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reason {
    AllBusy {
        workers: usize,
        queue_timeout: Duration,
    },
    QueueFull {
        workers: usize,
    },
    #[cfg(any(feature = "tokio", feature = "epoll"))]
    TooMany {
        connections_max: usize,
    },
    NoDescriptors,
    Stopping,
}

impl Reason {
    /// What [`name`](Self::name) may be.
    pub(super) const NAMES: [&str; 5] = [
        "all_busy",
        "queue_full",
        "too_many",
        "no_descriptors",
        "stopping",
    ];

    /// Its name in metrics and in JSON lines of the log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::AllBusy { .. } => "all_busy",
            Self::QueueFull { .. } => "queue_full",
            #[cfg(any(feature = "tokio", feature = "epoll"))]
            Self::TooMany { .. } => "too_many",
            Self::NoDescriptors => "no_descriptors",
            Self::Stopping => "stopping",
        }
    }

    #[cfg(any(feature = "tokio", feature = "epoll"))]
    pub(super) fn too_many(config: &Config) -> Self {
        Self::TooMany {
            connections_max: config.connections_max,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllBusy {
                workers,
                queue_timeout,
            } => write!(
                f,
                "All workers, {workers}, serve other connections, and none became free within \
                 {queue_timeout:?}; try again later, or start the server with more --workers."
            ),
            Self::QueueFull { workers } => write!(
                f,
                "All workers, {workers}, serve other connections, and as many connections wait \
                 for one; try again later, or start the server with more --workers."
            ),
            #[cfg(any(feature = "tokio", feature = "epoll"))]
            Self::TooMany { connections_max } => write!(
                f,
                "The server has its {connections_max} connections; try again later, \
                 or start it with more --connections-max."
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
const LINGER_TIME_MAX: Duration = Duration::from_secs(1);

/// The same when the server ends.
const LINGER_TIME_AT_STOP: Duration = Duration::from_millis(100);

/// Refused connections that are kept open at the same time; the oldest goes
/// when there are more.
const LINGERING_MAX: usize = 256;

/// The most that is read and dropped from one refused peer at a time.
const DROP_LEN: usize = 16 << 10;

/// Refuses connections and, on a thread of its own, waits for their peers to
/// read why. Dropped, it ends those waits soon.
pub(super) struct Refuser {
    log: Log,
    refused: Option<SyncSender<TcpStream>>,
    thread: Option<JoinHandle<()>>,
    counts: Arc<Counts>,
}

impl Refuser {
    pub(super) fn start(log: &Log, counts: &Arc<Counts>) -> io::Result<Self> {
        let (refused, queue) = sync_channel(LINGERING_MAX);
        let thread = thread::Builder::new()
            .name("refuser".to_owned())
            .spawn(move || linger_all(&queue))?;
        Ok(Self {
            log: log.clone(),
            refused: Some(refused),
            thread: Some(thread),
            counts: Arc::clone(counts),
        })
    }

    /// Answers 503 and closes the connection when its peer is done, or after
    /// a second. Never blocks.
    pub(super) fn refuse(&self, stream: TcpStream, reason: Reason) {
        refuse(&stream, reason, &self.counts, &self.log);
        // With too many to wait for, this one is closed at once.
        let _ = self.refused.as_ref().map(|queue| queue.try_send(stream));
    }
}

impl Drop for Refuser {
    fn drop(&mut self) {
        self.refused = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Keeps refused connections until their peers are done.
fn linger_all(queue: &Receiver<TcpStream>) {
    /// How often they are looked at.
    const INTERVAL: Duration = Duration::from_millis(10);

    let mut lingering = VecDeque::new();
    let mut last_until = None;
    loop {
        let next = if lingering.is_empty() {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            queue.recv_timeout(INTERVAL)
        };
        match next {
            Ok(stream) => lingering.push_back((stream, Instant::now() + LINGER_TIME_MAX)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) if lingering.is_empty() => return,
            Err(RecvTimeoutError::Disconnected) => {
                let end = *last_until.get_or_insert_with(|| Instant::now() + LINGER_TIME_AT_STOP);
                if Instant::now() > end {
                    return;
                }
                thread::sleep(INTERVAL);
            }
        }
        if lingering.len() > LINGERING_MAX {
            lingering.pop_front();
        }
        let now = Instant::now();
        lingering.retain(|(stream, until)| now < *until && is_open(stream));
    }
}

/// Answers 503 and ends the replies. Never blocks: a new socket has room for
/// one short frame.
pub(super) fn refuse(stream: &TcpStream, reason: Reason, counts: &Counts, log: &Log) {
    counts.refuse(&reason);
    log.note_refusal(reason);
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
