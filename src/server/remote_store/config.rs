//! How a server uses a store that is elsewhere.

use std::time::Duration;

use super::address::RemoteAddress;

/// A Redis or Valkey server, or a cluster of them, and how to use it.
#[derive(Clone, Debug)]
pub struct RemoteStoreConfig {
    /// Where it is, and as whom to use it.
    pub address: RemoteAddress,
    /// What all keys there begin with.
    pub prefix: String,
    /// How long a node may take to answer before nobody knows what it did, with
    /// a second more for each MiB of a long value.
    pub timeout: Duration,
    /// How many replicas must have a change before it is acknowledged.
    pub replicas: u32,
    /// What RST removes there.
    pub reset: ResetScope,
}

/// What RST removes from a remote store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetScope {
    /// All keys with the prefix.
    #[default]
    Prefix,
    /// Everything in the database, because nobody else uses it.
    Flush,
}

impl RemoteStoreConfig {
    /// With the prefix, timeout and scope that `speicher serve` has if nothing
    /// is said.
    pub fn new(address: RemoteAddress) -> Self {
        Self {
            address,
            prefix: "speicher:".to_owned(),
            timeout: Duration::from_secs(5),
            replicas: 0,
            reset: ResetScope::default(),
        }
    }
}
