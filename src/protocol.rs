//! The speicher protocol without any I/O: frames, requests and replies.
//!
//! `docs/protocol.md` has the clauses (F1, R1, A1, S1 and so on) that the
//! comments here cite.

mod decoder;
mod entry;
pub mod frame;
pub(crate) mod object;
mod plain;
pub mod reply;
pub mod request;
pub mod value;

pub use decoder::{Decoder, Frame, LongFrame};
pub(crate) use entry::ADDRESS_BITS;
pub use entry::Entry;
pub use frame::FrameError;
pub use reply::{Encoder, Reply, StatusCode};
pub use request::{BadRequest, Request};
#[cfg(feature = "cluster")]
pub(crate) use value::NotStored;
pub use value::{Json, Key, KeyRef, Value};
