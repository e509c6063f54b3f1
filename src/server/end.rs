//! How connections end, in any model.

use std::fmt;
use std::io::{self, ErrorKind};

use crate::protocol::FrameError;
use crate::store::StoreLost;

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// The peer closed its sending side (F7).
    PeerClosed,
    /// The server stops (S2, S2a).
    Stopping,
    /// The server has stopped, or others waited for a place, and the peer has
    /// not taken its replies in the time for that, or the store had them.
    CutOff,
    /// No frame began within the idle timeout.
    Idle,
    /// Others waited for a place, and this peer was silent.
    Evicted,
    /// A frame begun did not finish in time (F8).
    FrameTimeout,
    /// The peer did not take its replies in time.
    WriteTimeout,
    /// The peer did not take its replies, and there was no memory to keep them.
    NoMemory,
    /// The stream is out of step (F4, F5).
    OutOfStep(FrameError),
    /// Nobody knows what the store has executed.
    StoreLost,
    /// Serving this connection has panicked.
    #[cfg(feature = "epoll")]
    Panicked,
    /// The socket failed.
    Io(io::Error),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerClosed => f.write_str("closed by the peer"),
            Self::Stopping => f.write_str("the server stops"),
            Self::CutOff => f.write_str("cut off, for it did not take its replies in time"),
            Self::Idle => f.write_str("silent for longer than --idle-timeout"),
            Self::Evicted => f.write_str(
                "silent for longer than --idle-eviction, while others waited for a place",
            ),
            Self::FrameTimeout => f.write_str("a frame took longer than --frame-timeout"),
            Self::WriteTimeout => f.write_str("replies not read within --write-timeout"),
            Self::NoMemory => {
                f.write_str("replies not read, while the server held all that --memory-max allows")
            }
            Self::OutOfStep(error) => error.fmt(f),
            Self::StoreLost => f.write_str("the store is lost"),
            #[cfg(feature = "epoll")]
            Self::Panicked => f.write_str("serving it panicked"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl End {
    /// What [`name`](Self::name) may be.
    pub(super) const NAMES: [&str; 12] = [
        "peer_closed",
        "stopping",
        "cut_off",
        "idle",
        "evicted",
        "frame_timeout",
        "write_timeout",
        "out_of_step",
        "no_memory",
        "store_lost",
        "panicked",
        "io",
    ];

    /// Its name in metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::PeerClosed => "peer_closed",
            Self::Stopping => "stopping",
            Self::CutOff => "cut_off",
            Self::Idle => "idle",
            Self::Evicted => "evicted",
            Self::FrameTimeout => "frame_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::OutOfStep(_) => "out_of_step",
            Self::NoMemory => "no_memory",
            Self::StoreLost => "store_lost",
            #[cfg(feature = "epoll")]
            Self::Panicked => "panicked",
            Self::Io(_) => "io",
        }
    }

    /// The end of a connection that was evicted: it drains as at a stop.
    pub(super) fn of_evicted(self) -> Self {
        match self {
            Self::Stopping | Self::CutOff => Self::Evicted,
            end => end,
        }
    }

    /// Whether it is none: a read or write ended because the socket was not
    /// ready, or its timeout was up. On Unix both are `WouldBlock`; `TimedOut`
    /// says that the peer is dead.
    pub(super) fn is_not_ready(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<StoreLost> for End {
    fn from(_: StoreLost) -> Self {
        Self::StoreLost
    }
}
