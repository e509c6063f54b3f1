//! The shards, as the models whose sockets never block use them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread;

use super::lazy_free::LazyFree;
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
    shards: Shards,
    lazy_free: LazyFree,
    offload: Offload,
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
    /// An empty store. If executing panics it triggers `shutdown`, so that the
    /// process does not outlive its store.
    pub(super) fn start(shutdown: &Shutdown) -> io::Result<Self> {
        Ok(Self {
            shared: Arc::new(Shared {
                shards: Shards::default(),
                lazy_free: LazyFree::start()?,
                offload: Offload::start()?,
                shutdown: shutdown.clone(),
            }),
            offloaded: None,
        })
    }

    /// How to ask how much there is; it does not keep the store.
    pub(super) fn size(&self) -> impl Fn() -> Option<StoreSize> + Send + Sync + use<> {
        let shared = Arc::downgrade(&self.shared);
        move || shared.upgrade()?.shards.size()
    }

    /// Lets go of the entries. Nobody has to wait until they are freed, and a
    /// process that ends meanwhile spares itself the rest.
    ///
    /// Fails if a panic has left them in an unknown state.
    pub(super) fn finish(self) -> io::Result<()> {
        let Shared {
            shards, lazy_free, ..
        } = &*self.shared;
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
        if self.offloaded.is_none() && !batch.has_long_frame() {
            self.shared.execute(batch);
            return Poll::Ready(Ok(()));
        }
        let offloaded = self.offloaded.get_or_insert_with(|| {
            let shared = Arc::clone(&self.shared);
            let mut batch = std::mem::take(batch);
            self.shared.offload.execute(move || {
                shared.execute(&mut batch);
                batch
            })
        });
        let executed = ready!(Pin::new(offloaded).poll(cx));
        self.offloaded = None;
        *batch = executed?;
        Poll::Ready(Ok(()))
    }
}

impl Shared {
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
