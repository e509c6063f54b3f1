//! The shards, when their changes go into a journal before.

use std::io;
use std::sync::Arc;

use super::{Entries, LocalStore, Shared, StopOnPanic};
use crate::server::config::DataConfig;
use crate::server::journal_thread::{Group, JournalThread, Owner, Waiting};
use crate::server::load::load;
use crate::server::log::Log;
use crate::server::offload::{Offload, Offloaded, Promise, promise};
use crate::server::shutdown::Shutdown;
use crate::store::shards::Shards;
use crate::store::{Batch, Found, Position, StoreLost};

impl LocalStore {
    /// A store with the entries of the journal.
    pub(super) fn start_journaled(
        data: &DataConfig,
        log: &Log,
        shutdown: &Shutdown,
    ) -> io::Result<Self> {
        let mut shards = Shards::journaled();
        let journal = load(
            &mut shards,
            |shards, request, garbage| shards.apply(request, garbage),
            data,
            log,
            shutdown,
        )?;
        let entries = Arc::new(Entries::new(shards, shutdown)?);
        let owner = Owned(Arc::clone(&entries));
        let thread = JournalThread::start(journal, data.sync, owner, log, shutdown)?;
        Self::new(Shared {
            entries,
            offload: Offload::start()?,
            journal: Some(thread),
        })
    }
}

impl Shared {
    /// Leaves the batch to the journal if it has changes, and a long frame to
    /// who parses it before.
    pub(super) fn offload_journaled(
        &self,
        journal: &JournalThread<Promise<Batch>>,
        batch: &mut Batch,
    ) -> Option<Offloaded<Batch>> {
        let is_parsed = !batch.has_long_frame();
        if is_parsed && !batch.has_changes() {
            return None;
        }
        let (promise, executed) = promise();
        let mut batch = std::mem::take(batch);
        if is_parsed {
            journal.handle().execute(batch, promise);
            return Some(executed);
        }
        let (entries, journal) = (Arc::clone(&self.entries), journal.handle().clone());
        self.offload.start_work(move || {
            batch.parse();
            if batch.has_changes() {
                return journal.execute(batch, promise);
            }
            entries.execute(&mut batch);
            promise.keep(batch);
        });
        Some(executed)
    }
}

/// The entries, on the journal's thread.
struct Owned(Arc<Entries>);

impl Owner for Owned {
    type Waiter = Promise<Batch>;

    fn refuse(&mut self, mut group: Group<Self::Waiter>) -> Result<Group<Self::Waiter>, StoreLost> {
        for waiting in &mut group {
            self.0.shards.refuse(&mut waiting.batch);
        }
        Ok(group)
    }

    fn execute(&mut self, group: Group<Self::Waiter>) -> Result<(), StoreLost> {
        let Entries {
            shards,
            lazy_free,
            shutdown,
        } = &*self.0;
        let _guard = StopOnPanic(shutdown);
        if shards.is_broken() {
            return Err(StoreLost);
        }
        for Waiting { mut batch, waiter } in group {
            shards.execute_journaled(&mut batch);
            lazy_free.free_of(&mut batch);
            waiter.keep(batch);
        }
        Ok(())
    }

    fn scan(&mut self, from: Position, len_max: usize) -> Result<Found, StoreLost> {
        self.0.shards.scan(from, len_max).ok_or(StoreLost)
    }

    fn len(&mut self) -> Option<usize> {
        self.0.shards.size().map(|size| size.bytes)
    }
}
