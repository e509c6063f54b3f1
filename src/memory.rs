//! What happens when there is no memory: what grows is refused, and the rest of
//! the server goes on.

mod allocator;
mod block;
pub(crate) mod reserve;

pub use allocator::Allocator;
