//! What rounds allow to be said.

mod scatter;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use serde::Serialize;

pub use scatter::{Cluster, SPREAD_MAX, Scatter};

/// The fewest rounds that a 95 % interval of a median can be had from: with
/// five, even the whole range holds the median in 15 of 16 cases only.
pub const ROUNDS_MIN: usize = 6;

/// Ratios closer to 1 than this are never called a difference: two copies of
/// one server differ by as much, by where their memory happens to lie.
pub const RATIO_RESOLUTION: f64 = 0.02;

/// Ratios whose whole interval is this close to 1 show that there is no difference to speak of.
pub const RATIO_EQUAL: f64 = 0.1;

/// From this factor between its ends on, an interval is told in place of the median in it.
pub const INTERVAL_WIDE: f64 = 1.5;

/// How often the rounds are drawn again.
const RESAMPLES: usize = 10_000;

/// The share of resampled medians that is cut off at each end, for 6 rounds, 7
/// and so on. Of few rounds the plain 2.5 % make too narrow an interval; it is
/// widened as Student's t is wider than the normal distribution (the
/// "expanded percentile interval", Hesterberg 2015):
/// Φ(-√(n/(n-1)) · t(0.975, n-1)).
const TAILS: [f64; 20] = [
    0.0024, 0.0041, 0.0057, 0.0072, 0.0086, 0.0097, 0.0108, 0.0117, 0.0125, 0.0132, 0.0139, 0.0144,
    0.0150, 0.0154, 0.0159, 0.0163, 0.0166, 0.0170, 0.0173, 0.0176,
];

/// Where a median lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Whether it is too wide for the median in it to mean much; so is one that reaches 0.
    pub fn is_wide(&self) -> bool {
        self.low <= 0.0 || self.high > INTERVAL_WIDE * self.low
    }
}

/// The middle of the values, or the mean of the two in the middle; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    median_of_sorted(&sorted)
}

fn median_of_sorted(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        len => (sorted[(len - 1) / 2] + sorted[len / 2]) / 2.0,
    }
}

/// A 95 % bootstrap interval of the median over rounds; `None` of fewer than
/// [`ROUNDS_MIN`]. The same values give the same interval.
pub fn bootstrap_median(values: &[f64]) -> Option<Interval> {
    if values.len() < ROUNDS_MIN {
        return None;
    }
    let tail = TAILS
        .get(values.len() - ROUNDS_MIN)
        .copied()
        // With more rounds it goes to 0.025, slowly.
        .unwrap_or(TAILS[TAILS.len() - 1]);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(values.len() as u64);
    let mut resample = vec![0.0; values.len()];
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            for value in &mut resample {
                *value = values[random.next_u32() as usize % values.len()];
            }
            resample.sort_by(f64::total_cmp);
            median_of_sorted(&resample)
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    let cut = (tail * RESAMPLES as f64) as usize;
    Some(Interval {
        low: medians[cut],
        high: medians[RESAMPLES - 1 - cut],
    })
}

/// What figures, one for each round, come to.
#[derive(Clone, Debug, Serialize)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// Its 95 % interval, if there were rounds enough.
    pub interval: Option<Interval>,
    /// The figures of the rounds.
    pub rounds: Vec<f64>,
    /// How they lie.
    pub scatter: Scatter,
}

impl Estimate {
    /// The estimate from the figures of the rounds; `None` without a round.
    pub fn from(rounds: Vec<f64>) -> Option<Self> {
        (!rounds.is_empty()).then(|| Self {
            median: median(&rounds),
            interval: bootstrap_median(&rounds),
            scatter: Scatter::of(&rounds),
            rounds,
        })
    }

    /// What it says as a ratio.
    fn finding(&self) -> Finding {
        match self.interval {
            None => Finding::TooFewRounds,
            Some(_) if matches!(self.scatter, Scatter::TwoClusters { .. }) => Finding::TwoClusters,
            Some(interval) if interval.low > 1.0 + RATIO_RESOLUTION => Finding::More,
            Some(interval) if interval.high < 1.0 - RATIO_RESOLUTION => Finding::Less,
            Some(interval)
                if interval.low >= 1.0 - RATIO_EQUAL && interval.high <= 1.0 + RATIO_EQUAL =>
            {
                Finding::NoDifference
            }
            Some(_) => Finding::Unclear,
        }
    }
}

