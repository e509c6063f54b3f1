//! A hash table that grows in small steps, and what each command does to it.
//!
//! It is divided into segments by the first bits of the keys' hashes. Each
//! grows for itself, so no request ever waits for all entries to be moved. The
//! hashes are seeded: nobody can have all entries come into one segment.

use super::garbage::Garbage;
use super::segment::{Location, Segment};
use super::slot::{Slot, TAG_BITS};
use crate::memory::ceiling;
use crate::protocol::{BadRequest, Entry, KeyRef, Reply, Request};

/// How many tables the stores divide the keys between, and how many segments
/// each has; both are powers of two. A segment of a store with 10 million
/// entries has 2,400, and is grown in a few microseconds.
pub(super) const TABLES: usize = 64;
pub(super) const SEGMENTS: usize = 64;

/// The table that the key of this hash belongs to.
pub(super) fn table_of(hash: u64) -> usize {
    (hash >> (u64::BITS - TABLES.ilog2())) as usize
}

/// The segment in that table.
pub(super) fn segment_of(hash: u64) -> usize {
    (hash >> (u64::BITS - (TABLES * SEGMENTS).ilog2())) as usize % SEGMENTS
}

/// Those bits of a hash that a slot keeps.
pub(super) fn tag_of(hash: u64) -> u32 {
    (hash as u32) >> (u32::BITS - TAG_BITS)
}

/// Owns the entries of one [`table_of`]. Knows no socket, no thread and no
/// lock.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// None until there is an entry.
    segments: Box<[Segment]>,
    len: usize,
    /// What the entries take, without the segments.
    entries_len: usize,
    /// Whoever sends it a SET has asked before whether there is room.
    #[cfg(feature = "data")]
    takes_all: bool,
}

/// How much a store has.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "nobody asks"))]
pub(crate) struct StoreSize {
    pub(crate) entries: usize,
    /// What the entries take, with the tables that they are in.
    pub(crate) bytes: usize,
}

impl StoreSize {
    /// Adds what a table has.
    pub(super) fn add(&mut self, table: &Table) {
        let slots = table.segments.iter().map(Segment::len_of_slots);
        self.entries += table.len;
        self.bytes += table.entries_len + slots.sum::<usize>();
    }
}

impl Table {
    /// Where the slots of the segment for this hash are.
    pub(super) fn location(&self, hash: u64) -> Option<Location> {
        Some(self.segments.get(segment_of(hash))?.location())
    }

    /// Asks for the entry that a key of this hash would have.
    pub(super) fn prefetch_entry(&self, hash: u64) {
        if let Some(segment) = self.segments.get(segment_of(hash)) {
            segment.prefetch_entry(tag_of(hash));
        }
    }

    /// Executes a request for a key of this hash, or a reset of this table
    /// (S1). What it removes goes into `garbage`.
    pub(super) fn apply(
        &mut self,
        hash: u64,
        request: Request<KeyRef<'_>>,
        garbage: &mut Garbage,
    ) -> Reply {
        match request {
            Request::Set { entry } => self.set(hash, entry, garbage),
            Request::Get { key } => match self.get(hash, key) {
                Some(entry) => Reply::Value(entry.into()),
                None => Reply::NoValue,
            },
            Request::Delete { key } => match self.remove(hash, key) {
                Some(entry) => {
                    garbage.push(entry);
                    Reply::Done
                }
                None => Reply::NoKey,
            },
            Request::Reset => self.reset(garbage),
        }
    }

    fn set(&mut self, hash: u64, entry: Entry, garbage: &mut Garbage) -> Reply {
        if ceiling::is_full() && !self.takes_all() && !self.would_shrink(hash, &entry) {
            return refuse(entry, garbage);
        }
        if self.segments.is_empty() {
            self.segments = (0..SEGMENTS).map(|_| Segment::default()).collect();
        }
        let len = entry.len();
        match self.segments[segment_of(hash)].replace(tag_of(hash), entry) {
            Ok(Some(displaced)) => {
                self.entries_len -= displaced.len();
                garbage.push_displaced(displaced, len);
            }
            Ok(None) => self.len += 1,
            Err(_) => return (&BadRequest::NoMemory).into(),
        }
        self.entries_len += len;
        Reply::Done
    }

    #[cfg(feature = "data")]
    fn takes_all(&self) -> bool {
        self.takes_all
    }

    #[cfg(not(feature = "data"))]
    fn takes_all(&self) -> bool {
        false
    }

    /// Whether the entry would take the place of one that is as long or longer.
    fn would_shrink(&self, hash: u64, entry: &Entry) -> bool {
        let segment = self.segments.get(segment_of(hash));
        let present = segment.and_then(|segment| segment.get(tag_of(hash), entry.key()));
        present.is_some_and(|present| entry.len() <= present.len())
    }

    fn get(&self, hash: u64, key: KeyRef<'_>) -> Option<Entry> {
        let segment = self.segments.get(segment_of(hash))?;
        segment.get(tag_of(hash), key.as_str())
    }

    fn remove(&mut self, hash: u64, key: KeyRef<'_>) -> Option<Entry> {
        let segment = self.segments.get_mut(segment_of(hash))?;
        let entry = segment.remove(tag_of(hash), key.as_str())?;
        self.len -= 1;
        self.entries_len -= entry.len();
        Some(entry)
    }

    fn reset(&mut self, garbage: &mut Garbage) -> Reply {
        let segments = std::mem::take(&mut self.segments);
        let len = std::mem::take(&mut self.len);
        let entries_len = std::mem::take(&mut self.entries_len);
        // The vacant slots are too few to look for.
        let slots_len = len * size_of::<Slot>();
        garbage.push_table(segments, len, entries_len + slots_len);
        Reply::Done
    }
}

/// What a journal needs.
#[cfg(feature = "data")]
impl Table {
    /// A table that takes every SET: what the ceiling refuses is
    /// [asked for](Self::has_room) before.
    pub(super) fn taking_all() -> Self {
        Self {
            takes_all: true,
            ..Self::default()
        }
    }

    /// Whether a SET of this entry may be executed.
    pub(super) fn has_room(&self, hash: u64, entry: &Entry) -> bool {
        !ceiling::is_full() || self.would_shrink(hash, entry)
    }

    /// The entries of a segment with this tag or a higher one, with their tags
    /// and in the order of them.
    pub(super) fn entries_from(
        &self,
        segment: usize,
        tag: u32,
    ) -> impl Iterator<Item = (u32, Entry)> {
        let segment = self.segments.get(segment);
        segment
            .into_iter()
            .flat_map(move |segment| segment.entries_from(tag))
    }
}

/// Refuses an entry because the store is full. It is garbage then, which no memory
/// is given back for.
#[cold]
fn refuse(entry: Entry, garbage: &mut Garbage) -> Reply {
    ceiling::note_refused_entry();
    let len = entry.len();
    garbage.push_displaced(entry, len);
    (&BadRequest::Full).into()
}
