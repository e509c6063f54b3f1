//! The entries whose keys' hashes begin alike: one of the parts of a store's
//! hash table.
//!
//! Its slots are ordered by their tags. A tag's home is its proportional place
//! among the slots, and an entry is at its home or after it, with no vacant
//! slot between. So a look-up begins at the home and ends at the first slot
//! that is vacant or has a higher tag; and a segment is grown by laying the
//! same order out with more room, without a look at any entry.

use std::collections::TryReserveError;

use super::slot::{Slot, TAG_BITS, prefetch};
use crate::protocol::Entry;

/// Vacant slots after the last home, so that an entry is seldom without room
/// there.
const OVERHANG: usize = 4;

/// The fewest homes that a segment has, if it has any. With the overhang they
/// take 128 bytes. What is shorter glibc joins with what is free around it only
/// when it gives memory back; at the end of a thread's heap, that is too late,
/// and the whole end is kept.
const HOMES_MIN: usize = 12;

/// A segment gives back room when fewer than one in so many homes have an
/// entry.
const LOAD_MIN_FRACTION: u32 = 5;

/// A part of a hash table: ordered, with linear probing.
#[derive(Debug, Default)]
pub(super) struct Segment {
    slots: Box<[Slot]>,
    /// How many of the slots are homes; the first ones are.
    homes: u32,
    len: u32,
}

/// Where a segment's slots are, for those who prefetch one without access to
/// the segment. It may be outdated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    /// The address of the first slot.
    pub(super) slots: *const u8,
    /// How many homes there are.
    pub(super) homes: u32,
}

impl Location {
    /// Asks for the home of this tag.
    pub(super) fn prefetch(self, tag: u32) {
        let offset = home(tag, self.homes) * size_of::<Slot>();
        prefetch(self.slots.wrapping_add(offset));
    }
}

impl Segment {
    /// The bytes of memory that it takes, without the entries.
    pub(super) fn len_of_slots(&self) -> usize {
        size_of_val(&*self.slots)
    }

    /// Where its slots are now.
    pub(super) fn location(&self) -> Location {
        Location {
            slots: self.slots.as_ptr().cast(),
            homes: self.homes,
        }
    }

    /// Asks for the first entry that has this tag, if there is one.
    pub(super) fn prefetch_entry(&self, tag: u32) {
        if let Some(slot) = self.slots.get(self.first_of(tag))
            && slot.tag() == tag
        {
            slot.prefetch_entry();
        }
    }

    /// The entry of this key.
    pub(super) fn get(&self, tag: u32, key: &str) -> Option<Entry> {
        let place = self.find(tag, key)?;
        Some(self.slots[place].entry().clone())
    }

    /// The entries with this tag or a higher one, in the order of their tags.
    #[cfg(feature = "data")]
    pub(super) fn entries_from(&self, tag: u32) -> impl Iterator<Item = (u32, Entry)> {
        self.slots[self.first_of(tag)..]
            .iter()
            .filter(move |slot| !slot.is_vacant() && slot.tag() >= tag)
            .map(|slot| (slot.tag(), slot.entry().clone()))
    }

    /// Puts the entry in the place of the one with the same key, and returns
    /// that. Fails, and leaves all as it was, when there is no memory.
    pub(super) fn replace(
        &mut self,
        tag: u32,
        entry: Entry,
    ) -> Result<Option<Entry>, TryReserveError> {
        if let Some(place) = self.find(tag, entry.key()) {
            let slot = std::mem::replace(&mut self.slots[place], Slot::new(tag, entry));
            return Ok(slot.into_entry());
        }
        self.insert(tag, entry)?;
        Ok(None)
    }

    /// Takes out the entry of this key.
    pub(super) fn remove(&mut self, tag: u32, key: &str) -> Option<Entry> {
        let place = self.find(tag, key)?;
        let removed = std::mem::take(&mut self.slots[place]);
        // Those behind it move up, to the first that is vacant or at its home.
        let end = (place + 1..self.slots.len())
            .find(|next| {
                let slot = &self.slots[*next];
                slot.is_vacant() || home(slot.tag(), self.homes) == *next
            })
            .unwrap_or(self.slots.len());
        self.slots[place..end].rotate_left(1);
        self.len -= 1;
        if self.len < self.homes / LOAD_MIN_FRACTION && self.homes as usize > HOMES_MIN {
            // Without memory for less room, it keeps what it has.
            let _ = self.lay_out(homes_for(self.len as usize));
        }
        removed.into_entry()
    }

