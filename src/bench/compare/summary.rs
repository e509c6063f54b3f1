//! What the points of all rounds come to.

mod cpu_split;
mod idle;

use std::collections::BTreeSet;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::comparison::{Comparison, Point};
use super::scenario::Scenario;
use crate::bench::measurement::{Measurement, Percentiles, latencies};
use crate::bench::stats::{Estimate, Verdict, median};

pub use cpu_split::{CpuSplit, cpu_split};
pub use idle::{IdleCost, idle_costs};

/// The share of rounds from which on the generator is what bounds a cell.
const BOUNDED_SHARE_MIN: f64 = 0.5;

/// The share of the processors' time from which on what others use of it makes a comparison one
/// that a second run does not repeat.
pub const OTHERS_SHARE_MAX: f64 = 0.1;

/// One target at one point of a scenario, over all rounds without errors.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// The question.
    pub scenario: Scenario,
    /// Which of its points; see [`Scenario::x_name`].
    pub x: f64,
    /// The index of the target.
    pub target: usize,
    /// Operations a second; of latencies the p99 in microseconds; of memory
    /// bytes.
    #[serde(flatten)]
    pub figure: Estimate,
    /// The ratio to the first target in each round; of latencies, that of the
    /// p99.
    pub to_first: Option<Verdict>,
    /// The ratio of the rate to that of the echo that moves bytes in the same
    /// way, in each round.
    pub of_floor: Option<Verdict>,
    /// Percentiles of all rounds' latencies, in nanoseconds.
    pub latency_ns: Percentiles,
    /// The median of the processor time for each operation, in microseconds.
    pub cpu_us: Option<f64>,
    /// The median of context switches for each operation.
    pub switches: Option<f64>,
    /// The median of the resident memory at the end, in bytes.
    pub rss_bytes: Option<f64>,
    /// Idle connections that the target took, the fewest of all rounds.
    pub idle: usize,
    /// Rounds in which the generator was what bounded the rate.
    pub bounded_by_generator: usize,
    /// Open loop: rounds in which what was due could not be sent in time, or
    /// not answered.
    pub overloaded: usize,
    /// Open loop: requests that left late or never, of all that were due.
    pub late_share: f64,
    /// All latencies in nanoseconds.
    #[serde(skip)]
    pub histogram: Histogram<u64>,
}

impl Cell {
    /// Whether the generator was the bound in so many rounds that the figure is its own.
    pub fn is_bounded(&self) -> bool {
        self.is_most(self.bounded_by_generator)
    }

    /// Whether the target could not keep up with an open loop in so many rounds that the latency
    /// is the length of a queue.
    pub fn is_overloaded(&self) -> bool {
        self.is_most(self.overloaded)
    }

    fn is_most(&self, rounds: usize) -> bool {
        rounds as f64 >= BOUNDED_SHARE_MIN * self.figure.rounds.len() as f64
    }
}

/// Every cell of a comparison, in the order of scenarios, points and targets.
pub fn cells(comparison: &Comparison) -> Vec<Cell> {
    let points: BTreeSet<(Scenario, u64)> = comparison
        .points
        .iter()
        .map(|point| (point.scenario, point.x as u64))
        .collect();
    let mut cells = Vec::new();
    for (scenario, x) in points {
        for target in 0..comparison.targets.len() {
            cells.extend(cell(comparison, scenario, x as f64, target));
        }
    }
    cells
}

/// The cell of a target at a point, if it was measured there.
pub fn find(cells: &[Cell], scenario: Scenario, x: f64, target: usize) -> Option<&Cell> {
    cells
        .iter()
        .find(|cell| cell.scenario == scenario && cell.x == x && cell.target == target)
}

/// What others used of the processors' time while loads were measured, as the mean of all loads,
/// from 0 to 1; `None` where the system does not tell.
pub fn others_share(comparison: &Comparison) -> Option<f64> {
    let measurements = comparison
        .points
        .iter()
        .filter_map(|point| point.measurement.as_ref());
    let shares: Vec<f64> = measurements.filter_map(|one| one.others_share).collect();
    (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
}

/// The points of a target at one step, with what is compared.
fn figures(
    comparison: &Comparison,
    scenario: Scenario,
    x: f64,
    target: usize,
) -> impl Iterator<Item = (&Point, f64)> {
    let points = comparison
        .points
        .iter()
        .filter(move |point| point.scenario == scenario && point.x == x && point.target == target);
    points.filter_map(|point| Some((point, figure(point)?)))
}

/// The ratio of one figure to another in each round that has both, so that what drifts is
/// divided out.
fn ratios<'a>(
    ones: impl Iterator<Item = (&'a Point, f64)>,
    others: impl Iterator<Item = (&'a Point, f64)>,
) -> Vec<f64> {
    let others: Vec<_> = others.collect();
    ones.filter_map(|(point, figure)| {
        let mut same_round = others
            .iter()
            .filter(|(other, _)| other.round == point.round);
        Some(figure / same_round.next()?.1)
    })
    .filter(|ratio| ratio.is_finite())
    .collect()
}

/// The figure that is compared; `None` if something went wrong, because the
/// speed of failing is nobody's speed.
fn figure(point: &Point) -> Option<f64> {
    match &point.measurement {
        None => point.bytes_each,
        Some(measurement) if !measurement.is_clean() => None,
        Some(measurement) if point.scenario == Scenario::Latency => {
            Some(measurement.latency_ns.p99 as f64 / 1e3)
        }
        Some(measurement) => Some(measurement.rate),
    }
}

fn cell(comparison: &Comparison, scenario: Scenario, x: f64, target: usize) -> Option<Cell> {
    let of = |target: usize| figures(comparison, scenario, x, target);
    let ratios_to = |other: usize| Verdict::on(ratios(of(target), of(other)));
    let figure = Estimate::from(of(target).map(|(_, figure)| figure).collect())?;
    let points: Vec<&Point> = of(target).map(|(point, _)| point).collect();
    let measurements = || points.iter().filter_map(|point| point.measurement.as_ref());
    let mut histogram = latencies();
    for measurement in measurements() {
        histogram += &measurement.histogram;
    }
    let measured = |what: &dyn Fn(&Measurement) -> Option<f64>| {
        let values: Vec<f64> = measurements().filter_map(what).collect();
        (!values.is_empty()).then(|| median(&values))
    };
    let count = |is: &dyn Fn(&Measurement) -> bool| measurements().filter(|one| is(one)).count();
    let floor = comparison.targets[target].floor;
    Some(Cell {
        scenario,
        x,
        target,
        figure,
        to_first: (target > 0).then(|| ratios_to(0)).flatten(),
        of_floor: floor.filter(|_| scenario.is_rate()).and_then(ratios_to),
        latency_ns: Percentiles::of(&histogram),
        cpu_us: measured(&|one| Some(one.server.as_ref()?.cpu_us_per_operation)),
        switches: measured(&|one| Some(one.server.as_ref()?.switches_per_operation)),
        rss_bytes: measured(&|one| Some(one.server.as_ref()?.rss_bytes as f64)),
        idle: points.iter().map(|point| point.idle).min().unwrap_or(0),
        bounded_by_generator: count(&|one| one.generator.bottleneck.is_some()),
        overloaded: count(&|one| one.overload.is_some()),
        late_share: measured(&|one| {
            let late = one.late_connection + one.late_generator + one.unsent;
            Some(late as f64 / (one.operations + one.unsent).max(1) as f64)
        })
        .unwrap_or(0.0),
        histogram,
    })
}
