//! How connections end, in any model.

use std::fmt;
use std::io;

use crate::protocol::FrameError;

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// The peer closed its sending side (F7).
    PeerClosed,
    /// The server stops (S2).
    Stopping,
    /// No frame began within the idle timeout.
    Idle,
    /// A frame begun did not finish in time (F8).
    FrameTimeout,
    /// The peer did not take its replies in time.
    WriteTimeout,
    /// The stream is out of step (F4, F5).
    OutOfStep(FrameError),
    /// The store thread has panicked.
    StoreGone,
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
            Self::Idle => f.write_str("silent for longer than --idle-timeout"),
            Self::FrameTimeout => f.write_str("a frame took longer than --frame-timeout"),
            Self::WriteTimeout => f.write_str("replies not read within --write-timeout"),
            Self::OutOfStep(error) => error.fmt(f),
            Self::StoreGone => f.write_str("the store is gone"),
            #[cfg(feature = "epoll")]
            Self::Panicked => f.write_str("serving it panicked"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