    /// The place of this key's entry.
    fn find(&self, tag: u32, key: &str) -> Option<usize> {
        let first = self.first_of(tag);
        let index = self.slots[first..]
            .iter()
            .take_while(|slot| slot.tag() == tag && !slot.is_vacant())
            .position(|slot| slot.entry().key() == key)?;
        Some(first + index)
    }

    /// The first place of this tag's, or where it would be.
    fn first_of(&self, tag: u32) -> usize {
        self.end_of(tag, |slot| slot.tag() < tag)
    }

    /// The first place from this tag's home on that is vacant or has a slot
    /// which is not `before`.
    fn end_of(&self, tag: u32, before: impl Fn(&Slot) -> bool) -> usize {
        let mut place = home(tag, self.homes);
        while let Some(slot) = self.slots.get(place)
            && !slot.is_vacant()
            && before(slot)
        {
            place += 1;
        }
        place
    }

    /// Adds an entry whose key has none.
    fn insert(&mut self, tag: u32, entry: Entry) -> Result<(), TryReserveError> {
        let len = self.len as usize + 1;
        if len * 8 > self.homes as usize * 7 {
            self.lay_out(homes_for(len))?;
        }
        let (mut place, mut vacant) = self.room_for(tag);
        if vacant == self.slots.len() {
            self.lay_out(self.homes as usize)?;
            (place, vacant) = self.room_for(tag);
        }
        self.slots[place..=vacant].rotate_right(1);
        self.slots[place] = Slot::new(tag, entry);
        self.len += 1;
        Ok(())
    }

    /// Where an entry with this tag would be inserted, and the first vacant
    /// place from there on.
    fn room_for(&self, tag: u32) -> (usize, usize) {
        let place = self.end_of(tag, |slot| slot.tag() <= tag);
        let behind = self.slots.get(place..).unwrap_or_default();
        let moved = behind.iter().position(Slot::is_vacant);
        (place, place + moved.unwrap_or(behind.len()))
    }

    /// Lays the entries out anew, with so many homes and vacant slots behind
    /// the last.
    fn lay_out(&mut self, homes: usize) -> Result<(), TryReserveError> {
        let homes = u32::try_from(homes).expect("a slot for each entry in memory");
        let mut end = 0;
        for slot in self.slots.iter().filter(|slot| !slot.is_vacant()) {
            end = home(slot.tag(), homes).max(end) + 1;
        }
        let len = end.max(homes as usize) + OVERHANG;
        let mut slots = Vec::new();
        slots.try_reserve_exact(len)?;
        slots.resize_with(len, Slot::default);
        let mut end = 0;
        for slot in self.slots.iter_mut().filter(|slot| !slot.is_vacant()) {
            let place = home(slot.tag(), homes).max(end);
            slots[place] = std::mem::take(slot);
            end = place + 1;
        }
        self.slots = slots.into_boxed_slice();
        self.homes = homes;
        Ok(())
    }
}

/// How many homes are laid out for so many entries: they are grown again when
/// there are a quarter more, which takes seven of eight.
fn homes_for(len: usize) -> usize {
    (len * 10 / 7).max(HOMES_MIN)
}

