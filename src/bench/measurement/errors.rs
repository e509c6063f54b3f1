//! What can go wrong, and how often it did.

use std::collections::BTreeMap;

use serde::Serialize;

/// What can go wrong with a request or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// A connection could not be made.
    Connect,
    /// A connection ended or failed.
    Closed,
    /// The server said that the request was at fault (400).
    BadRequest,
    /// The server said that it can't (503).
    Unavailable,
    /// The reply was not what the protocol allows, or not to that request, or longer than
    /// what is kept of one.
    Malformed,
    /// With verification: a value that nobody wrote under its key.
    WrongValue,
    /// With verification: no value under a key that was set.
    Missing,
    /// No reply came.
    Lost,
}

impl ErrorKind {
    /// How it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "can't connect",
            Self::Closed => "connection ended",
            Self::BadRequest => "bad request",
            Self::Unavailable => "unavailable",
            Self::Malformed => "malformed reply",
            Self::WrongValue => "wrong value",
            Self::Missing => "value missing",
            Self::Lost => "lost replies",
        }
    }
}

/// How often each error came, and what the first of each kind said.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Errors(BTreeMap<ErrorKind, ErrorCount>);

/// Errors of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorCount {
    /// How many there were.
    pub count: u64,
    /// What the first said.
    pub first: String,
}

impl Errors {
    /// Whether nothing went wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there were, of all kinds.
    pub fn total(&self) -> u64 {
        self.0.values().map(|errors| errors.count).sum()
    }

    /// The kinds that came.
    pub fn iter(&self) -> impl Iterator<Item = (ErrorKind, &ErrorCount)> {
        self.0.iter().map(|(kind, errors)| (*kind, errors))
    }

    pub(in crate::bench) fn add(
        &mut self,
        kind: ErrorKind,
        count: u64,
        first: impl FnOnce() -> String,
    ) {
        if count > 0 {
            let errors = self.0.entry(kind).or_insert_with(|| ErrorCount {
                count: 0,
                first: first(),
            });
            errors.count += count;
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (kind, errors) in other.0 {
            self.add(kind, errors.count, || errors.first);
        }
    }
}
