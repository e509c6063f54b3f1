//! Which of many are measured: to read the clock for each would cost more than
//! all counting.

use std::time::{Duration, Instant};

/// Chooses some of many. Each that is chosen stands for itself and those since
/// the one before it.
///
/// Where there are few, all are chosen. Where there are many, one of
/// [`GAP_MAX`] at least, at random, so that nothing that recurs is always or
/// never chosen.
#[derive(Debug)]
pub(super) struct Sampler {
    /// How many come until one is chosen, that one included.
    left: u32,
    /// How many that one stands for; 0 if none is ever chosen.
    gap: u32,
    chosen_at: Option<Instant>,
    random: u32,
}

/// A power of two.
const GAP_MAX: u32 = 128;

/// All are chosen if they come after so long, on average.
const INTERVAL_LONG: Duration = Duration::from_millis(1);

/// What was chosen, and begins to be measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(in crate::server) begun: Instant,
    /// How many it stands for.
    pub(super) weight: u32,
}

impl Sampler {
    /// The first one is chosen, if any is.
    pub(super) fn new(is_on: bool) -> Self {
        Self {
            left: 1,
            gap: u32::from(is_on),
            chosen_at: None,
            // Any number but 0.
            random: 0x9e37_79b9,
        }
    }

    /// One more has come; whether it may be chosen, which
    /// [`choose`](Self::choose) says.
    #[inline]
    pub(super) fn is_next(&mut self) -> bool {
        self.left -= 1;
        self.left == 0
    }

    /// How many the one that has come stands for; `None` if it is not chosen.
    #[cold]
    pub(super) fn choose(&mut self, now: Instant) -> Option<u32> {
        if self.gap == 0 {
            self.left = u32::MAX;
            return None;
        }
        let weight = self.gap;
        let since_last = self
            .chosen_at
            .map(|at| now.saturating_duration_since(at) / weight);
        self.chosen_at = Some(now);
        self.gap = match since_last {
            Some(interval) if interval < INTERVAL_LONG => self.random() % GAP_MAX + 1,
            _ => 1,
        };
        self.left = self.gap;
        Some(weight)
    }

    /// Marsaglia's xorshift: nobody gains by foreseeing it.
    fn random(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many that come after this time are chosen. Looks whether
    /// these stand for all.
    fn chosen(all: u32, interval: Duration) -> u32 {
        let mut sampler = Sampler::new(true);
        let mut now = Instant::now();
        let (mut chosen, mut weights) = (0, 0);
        for count in 1..=all {
            now += interval;
            if sampler.is_next() {
                weights += sampler.choose(now).expect("it is on");
                chosen += 1;
                assert_eq!(weights, count, "all that have come");
            }
        }
        assert!(all - weights < GAP_MAX);
        chosen
    }

    #[test]
    fn of_many_some_are_chosen_and_stand_for_all() {
        let chosen = chosen(100_000, Duration::from_micros(20));
        let mean = 100_000 / chosen;
        assert!(mean.abs_diff(GAP_MAX / 2) <= 4, "one of {mean}");
    }

    #[test]
    fn of_few_all_are_chosen() {
        assert_eq!(chosen(1_000, Duration::from_millis(2)), 1_000);
    }

    #[test]
    fn none_is_chosen_when_nobody_asks() {
        let mut sampler = Sampler::new(false);
        let now = Instant::now();
        assert!((0..1_000).all(|_| !sampler.is_next() || sampler.choose(now).is_none()));
    }
}
