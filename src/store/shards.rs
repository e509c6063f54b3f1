//! A store that many threads use at the same time.

use std::io;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::batch::{Apply, Batch};
use super::executor::broken_error;
use super::garbage::Garbage;
#[cfg(all(feature = "data", any(feature = "tokio", feature = "epoll")))]
use super::scan::{Found, Position};
use super::segment::Location;
#[cfg(any(feature = "tokio", feature = "epoll"))]
use super::table::StoreSize;
use super::table::{SEGMENTS, TABLES, Table, segment_of, table_of, tag_of};
use crate::protocol::{KeyRef, Reply, Request};

/// Tables under a lock each: enough of them that two threads seldom want the
/// same one.
#[derive(Debug)]
pub struct Shards(Box<[Shard]>);

#[derive(Debug)]
struct Shard {
    table: Mutex<Table>,
    /// Where the slots of each segment were when it was last changed, so that
    /// to prefetch one takes no lock.
    hints: [Hint; SEGMENTS],
}

#[derive(Debug, Default)]
struct Hint {
    slots: AtomicPtr<u8>,
    homes: AtomicU32,
}

impl Default for Shards {
    fn default() -> Self {
        let shard = |_| Shard {
            table: Mutex::default(),
            hints: std::array::from_fn(|_| Hint::default()),
        };
        Self((0..TABLES).map(shard).collect())
    }
}

impl Shards {
    /// Executes the batch's requests, each under its table's lock.
    pub fn execute(&self, batch: &mut Batch) {
        batch.answer(&mut &*self);
    }

    /// Executes one request as a [`Store`](super::Store) does.
    ///
    /// Each request is atomic, a reset too: it takes every lock before it
    /// removes anything, so all requests are in one order (S1a).
    pub fn apply(&self, request: Request<KeyRef<'_>>, garbage: &mut Garbage) -> Reply {
        (&mut &*self).apply(request.key_hash(), request, garbage)
    }

    /// Fails if a panic has left a store in an unknown state.
    pub fn check(&self) -> io::Result<()> {
        if self.is_broken() {
            return Err(broken_error());
        }
        Ok(())
    }

    /// How much there is, table by table; `None` if the store is broken.
    #[cfg(any(feature = "tokio", feature = "epoll"))]
    pub(crate) fn size(&self) -> Option<StoreSize> {
        let mut size = StoreSize::default();
        for shard in &self.0 {
            size.add(&*shard.table.lock().ok()?);
        }
        Some(size)
    }

    /// Whether a panic has left a store in an unknown state.
    pub fn is_broken(&self) -> bool {
        self.0.iter().any(|shard| shard.table.is_poisoned())
    }

    fn reset(&self, garbage: &mut Garbage) -> Reply {
        // Always in the same order, so that two resets can't lock each other
        // out.
        let tables: Result<Vec<MutexGuard<'_, Table>>, PoisonError<_>> =
            self.0.iter().map(|shard| shard.table.lock()).collect();
        let Ok(mut tables) = tables else {
            return broken();
        };
        for table in &mut tables {
            table.apply(0, Request::Reset, garbage);
        }
        Reply::Done
    }
}

/// What a journal needs.
#[cfg(all(feature = "data", any(feature = "tokio", feature = "epoll")))]
impl Shards {
    /// An empty store whose changes are in a journal before they come: it
    /// refuses none.
    pub(crate) fn journaled() -> Self {
        let mut shards = Self::default();
        for shard in &mut shards.0 {
            shard.table = Mutex::new(Table::taking_all());
        }
        shards
    }

    /// Executes the batch whose changes are in the journal.
    pub(crate) fn execute_journaled(&self, batch: &mut Batch) {
        batch.answer_all(&mut &*self);
    }

    /// Answers those SETs of the batch that there is no room for.
    pub(crate) fn refuse(&self, batch: &mut Batch) {
        batch.refuse_sets(|hash, entry| {
            // What a broken table is asked, its own answer refuses.
            let table = self.0[table_of(hash)].table.lock();
            table.is_ok_and(|table| table.has_room(hash, entry))
        });
    }

    /// Some entries, of so many bytes together; `None` if the store is broken.
    pub(crate) fn scan(&self, from: Position, len_max: usize) -> Option<Found> {
        let mut found = Found::begin(from, len_max);
        while let Some(table) = found.table() {
            found.look_into(&*self.0[table].table.lock().ok()?);
        }
        Some(found)
    }
}

impl Apply for &Shards {
    fn prefetch_slot(&self, hash: u64) {
        let hint = &self.0[table_of(hash)].hints[segment_of(hash)];
        let location = Location {
            slots: hint.slots.load(Ordering::Relaxed),
            homes: hint.homes.load(Ordering::Relaxed),
        };
        location.prefetch(tag_of(hash));
    }

    fn prefetch_entry(&self, hash: u64) {
        // Who has to wait for the lock is not helped by waiting twice.
        if let Ok(table) = self.0[table_of(hash)].table.try_lock() {
            table.prefetch_entry(hash);
        }
    }

    fn apply(&mut self, hash: u64, request: Request<KeyRef<'_>>, garbage: &mut Garbage) -> Reply {
        let may_relocate = match request {
            Request::Set { .. } | Request::Delete { .. } => true,
            Request::Get { .. } => false,
            Request::Reset => return self.reset(garbage),
        };
        let shard = &self.0[table_of(hash)];
        let Ok(mut table) = shard.table.lock() else {
            return broken();
        };
        let reply = table.apply(hash, request, garbage);
        if may_relocate && let Some(location) = table.location(hash) {
            shard.hints[segment_of(hash)].note(location);
        }
        reply
    }
}

impl Hint {
    fn note(&self, location: Location) {
        let slots = location.slots.cast_mut();
        let homes = self.homes.load(Ordering::Relaxed);
        if self.slots.load(Ordering::Relaxed) != slots || homes != location.homes {
            self.slots.store(slots, Ordering::Relaxed);
            self.homes.store(location.homes, Ordering::Relaxed);
        }
    }
}

fn broken() -> Reply {
    Reply::Unavailable("The store is broken; start the server again.".to_owned())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::protocol::StatusCode;

    #[test]
    fn after_a_panic_in_a_store_nothing_of_it_is_acknowledged() {
        let shards = Shards::default();
        let key = KeyRef::new("k").expect("not empty");
        let table = table_of(key.hash());
        thread::scope(|scope| {
            let holder = scope.spawn(|| {
                let table = &shards.0[table].table;
                let _table = table.lock().expect("nobody has panicked yet");
                panic!("the panic of this test");
            });
            assert!(holder.join().is_err());
        });
        for request in [Request::Get { key }, Request::Reset] {
            let reply = shards.apply(request, &mut Garbage::default());
            assert_eq!(reply.status_code(), StatusCode::Unavailable);
        }
        assert!(shards.is_broken());
        assert!(shards.check().is_err());
    }
}
