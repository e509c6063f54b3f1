//! What a server is started with.

#[cfg(feature = "data")]
use std::path::PathBuf;
use std::time::Duration;

use super::log::Log;
use super::model::Model;
#[cfg(feature = "cluster")]
use super::remote_store::RemoteStoreConfig;
#[cfg(feature = "data")]
use crate::journal::Sync;
#[cfg(feature = "metrics")]
use crate::metrics::MetricsListener;
use crate::protocol::frame::FRAME_LEN_MAX_DEFAULT;

/// The most workers that a server takes.
pub const WORKERS_MAX: usize = 10_000;

/// Where a server keeps its entries.
#[derive(Clone, Debug, Default)]
pub enum StoreConfig {
    /// In its own memory (S3).
    #[default]
    Memory,
    /// Elsewhere; the tokio model only, feature `cluster`.
    #[cfg(feature = "cluster")]
    Remote(RemoteStoreConfig),
}

/// A directory that outlives the process, for who keeps entries in memory.
/// Feature `data`.
#[cfg(feature = "data")]
#[derive(Clone, Debug)]
pub struct DataConfig {
    /// The directory; it is made if it is absent.
    pub dir: PathBuf,
    /// What acknowledged means.
    pub sync: Sync,
}

/// The limits of a server. Each bounds something that a peer controls.
#[derive(Clone, Debug)]
pub struct Config {
    /// How bytes move.
    pub model: Model,
    /// Where the entries are.
    pub store: StoreConfig,
    /// Where changes are kept besides; `None` for nowhere.
    #[cfg(feature = "data")]
    pub data: Option<DataConfig>,
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
    /// How long a connection may be silent between frames while others wait for
    /// its place; `None` for ever.
    pub idle_eviction: Option<Duration>,
    /// How long replies may wait for a peer to take them, with a second more
    /// for each 64 KiB that it has taken.
    pub write_timeout: Duration,
    /// Where the server says what happens; nowhere unless this is set.
    pub log: Log,
    /// Whether the log has each connection's begin and end.
    pub verbose: bool,
    /// Where to answer for metrics over HTTP; `None` for nowhere. Feature
    /// `metrics`.
    #[cfg(feature = "metrics")]
    pub metrics: Option<MetricsListener>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: Model::default(),
            store: StoreConfig::default(),
            #[cfg(feature = "data")]
            data: None,
            workers: 256,
            connections_max: 10_000,
            frame_len_max: FRAME_LEN_MAX_DEFAULT,
            queue_timeout: Duration::from_secs(1),
            frame_timeout: Duration::from_secs(30),
            idle_timeout: None,
            idle_eviction: Some(Duration::from_secs(10)),
            write_timeout: Duration::from_secs(30),
            log: Log::off(),
            verbose: false,
            #[cfg(feature = "metrics")]
            metrics: None,
        }
    }
}

impl Config {
    /// Whether anybody may ask for metrics.
    pub(super) fn has_metrics(&self) -> bool {
        #[cfg(feature = "metrics")]
        return self.metrics.is_some();
        #[cfg(not(feature = "metrics"))]
        return false;
    }

    /// With no time longer than a year, so that every deadline is a moment
    /// that clocks can tell.
    pub(super) fn within_a_year(&self) -> Self {
        const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);

        Self {
            queue_timeout: self.queue_timeout.min(YEAR),
            frame_timeout: self.frame_timeout.min(YEAR),
            idle_timeout: self.idle_timeout.map(|timeout| timeout.min(YEAR)),
            idle_eviction: self.idle_eviction.map(|time| time.min(YEAR)),
            write_timeout: self.write_timeout.min(YEAR),
            ..self.clone()
        }
    }
}
