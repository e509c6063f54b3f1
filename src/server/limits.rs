//! Bounds that all models share and nobody has asked to configure.

use std::time::Duration;

/// The most requests of one connection that are executed together. It bounds what a peer's
/// pipeline can hold in memory and how long other connections wait.
pub(super) const BATCH_LEN_MAX: usize = 1024;

/// Replies are written when this many bytes of them are pending, or when there
/// is nothing more to execute.
pub(super) const PENDING_LEN_MAX: usize = 256 << 10;

/// After the server was asked to stop: the longest that a connection is still
/// read from, if it never has nothing to read.
pub(super) const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// After the server was asked to stop: the longest that peers may take for
/// their last replies. Shorter than the patience with the connection itself.
pub(super) const CONFIRM_TIME_MAX: Duration = Duration::from_millis(1400);

/// After the server was asked to stop: how often a connection may have nothing
/// to read before it counts as having sent all, and how long each look waits.
pub(super) const LAST_LOOKS: u32 = 5;
pub(super) const LAST_LOOK_INTERVAL: Duration = Duration::from_millis(4);

/// After the server was asked to stop: the longest that connections may take
/// to end, before they are cut off.
pub(super) const STOP_PATIENCE: Duration = Duration::from_millis(1500);
