//! Servers: one module per model, all of the same signature.
//!
//! A model decides how bytes move and who owns the store, nothing else.

mod accept;
mod log;
mod pace;
mod refusal;
mod shutdown;
mod socket;
mod threads;

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::str::FromStr;
use std::time::Duration;

use crate::protocol::frame::FRAME_LEN_MAX_DEFAULT;

use accept::accept;
pub use shutdown::Shutdown;

/// How bytes move between the sockets and the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// A blocking accept loop, a fixed pool of workers, one store thread.
    #[default]
    Threads,
}

impl Model {
    /// Every model, the baseline first.
    pub const ALL: [Self; 1] = [Self::Threads];

    /// The model's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Model {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|model| model.name() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no model {name:?}; this build has: {names}")
        })
    }
}

/// How long connections may take to end after the server was asked to stop.
const STOP_PATIENCE: Duration = Duration::from_millis(1500);

/// The most workers that a server takes.
pub const WORKERS_MAX: usize = 10_000;

/// The limits of a server. Each bounds something that a peer controls.
#[derive(Clone, Debug)]
pub struct Config {
    /// How bytes move.
    pub model: Model,
    /// Threads that serve one connection each, from 1 to [`WORKERS_MAX`].
    /// As many more connections may wait for one.
    pub workers: usize,
    /// The longest payload in bytes (F5), at most
    /// [`FRAME_LEN_MAX`](crate::protocol::frame::FRAME_LEN_MAX).
    pub frame_len_max: usize,
    /// How long a connection waits for a worker before it gets 503 (S4).
    pub queue_timeout: Duration,
    /// How long a frame may take from its first byte to its last, with a
    /// second more for each 64 KiB that have arrived (F8).
    pub frame_timeout: Duration,
    /// How long a connection may be silent between frames; `None` for ever.
    pub idle_timeout: Option<Duration>,
    /// How long replies may wait for a peer to take them, with a second more
    /// for each 64 KiB that it has taken.
    pub write_timeout: Duration,
    /// Whether to log each connection's begin and end on standard error.
    pub verbose: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: Model::default(),
            workers: 256,
            frame_len_max: FRAME_LEN_MAX_DEFAULT,
            queue_timeout: Duration::from_secs(1),
            frame_timeout: Duration::from_secs(30),
            idle_timeout: None,
            write_timeout: Duration::from_secs(30),
            verbose: false,
        }
    }
}

/// Serves the connections of `listener` with the model that `config` names,
/// until `shutdown` is triggered and every request received is answered.
///
/// Fails when the model's threads or descriptors can't be had, or when the
/// store broke while serving; then nothing that was not executed has been
/// acknowledged.
pub fn serve(listener: TcpListener, config: &Config, shutdown: &Shutdown) -> io::Result<()> {
    socket::deepen_backlog(&listener)?;
    match config.model {
        Model::Threads => threads::serve(listener, config, shutdown),
    }
}
