//! The shards, as the models whose sockets never block use them.

#[cfg(feature = "data")]
mod journaled;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread;

use super::config::Config;
#[cfg(feature = "data")]
use super::journal_thread::JournalThread;
use super::lazy_free::LazyFree;
#[cfg(feature = "data")]
use super::offload::Promise;
use super::offload::{Offload, Offloaded};
use super::shutdown::{Shutdown, StopCause};
use crate::protocol::Request;
use crate::store::shards::Shards;
use crate::store::{Batch, Executor, Garbage, StoreLost, StoreSize};

/// Entries in this process, used by all threads. Clones are the same store,
/// one for each connection.
pub(super) struct LocalStore {
    shared: Arc<Shared>,
    /// This connection's batch, while another thread has it.
    offloaded: Option<Offloaded<Batch>>,
}

struct Shared {
    entries: Arc<Entries>,
    offload: Offload,
    #[cfg(feature = "data")]
    journal: Option<JournalThread<Promise<Batch>>>,
}

/// The entries, and what executing takes besides.
struct Entries {
    shards: Shards,
    lazy_free: LazyFree,
    shutdown: Shutdown,
}

impl Clone for LocalStore {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            offloaded: None,
        }
    }
}

impl LocalStore {
    /// A store that is empty, or has the entries of the journal that `config`
    /// names. If executing panics it triggers `shutdown`, so that the process does
    /// not outlive its store.
    pub(super) fn start(config: &Config, shutdown: &Shutdown) -> io::Result<Self> {
        #[cfg(feature = "data")]
        if let Some(data) = &config.data {
            return Self::start_journaled(data, &config.log, shutdown);
        }
        let _ = config;
        let entries = Entries::new(Shards::default(), shutdown)?;
        Self::new(Shared {
            entries: Arc::new(entries),
            offload: Offload::start()?,
            #[cfg(feature = "data")]
            journal: None,
        })
    }

    fn new(shared: Shared) -> io::Result<Self> {
        Ok(Self {
            shared: Arc::new(shared),
            offloaded: None,
        })
    }

    /// How to ask how much there is; it does not keep the store.
    pub(super) fn size(&self) -> impl Fn() -> Option<StoreSize> + Send + Sync + use<> {
        let entries = Arc::downgrade(&self.shared.entries);
        move || entries.upgrade()?.shards.size()
    }

    /// Lets go of the entries. Nobody has to wait until they are freed, and a
    /// process that ends meanwhile spares itself the rest.
    ///
    /// Fails if a panic has left them in an unknown state, or if what was
    /// acknowledged is not on the disk.
    pub(super) fn finish(self) -> io::Result<()> {
        #[cfg(feature = "data")]
        if let Some(journal) = &self.shared.journal {
            journal.finish()?;
        }
        let Entries {
            shards, lazy_free, ..
        } = &*self.shared.entries;
        let mut garbage = Garbage::default();
        shards.apply(Request::Reset, &mut garbage);
        lazy_free.free(garbage);
        shards.check()
    }
}

impl Executor for LocalStore {
    fn poll_execute(
        &mut self,
        batch: &mut Batch,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), StoreLost>> {
        if self.offloaded.is_none() {
            self.offloaded = self.shared.offload(batch);
        }
        let Some(offloaded) = &mut self.offloaded else {
            self.shared.entries.execute(batch);
            return Poll::Ready(Ok(()));
        };
        let executed = ready!(Pin::new(offloaded).poll(cx));
        self.offloaded = None;
        *batch = executed?;
        Poll::Ready(Ok(()))
    }
}

impl Shared {
    /// Leaves the batch to others, if executing it takes long.
    fn offload(&self, batch: &mut Batch) -> Option<Offloaded<Batch>> {
        #[cfg(feature = "data")]
        if let Some(journal) = &self.journal {
            return self.offload_journaled(journal, batch);
        }
        if !batch.has_long_frame() {
            return None;
        }
        let entries = Arc::clone(&self.entries);
        let mut batch = std::mem::take(batch);
        Some(self.offload.execute(move || {
            entries.execute(&mut batch);
            batch
        }))
    }
}

impl Entries {
    fn new(shards: Shards, shutdown: &Shutdown) -> io::Result<Self> {
        Ok(Self {
            shards,
            lazy_free: LazyFree::start()?,
            shutdown: shutdown.clone(),
        })
    }

    fn execute(&self, batch: &mut Batch) {
        let _guard = StopOnPanic(&self.shutdown);
        self.shards.execute(batch);
        self.lazy_free.free_of(batch);
    }
}

struct StopOnPanic<'a>(&'a Shutdown);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.trigger_because(StopCause::StoreLost);
        }
    }
}
