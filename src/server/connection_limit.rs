//! How many connections are open, how many may be, and who makes room for more.

use std::array;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::config::Config;
use super::eviction::{Evictor, Silence};

/// Counts the connections of a server. An `O` says whom to tell that a
/// connection was evicted.
#[derive(Clone)]
pub(super) struct ConnectionLimit<O>(Arc<Shared<O>>);

struct Shared<O> {
    connections_max: usize,
    state: Mutex<State<O>>,
}

struct State<O> {
    open: usize,
    /// Of these, the ones that were evicted and drain.
    leaving: usize,
    /// A connection's number is its place in them.
    segments: Vec<Arc<Segment<O>>>,
    vacant: Vec<usize>,
    evictor: Evictor<usize>,
}

/// Beside each other, many connections are looked at quickly.
struct Segment<O>([Slot<O>; SEGMENT_LEN]);

const SEGMENT_LEN: usize = 64;

struct Slot<O> {
    silence: Silence,
    owner: Mutex<Option<O>>,
}

/// One connection's right to be served, until it is dropped.
pub(super) struct Permit<O> {
    limit: Arc<Shared<O>>,
    segment: Arc<Segment<O>>,
    number: usize,
}

impl<O> ConnectionLimit<O> {
    pub(super) fn new(config: &Config) -> Self {
        Self(Arc::new(Shared {
            connections_max: config.connections_max,
            state: Mutex::new(State {
                open: 0,
                leaving: 0,
                segments: Vec::new(),
                vacant: Vec::new(),
                evictor: Evictor::new(config.idle_eviction),
            }),
        }))
    }

    /// A permit for one more connection, if there is one, or if another can be
    /// evicted. `evict` then has that one drain.
    pub(super) fn acquire(&self, evict: impl FnOnce(O)) -> Option<Permit<O>> {
        let mut state = self.0.state();
        let is_full = state.open - state.leaving >= self.0.connections_max;
        let evicted = if is_full { Some(state.evict()?) } else { None };
        let (segment, number) = state.enter();
        drop(state);
        if let Some(owner) = evicted {
            evict(owner);
        }
        Some(Permit {
            limit: Arc::clone(&self.0),
            segment,
            number,
        })
    }

    /// Evicts a connection, if one can be, for somebody who waits for its
    /// descriptor. `evict` then has it drain.
    pub(super) fn make_room(&self, evict: impl FnOnce(O)) {
        let evicted = self.0.state().evict();
        if let Some(owner) = evicted {
            evict(owner);
        }
    }

    /// How many are open, those that drain among them.
    #[cfg(feature = "tokio")]
    pub(super) fn open(&self) -> usize {
        self.0.state().open
    }
}

impl<O> Permit<O> {
    /// Whom to tell when the connection is evicted; to be said before its
    /// silence is noted.
    pub(super) fn set_owner(&self, owner: O) {
        *self.slot().owner() = Some(owner);
    }

    pub(super) fn silence(&self) -> &Silence {
        &self.slot().silence
    }

    fn slot(&self) -> &Slot<O> {
        self.segment.slot(self.number)
    }
}

impl<O> Drop for Permit<O> {
    fn drop(&mut self) {
        let slot = self.slot();
        let mut state = self.limit.state();
        state.open -= 1;
        if slot.silence.vacate() {
            state.leaving -= 1;
        }
        let owner = slot.owner().take();
        state.vacant.push(self.number);
        drop(state);
        // It may be the last to know what it would wake, and so free it.
        drop(owner);
    }
}

impl<O> Shared<O> {
    fn state(&self) -> MutexGuard<'_, State<O>> {
        // No panic can happen between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O> State<O> {
    /// Evicts a connection, if one has been silent long enough, and returns whom
    /// to tell.
    fn evict(&mut self) -> Option<O> {
        let segments = &self.segments;
        let all = || {
            let slots = segments.iter().flat_map(|segment| &segment.0);
            slots.map(|slot| &slot.silence).enumerate()
        };
        let slot = |number: usize| segments[number / SEGMENT_LEN].slot(number);
        let evicted = self
            .evictor
            .evict(all, |number| Some(&slot(number).silence))?;
        self.leaving += 1;
        // It is there: nobody is silent before.
        slot(evicted).owner().take()
    }

    /// Counts one more connection, and gives it a number.
    fn enter(&mut self) -> (Arc<Segment<O>>, usize) {
        self.open += 1;
        let number = self.vacant.pop().unwrap_or_else(|| {
            let first = self.segments.len() * SEGMENT_LEN;
            self.segments.push(Arc::new(Segment::new()));
            self.vacant.extend((first + 1..first + SEGMENT_LEN).rev());
            first
        });
        (Arc::clone(&self.segments[number / SEGMENT_LEN]), number)
    }
}

impl<O> Segment<O> {
    fn new() -> Self {
        Self(array::from_fn(|_| Slot {
            silence: Silence::new(),
            owner: Mutex::new(None),
        }))
    }

    fn slot(&self, number: usize) -> &Slot<O> {
        &self.0[number % SEGMENT_LEN]
    }
}

impl<O> Slot<O> {
    fn owner(&self) -> MutexGuard<'_, Option<O>> {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
