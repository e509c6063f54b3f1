//! Servers: one module per model, all of the same signature.
//!
//! A model decides how bytes move and who owns the store, nothing else.

mod accept;
#[cfg(any(feature = "tokio", feature = "epoll"))]
mod connection_limit;
mod end;
#[cfg(feature = "epoll")]
mod epoll;
mod lazy_free;
mod limits;
mod linger;
#[cfg(any(feature = "tokio", feature = "epoll"))]
mod local_store;
mod log;
#[cfg(any(feature = "tokio", feature = "epoll"))]
mod nonblocking;
mod pace;
mod refusal;
mod session;
mod shutdown;
mod socket;
mod threads;
#[cfg(feature = "tokio")]
mod tokio;
#[cfg(all(test, feature = "tokio", feature = "epoll"))]
mod waiting_store_tests;

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
    /// A task per connection on an async runtime; feature `tokio`.
    Tokio,
    /// One event loop per core; feature `epoll`.
    Epoll,
}

impl Model {
    /// Every model, the baseline first.
    pub const ALL: [Self; 3] = [Self::Threads, Self::Tokio, Self::Epoll];

    /// The model's name on the command line, and that of its cargo feature.
    pub fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Tokio => "tokio",
            Self::Epoll => "epoll",
        }
    }

    /// Whether this build has the model.
    pub fn is_built(self) -> bool {
        match self {
            Self::Threads => true,
            Self::Tokio => cfg!(feature = "tokio"),
            Self::Epoll => cfg!(feature = "epoll"),
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

    /// Fails with a sentence for a name that is no model's, and for a model
    /// that this build does not have.
    fn from_str(name: &str) -> Result<Self, String> {
        match Self::ALL.into_iter().find(|model| model.name() == name) {
            Some(model) if model.is_built() => Ok(model),
            Some(model) => Err(not_built(model)),
            None => Err(format!(
                "there is no model {name:?}; choose one of {}",
                Self::ALL.map(Self::name).join(", ")
            )),
        }
    }
}

fn not_built(model: Model) -> String {
    format!(
        "this build does not have the {model} model; \
         `cargo build --release --features {model}` makes one that has"
    )
}

/// The most workers that a server takes.
pub const WORKERS_MAX: usize = 10_000;

/// The limits of a server. Each bounds something that a peer controls.
#[derive(Clone, Debug)]
pub struct Config {
    /// How bytes move.
    pub model: Model,
    /// Of the threads model: threads that serve one connection each, from 1 to
    /// [`WORKERS_MAX`]. As many more connections may wait for one.
    pub workers: usize,
    /// Of the other models: the most connections at the same time.
    pub connections_max: usize,
    /// The longest payload in bytes (F5), at most
    /// [`FRAME_LEN_MAX`](crate::protocol::frame::FRAME_LEN_MAX).
    pub frame_len_max: usize,
    /// How long a connection waits for a worker, or for a descriptor, before
    /// it gets 503 (S4).
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
            connections_max: 10_000,
            frame_len_max: FRAME_LEN_MAX_DEFAULT,
            queue_timeout: Duration::from_secs(1),
            frame_timeout: Duration::from_secs(30),
            idle_timeout: None,
            write_timeout: Duration::from_secs(30),
            verbose: false,
        }
    }
}

impl Config {
    /// With no time longer than a year, so that every deadline is a moment
    /// that clocks can tell.
    fn within_a_year(&self) -> Self {
        const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);

        Self {
            queue_timeout: self.queue_timeout.min(YEAR),
            frame_timeout: self.frame_timeout.min(YEAR),
            idle_timeout: self.idle_timeout.map(|timeout| timeout.min(YEAR)),
            write_timeout: self.write_timeout.min(YEAR),
            ..self.clone()
        }
    }
}

/// Serves the connections of `listener` with the model that `config` names,
/// until `shutdown` is triggered and every request received is answered. Calls
/// `ready` when everything that could fail at the start has succeeded.
///
/// Fails when the model's threads or descriptors can't be had, or when the
/// store broke while serving; then nothing that was not executed has been
/// acknowledged.
pub fn serve(
    listener: TcpListener,
    config: &Config,
    shutdown: &Shutdown,
    ready: impl FnOnce(),
) -> io::Result<()> {
    socket::deepen_backlog(&listener)?;
    let config = &config.within_a_year();
    match config.model {
        Model::Threads => threads::serve(listener, config, shutdown, ready),
        #[cfg(feature = "tokio")]
        Model::Tokio => tokio::serve(listener, config, shutdown, ready),
        #[cfg(feature = "epoll")]
        Model::Epoll => epoll::serve(listener, config, shutdown, ready),
        #[cfg(not(all(feature = "tokio", feature = "epoll")))]
        model => Err(io::Error::new(io::ErrorKind::Unsupported, not_built(model))),
    }
}
