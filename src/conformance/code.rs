//! The cases that data can't say: they look at single writes, run clients at
//! the same time, wait, or start and stop the server.

mod concurrency;
mod lifecycle;
mod limits;
mod memory;
mod pressure;
mod requests;
mod wire;

use super::case::Case;

/// Every case that is code, group by group.
pub(crate) fn cases() -> Vec<Case> {
    [
        wire::cases(),
        concurrency::cases(),
        limits::cases(),
        lifecycle::cases(),
        memory::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
