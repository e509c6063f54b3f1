//! What a store is to a connection.

use std::io;
use std::task::{Context, Poll};

use super::batch::Batch;

/// One connection's access to a store, which has one batch at a time.
///
/// A store that answers at once never returns `Pending`. One that waits, for a
/// network or a disk, has the task woken and is asked again with the same
/// batch. Meanwhile nobody else looks at the batch, so it may be answered
/// before or after the wait. What is not asked again is given up.
pub trait Executor {
    /// Executes the batch's requests in order, as many as
    /// [`answer_each`](Batch::answer_each) lets it: at least one. A reset is a
    /// barrier: nothing moves from before it to after it, or back. Takes the
    /// batch's garbage.
    ///
    /// Fails when nobody knows what was executed. The connection has to close
    /// then, for every reply would be a guess (A6).
    fn poll_execute(
        &mut self,
        batch: &mut Batch,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), StoreLost>>;
}

/// The store is gone, and with it the knowledge of what it executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLost;

/// What a server fails with whose store has panicked.
pub(crate) fn broken_error() -> io::Error {
    io::Error::other(
        "a panic broke the store, so the entries are lost; \
         start the server again, and report the panic above",
    )
}
