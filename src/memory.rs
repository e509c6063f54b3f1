//! How the process shares its memory and gives it back, and what happens when
//! there is none: what grows is refused, and the rest of the server goes on.

mod allocator;
mod block;
mod glibc;
pub(crate) mod reserve;

pub use allocator::Allocator;
pub use glibc::share_one_heap;
pub(crate) use glibc::trim;
