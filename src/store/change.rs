//! What requests change, for those who keep it elsewhere too.

use crate::protocol::{KeyRef, Request};

/// What one request changes in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The key has this value from now on.
    Set {
        /// The key, never empty.
        key: &'a str,
        /// The JSON text of the value.
        value: &'a str,
    },
    /// The key has no value any more, if it had one.
    Delete {
        /// The key.
        key: &'a str,
    },
    /// No key has a value any more.
    Reset,
}

impl<'a> Change<'a> {
    /// The request that makes this change in another store. `None` if there is
    /// no memory for it, or if no request could have an empty key.
    pub(crate) fn request(self) -> Option<Request<KeyRef<'a>>> {
        Some(match self {
            Self::Set { key, value } => Request::stored(key, value)?,
            Self::Delete { key } => Request::Delete {
                key: KeyRef::new(key)?,
            },
            Self::Reset => Request::Reset,
        })
    }
}
