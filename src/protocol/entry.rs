//! A key and its value in one allocation behind one thin pointer.
//!
//! A server spends most of its memory on entries, and most of a lookup's time
//! on cache misses. A map of `Box<str>` to `Arc<[u8]>` takes two allocations
//! and 32 bytes a bucket; this takes one and 8. ARCHITECTURE.md has what was
//! measured. std has no thin `Arc` of unsized content, so the module is the
//! one place with memory managed by hand.
#![expect(unsafe_code, reason = "a thin, shared pointer to bytes")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::process::abort;
use std::ptr::NonNull;
use std::slice;
use std::str;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use crate::memory::reserve;

/// A key and the JSON text of its value, immutable and shared by its clones.
///
/// Equality and hash are those of the key alone, so that a set of entries is
/// a map.
pub struct Entry(NonNull<Header>);

/// What the allocation begins with; `key_len` bytes of the key and
/// `value_len` bytes of the value follow without padding.
#[repr(C)]
struct Header {
    /// Of the key. Kept, so that it is computed once, by whoever parses the
    /// request, and not again by the store or when a map grows.
    hash: u64,
    references: AtomicU32,
    key_len: u32,
    value_len: u32,
}

/// More references than this can't come from honest use: the next clone ends
/// the process, long before the count could wrap.
const REFERENCES_MAX: u32 = i32::MAX as u32;

// SAFETY: the bytes never change while there are two references, the count is
// atomic, and whoever takes the last reference frees the allocation, on
// whatever thread that is.
unsafe impl Send for Entry {}
// SAFETY: as above; `&Entry` gives out only shared slices and clones.
unsafe impl Sync for Entry {}

impl Entry {
    /// Copies both texts into a new entry. Without memory the process ends.
    ///
    /// # Panics
    ///
    /// If either is longer than 4 GiB, which no frame can carry.
    pub(super) fn new(key: &str, value: &str) -> Self {
        Self::allocate(key, value).unwrap_or_else(|| {
            let len = size_of::<Header>() + key.len() + value.len();
            handle_alloc_error(Layout::array::<u8>(len).expect("no longer than the texts"))
        })
    }

    /// As [`new`](Self::new), but `None` when there is no memory.
    pub(super) fn try_new(key: &str, value: &str) -> Option<Self> {
        let len = size_of::<Header>() + key.len() + value.len();
        reserve::make_entry(len, || Self::allocate(key, value))
    }

    fn allocate(key: &str, value: &str) -> Option<Self> {
        let header = Header {
            hash: hash(key),
            references: AtomicU32::new(1),
            key_len: u32::try_from(key.len()).expect("shorter than a frame"),
            value_len: u32::try_from(value.len()).expect("shorter than a frame"),
        };
        let layout = header.layout();
        // SAFETY: the layout is not empty, for the header is not.
        let start = unsafe { alloc(layout) };
        let entry = NonNull::new(start.cast::<Header>())?;
        // SAFETY: the allocation is aligned for a `Header` and long enough
        // for it, the key and the value, which it can't overlap, being new.
        unsafe {
            entry.write(header);
            let key_start = start.add(size_of::<Header>());
            key_start.copy_from_nonoverlapping(key.as_ptr(), key.len());
            let value_start = key_start.add(key.len());
            value_start.copy_from_nonoverlapping(value.as_ptr(), value.len());
        }
        Some(Self(entry))
    }

    /// The hash of the key, the same for equal keys in all of this process.
    pub(crate) fn key_hash(&self) -> u64 {
        self.header().hash
    }

    /// The key.
    pub fn key(&self) -> &str {
        // SAFETY: the bytes after the header are the key's, copied from a str.
        unsafe { str::from_utf8_unchecked(self.bytes(0, self.header().key_len)) }
    }

    /// The JSON text of the value.
    pub fn value(&self) -> &[u8] {
        let header = self.header();
        // SAFETY: the bytes after the key are the value's.
        unsafe { self.bytes(header.key_len as usize, header.value_len) }
    }

    /// The bytes of memory that it takes.
    pub(crate) fn len(&self) -> usize {
        self.header().layout().size()
    }

    fn header(&self) -> &Header {
        // SAFETY: the allocation lives as long as any reference, and its
        // header was written when it was made.
        unsafe { self.0.as_ref() }
    }

    /// # Safety
    ///
    /// `offset + len` must not be more than the lengths of key and value.
    unsafe fn bytes(&self, offset: usize, len: u32) -> &[u8] {
        // SAFETY: the caller stays within the bytes that `new` has written.
        unsafe {
            let start = self.0.cast::<u8>().add(size_of::<Header>() + offset);
            slice::from_raw_parts(start.as_ptr(), len as usize)
        }
    }
}

impl Header {
    fn layout(&self) -> Layout {
        let len = self.key_len as usize + self.value_len as usize;
        // Two u32 and a little fit into an isize where pointers have 64 bits;
        // elsewhere no such texts could have existed.
        Layout::from_size_align(size_of::<Self>() + len, align_of::<Self>())
            .expect("no longer than the texts it holds")
    }
}

impl Clone for Entry {
    fn clone(&self) -> Self {
        // Relaxed: the new reference comes from one that is already here.
        let before = self.header().references.fetch_add(1, Ordering::Relaxed);
        if before > REFERENCES_MAX {
            abort();
        }
        Self(self.0)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Release, so that what this thread did with the bytes comes before
        // the freeing; acquire, so that the freeing comes after what others
        // did.
        if self.header().references.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            let layout = self.header().layout();
            // SAFETY: this was the last reference, and `new` allocated with
            // the layout of the same lengths.
            unsafe { dealloc(self.0.as_ptr().cast(), layout) };
        }
    }
}

/// Hashes a key as std's maps do, with one seed for the whole process: it is
/// random, because keys come from strangers.
pub(super) fn hash(key: &str) -> u64 {
    static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    SEED.hash_one(key)
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key_hash() == other.key_hash() && self.key() == other.key()
    }
}

impl Eq for Entry {}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.key_hash());
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = String::from_utf8_lossy(self.value());
        write!(f, "Entry({:?}: {value})", self.key())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn key_and_value_come_back_as_they_were() {
        for (key, value) in [("", ""), ("k", "null"), ("schlüssel", "[1, 2]")] {
            let entry = Entry::new(key, value);
            assert_eq!(entry.key(), key);
            assert_eq!(entry.value(), value.as_bytes());
        }
    }

    #[test]
    fn clones_outlive_the_original_on_any_thread() {
        let entry = Entry::new("key", &"v".repeat(1000));
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let mine = entry.clone();
                thread::spawn(move || {
                    for _ in 0..1000 {
                        assert_eq!(mine.clone().value().len(), 1000);
                    }
                })
            })
            .collect();
        drop(entry);
        for reader in readers {
            reader.join().expect("no assertion failed");
        }
    }

    #[test]
    fn entries_are_told_apart_by_their_keys_alone() {
        assert_eq!(Entry::new("a", "1"), Entry::new("a", "2"));
        assert_ne!(Entry::new("a", "1"), Entry::new("b", "1"));
    }
}
