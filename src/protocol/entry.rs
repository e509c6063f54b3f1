//! A key and its value in one allocation behind one thin pointer.
//!
//! A server spends most of its memory on entries, and most of a lookup's time
//! on cache misses. A map of `Box<str>` to `Arc<[u8]>` takes two allocations
//! and 32 bytes a bucket; this takes one and 8. ARCHITECTURE.md has what was
//! measured. std has no thin `Arc` of unsized content, so the module manages
//! memory by hand.
#![expect(unsafe_code, reason = "a thin, shared pointer to bytes")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::mem::ManuallyDrop;
use std::process::abort;
use std::ptr::{self, NonNull};
use std::slice;
use std::str;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use crate::memory::reserve;

/// A key and the JSON text of its value, immutable and shared by its clones.
pub struct Entry(NonNull<Header>);

/// What the allocation begins with. [`Lengths`] follow if they are long, and
/// then the bytes of the key and those of the value, without padding.
#[repr(C)]
struct Header {
    references: AtomicU32,
    /// The key's length in the upper 8 bits and the value's in the lower 24,
    /// or [`LONG`].
    lengths: u32,
}

/// Lengths that have no room in a [`Header`].
#[repr(C)]
#[derive(Clone, Copy)]
struct Lengths {
    key: u32,
    value: u32,
}

/// Says that the lengths follow the header. So a key of 255 bytes is long.
const LONG: u32 = u32::MAX;
const VALUE_BITS: u32 = 24;

/// More references than this can't come from honest use: the next clone ends
/// the process, long before the count could wrap.
const REFERENCES_MAX: u32 = i32::MAX as u32;

/// What an address is a multiple of, so that a table can leave out its lowest
/// bits. The usual allocators align to as much anyway.
const ALIGN: usize = 1 << ALIGN_BITS;
const ALIGN_BITS: u32 = 4;

/// The bits that an entry's address takes in a table.
pub(crate) const ADDRESS_BITS: u32 = 48 - ALIGN_BITS;

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
            let lengths = Lengths::of(key, value);
            handle_alloc_error(lengths.layout())
        })
    }

    /// As [`new`](Self::new), but `None` when there is no memory.
    #[inline]
    pub(super) fn try_new(key: &str, value: &str) -> Option<Self> {
        let len = Lengths::of(key, value).layout().size();
        reserve::make_entry(len, || Self::allocate(key, value))
    }

    fn allocate(key: &str, value: &str) -> Option<Self> {
        let lengths = Lengths::of(key, value);
        // SAFETY: the layout is not empty, for the header is not.
        let start = unsafe { alloc(lengths.layout()) };
        let entry = NonNull::new(start.cast::<Header>())?;
        // SAFETY: the allocation is aligned for a `Header` and for `Lengths`,
        // and long enough for them, the key and the value, which it can't
        // overlap, being new.
        unsafe {
            entry.write(Header {
                references: AtomicU32::new(1),
                lengths: lengths.packed().unwrap_or(LONG),
            });
            if lengths.packed().is_none() {
                entry.add(1).cast().write(lengths);
            }
            let key_start = start.add(lengths.offset());
            key_start.copy_from_nonoverlapping(key.as_ptr(), key.len());
            let value_start = key_start.add(key.len());
            value_start.copy_from_nonoverlapping(value.as_ptr(), value.len());
        }
        Some(Self(entry))
    }

    /// The key.
    pub fn key(&self) -> &str {
        let lengths = self.lengths();
        // SAFETY: these bytes are the key's, copied from a str.
        unsafe { str::from_utf8_unchecked(self.bytes(lengths.offset(), lengths.key)) }
    }

    /// The JSON text of the value.
    pub fn value(&self) -> &[u8] {
        let lengths = self.lengths();
        // SAFETY: the bytes after the key are the value's.
        unsafe { self.bytes(lengths.offset() + lengths.key as usize, lengths.value) }
    }

    /// The JSON text of the value, as text.
    #[cfg(feature = "data")]
    pub(crate) fn value_text(&self) -> &str {
        // SAFETY: these bytes are the value's, copied from a str.
        unsafe { str::from_utf8_unchecked(self.value()) }
    }

    /// The bytes of memory that it takes.
    pub(crate) fn len(&self) -> usize {
        self.lengths().layout().size()
    }

    /// Gives up this reference for a number of [`ADDRESS_BITS`] bits, never 0.
    ///
    /// # Panics
    ///
    /// If the entry's address has more than 48 bits: no system gives out such
    /// addresses unless a program asks for them.
    pub(crate) fn into_address(self) -> u64 {
        let pointer = ManuallyDrop::new(self).0.as_ptr();
        let address = pointer.expose_provenance() as u64 >> ALIGN_BITS;
        assert!(address >> ADDRESS_BITS == 0, "an address of over 48 bits");
        address
    }

    /// The reference that was given up for `address`.
    ///
    /// # Safety
    ///
    /// `address` comes from [`into_address`](Self::into_address). Only one of
    /// the entries that are made of it may be dropped, and none of them used
    /// after that.
    pub(crate) unsafe fn from_address(address: u64) -> Self {
        let pointer = ptr::with_exposed_provenance_mut((address << ALIGN_BITS) as usize);
        // SAFETY: it was the address of an allocation, and so not null.
        Self(unsafe { NonNull::new_unchecked(pointer) })
    }

    /// Where it begins, to be prefetched.
    pub(crate) fn address(&self) -> *const u8 {
        self.0.as_ptr().cast()
    }

    fn lengths(&self) -> Lengths {
        // SAFETY: the allocation lives as long as any reference, and its
        // header was written when it was made.
        let packed = unsafe { self.0.as_ref() }.lengths;
        if packed == LONG {
            // SAFETY: as above; `LONG` says that they follow the header.
            return unsafe { self.0.add(1).cast().read() };
        }
        Lengths {
            key: packed >> VALUE_BITS,
            value: packed & ((1 << VALUE_BITS) - 1),
        }
    }

    fn references(&self) -> &AtomicU32 {
        // SAFETY: as in `lengths`.
        unsafe { &(*self.0.as_ptr()).references }
    }

    /// # Safety
    ///
    /// `offset + len` must be within the allocation, and behind the lengths.
    unsafe fn bytes(&self, offset: usize, len: u32) -> &[u8] {
        // SAFETY: the caller stays within the bytes that `allocate` has written.
        unsafe {
            let start = self.0.cast::<u8>().add(offset);
            slice::from_raw_parts(start.as_ptr(), len as usize)
        }
    }
}

