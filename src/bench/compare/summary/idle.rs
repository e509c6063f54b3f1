//! What idle connections cost the busy ones.

use serde::Serialize;

use super::{figures, ratios};
use crate::bench::compare::comparison::Comparison;
use crate::bench::compare::scenario::Scenario;
use crate::bench::stats::Verdict;

/// What the most idle connections that were tried cost the busy ones of a target.
#[derive(Clone, Debug, Serialize)]
pub struct IdleCost {
    /// The index of the target.
    pub target: usize,
    /// Idle connections that it took, the fewest of all rounds.
    pub idle: usize,
    /// The rate beside them to that of the same server without them, in each round.
    pub to_alone: Verdict,
}

/// The cost for each target that was measured with idle connections and without.
pub fn idle_costs(comparison: &Comparison) -> Vec<IdleCost> {
    let points = comparison.points.iter();
    let idle = points.filter(|point| point.scenario == Scenario::Idle);
    let most = idle.map(|point| point.x).fold(0.0, f64::max);
    let of = |x: f64, target: usize| figures(comparison, Scenario::Idle, x, target);
    let costs = (0..comparison.targets.len()).filter_map(|target| {
        Some(IdleCost {
            target,
            idle: of(most, target).map(|(point, _)| point.idle).min()?,
            to_alone: Verdict::on(ratios(of(most, target), of(0.0, target)))?,
        })
    });
    // Beside none, nothing is compared.
    costs.filter(|cost| cost.idle > 0).collect()
}
