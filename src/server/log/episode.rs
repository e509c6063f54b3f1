//! What goes on for a while and comes in thousands, such as refusals: a line
//! when it begins, and one when it is over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::event::Event;

/// An episode is over when nothing of it has happened for so long.
pub(super) const QUIET: Duration = Duration::from_secs(10);

/// What an episode is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Episode {
    /// Connections that were refused.
    Refusing,
    /// Requests for which there was no memory.
    Full,
}

impl Episode {
    pub(super) const ALL: [Self; 2] = [Self::Refusing, Self::Full];

    /// What is said at the end, of so many in so much time.
    pub(super) fn ended(self, count: u64, lasted: Duration) -> Event {
        match self {
            Self::Refusing => Event::refusing_ended(count, lasted),
            Self::Full => Event::room_again(count, lasted),
        }
    }
}

/// One episode under way, or none. It is counted without a lock: there may be
/// millions a second.
#[derive(Debug)]
pub(super) struct Counter {
    epoch: Instant,
    count: AtomicU64,
    /// In milliseconds since the epoch.
    begun_at: AtomicU64,
    last_at: AtomicU64,
}

impl Counter {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            count: AtomicU64::new(0),
            begun_at: AtomicU64::new(0),
            last_at: AtomicU64::new(0),
        }
    }

    /// Counts so many more; whether they are the first.
    pub(super) fn note(&self, now: Instant, count: u64) -> bool {
        let now = self.millis(now);
        // Before it is counted, so that no end is found by an old time.
        self.last_at.fetch_max(now, Ordering::SeqCst);
        let is_first = self.count.fetch_add(count, Ordering::SeqCst) == 0;
        if is_first {
            self.begun_at.store(now, Ordering::SeqCst);
        }
        is_first
    }

    /// Whether it is under way.
    pub(super) fn is_open(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }

    /// Ends it if it is over, or under way and `at_once`: how many there were,
    /// and for how long.
    pub(super) fn end(&self, now: Instant, at_once: bool) -> Option<(u64, Duration)> {
        let last_at = self.last_at.load(Ordering::SeqCst);
        let is_over = self.millis(now) >= last_at + QUIET.as_millis() as u64;
        if !self.is_open() || !is_over && !at_once {
            return None;
        }
        let lasted = last_at.saturating_sub(self.begun_at.load(Ordering::SeqCst));
        // Somebody else may have ended it just now.
        let count = self.count.swap(0, Ordering::SeqCst);
        (count > 0).then_some((count, Duration::from_millis(lasted)))
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.epoch).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_is_over_when_nothing_has_happened_for_ten_seconds() {
        let counter = Counter::new();
        let begun = Instant::now();
        assert!(!counter.is_open());
        assert!(counter.note(begun, 1));
        for second in 1..=25 {
            let now = begun + Duration::from_secs(second);
            assert!(!counter.note(now, 1), "the first was before");
            assert_eq!(counter.end(now, false), None);
        }
        let last = begun + Duration::from_secs(25);
        assert_eq!(counter.end(last + QUIET / 2, false), None);
        let (count, lasted) = counter.end(last + QUIET, false).expect("it is over");
        assert_eq!((count, lasted.as_secs()), (26, 25));
        assert!(!counter.is_open());
        assert!(counter.note(last + 2 * QUIET, 1), "another begins");
        assert!(counter.end(last + 2 * QUIET, true).is_some());
    }
}
