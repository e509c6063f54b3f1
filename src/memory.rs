//! How the process counts, shares and gives back its memory, and what happens when
//! there is none: what grows is refused, and the rest of the server goes on.

mod allocator;
mod available;
mod block;
pub(crate) mod ceiling;
mod count;
mod glibc;
pub(crate) mod reserve;
mod size;

pub use allocator::Allocator;
pub use available::available;
pub use ceiling::{CEILING_MIN, Usage, set_ceiling, usage};
pub use glibc::share_one_heap;
pub(crate) use glibc::trim;
pub use size::Size;

/// Whether the process could have so many bytes of address space more.
pub(crate) fn has_address_space(len: usize) -> bool {
    block::Block::new(len).is_some()
}
