//! The entries, and what each command does to them.

pub mod shards;

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;

use crate::protocol::{Entry, Reply, Request};

/// std's map from key to value: an entry's hash and equality are its key's.
type Entries = HashSet<Entry, BuildHasherDefault<KeyHash>>;

/// Hands on the hash that an entry has kept since it was parsed.
#[derive(Debug, Default)]
struct KeyHash(u64);

impl Hasher for KeyHash {
    fn write(&mut self, _: &[u8]) {
        unreachable!("an entry hashes as one u64");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Owns the entries. Knows no socket, no thread and no lock.
#[derive(Debug, Default)]
pub struct Store {
    entries: Entries,
}

/// What stores have removed.
///
/// Dropping it can take long, in proportion to what a reset removed: do it
/// where nobody waits for the store.
#[derive(Debug, Default)]
pub struct Discarded(Vec<Removed>);

impl Discarded {
    /// Whether dropping it takes long enough to matter to somebody who waits.
    pub fn is_large(&self) -> bool {
        /// Dropped within about a millisecond.
        const ENTRIES_SMALL: usize = 10_000;

        let entries = self.0.iter().map(|removed| match removed {
            // Long values are their own mappings, a page at a time.
            Removed::Entry(entry) => 1 + (entry.value().len() >> 12),
            Removed::Entries(entries) => entries.len(),
        });
        entries.sum::<usize>() > ENTRIES_SMALL
    }
}

#[derive(Debug)]
enum Removed {
    Entry(Entry),
    Entries(Entries),
}

/// What a server fails with whose store has panicked.
pub(crate) fn broken_error() -> io::Error {
    io::Error::other(
        "a panic broke the store, so the entries are lost and nothing more was acknowledged; \
         start the server again, and report the panic above",
    )
}

impl Store {
    /// Executes one request (S1).
    ///
    /// What it removes it leaves to the caller to drop: a SET in `request`,
    /// the others in `discarded`.
    pub fn apply(&mut self, request: &mut Request, discarded: &mut Discarded) -> Reply {
        match request {
            Request::Set { entry } => {
                if let Some(replaced) = self.entries.replace(entry.clone()) {
                    *entry = replaced;
                }
                Reply::Done
            }
            Request::Get { key } => match self.entries.get(key.as_entry()) {
                Some(entry) => Reply::Value(entry.clone().into()),
                None => Reply::NoValue,
            },
            Request::Delete { key } => match self.entries.take(key.as_entry()) {
                Some(entry) => {
                    discarded.0.push(Removed::Entry(entry));
                    Reply::Done
                }
                None => Reply::NoKey,
            },
            Request::Reset => {
                let entries = std::mem::take(&mut self.entries);
                discarded.0.push(Removed::Entries(entries));
                Reply::Done
            }
        }
    }
}
