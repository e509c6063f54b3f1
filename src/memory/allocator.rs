//! The system's allocator, which counts what it gives out and has the [`reserve`]
//! to fall back on.
#![expect(unsafe_code, reason = "a global allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;

use super::{count, reserve};

/// Allocates as the system does, and counts what is in use. When an allocation
/// fails for something short, it spends the memory that was held back, and tries
/// again.
///
/// A program that serves makes it its `#[global_allocator]`: std ends a process
/// that has no memory for a short string, and asks nobody before.
#[derive(Debug)]
pub struct Allocator;

// SAFETY: every call is handed on to the system's allocator as it came, and its
// answer is handed back. What is done before, between and after allocates nothing.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that `System` asks for.
        counted(layout.size(), || unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        counted(layout.size(), || unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_len: usize) -> *mut u8 {
        // SAFETY: as above, also the second time: a realloc that fails leaves
        // the block as it is.
        let block = or_from_reserve(new_len, || unsafe {
            System.realloc(block, layout, new_len)
        });
        if !block.is_null() {
            count::replace(layout.size(), new_len);
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count::sub(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

/// As [`or_from_reserve`], and counts what was given out.
#[inline]
fn counted(len: usize, allocate: impl Fn() -> *mut u8) -> *mut u8 {
    let block = or_from_reserve(len, allocate);
    if !block.is_null() {
        count::add(len);
    }
    block
}

/// Calls `allocate`, and once more if the reserve can help.
#[inline]
fn or_from_reserve(len: usize, allocate: impl Fn() -> *mut u8) -> *mut u8 {
    let block = allocate();
    if !block.is_null() {
        return block;
    }
    again(len, allocate)
}

#[cold]
fn again(len: usize, allocate: impl Fn() -> *mut u8) -> *mut u8 {
    reserve::spend(len, allocate).unwrap_or(ptr::null_mut())
}
