//! Which connection gives up its place when others wait for one: the one that
//! has been silent longest, if that was long enough.
//!
//! Who serves a connection keeps its [`Silence`], who admits others has an
//! [`Evictor`]. An evicted connection drains as at a stop: what its peer has sent
//! is answered.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::session::Session;

/// Since when a connection has had nothing to do until its peer begins a frame,
/// in µs, or one of the two values below.
#[derive(Debug)]
pub(super) struct Silence(AtomicU64);

const EVICTED: u64 = u64::MAX;
const BUSY: u64 = u64::MAX - 1;

impl Silence {
    /// Of a connection that nobody has looked at yet.
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(BUSY))
    }

    /// It is about to wait for its peer. `now` is asked for only if the silence
    /// begins with it.
    pub(super) fn note(&self, session: &mut Session, now: impl FnOnce() -> Instant) {
        let has_heard = session.take_has_heard();
        if !session.is_silent() {
            self.end();
        } else if has_heard || self.0.load(Ordering::Relaxed) == BUSY {
            self.set(micros(now()));
        }
    }

    /// It has something to do.
    pub(super) fn end(&self) {
        self.set(BUSY);
    }

    pub(super) fn is_evicted(&self) -> bool {
        self.0.load(Ordering::Relaxed) == EVICTED
    }

    /// Its connection has ended, and another may have its place; whether it was
    /// evicted.
    #[cfg(any(feature = "tokio", feature = "epoll"))]
    pub(super) fn vacate(&self) -> bool {
        self.0.swap(BUSY, Ordering::Relaxed) == EVICTED
    }

    fn set(&self, value: u64) {
        let old = self.0.load(Ordering::Relaxed);
        if old != EVICTED {
            // It fails when the connection has been evicted since.
            let _ = self
                .0
                .compare_exchange(old, value, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Evicts it, if it has been silent since then and is still.
    fn evict(&self, since: u64) -> bool {
        self.0
            .compare_exchange(since, EVICTED, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

/// Finds the connections to evict, each named by a key of its own.
///
/// It looks at all of them only when one can have been silent long enough, so
/// that a flood of connections that are refused costs little.
#[derive(Debug)]
pub(super) struct Evictor<K> {
    /// How long a connection may be silent while others wait; `None` for ever.
    idle_eviction: Option<Duration>,
    /// Keys, and since when those are silent; longest last. They may have
    /// talked, or ended, after that.
    candidates: Vec<(u64, K)>,
    /// When others can be found, in µs.
    next_scan: u64,
}

/// The most that one scan finds.
const CANDIDATES_MAX: usize = 1024;

/// The least time between scans that find few, in µs.
const SCAN_INTERVAL_MIN: u64 = 1000;

impl<K: Copy + Ord> Evictor<K> {
    pub(super) fn new(idle_eviction: Option<Duration>) -> Self {
        Self {
            idle_eviction,
            candidates: Vec::new(),
            next_scan: 0,
        }
    }

    /// Evicts the connection that has been silent longest, if that was long
    /// enough. `all` has all connections, `find` one of them, if it is there.
    pub(super) fn evict<'a, A>(
        &mut self,
        all: impl Fn() -> A,
        find: impl Fn(K) -> Option<&'a Silence>,
    ) -> Option<K>
    where
        A: Iterator<Item = (K, &'a Silence)>,
    {
        let idle_eviction = as_micros(self.idle_eviction?);
        let now = micros(Instant::now());
        loop {
            while let Some((since, key)) = self.candidates.pop() {
                if find(key).is_some_and(|silence| silence.evict(since)) {
                    return Some(key);
                }
            }
            if now < self.next_scan {
                return None;
            }
            self.scan(now, idle_eviction, all());
            if self.candidates.is_empty() {
                return None;
            }
        }
    }

    /// When it is worth while to ask again after it found nobody; `None` for
    /// never.
    pub(super) fn next_scan(&self) -> Option<Instant> {
        self.idle_eviction?;
        Some(epoch() + Duration::from_micros(self.next_scan))
    }

    fn scan<'a>(
        &mut self,
        now: u64,
        idle_eviction: u64,
        all: impl Iterator<Item = (K, &'a Silence)>,
    ) {
        // Who talks now may be silent from now on.
        let mut earliest = now + idle_eviction;
        for (key, silence) in all {
            let since = silence.0.load(Ordering::Relaxed);
            // Too much to be past if it is no time.
            let evictable_at = since.saturating_add(idle_eviction);
            if evictable_at <= now {
                self.candidates.push((since, key));
            } else {
                earliest = earliest.min(evictable_at);
            }
        }
        self.next_scan = if self.candidates.len() > CANDIDATES_MAX {
            self.candidates.select_nth_unstable(CANDIDATES_MAX);
            self.candidates.truncate(CANDIDATES_MAX);
            self.candidates.shrink_to_fit();
            now
        } else {
            // Those that talk now and then would have it scan all the time.
            earliest.max(now + (idle_eviction / 100).max(SCAN_INTERVAL_MIN))
        };
        self.candidates.sort_unstable_by(|a, b| b.cmp(a));
    }
}

/// What the times of a [`Silence`] count from.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

fn micros(at: Instant) -> u64 {
    as_micros(at.saturating_duration_since(epoch()))
}

fn as_micros(duration: Duration) -> u64 {
    // No process runs for longer than 64 bits can tell.
    duration.as_micros() as u64
}