/// A tag's place among so many homes.
fn home(tag: u32, homes: u32) -> usize {
    ((u64::from(tag) * u64::from(homes)) >> TAG_BITS) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;
    use crate::protocol::Json;

    const TAG_MAX: u32 = (1 << TAG_BITS) - 1;

    #[derive(Clone, Debug)]
    enum Step {
        Replace(u16, u32),
        Remove(u16),
        Get(u16),
    }

    /// Keys and what is done to them: first more are added than removed, then
    /// fewer, so that the segment grows and gives back.
    fn history() -> impl Strategy<Value = Vec<Step>> {
        let phase = |adds, removes| {
            let step = prop_oneof![
                adds => (any::<u16>(), any::<u32>()).prop_map(|(key, value)| Step::Replace(key, value)),
                removes => any::<u16>().prop_map(Step::Remove),
                1 => any::<u16>().prop_map(Step::Get),
            ];
            prop::collection::vec(step, 0..600)
        };
        (phase(8, 1), phase(1, 8), phase(4, 4))
            .prop_map(|(grow, shrink, stay)| [grow, shrink, stay].concat())
    }

    /// How a key gets its tag: from apart to all alike, and at either end.
    fn tags() -> impl Strategy<Value = fn(u16) -> u32> {
        prop::sample::select(vec![
            (|key| u32::from(key).wrapping_mul(2_654_435_761) >> (32 - TAG_BITS)) as fn(u16) -> u32,
            |key| u32::from(key % 7) * 1000,
            |key| TAG_MAX - u32::from(key % 3),
            |key| u32::from(key % 2) * TAG_MAX,
            |_| 0,
            |_| TAG_MAX,
        ])
    }

    fn entry(key: &str, value: u32) -> Entry {
        let json = value.to_string();
        let json: &RawValue = serde_json::from_str(&json).expect("a number");
        Entry::with_json(key, &Json::new(json).expect("flat")).expect("a key")
    }

    /// What the module promises of the order of slots.
    fn check_order(segment: &Segment) {
        let mut last_tag = 0;
        let mut unbroken_from = 0;
        let mut len = 0;
        for (place, slot) in segment.slots.iter().enumerate() {
            if slot.is_vacant() {
                unbroken_from = place + 1;
                continue;
            }
            len += 1;
            let home = home(slot.tag(), segment.homes);
            assert!(last_tag <= slot.tag(), "out of order at {place}");
            assert!((unbroken_from..=place).contains(&home), "lost at {place}");
            last_tag = slot.tag();
        }
        assert_eq!(len, segment.len);
        assert!(segment.len * 8 <= segment.homes * 7, "too full");
    }

    proptest! {
        #[test]
        fn it_does_what_a_map_does_whatever_the_tags(
            history in history(),
            tag_of in tags(),
            keys in prop::sample::select(vec![10, 300, u16::MAX]),
        ) {
            let mut segment = Segment::default();
            let mut map = HashMap::new();
            let value = |entry: &Entry| String::from_utf8_lossy(entry.value()).parse::<u32>().ok();
            for step in history {
                match step {
                    Step::Replace(key, new) => {
                        let (tag, key) = (tag_of(key % keys), (key % keys).to_string());
                        let displaced = segment.replace(tag, entry(&key, new)).expect("memory");
                        prop_assert_eq!(displaced.as_ref().and_then(value), map.insert(key, new));
                    }
                    Step::Remove(key) => {
                        let (tag, key) = (tag_of(key % keys), (key % keys).to_string());
                        let removed = segment.remove(tag, &key);
                        prop_assert_eq!(removed.as_ref().and_then(value), map.remove(&key));
                    }
                    Step::Get(key) => {
                        let (tag, key) = (tag_of(key % keys), (key % keys).to_string());
                        segment.location().prefetch(tag);
                        segment.prefetch_entry(tag);
                        let found = segment.get(tag, &key);
                        prop_assert_eq!(found.as_ref().and_then(value), map.get(&key).copied());
                    }
                }
                check_order(&segment);
            }
            for (key, set) in map {
                let tag = tag_of(key.parse().expect("a number"));
                prop_assert_eq!(segment.get(tag, &key).as_ref().and_then(value), Some(set));
            }
        }
    }

    #[test]
    fn its_slots_take_little_more_than_its_entries_need() {
        let mut segment = Segment::default();
        let mut slots_len = 0;
        for key in 0..2000_u32 {
            let tag = key.wrapping_mul(2_654_435_761) >> (32 - TAG_BITS);
            let new = entry(&key.to_string(), key);
            segment.replace(tag, new).expect("memory");
            if key >= 100 {
                let slots = segment.slots.len() as f64 / f64::from(key + 1);
                assert!(slots < 1.6, "{slots} an entry at {key}");
                slots_len += segment.slots.len();
            }
        }
        let average = slots_len as f64 / (100..2000).map(f64::from).sum::<f64>();
        assert!(average < 1.35, "{average}");
        for key in 0..2000_u32 {
            let tag = key.wrapping_mul(2_654_435_761) >> (32 - TAG_BITS);
            assert!(segment.remove(tag, &key.to_string()).is_some());
        }
        assert!(
            segment.slots.len() <= 2 * (HOMES_MIN + OVERHANG),
            "it has given back"
        );
    }
}
