//! A store that one thread owns.

use super::batch::{Apply, Batch};
use super::garbage::Garbage;
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
