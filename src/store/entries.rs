//! A store that one thread owns.

use super::batch::{Apply, Batch};
use super::garbage::Garbage;
#[cfg(feature = "data")]
use super::scan::{Found, Position};
use super::table::{StoreSize, TABLES, Table, table_of, tag_of};
use crate::protocol::{KeyRef, Reply, Request};

/// Owns the entries. Knows no socket, no thread and no lock.
#[derive(Debug)]
pub struct Store([Table; TABLES]);

impl Default for Store {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Table::default()))
    }
}

impl Store {
    /// Executes the batch's requests.
    pub fn execute(&mut self, batch: &mut Batch) {
        batch.answer(self);
    }

    /// How much there is.
    pub(crate) fn size(&self) -> StoreSize {
        let mut size = StoreSize::default();
        self.0.iter().for_each(|table| size.add(table));
        size
    }

    /// Executes one request (S1). What it removes goes into `garbage`.
    pub fn apply(&mut self, request: Request<KeyRef<'_>>, garbage: &mut Garbage) -> Reply {
        Apply::apply(self, request.key_hash(), request, garbage)
    }
}

/// What a journal needs.
#[cfg(feature = "data")]
impl Store {
    /// An empty store whose changes are in a journal before they come: it
    /// refuses none.
    pub(crate) fn journaled() -> Self {
        Self(std::array::from_fn(|_| Table::taking_all()))
    }

    /// Executes the batch whose changes are in the journal.
    pub(crate) fn execute_journaled(&mut self, batch: &mut Batch) {
        batch.answer_all(self);
    }

    /// Answers those SETs of the batch that there is no room for.
    pub(crate) fn refuse(&self, batch: &mut Batch) {
        batch.refuse_sets(|hash, entry| self.0[table_of(hash)].has_room(hash, entry));
    }

    /// Some entries, of so many bytes together.
    pub(crate) fn scan(&self, from: Position, len_max: usize) -> Found {
        let mut found = Found::begin(from, len_max);
        while let Some(table) = found.table() {
            found.look_into(&self.0[table]);
        }
        found
    }
}

impl Apply for Store {
    fn prefetch_slot(&self, hash: u64) {
        if let Some(location) = self.0[table_of(hash)].location(hash) {
            location.prefetch(tag_of(hash));
        }
    }

    fn prefetch_entry(&self, hash: u64) {
        self.0[table_of(hash)].prefetch_entry(hash);
    }

    fn apply(&mut self, hash: u64, request: Request<KeyRef<'_>>, garbage: &mut Garbage) -> Reply {
        match request {
            Request::Reset => {
                for table in &mut self.0 {
                    table.apply(hash, Request::Reset, garbage);
                }
                Reply::Done
            }
            request => self.0[table_of(hash)].apply(hash, request, garbage),
        }
    }
}
