//! When the requests of an open loop are due, whatever the server does.

use rand_distr::Distribution as _;
use rand_distr::Exp1;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

/// Poisson arrivals: the times between two are exponential, as those of many
/// clients that know nothing of each other.
pub(super) struct Schedule {
    random: Xoshiro256PlusPlus,
    /// The mean time between two arrivals, in nanoseconds.
    mean_ns: f64,
    /// Nanoseconds from the start to the next arrival.
    due_ns: f64,
}

impl Schedule {
    /// `rate` arrivals a second, the first after `start_ns`.
    pub(super) fn new(rate: f64, start_ns: u64, seed: u64) -> Self {
        let mut schedule = Self {
            // Not the numbers that choose the keys.
            random: Xoshiro256PlusPlus::seed_from_u64(!seed),
            mean_ns: 1e9 / rate,
            due_ns: start_ns as f64,
        };
        schedule.advance();
        schedule
    }

    /// When the next request is due, in nanoseconds.
    pub(super) fn due_ns(&self) -> u64 {
        self.due_ns as u64
    }

    /// Leaves out what is due before that time, in nanoseconds. Arrivals have no memory, so what
    /// comes after it is as likely as ever.
    pub(super) fn skip_to(&mut self, start_ns: u64) {
        if self.due_ns() < start_ns {
            self.due_ns = start_ns as f64;
            self.advance();
        }
    }

    /// Goes on to the request after it.
    pub(super) fn advance(&mut self) {
        let times: f64 = Exp1.sample(&mut self.random);
        self.due_ns += times * self.mean_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(rate: f64, count: usize) -> Vec<f64> {
        let mut schedule = Schedule::new(rate, 0, 1);
        let mut last = 0.0;
        (0..count)
            .map(|_| {
                let gap = schedule.due_ns - last;
                last = schedule.due_ns;
                schedule.advance();
                gap
            })
            .collect()
    }

    #[test]
    fn arrivals_come_at_the_rate() {
        let total: f64 = gaps(20_000.0, 200_000).iter().sum();
        let rate = 200_000.0 / (total / 1e9);
        assert!((19_800.0..20_200.0).contains(&rate), "{rate}");
    }

    /// The deviation of an exponential distribution is its mean, and a share
    /// of 1/e of the times is longer than that.
    #[test]
    fn the_times_between_arrivals_are_exponential() {
        let gaps = gaps(1000.0, 200_000);
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        let ratio = variance.sqrt() / mean;
        assert!((0.98..1.02).contains(&ratio), "{ratio}");
        let longer = gaps.iter().filter(|gap| **gap > mean).count() as f64 / gaps.len() as f64;
        assert!((0.36..0.376).contains(&longer), "{longer}");
    }

    #[test]
    fn the_same_seed_gives_the_same_arrivals() {
        assert_eq!(gaps(5.0, 100), gaps(5.0, 100));
        let mut other = Schedule::new(5.0, 0, 2);
        other.advance();
        let mut one = Schedule::new(5.0, 0, 1);
        one.advance();
        assert_ne!(one.due_ns(), other.due_ns());
    }
}
