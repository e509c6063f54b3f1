//! A place for one entry, in eight bytes.
#![expect(
    unsafe_code,
    reason = "an address beside some bits of a hash; prefetching"
)]

use std::mem::ManuallyDrop;

use crate::protocol::{ADDRESS_BITS, Entry};

/// The bits of a key's hash that a slot keeps.
pub(super) const TAG_BITS: u32 = u64::BITS - ADDRESS_BITS;

/// An entry and the tag of its key, or neither.
///
/// The tag is in the upper bits and the entry's address in the lower: what is
/// looked for is nearly always found or missed without a look at the entry,
/// which would be a cache miss.
#[derive(Debug, Default)]
pub(super) struct Slot(u64);

const ADDRESS: u64 = (1 << ADDRESS_BITS) - 1;

impl Slot {
    /// A slot that owns the entry. A tag has [`TAG_BITS`] bits.
    pub(super) fn new(tag: u32, entry: Entry) -> Self {
        debug_assert!(tag >> TAG_BITS == 0, "a longer tag");
        Self(u64::from(tag) << ADDRESS_BITS | entry.into_address())
    }

    /// Whether it has no entry.
    pub(super) fn is_vacant(&self) -> bool {
        self.0 == 0
    }

    /// The tag; 0 if it is vacant.
    pub(super) fn tag(&self) -> u32 {
        (self.0 >> ADDRESS_BITS) as u32
    }

    /// Its entry.
    ///
    /// # Panics
    ///
    /// If it is vacant.
    pub(super) fn entry(&self) -> impl std::ops::Deref<Target = Entry> {
        assert!(!self.is_vacant());
        // SAFETY: the address is of an entry of which this slot has the
        // reference. It is not dropped here, and what is returned borrows
        // the slot.
        ManuallyDrop::new(unsafe { Entry::from_address(self.0 & ADDRESS) })
    }

    /// The entry, if there is one.
    pub(super) fn into_entry(self) -> Option<Entry> {
        let slot = ManuallyDrop::new(self);
        // SAFETY: as in `entry`; this slot is never dropped.
        (!slot.is_vacant()).then(|| unsafe { Entry::from_address(slot.0 & ADDRESS) })
    }

    /// Asks for the entry's first cache lines.
    pub(super) fn prefetch_entry(&self) {
        if !self.is_vacant() {
            let entry = self.entry();
            let start = entry.address();
            prefetch(start);
            prefetch(start.wrapping_add(CACHE_LINE_LEN));
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        drop(std::mem::take(self).into_entry());
    }
}

/// In bytes.
pub(super) const CACHE_LINE_LEN: usize = 64;

/// Asks the processor for the cache line at this address, which may be any.
pub(super) fn prefetch(address: *const u8) {
    // SAFETY: it is a hint: it reads nothing and faults nowhere.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!(
            "prfm pldl1keep, [{address}]",
            address = in(reg) address,
            options(nostack, preserves_flags, readonly),
        );
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}
