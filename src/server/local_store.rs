//! The shards, as the models whose sockets never block use them.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;

use super::lazy_free::LazyFree;
use super::shutdown::Shutdown;
use crate::protocol::Request;
use crate::store::shards::Shards;
use crate::store::{Batch, Executor, Garbage, StoreLost};

/// Entries in this process, used by all threads. Clones are the same store,
/// one for each connection.
#[derive(Clone)]
pub(super) struct LocalStore(Arc<Inner>);

struct Inner {
    shards: Shards,
    lazy_free: LazyFree,
    shutdown: Shutdown,
}

impl LocalStore {
    /// An empty store. If executing panics it triggers `shutdown`, so that the
    /// process does not outlive its store.
    pub(super) fn start(shutdown: &Shutdown) -> io::Result<Self> {
        Ok(Self(Arc::new(Inner {
            shards: Shards::default(),
            lazy_free: LazyFree::start()?,
            shutdown: shutdown.clone(),
        })))
    }

    /// Lets go of the entries. Nobody has to wait until they are freed, and a
    /// process that ends meanwhile spares itself the rest.
    ///
    /// Fails if a panic has left them in an unknown state.
    pub(super) fn finish(self) -> io::Result<()> {
        let mut garbage = Garbage::default();
        self.0.shards.apply(Request::Reset, &mut garbage);
        self.0.lazy_free.free(garbage);
        self.0.shards.check()
    }
}

impl Executor for LocalStore {
    fn poll_execute(
        &mut self,
        batch: &mut Batch,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), StoreLost>> {
        let _guard = StopOnPanic(&self.0.shutdown);
        self.0.shards.execute(batch);
        // Before the replies are written: a peer that does not read must not
        // keep what its requests removed.
        if batch.has_garbage() {
            self.0.lazy_free.free(batch.take_garbage());
        }
        Poll::Ready(Ok(()))
    }
}

struct StopOnPanic<'a>(&'a Shutdown);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.trigger();
        }
    }
}
