//! Counts, and how often a value was how large.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that one thread adds to, and others read.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    /// To be called by one thread at a time: two at the same time would lose
    /// what one of them adds. It is no slower than a plain addition.
    pub(super) fn add(&self, n: u64) {
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(n);
        self.0.store(sum, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts values by powers of two: those up to `1 << FIRST`, those up to twice
/// as much, and so on. The last of the `N` buckets has all that are larger.
#[derive(Debug)]
pub(super) struct Histogram<const FIRST: u32, const N: usize> {
    buckets: [Count; N],
    sum: Count,
}

/// Requests of a batch: up to 1, 2, 4 and so on, to 512.
pub(super) type Sizes = Histogram<0, 11>;

/// Nanoseconds: up to 256, 512 and so on, to 17 s.
pub(super) type Times = Histogram<8, 28>;

impl<const FIRST: u32, const N: usize> Default for Histogram<FIRST, N> {
    fn default() -> Self {
        Self {
            buckets: array::from_fn(|_| Count::default()),
            sum: Count::default(),
        }
    }
}

impl<const FIRST: u32, const N: usize> Histogram<FIRST, N> {
    /// A value, so many times. To be called by one thread at a time.
    pub(super) fn observe(&self, value: u64, times: u64) {
        self.buckets[Self::bucket(value)].add(times);
        self.sum.add(value * times);
    }

    #[inline]
    fn bucket(value: u64) -> usize {
        // The least power of two that is not less than the value.
        let power = u64::BITS - value.saturating_sub(1).leading_zeros();
        (power.saturating_sub(FIRST) as usize).min(N - 1)
    }

    /// Adds what was observed to a distribution.
    pub(super) fn add_to(&self, distribution: &mut Distribution) {
        distribution.first = FIRST;
        distribution.buckets.resize(N, 0);
        for (sum, bucket) in distribution.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.get();
        }
        distribution.sum += u128::from(self.sum.get());
    }
}

impl Sizes {
    /// One more batch has so many requests, often one.
    #[inline]
    pub(super) fn observe_size(&self, requests: u64) {
        match requests {
            1 => self.buckets[0].add(1),
            _ => self.buckets[Self::bucket(requests)].add(1),
        }
        self.sum.add(requests);
    }
}

impl Times {
    /// One time, or one that stands for so many.
    pub(super) fn observe_time(&self, time: Duration, times: u32) {
        // No process runs for longer than 64 bits can tell.
        self.observe(time.as_nanos() as u64, u64::from(times));
    }
}

/// What histograms have observed, added up.
#[derive(Clone, Debug, Default)]
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "nobody asks"))]
pub(crate) struct Distribution {
    /// The bound of the first bucket is two to the power of this; each bucket's
    /// is twice that of the one before it, and the last has none.
    pub(crate) first: u32,
    pub(crate) buckets: Vec<u64>,
    /// Of all values.
    pub(crate) sum: u128,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let sizes = Sizes::default();
        for value in [1, 2, 3, 4, 5, 512, 513, u64::MAX / 2] {
            sizes.observe_size(value);
        }
        let mut distribution = Distribution::default();
        sizes.add_to(&mut distribution);
        assert_eq!(distribution.buckets, [1, 1, 2, 1, 0, 0, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn times_of_several_threads_add_up() {
        let mut distribution = Distribution::default();
        for nanos in [0, 256, 257, 20_000_000_000] {
            let times = Times::default();
            times.observe_time(Duration::from_nanos(nanos), 1);
            times.add_to(&mut distribution);
        }
        assert_eq!((distribution.first, distribution.sum), (8, 20_000_000_513));
        assert_eq!(distribution.buckets[..3], [2, 1, 0]);
        assert_eq!(distribution.buckets.last(), Some(&1));
    }
}
