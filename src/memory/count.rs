//! What the allocator has given out: counted by each thread for itself, and
//! added up now and then.

use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering};

use super::ceiling;

/// A thread adds what it has counted to the sum when it is as much, in bytes.
/// So the sum is wrong by less than this for each thread.
const UNCOUNTED_LEN_MAX: isize = 16 << 10;

/// Below zero for a moment, if what one thread has allocated is freed by another
/// and added up by that one first.
static USED: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    // Without a destructor, it can be used by whatever the allocator is called from.
    static UNCOUNTED: Cell<isize> = const { Cell::new(0) };
}

/// A block of so many bytes was given out.
#[inline]
pub(super) fn add(len: usize) {
    change(chunk_len(len));
}

/// A block of so many bytes was taken back.
#[inline]
pub(super) fn sub(len: usize) {
    change(-chunk_len(len));
}

/// A block of so many bytes has become one of another length.
#[inline]
pub(super) fn replace(from: usize, to: usize) {
    change(chunk_len(to) - chunk_len(from));
}

/// The sum, in bytes.
pub(super) fn used() -> usize {
    usize::try_from(USED.load(Ordering::Relaxed)).unwrap_or(0)
}

#[inline]
fn change(by: isize) {
    UNCOUNTED.with(|uncounted| {
        let len = uncounted.get() + by;
        uncounted.set(len);
        if len.unsigned_abs() >= UNCOUNTED_LEN_MAX.unsigned_abs() {
            uncounted.set(0);
            add_up(len);
        }
    });
}

#[cold]
fn add_up(len: isize) {
    USED.fetch_add(len, Ordering::Relaxed);
    ceiling::update();
}

/// What a block takes of a heap, as glibc lays them out: with a header of 8 bytes,
/// in multiples of 16.
#[inline]
fn chunk_len(len: usize) -> isize {
    // No block is longer than half of the address space.
    ((len + 23) & !15) as isize
}
