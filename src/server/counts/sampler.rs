//! Which of many are measured: to read the clock for each would cost more than
//! all counting.

use std::time::Instant;

/// Chooses one of [`GAP_MEAN`], at random, so that nothing that recurs is always
/// or never chosen. Each stands for itself and those since the one before it.
#[derive(Debug)]
pub(super) struct Sampler {
    /// How many come until one is chosen, that one included.
    left: u32,
    /// How many that one stands for; 0 if none is ever chosen.
    gap: u32,
    random: u32,
}

/// How many one of them stands for, on average.
#[cfg(test)]
const GAP_MEAN: u32 = GAP_MAX.div_ceil(2);

/// A power of two.
const GAP_MAX: u32 = 32;

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
            // Any number but 0.
            random: 0x9e37_79b9,
        }
    }

    /// One more has come; if it is chosen, how many it stands for.
    #[inline]
    pub(super) fn choose(&mut self) -> Option<u32> {
        self.left -= 1;
        if self.left > 0 {
            return None;
        }
        self.chosen()
    }

    #[cold]
    fn chosen(&mut self) -> Option<u32> {
        if self.gap == 0 {
            self.left = u32::MAX;
            return None;
        }
        let weight = self.gap;
        // Marsaglia's xorshift: nobody gains by foreseeing it.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.gap = self.random % GAP_MAX + 1;
        self.left = self.gap;
        Some(weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_chosen_stand_for_all() {
        let mut sampler = Sampler::new(true);
        assert_eq!(sampler.choose(), Some(1), "the first is");
        let (mut chosen, mut weights) = (0_u32, 0);
        for all in 1..=100_000 {
            if let Some(weight) = sampler.choose() {
                (chosen, weights) = (chosen + 1, weights + weight);
                assert_eq!(weights, all, "all that have come");
            }
        }
        let mean = 100_000 / chosen;
        assert!(mean.abs_diff(GAP_MEAN) <= 1, "one of {mean}");
    }

    #[test]
    fn none_is_chosen_when_nobody_asks() {
        let mut sampler = Sampler::new(false);
        assert!((0..1_000).all(|_| sampler.choose().is_none()));
    }
}
