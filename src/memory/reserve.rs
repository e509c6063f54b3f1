//! Address space held back for what cannot be refused.
//!
//! Entries, their tables and long frames are what grows, and each has an answer
//! for when there is no memory: 503. All else is short and has no such answer:
//! without memory for it the process ends. So a block is held for it. When a
//! short allocation fails the block is given up, and until there is room for
//! another, what grows may take only memory that was freed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::block::Block;
use super::glibc;

/// What is held, in bytes. It is less than the 64 MiB that glibc maps when the
/// heap of a thread is full, so that none takes all of it.
const LEN: usize = 32 << 20;

/// Of a block that was given up, short entries leave so much to others. What
/// others have taken of it is no reason to refuse entries that take none, so it
/// becomes less by a step at a time.
const SPARED_LEN_MAX: usize = 24 << 20;
const SPARED_LEN_MIN: usize = 12 << 20;
const SPARED_LEN_STEP: usize = 4 << 10;

/// What is longer can be refused. It is the room for the replies of one
/// connection, and more.
const SHORT_LEN_MAX: usize = 1 << 20;

/// Entries longer than this wait until the block is held again: many threads
/// may each have one that is yet to be refused.
const SHORT_ENTRY_LEN_MAX: usize = 64 << 10;

/// What a reset frees at least before entries may take it while no block is
/// held, and what they leave of it, in bytes.
const FREED_LEN_MIN: usize = 64 << 20;

static IS_HELD: AtomicBool = AtomicBool::new(false);

static RESERVE: Mutex<Reserve> = Mutex::new(Reserve {
    block: None,
    spared_len: SPARED_LEN_MAX,
    freed_len: 0,
});

/// Whoever takes or gives up address space on purpose has it locked, and
/// allocates nothing from [`Allocator`](super::Allocator).
struct Reserve {
    block: Option<Block>,
    spared_len: usize,
    /// What a reset has freed and no entry has taken since. It need not become
    /// address space: something small may be in use at the end of the heap.
    freed_len: usize,
}

/// Whether long frames may take memory.
pub(crate) fn is_held() -> bool {
    IS_HELD.load(Ordering::Relaxed) || reserve().hold()
}

/// Whether so many bytes could be had now, for what can't be refused later.
#[cfg(feature = "cluster")]
pub(crate) fn has_room(len: usize) -> bool {
    is_held() && Vec::<u8>::new().try_reserve_exact(len).is_ok()
}

/// Has `allocate` make an entry of so many bytes, if entries may take memory.
#[inline]
pub(crate) fn make_entry<T>(len: usize, allocate: impl FnOnce() -> Option<T>) -> Option<T> {
    if IS_HELD.load(Ordering::Relaxed) {
        return allocate();
    }
    make_entry_without(len, allocate)
}

/// So many bytes were freed at once.
pub(crate) fn note_freed(len: usize) {
    // In a heap of one thread they would be of no use to others.
    if glibc::shares_one_heap() {
        let mut reserve = reserve();
        reserve.freed_len = reserve.freed_len.max(len);
    }
}

/// Calls `allocate` again, which has failed for so many bytes, if that can help.
pub(super) fn spend<T>(len: usize, allocate: impl FnOnce() -> T) -> Option<T> {
    if len > SHORT_LEN_MAX {
        return None;
    }
    let mut reserve = reserve();
    IS_HELD.store(false, Ordering::Relaxed);
    reserve.freed_len = 0;
    reserve.block = None;
    Some(allocate())
}

/// An allocator does not say whether it has the memory already. So the entry is
/// made, and dropped if it took address space that is to be spared.
#[cold]
fn make_entry_without<T>(len: usize, allocate: impl FnOnce() -> Option<T>) -> Option<T> {
    let (is_held, spared_len) = {
        let mut reserve = reserve();
        (reserve.hold(), reserve.spare())
    };
    if is_held {
        return allocate();
    }
    if len > SHORT_ENTRY_LEN_MAX {
        return None;
    }
    let entry = allocate()?;
    let mut reserve = reserve();
    let is_spared = reserve.take_freed(len) || Block::new(spared_len).is_some();
    is_spared.then_some(entry)
}

impl Reserve {
    fn hold(&mut self) -> bool {
        if self.block.is_none() {
            self.block = Block::new(LEN);
        }
        let is_held = self.block.is_some();
        if is_held {
            self.spared_len = SPARED_LEN_MAX;
            self.freed_len = 0;
        }
        IS_HELD.store(is_held, Ordering::Relaxed);
        is_held
    }

    /// Takes so many bytes of what was freed, if that leaves enough.
    fn take_freed(&mut self, len: usize) -> bool {
        let is_enough = self.freed_len >= len + FREED_LEN_MIN;
        if is_enough {
            self.freed_len -= len;
        }
        is_enough
    }

    /// What the next entry is to spare.
    fn spare(&mut self) -> usize {
        let is_there = self.block.is_some() || Block::new(self.spared_len).is_some();
        if !is_there && self.spared_len > SPARED_LEN_MIN {
            self.spared_len -= SPARED_LEN_STEP;
        }
        self.spared_len
    }
}

fn reserve() -> MutexGuard<'static, Reserve> {
    RESERVE.lock().unwrap_or_else(PoisonError::into_inner)
}
