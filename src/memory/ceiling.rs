//! The most that the process may hold, and what of that is for whom.
//!
//! An eighth is for long frames on their way. Another is kept for all that
//! connections hold besides; what is left is for entries. So three lines divide
//! what is held without long frames:
//!
//! ```text
//! 0 ...... entries ...... | full | frugal .... | spent
//! ```
//!
//! Where it is full, entries are refused that would make it more. Where it is
//! frugal, connections take little at a time and keep little. Where all is spent,
//! connections are closed whose peers do not read, and frames that have begun are
//! dropped but for their beginnings; all other requests go on, because they take
//! next to nothing while they are executed.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use super::count;

/// The least that a ceiling can be, in bytes: below it, the program itself would
/// take most of it.
pub const CEILING_MIN: usize = 16 << 20;

/// The most that is set aside for long frames, and for all else that connections
/// hold, in bytes.
const FRAMES_LEN_MAX: usize = 1 << 30;
const KEPT_LEN_MAX: usize = 128 << 20;

/// Zero if there is none.
static MAX: AtomicUsize = AtomicUsize::new(0);

/// What long frames take.
static FRAMES: AtomicUsize = AtomicUsize::new(0);

/// What was removed and is about to be freed.
static LEAVING: AtomicUsize = AtomicUsize::new(0);

/// What the process takes beyond the ceiling, though not all of it is in use.
static EXCESS: AtomicUsize = AtomicUsize::new(0);

static LEVEL: AtomicU8 = AtomicU8::new(Level::Room as u8);

static ENTRIES_REFUSED: AtomicU64 = AtomicU64::new(0);
static FRAMES_REFUSED: AtomicU64 = AtomicU64::new(0);

/// How much is held, by the lines of the module's picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Level {
    Room,
    Full,
    Frugal,
    Spent,
}

/// Has the process hold so many bytes at most, [`CEILING_MIN`] at least; `None`
/// for as many as there are. It has none unless this is called, and works only
/// with [`Allocator`](super::Allocator) as the program's allocator.
pub fn set_ceiling(max: Option<usize>) {
    let max = max.map_or(0, |max| max.max(CEILING_MIN));
    MAX.store(max, Ordering::Relaxed);
    update();
}

/// What the process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// What the allocator has given out, in bytes, as heaps count it.
    pub used: usize,
    /// The ceiling, if there is one.
    pub max: Option<usize>,
    /// How many entries and how many long frames were refused because of it.
    pub entries_refused: u64,
    /// See `entries_refused`.
    pub frames_refused: u64,
}

/// What the process holds now.
pub fn usage() -> Usage {
    Usage {
        used: count::used(),
        max: max(),
        entries_refused: ENTRIES_REFUSED.load(Ordering::Relaxed),
        frames_refused: FRAMES_REFUSED.load(Ordering::Relaxed),
    }
}

/// The ceiling, if there is one.
pub(crate) fn max() -> Option<usize> {
    Some(MAX.load(Ordering::Relaxed)).filter(|max| *max > 0)
}

/// Where the lines are, in bytes.
struct Lines {
    frames: usize,
    full: usize,
    frugal: usize,
    spent: usize,
}

impl Lines {
    /// With a ceiling, and so much that the process takes beyond it.
    fn of(max: usize, excess: usize) -> Self {
        let frames = (max / 8).min(FRAMES_LEN_MAX);
        let kept = (max / 8).min(KEPT_LEN_MAX);
        let spent = (max - frames).saturating_sub(excess);
        Self {
            frames,
            full: spent.saturating_sub(kept),
            frugal: spent.saturating_sub(kept / 2),
            spent,
        }
    }

    fn now() -> Option<Self> {
        Some(Self::of(max()?, EXCESS.load(Ordering::Relaxed)))
    }

    fn level(&self, held: usize) -> Level {
        match held {
            held if held < self.full => Level::Room,
            held if held < self.frugal => Level::Full,
            held if held < self.spent => Level::Frugal,
            _ => Level::Spent,
        }
    }
}

/// What is held without long frames and what is about to be freed.
fn held() -> usize {
    let elsewhere = FRAMES.load(Ordering::Relaxed) + LEAVING.load(Ordering::Relaxed);
    count::used().saturating_sub(elsewhere)
}

/// Sets the level anew; to be called when something has changed.
pub(super) fn update() -> Level {
    let level = Lines::now().map_or(Level::Room, |lines| lines.level(held()));
    if LEVEL.load(Ordering::Relaxed) != level as u8 {
        LEVEL.store(level as u8, Ordering::Relaxed);
    }
    level
}

#[inline]
fn is_at_least(level: Level) -> bool {
    // It may be outdated, but never for long where it is high.
    LEVEL.load(Ordering::Relaxed) >= level as u8 && update() >= level
}

/// Whether entries that make it more are refused.
#[inline]
pub(crate) fn is_full() -> bool {
    is_at_least(Level::Full)
}

/// Whether connections take and keep little.
#[inline]
pub(crate) fn is_frugal() -> bool {
    is_at_least(Level::Frugal)
}

/// Whether there is nothing left that connections may keep.
#[inline]
pub(crate) fn is_spent() -> bool {
    is_at_least(Level::Spent)
}

/// Whether there is room for something so long that is yet to be made.
pub(crate) fn has_room(len: usize) -> bool {
    Lines::now().is_none_or(|lines| held() + len <= lines.spent)
}

/// An entry was refused.
pub(crate) fn note_refused_entry() {
    ENTRIES_REFUSED.fetch_add(1, Ordering::Relaxed);
}

/// Says how many bytes the process takes in all, once it has given back what it
/// could. Memory in pieces that nobody can use is counted nowhere else.
pub(crate) fn note_resident(len: usize) {
    let excess = max().map_or(0, |max| len.saturating_sub(max + max / 16));
    EXCESS.store(excess, Ordering::Relaxed);
    update();
}

/// A part of what is set aside for long frames, until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct FrameShare(usize);

impl FrameShare {
    /// Whether a frame of so many bytes could be had at all.
    pub(crate) fn can_hold(len: usize) -> bool {
        Self::is_room_for(len)
    }

    /// Takes so many bytes more; false if they are not there.
    pub(crate) fn grow(&mut self, by: usize) -> bool {
        let frames = FRAMES.fetch_add(by, Ordering::Relaxed) + by;
        self.0 += by;
        Self::is_room_for(frames)
    }

    /// Whether long frames may take so much; if not, one is refused.
    fn is_room_for(frames: usize) -> bool {
        let is_there = Lines::now().is_none_or(|lines| frames <= lines.frames);
        if !is_there {
            FRAMES_REFUSED.fetch_add(1, Ordering::Relaxed);
        }
        is_there
    }
}

impl Drop for FrameShare {
    fn drop(&mut self) {
        FRAMES.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// Bytes that were removed and are freed where nobody waits for it, until this is
/// dropped. They are freed faster than others come, so they count for nothing.
#[derive(Debug)]
pub(crate) struct Leaving(usize);

impl Leaving {
    pub(crate) fn new(len: usize) -> Self {
        LEAVING.fetch_add(len, Ordering::Relaxed);
        update();
        Self(len)
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        LEAVING.fetch_sub(self.0, Ordering::Relaxed);
        update();
    }
}
