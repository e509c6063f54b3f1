//! The entries, and what each command does to them.

use std::collections::HashMap;

use crate::protocol::{Key, Reply, Request, Value};

type Entries = HashMap<Key, Value>;

/// Owns the entries. Knows no socket, no thread and no lock.
#[derive(Debug, Default)]
pub struct Store {
    /// The hasher is std's seeded one, because keys come from strangers.
    entries: Entries,
    discarded: Discarded,
}

/// What a [`Store`] has removed.
///
/// Dropping it can take long, in proportion to what a reset removed: do it
/// where nobody waits for the store.
#[derive(Debug, Default)]
pub struct Discarded(Vec<Removed>);

#[derive(Debug)]
enum Removed {
    Value(#[expect(dead_code, reason = "held to be dropped")] Value),
    Entries(#[expect(dead_code, reason = "held to be dropped")] Entries),
}

impl Store {
    /// Executes one request (S1).
    ///
    /// It takes out of `request` what it keeps and leaves there what it
    /// replaced, so that whoever owns the request frees that memory.
    pub fn apply(&mut self, request: &mut Request) -> Reply {
        match request {
            Request::Set { key, value } => {
                match self.entries.get_mut(key) {
                    Some(present) => std::mem::swap(present, value),
                    None => {
                        self.entries
                            .insert(std::mem::take(key), std::mem::take(value));
                    }
                }
                Reply::Done
            }
            Request::Get { key } => match self.entries.get(key) {
                Some(value) => Reply::Value(value.clone()),
                None => Reply::NoValue,
            },
            Request::Delete { key } => match self.entries.remove(key) {
                Some(value) => {
                    self.discarded.0.push(Removed::Value(value));
                    Reply::Done
                }
                None => Reply::NoKey,
            },
            Request::Reset => {
                let entries = std::mem::take(&mut self.entries);
                self.discarded.0.push(Removed::Entries(entries));
                Reply::Done
            }
        }
    }

    /// What has been removed since the last call.
    pub fn take_discarded(&mut self) -> Discarded {
        std::mem::take(&mut self.discarded)
    }
}
