//! The entries, and what each command does to them.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::garbage::Garbage;
use crate::memory::reserve;
use crate::protocol::{BadRequest, Entry, KeyRef, Reply, Request};

/// std's map from key to value: an entry's hash and equality are its key's.
type Entries = HashSet<Entry, BuildHasherDefault<KeyHash>>;

/// Owns the entries. Knows no socket, no thread and no lock.
#[derive(Debug, Default)]
pub struct Store {
    entries: Entries,
    /// What the entries take, without the map.
    entries_len: usize,
}

impl Store {
    /// Executes one request (S1). What it removes goes into `garbage`.
    pub fn apply(&mut self, request: Request<KeyRef<'_>>, garbage: &mut Garbage) -> Reply {
        match request {
            Request::Set { entry } => {
                if !self.has_room() {
                    return (&BadRequest::NoMemory).into();
                }
                let len = entry.len();
                self.entries_len += len;
                if let Some(displaced) = self.entries.replace(entry) {
                    self.entries_len -= displaced.len();
                    garbage.push_displaced(displaced, len);
                }
                Reply::Done
            }
            Request::Get { key } => match self.entries.get(&key as &dyn Keyed) {
                Some(entry) => Reply::Value(entry.clone().into()),
                None => Reply::NoValue,
            },
            Request::Delete { key } => match self.entries.take(&key as &dyn Keyed) {
                Some(entry) => {
                    self.entries_len -= entry.len();
                    garbage.push(entry);
                    Reply::Done
                }
                None => Reply::NoKey,
            },
            Request::Reset => {
                let Self {
                    entries,
                    entries_len,
                } = std::mem::take(self);
                let count = entries.len();
                let table_len = entries.capacity() * size_of::<Entry>();
                garbage.push_table(entries, count, entries_len + table_len);
                Reply::Done
            }
        }
    }
}

impl Store {
    /// Makes room for one more entry. The table may take no more memory when
    /// entries may not.
    fn has_room(&mut self) -> bool {
        self.entries.len() < self.entries.capacity()
            || reserve::is_held() && self.entries.try_reserve(1).is_ok()
    }
}

/// What the map finds an entry by: the entry itself, or a key that has none.
trait Keyed {
    fn key(&self) -> KeyRef<'_>;
}

impl Keyed for Entry {
    fn key(&self) -> KeyRef<'_> {
        KeyRef::with_hash(self.key(), self.key_hash())
    }
}

impl Keyed for KeyRef<'_> {
    fn key(&self) -> KeyRef<'_> {
        *self
    }
}

impl<'a> Borrow<dyn Keyed + 'a> for Entry {
    fn borrow(&self) -> &(dyn Keyed + 'a) {
        self
    }
}

impl PartialEq for dyn Keyed + '_ {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (self.key(), other.key());
        one.hash() == other.hash() && one.as_str() == other.as_str()
    }
}

impl Eq for dyn Keyed + '_ {}

impl Hash for dyn Keyed + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.key().hash());
    }
}

/// Hands on the hash that was computed when the request was parsed.
#[derive(Debug, Default)]
struct KeyHash(u64);

impl Hasher for KeyHash {
    fn write(&mut self, _: &[u8]) {
        unreachable!("a key hashes as one u64");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
