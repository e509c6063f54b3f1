//! What stores have removed, until somebody frees it.

use std::any::Any;
use std::fmt;

use crate::protocol::Entry;

/// What stores have removed, a SET's displaced entry included.
///
/// Dropping it can take long: for a reset, in proportion to the entries that
/// there were. Do it where nobody waits.
#[derive(Default)]
pub struct Garbage {
    entries: Vec<Entry>,
    tables: Vec<Box<dyn Any + Send>>,
    cost: usize,
    bytes: usize,
    lasting_bytes: isize,
}

/// A page of memory, in bytes.
const PAGE_LEN: usize = 4 << 10;

impl Garbage {
    /// Adds an entry.
    pub(super) fn push(&mut self, entry: Entry) {
        self.push_displaced(entry, 0);
    }

    /// Adds an entry whose place one of so many bytes has taken.
    pub(super) fn push_displaced(&mut self, entry: Entry, by: usize) {
        let len = entry.len();
        self.charge(1, len);
        self.lasting_bytes += len as isize - by as isize;
        self.entries.push(entry);
    }

    /// Adds all entries of a store at once; `bytes` is what they and their
    /// table take.
    pub(super) fn push_table(&mut self, table: impl Any + Send, entries: usize, bytes: usize) {
        if bytes > 0 {
            self.charge(entries, bytes);
            self.lasting_bytes += bytes as isize;
            self.tables.push(Box::new(table));
        }
    }

    fn charge(&mut self, entries: usize, bytes: usize) {
        // Freeing a long entry gives its pages back one by one.
        self.cost += entries + bytes / PAGE_LEN;
        self.bytes += bytes;
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.tables.is_empty()
    }

    /// Whether dropping it would hold up somebody who waits: it takes more
    /// than about a fifth of a millisecond.
    pub fn is_large(&self) -> bool {
        const COST_SMALL: usize = 1024;

        self.cost > COST_SMALL
    }

    /// The bytes of the entries in it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its bytes without those of the entries that displaced others; below zero
    /// if these are longer.
    pub fn lasting_bytes(&self) -> isize {
        self.lasting_bytes
    }
}

impl fmt::Debug for Garbage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Garbage")
            .field("entries", &self.entries.len())
            .field("tables", &self.tables.len())
            .field("bytes", &self.bytes)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::protocol::Json;

    fn entry(value_len: usize) -> Entry {
        let json = format!("\"{}\"", "v".repeat(value_len));
        let json: &RawValue = serde_json::from_str(&json).expect("a string");
        Entry::with_json("k", &Json::new(json).expect("flat")).expect("a key")
    }

    #[test]
    fn it_is_large_by_the_number_of_its_entries_or_by_their_length() {
        let mut many = Garbage::default();
        for _ in 0..1024 {
            many.push(entry(1));
        }
        assert!(!many.is_large());
        many.push(entry(1));
        assert!(many.is_large());

        let mut long = Garbage::default();
        long.push(entry(1 << 20));
        assert!(!long.is_large());
        long.push(entry(8 << 20));
        assert!(long.is_large());
        assert!(long.bytes() > 9 << 20);
    }

    #[test]
    fn what_displaces_entries_is_no_memory_to_give_back() {
        let mut garbage = Garbage::default();
        garbage.push_displaced(entry(1000), 400);
        garbage.push_displaced(entry(1000), 4000);
        garbage.push(entry(7));
        let bytes = 2 * entry(1000).len() + entry(7).len();
        assert_eq!(garbage.bytes(), bytes);
        assert_eq!(garbage.lasting_bytes(), bytes as isize - 4400);
    }

    #[test]
    fn the_table_of_an_empty_store_is_none() {
        let mut garbage = Garbage::default();
        garbage.push_table(Vec::<Entry>::new(), 0, 0);
        assert!(garbage.is_empty());
    }
}
