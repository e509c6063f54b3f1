//! How much it holds, when it was given a ceiling.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};

use speicher::protocol::{Entry, Reply};

use crate::fault::Fault;

/// A frame longer than this needs room. An eighth of the ceiling is for those.
const SHORT_LEN_MAX: usize = 64 << 10;
const FRAMES_PART: usize = 8;

/// The lengths of the long frames that are in progress.
static FRAMES: AtomicUsize = AtomicUsize::new(0);

/// The room of a long frame in progress.
pub struct FrameShare(usize);

impl FrameShare {
    /// Whether a frame of that length has to have room.
    pub fn is_needed(len: usize) -> bool {
        len > SHORT_LEN_MAX
    }

    /// Room for so many bytes, if there is some below the ceiling.
    pub fn take(fault: Fault, ceiling: Option<usize>, len: usize) -> Option<Self> {
        let share = Self(len);
        let frames = FRAMES.fetch_add(len, Ordering::Relaxed) + len;
        let is_bounded = !matches!(fault, Fault::CeilingIgnored | Fault::LongFramesRefuseOthers);
        let max = ceiling.filter(|_| is_bounded);
        max.is_none_or(|max| frames <= max / FRAMES_PART)
            .then_some(share)
    }
}

impl Drop for FrameShare {
    fn drop(&mut self) {
        FRAMES.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// The room of the entries.
#[derive(Default)]
pub struct Room {
    ceiling: Option<usize>,
    lens: HashMap<String, usize>,
    /// The sum of the lengths, and what the fault adds to it.
    held: usize,
    /// Keys in the order in which they were set, of a server that evicts.
    oldest: VecDeque<String>,
    /// Whether a SET was refused, in a server that refuses all else then.
    pub is_closed: bool,
}

impl Room {
    pub fn new(ceiling: Option<usize>) -> Self {
        Self {
            ceiling,
            ..Self::default()
        }
    }

    /// The reply to a SET for which there is no room.
    pub fn refusal(&self, fault: Fault, entry: &Entry) -> Option<Reply> {
        let ceiling = self.ceiling.filter(|_| fault != Fault::CeilingIgnored)?;
        let frames = match fault {
            Fault::LongFramesRefuseOthers => FRAMES.load(Ordering::Relaxed),
            _ => 0,
        };
        let replaced = self.lens.get(entry.key()).copied().unwrap_or(0);
        let held = (self.held + len_of(entry)).saturating_sub(replaced);
        (held + frames > ceiling).then(|| no_room(fault, ceiling))
    }

    pub fn set(&mut self, entry: &Entry) {
        if self.ceiling.is_none() {
            return;
        }
        let (key, len) = (entry.key().to_owned(), len_of(entry));
        match self.lens.insert(key.clone(), len) {
            Some(replaced) => self.held -= replaced,
            None => self.oldest.push_back(key),
        }
        self.held += len;
    }

    pub fn remove(&mut self, fault: Fault, key: &str) {
        if let Some(len) = self.lens.remove(key)
            && fault != Fault::DelMakesNoRoom
        {
            self.held -= len;
        }
    }

    pub fn clear(&mut self, fault: Fault) {
        self.lens.clear();
        self.oldest.clear();
        if fault != Fault::RstMakesNoRoom {
            self.held = 0;
        }
    }

    /// The key that was set first of those that are there.
    pub fn pop_oldest(&mut self) -> Option<String> {
        let mut oldest = std::iter::from_fn(|| self.oldest.pop_front());
        oldest.find(|key| self.lens.contains_key(key))
    }
}

/// The reply to what there is no room for.
pub fn no_room(fault: Fault, ceiling: usize) -> Reply {
    Reply::Unavailable(match fault {
        Fault::FullSentenceVague => "Try again later.".to_owned(),
        _ => format!("There is no room below the ceiling of {ceiling} bytes; remove entries."),
    })
}

fn len_of(entry: &Entry) -> usize {
    entry.key().len() + entry.value().len()
}