/// What a ratio and its interval come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The whole interval is above 1 by more than [`RATIO_RESOLUTION`].
    More,
    /// The whole interval is below 1 by more than [`RATIO_RESOLUTION`].
    Less,
    /// The whole interval is within [`RATIO_EQUAL`] of 1.
    NoDifference,
    /// None of these: the rounds can't tell the two apart, and don't show that they are alike.
    Unclear,
    /// The ratios fall into two clusters, so that their median is a matter of luck.
    TwoClusters,
    /// There were fewer rounds than [`ROUNDS_MIN`].
    TooFewRounds,
}

/// What the ratios of two targets, one for each round, say.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The ratio.
    #[serde(flatten)]
    pub ratio: Estimate,
    /// What it comes to.
    pub finding: Finding,
}

impl Verdict {
    /// The verdict on the ratios of the rounds; `None` without a round.
    pub fn on(ratios: Vec<f64>) -> Option<Self> {
        let ratio = Estimate::from(ratios)?;
        let finding = ratio.finding();
        Some(Self { ratio, finding })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_distr::{Distribution, LogNormal};

    /// Ratios of a target that is so many times as fast, with noise of this
    /// size in each of the two measurements.
    fn ratios(random: &mut Xoshiro256PlusPlus, factor: f64, noise: f64, rounds: usize) -> Vec<f64> {
        let noise = LogNormal::new(0.0, noise).expect("a deviation");
        (0..rounds)
            .map(|_| factor * noise.sample(random) / noise.sample(random))
            .collect()
    }

    fn finding(ratios: Vec<f64>) -> Finding {
        Verdict::on(ratios).expect("there are rounds").finding
    }

    #[test]
    fn the_same_server_twice_is_seldom_said_to_differ() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        for noise in [0.005, 0.03, 0.1, 0.3] {
            for rounds in [6, 7, 9, 15] {
                let different = (0..200)
                    .filter(|_| {
                        let finding = finding(ratios(&mut random, 1.0, noise, rounds));
                        [Finding::More, Finding::Less].contains(&finding)
                    })
                    .count();
                assert!(
                    different <= 10,
                    "{different} of 200, noise {noise}, {rounds} rounds"
                );
            }
        }
    }

    #[test]
    fn a_difference_that_noise_cannot_hide_is_found() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
        for (factor, finding) in [(1.15, Finding::More), (0.87, Finding::Less)] {
            let found = (0..200)
                .filter(|_| self::finding(ratios(&mut random, factor, 0.03, 7)) == finding)
                .count();
            assert!(found >= 190, "{found} of 200 at {factor}");
        }
    }

    #[test]
    fn the_interval_holds_the_true_median_in_19_of_20_cases() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        for rounds in [6, 7, 9, 15, 25] {
            let held = (0..400)
                .filter(|_| {
                    let interval = bootstrap_median(&ratios(&mut random, 2.0, 0.1, rounds));
                    interval.is_some_and(|range| range.low <= 2.0 && 2.0 <= range.high)
                })
                .count();
            assert!(held >= 370, "{held} of 400 with {rounds} rounds");
        }
    }

    #[test]
    fn rounds_that_say_little_do_not_say_that_nothing_differs() {
        let noisy = vec![1.84, 0.71, 1.66, 1.70, 0.95, 1.3, 1.68];
        assert_eq!(finding(noisy), Finding::Unclear);
        let alike = vec![1.01, 0.99, 1.03, 0.98, 1.0, 1.02, 1.01];
        assert_eq!(finding(alike), Finding::NoDifference);
        let clusters = vec![3.0, 3.1, 1.2, 1.21, 3.05, 1.19, 3.1];
        assert_eq!(finding(clusters), Finding::TwoClusters);
    }

    #[test]
    fn few_rounds_make_no_verdict() {
        let verdict = Verdict::on(vec![2.0; ROUNDS_MIN - 1]).expect("there are rounds");
        assert_eq!(verdict.finding, Finding::TooFewRounds);
        assert_eq!(verdict.ratio.interval, None);
        assert!(Verdict::on(Vec::new()).is_none());
    }

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }
}