impl Lengths {
    fn of(key: &str, value: &str) -> Self {
        let short = |text: &str| u32::try_from(text.len()).expect("shorter than a frame");
        Self {
            key: short(key),
            value: short(value),
        }
    }

    /// As a header has them, if it has room for them.
    fn packed(self) -> Option<u32> {
        let is_short = self.key < 255 && self.value < 1 << VALUE_BITS;
        is_short.then_some(self.key << VALUE_BITS | self.value)
    }

    /// Where the key begins.
    fn offset(self) -> usize {
        match self.packed() {
            Some(_) => size_of::<Header>(),
            None => size_of::<Header>() + size_of::<Self>(),
        }
    }

    fn layout(self) -> Layout {
        let len = self.key as usize + self.value as usize;
        // Two u32 and a little fit into an isize where pointers have 64 bits;
        // elsewhere no such texts could have existed.
        Layout::from_size_align(self.offset() + len, ALIGN).expect("no longer than the texts")
    }
}

impl Clone for Entry {
    fn clone(&self) -> Self {
        // Relaxed: the new reference comes from one that is already here.
        let before = self.references().fetch_add(1, Ordering::Relaxed);
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
        if self.references().fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            let layout = self.lengths().layout();
            // SAFETY: this was the last reference, and `allocate` allocated with
            // the layout of the same lengths.
            unsafe { dealloc(self.0.as_ptr().cast(), layout) };
        }
    }
}

/// Hashes a key as std's maps do, with one seed for the whole process: it is
/// random, because keys come from strangers.
#[inline]
pub(super) fn hash(key: &str) -> u64 {
    static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let mut hasher = SEED.build_hasher();
    // Keys are hashed alone: what std adds to tell a text from the next is not
    // needed.
    hasher.write(key.as_bytes());
    hasher.finish()
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key() && self.value() == other.value()
    }
}

impl Eq for Entry {}

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
    fn lengths_that_have_no_room_in_the_header_come_back_too() {
        for (key_len, value_len) in [
            (254, (1 << 24) - 1),
            (255, 0),
            (1 << 20, 7),
            (254, 1 << 24),
            (0, (1 << 24) - 1),
        ] {
            let (key, value) = ("k".repeat(key_len), "v".repeat(value_len));
            let entry = Entry::new(&key, &value);
            assert!(entry.key() == key, "{key_len}");
            assert!(entry.value() == value.as_bytes(), "{value_len}");
        }
    }

    #[test]
    fn an_address_is_a_reference() {
        let entry = Entry::new("key", "1");
        let address = entry.clone().into_address();
        // SAFETY: made once of an address that was just given out.
        let same = unsafe { Entry::from_address(address) };
        drop(entry);
        assert_eq!(same, Entry::new("key", "1"));
        assert_ne!(same, Entry::new("key", "2"));
    }
}
