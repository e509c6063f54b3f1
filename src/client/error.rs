//! What kept a call from being answered.

use std::error;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::protocol::Reply;
use crate::protocol::frame::FRAME_LEN_MAX;
use crate::protocol::reply::MalformedReply;
use crate::protocol::value::VALUE_DEPTH_MAX;

/// What kept a call from being answered.
#[derive(Debug)]
pub enum Error {
    /// No address could be connected to.
    Connect(io::Error),
    /// The connection failed.
    Io(io::Error),
    /// The call was not over by its deadline, which follows from this timeout.
    TimedOut(Duration),
    /// The server closed the connection before it replied.
    Closed,
    /// An earlier error has closed the connection.
    Disconnected,
    /// The server announced a reply over the limit.
    ReplyTooLong {
        /// The announced length in bytes.
        len: usize,
        /// The limit in bytes; see [`Client::with_reply_len_max`](super::Client::with_reply_len_max).
        reply_len_max: usize,
    },
    /// The reply is none of this protocol.
    Malformed(MalformedReply),
    /// The reply does not answer the command that was sent.
    Unfit(Reply),
    /// The server says that the request is at fault (400).
    BadRequest(String),
    /// The server could not execute the request (503); again may help.
    Unavailable(String),
    /// The key is empty.
    EmptyKey,
    /// The value nests deeper than [`VALUE_DEPTH_MAX`] levels.
    TooDeep,
    /// The request is longer than any frame can be.
    TooLong,
    /// The value can't be written as JSON, or not be read as the wanted type.
    Json(serde_json::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "can't connect: {error}"),
            Self::Io(error) => write!(f, "the connection failed: {error}"),
            Self::TimedOut(timeout) => write!(
                f,
                "the server did not answer within {timeout:?}, and 1 s more for each MiB that was \
                 sent or received; allow more with --timeout, or in a program with \
                 Client::connect_timeout"
            ),
            Self::Closed => f.write_str("the server closed the connection without an answer"),
            Self::Disconnected => {
                f.write_str("an earlier error closed this connection; connect again")
            }
            Self::ReplyTooLong { len, reply_len_max } => write!(
                f,
                "the server announced a reply of {len} bytes, over the limit of {reply_len_max}; if \
                 it is a speicher server, allow more with get --reply-max, or in a program with \
                 Client::with_reply_len_max"
            ),
            Self::Malformed(error) => error.fmt(f),
            Self::Unfit(reply) => write!(f, "the reply does not fit the request: {reply:?}"),
            Self::BadRequest(sentence) => write!(f, "the server refused the request: {sentence}"),
            Self::Unavailable(sentence) => write!(f, "the server is unavailable: {sentence}"),
            Self::EmptyKey => f.write_str("the key is empty; give it at least one character"),
            Self::TooDeep => write!(f, "the value nests deeper than {VALUE_DEPTH_MAX} levels"),
            Self::TooLong => write!(
                f,
                "the request is longer than a frame's {FRAME_LEN_MAX} bytes"
            ),
            Self::Json(error) => write!(f, "the value is not as wanted: {error}"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Connect(error) | Self::Io(error) => Some(error),
            Self::Malformed(error) => Some(error),
            Self::Json(error) => Some(error),
            _ => None,
        }
    }
}
