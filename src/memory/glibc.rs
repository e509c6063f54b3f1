//! What glibc's allocator can be asked for. With others, nothing here does
//! anything.
#![expect(unsafe_code, reason = "calls of foreign functions")]

pub use system::share_one_heap;
pub(crate) use system::{shares_one_heap, trim};

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod system {
    use std::ffi::c_int;
    use std::sync::atomic::{AtomicBool, Ordering};

    const M_ARENA_MAX: c_int = -8;

    static SHARES_ONE_HEAP: AtomicBool = AtomicBool::new(false);

    unsafe extern "C" {
        fn malloc_trim(pad: usize) -> c_int;
        fn mallopt(option: c_int, value: c_int) -> c_int;
    }

    /// Gives whole pages that nothing lies in back to the system. glibc does so
    /// only at the end of a heap, where some small allocation is always in use.
    pub(crate) fn trim() {
        // SAFETY: it takes no pointer, touches only memory that is not in use,
        // and may be called from any thread at any time.
        unsafe { malloc_trim(0) };
    }

    /// Has all threads of this process share one heap. By itself glibc makes up
    /// to eight for each core, and what a thread frees is used again only by
    /// those of the heap that it came from.
    ///
    /// For the beginning of a program: heaps that there are remain.
    pub fn share_one_heap() {
        // SAFETY: it takes no pointer, sets a number under the allocator's own
        // lock, and may be called from any thread at any time.
        unsafe { mallopt(M_ARENA_MAX, 1) };
        SHARES_ONE_HEAP.store(true, Ordering::Relaxed);
    }

    /// Whether that was said.
    pub(crate) fn shares_one_heap() -> bool {
        SHARES_ONE_HEAP.load(Ordering::Relaxed)
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod system {
    pub(crate) fn trim() {}

    pub(crate) fn shares_one_heap() -> bool {
        false
    }

    /// Where the allocator is glibc's, has all threads share one heap.
    pub fn share_one_heap() {}
}
