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

    /// The time left after `moved` bytes; zero when it is up.
    pub(super) fn time_left(&self, moved: usize) -> Duration {
        let earned = Duration::from_secs((moved / BYTES_PER_SECOND_EARNED) as u64);
        (self.grace + earned).saturating_sub(self.begun.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_64_kib_earn_a_second() {
        let pace = Pace::begin(Duration::from_secs(30));
        for (moved, seconds) in [(0, 30), (65_535, 30), (65_536, 31), (1 << 20, 46)] {
            let left = pace.time_left(moved);
            assert!(left <= Duration::from_secs(seconds), "{moved}");
            assert!(left > Duration::from_secs(seconds - 1), "{moved}");
        }
        assert_eq!(Pace::begin(Duration::ZERO).time_left(0), Duration::ZERO);
    }
}
