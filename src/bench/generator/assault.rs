//! What attackers do, and what they spent.

use std::time::Duration;

use serde::Serialize;

use crate::bench::protocol::Message;

/// How often a byte is sent, and a connection made in place of one that the server ended.
pub(super) const TICK: Duration = Duration::from_millis(5);

/// What attackers do.
pub(in crate::bench) struct Assault {
    pub(in crate::bench) manner: Manner,
    /// Connections at the same time.
    pub(in crate::bench) connections: usize,
    /// What is sent, in turn over the connections.
    pub(in crate::bench) messages: Vec<Message>,
    /// A request that is made, and answered, before.
    pub(in crate::bench) before: Option<Message>,
    /// When it is over.
    pub(in crate::bench) time: Duration,
    /// Nothing more is sent after so many bytes, and as many as one event may add.
    pub(in crate::bench) bytes_max: u64,
    /// No connection is made after so many.
    pub(in crate::bench) opened_max: u64,
}

/// How a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Manner {
    /// Once; then the connection stays as it is.
    Once,
    /// Again after each reply.
    AfterReply,
    /// Again and again, while the replies are read.
    WithoutPause,
    /// Once, and nothing is read.
    Unread,
    /// Again and again, a byte of it every [`TICK`].
    ByteByByte,
    /// Once on each connection, which is reset when the reply is there, and replaced.
    Reconnecting,
}

/// What attackers spent, and what came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Spent {
    /// The most connections that they had at the same time.
    pub connections: usize,
    /// Connections that they made, and those in the making.
    pub opened: u64,
    /// Connections that could not be made.
    pub failed: u64,
    /// Connections that the server ended.
    pub ended: u64,
    /// Bytes that they sent.
    pub bytes_sent: u64,
    /// Bytes that they read.
    pub bytes_received: u64,
    /// Processor time of their thread, in seconds.
    pub cpu_seconds: f64,
    /// How long they were there, in seconds.
    pub seconds: f64,
}
