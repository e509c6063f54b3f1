//! Bounds that all models share and nobody has asked to configure.

use std::time::Duration;

/// The most bytes of replies that wait for the socket before the next reply is
/// encoded. One reply may be longer.
pub(super) const PENDING_LEN_MAX: usize = 256 << 10;

/// After the server was asked to stop: the longest that a connection is still
/// read from, if it never has nothing to read.
pub(super) const DRAIN_READ_MAX: Duration = Duration::from_secs(1);

/// After the server was asked to stop: the longest that peers may take to
/// confirm their last replies. Shorter than [`DRAIN_MAX`].
pub(super) const DRAIN_CONFIRM_MAX: Duration = Duration::from_millis(1400);

/// After the server was asked to stop: how often a connection may have nothing
/// to read before it counts as having sent all, and how far apart.
pub(super) const DRAIN_EMPTY_READS: u32 = 5;
pub(super) const DRAIN_INTERVAL: Duration = Duration::from_millis(4);

/// After the server was asked to stop: the longest that connections may take
/// to end, before they are cut off.
pub(super) const DRAIN_MAX: Duration = Duration::from_millis(1500);
