//! What a load is, and its limits.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::bench::protocol::Protocol;
use crate::bench::workload::Workload;

/// Open loop: a request that leaves later than this after it was due is late.
pub const LATE_AFTER: Duration = Duration::from_micros(100);

/// The most connections of one load.
pub const CONNECTIONS_MAX: usize = 20_000;

/// The deepest pipeline.
pub const PIPELINE_MAX: usize = 100_000;

/// One load on one server.
#[derive(Clone, Debug, Serialize)]
pub struct Load {
    /// Where the server listens.
    pub address: SocketAddr,
    /// What it speaks.
    pub protocol: Protocol,
    /// What it is asked for.
    pub workload: Workload,
    /// Connections at the same time, from 1 to [`CONNECTIONS_MAX`].
    pub connections: usize,
    /// Unanswered requests on each connection, from 1 to [`PIPELINE_MAX`]: exactly
    /// so many in a closed loop, at most in an open one.
    pub pipeline: usize,
    /// Threads of the generator, from 1 to as many as there are connections.
    pub threads: usize,
    /// Requests a second of an open loop; `None` for a closed one.
    pub rate: Option<f64>,
    /// How much is measured.
    pub length: Length,
    /// How long the load runs before it is measured.
    pub warmup: Duration,
    /// Whether every key is set first.
    pub fill: bool,
    /// Whether every value that is read is checked to be one that was
    /// written. Fills first, whatever `fill` says.
    pub verify: bool,
    /// The server's process, to count what it uses.
    pub server_pid: Option<u32>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// What happens in that time.
    Time(Duration),
    /// So many requests.
    Requests(u64),
}
