//! Deadlines that move with the bytes, so that slow is told from stuck (F8).

use std::time::{Duration, Instant};

/// A transfer earns a second more for each of these.
const BYTES_PER_SECOND_EARNED: usize = 64 << 10;

/// The deadline of one transfer: a grace period from its begin, and a second
/// more for each 64 KiB that have moved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    begun: Instant,
    grace: Duration,
}

impl Pace {
    pub(super) fn begin(grace: Duration) -> Self {
        Self {
            begun: Instant::now(),
            grace,
        }
    }

    /// When the time is up, if no more than `moved` bytes move.
    pub(super) fn deadline(&self, moved: usize) -> Instant {
        let earned = Duration::from_secs((moved / BYTES_PER_SECOND_EARNED) as u64);
        self.begun + self.grace + earned
    }
}

/// The pace of the frame that has begun and not ended, if there is one (F8).
#[derive(Clone, Copy, Debug)]
pub(super) struct FramePace {
    grace: Duration,
    pace: Option<Pace>,
}

impl FramePace {
    pub(super) fn new(grace: Duration) -> Self {
        Self { grace, pace: None }
    }

    /// A frame has ended.
    pub(super) fn end(&mut self) {
        self.pace = None;
    }

    /// More has to arrive, after `buffered` bytes of a frame.
    pub(super) fn wait(&mut self, buffered: usize) {
        if buffered > 0 && self.pace.is_none() {
            self.pace = Some(Pace::begin(self.grace));
        }
    }

    pub(super) fn pace(&self) -> Option<Pace> {
        self.pace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_64_kib_earn_a_second() {
        let pace = Pace::begin(Duration::from_secs(30));
        let begun = pace.deadline(0) - Duration::from_secs(30);
        for (moved, seconds) in [(0, 30), (65_535, 30), (65_536, 31), (1 << 20, 46)] {
            let allowed = pace.deadline(moved) - begun;
            assert_eq!(allowed, Duration::from_secs(seconds), "{moved}");
        }
    }
}
