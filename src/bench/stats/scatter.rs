//! How the figures of single rounds lie beside each other.

use serde::Serialize;

use super::{ROUNDS_MIN, median_of_sorted};

/// Rounds whose highest and lowest figure are further apart than this share of their median are
/// said to spread.
pub const SPREAD_MAX: f64 = 0.2;

/// Clusters closer to each other than this factor are one.
const CLUSTER_FACTOR_MIN: f64 = 1.1;

/// The gap between two clusters is so many times as wide as the wider of them. Of 6 rounds that
/// differ by noise alone one in twenty-five has such a gap, of 9 one in four hundred.
const CLUSTER_GAP_MIN: f64 = 2.0;

/// The fewest rounds of a cluster: one alone is an outlier.
const CLUSTER_ROUNDS_MIN: usize = 2;

/// How the figures of the rounds lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scatter {
    /// No further apart than [`SPREAD_MAX`] allows.
    Steady,
    /// Further apart; the lowest and the highest figure.
    Spread {
        /// The lowest.
        low: f64,
        /// The highest.
        high: f64,
    },
    /// Near one of two figures, and never between: the median is a matter of luck.
    TwoClusters {
        /// The lower ones.
        low: Cluster,
        /// The higher ones.
        high: Cluster,
    },
}

/// Rounds that lie close to each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cluster {
    /// How many.
    pub rounds: usize,
    /// Their median.
    pub median: f64,
}

impl Scatter {
    /// That of the rounds' figures.
    pub fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (Some(low), Some(high)) = (sorted.first(), sorted.last()) else {
            return Self::Steady;
        };
        if let Some(at) = cut(&sorted) {
            let (low, high) = sorted.split_at(at);
            return Self::TwoClusters {
                low: Cluster::of(low),
                high: Cluster::of(high),
            };
        }
        match high - low > SPREAD_MAX * median_of_sorted(&sorted) {
            true => Self::Spread {
                low: *low,
                high: *high,
            },
            false => Self::Steady,
        }
    }
}

impl Cluster {
    fn of(sorted: &[f64]) -> Self {
        Self {
            rounds: sorted.len(),
            median: median_of_sorted(sorted),
        }
    }
}

/// Where the higher cluster begins, if there are two. Gaps and widths are factors, so that a
/// ratio and its inverse are judged alike.
fn cut(sorted: &[f64]) -> Option<usize> {
    if sorted.len() < ROUNDS_MIN || sorted[0] <= 0.0 {
        return None;
    }
    let factor = |from: usize, to: usize| (sorted[to] / sorted[from]).ln();
    let last = sorted.len() - 1;
    let mut cuts = CLUSTER_ROUNDS_MIN..=sorted.len() - CLUSTER_ROUNDS_MIN;
    cuts.find(|at| {
        let gap = factor(at - 1, *at);
        let wider = factor(0, at - 1).max(factor(*at, last));
        gap >= CLUSTER_FACTOR_MIN.ln() && gap > CLUSTER_GAP_MIN * wider
    })
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, LogNormal};
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn two_clusters_are_found_wherever_the_cut_is() {
        let seen = [475.0, 484.0, 140.0, 153.0, 152.0, 467.0, 478.0];
        let Scatter::TwoClusters { low, high } = Scatter::of(&seen) else {
            panic!("{:?}", Scatter::of(&seen));
        };
        assert_eq!((low.rounds, low.median), (3, 152.0));
        assert_eq!((high.rounds, high.median), (4, 476.5));
        let two_of_nine = [10.0, 10.1, 5.0, 10.2, 10.0, 5.1, 10.1, 10.0, 10.3];
        assert!(matches!(
            Scatter::of(&two_of_nine),
            Scatter::TwoClusters { .. }
        ));
    }

    #[test]
    fn one_round_apart_is_spread_and_close_rounds_are_steady() {
        let outlier = [100.0, 101.0, 99.0, 50.0, 102.0, 100.0, 101.0];
        let (low, high) = (50.0, 102.0);
        assert_eq!(Scatter::of(&outlier), Scatter::Spread { low, high });
        let steady = [100.0, 119.0, 101.0, 110.0, 105.0, 108.0];
        assert_eq!(Scatter::of(&steady), Scatter::Steady);
        assert_eq!(Scatter::of(&[]), Scatter::Steady);
    }

    #[test]
    fn clusters_that_nobody_would_tell_apart_are_one() {
        let close = [100.0, 100.1, 100.2, 105.0, 105.1, 105.2];
        assert_eq!(Scatter::of(&close), Scatter::Steady);
    }

    #[test]
    fn noise_alone_seldom_makes_two_clusters() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(4);
        for noise in [0.05, 0.1, 0.3] {
            let noise = LogNormal::new(0.0, noise).expect("a deviation");
            for rounds in [6, 7, 9, 15] {
                let clustered = (0..1000)
                    .filter(|_| {
                        let figures: Vec<f64> =
                            (0..rounds).map(|_| noise.sample(&mut random)).collect();
                        matches!(Scatter::of(&figures), Scatter::TwoClusters { .. })
                    })
                    .count();
                assert!(clustered <= 60, "{clustered} of 1000 with {rounds} rounds");
            }
        }
    }
}
