//! Address space that is taken, and nothing else. It is not asked of an allocator:
//! that may take it out of the heap of one thread, where it is of no use to others
//! when it is freed.
#![expect(unsafe_code, reason = "calls of foreign functions")]

pub(super) use system::Block;

#[cfg(all(
    target_os = "linux",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64"
    )
))]
mod system {
    use std::ffi::{c_int, c_long, c_void};
    use std::ptr::{self, NonNull};

    const PROT_READ: c_int = 1;
    const PROT_WRITE: c_int = 2;
    const MAP_PRIVATE: c_int = 0x02;
    const MAP_ANONYMOUS: c_int = 0x20;
    const MAP_FAILED: usize = usize::MAX;

    unsafe extern "C" {
        fn mmap(
            wish: *mut c_void,
            len: usize,
            protection: c_int,
            flags: c_int,
            fd: c_int,
            offset: c_long,
        ) -> *mut c_void;
        fn munmap(start: *mut c_void, len: usize) -> c_int;
    }

    /// Pages that nobody touches: they count for limits, but take no memory.
    pub struct Block {
        start: NonNull<c_void>,
        len: usize,
    }

    // SAFETY: nobody reads or writes the pages, and any thread may unmap them.
    unsafe impl Send for Block {}

    impl Block {
        /// `None` if there is no address space for so many bytes.
        pub fn new(len: usize) -> Option<Self> {
            let flags = MAP_PRIVATE | MAP_ANONYMOUS;
            // SAFETY: a new mapping wherever there is room overlaps no other.
            let start = unsafe {
                let protection = PROT_READ | PROT_WRITE;
                mmap(ptr::null_mut(), len, protection, flags, -1, 0)
            };
            let start = NonNull::new(start).filter(|it| it.as_ptr().addr() != MAP_FAILED)?;
            Some(Self { start, len })
        }
    }

    impl Drop for Block {
        fn drop(&mut self) {
            // SAFETY: it is the mapping of `new`, to which there is no other
            // pointer.
            unsafe { munmap(self.start.as_ptr(), self.len) };
        }
    }
}

/// On other systems there always seems to be room: what grows is refused only
/// when it has no memory itself.
#[cfg(not(all(
    target_os = "linux",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64"
    )
)))]
mod system {
    pub struct Block;

    impl Block {
        pub fn new(_: usize) -> Option<Self> {
            Some(Self)
        }
    }
}
