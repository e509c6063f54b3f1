//! What the points of all rounds come to.

use std::collections::BTreeSet;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::comparison::{Comparison, Point};
use super::models::{PROTOCOL_AND_STORE, Profile};
use super::scenario::Scenario;
use crate::bench::measurement::{Measurement, Percentiles, latencies};
use crate::bench::stats::{Interval, Verdict, bootstrap_median, median};
use crate::server::Model;

/// One target at one point of a scenario, over all rounds without errors.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// The question.
    pub scenario: Scenario,
    /// Which of its points; see [`Scenario::x_name`].
    pub x: f64,
    /// The index of the target.
    pub target: usize,
    /// Rounds that count.
    pub rounds: usize,
    /// The median over rounds: operations a second; of latencies the p99 in
    /// microseconds; of memory bytes.
    pub median: f64,
    /// Its 95 % interval, if there were rounds enough.
    pub interval: Option<Interval>,
    /// The ratio to the first target in each round; of latencies, that of the
    /// p99.
    pub to_first: Option<Verdict>,
    /// The median ratio of the rate to that of the echo that moves bytes in the
    /// same way.
    pub of_floor: Option<f64>,
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
    /// Open loop: requests that left late or never, of all that were due.
    pub late_share: f64,
    /// All latencies in nanoseconds.
    #[serde(skip)]
    pub histogram: Histogram<u64>,
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
    let of = |target: usize| {
        let is_here = move |point: &&Point| {
            point.scenario == scenario && point.x == x && point.target == target
        };
        let points = comparison.points.iter().filter(is_here);
        points.filter_map(|point| Some((point, figure(point)?)))
    };
    // Round by round, so that what drifts is divided out.
    let ratios = |other: usize| -> Vec<f64> {
        of(target)
            .filter_map(|(point, figure)| {
                let mut same_round = of(other).filter(|(other, _)| other.round == point.round);
                Some(figure / same_round.next()?.1)
            })
            .filter(|ratio| ratio.is_finite())
            .collect()
    };
    let points: Vec<&Point> = of(target).map(|(point, _)| point).collect();
    if points.is_empty() {
        return None;
    }
    let figures: Vec<f64> = of(target).map(|(_, figure)| figure).collect();
    let mut histogram = latencies();
    for measurement in points.iter().filter_map(|point| point.measurement.as_ref()) {
        histogram += &measurement.histogram;
    }
    let measured = |what: &dyn Fn(&Measurement) -> Option<f64>| {
        let measurements = points.iter().filter_map(|point| point.measurement.as_ref());
        let values: Vec<f64> = measurements.filter_map(what).collect();
        (!values.is_empty()).then(|| median(&values))
    };
    let floor = comparison.targets[target].floor;
    let to_floor = floor
        .filter(|_| scenario.is_rate())
        .map(ratios)
        .filter(|ratios| !ratios.is_empty());
    let to_first = (target > 0).then(|| ratios(0));
    Some(Cell {
        scenario,
        x,
        target,
        rounds: figures.len(),
        median: median(&figures),
        interval: bootstrap_median(&figures),
        to_first: to_first
            .filter(|ratios| !ratios.is_empty())
            .map(Verdict::on),
        of_floor: to_floor.map(|ratios| median(&ratios)),
        latency_ns: Percentiles::of(&histogram),
        cpu_us: measured(&|one| Some(one.server.as_ref()?.cpu_us_per_operation)),
        switches: measured(&|one| Some(one.server.as_ref()?.switches_per_operation)),
        rss_bytes: measured(&|one| Some(one.server.as_ref()?.rss_bytes as f64)),
        idle: points.iter().map(|point| point.idle).min().unwrap_or(0),
        bounded_by_generator: points
            .iter()
            .filter_map(|point| point.measurement.as_ref())
            .filter(|one| one.generator.bottleneck.is_some())
            .count(),
        late_share: measured(&|one| {
            let late = one.late_connection + one.late_generator + one.unsent;
            Some(late as f64 / (one.operations + one.unsent).max(1) as f64)
        })
        .unwrap_or(0.0),
        histogram,
    })
}

/// Where a server's processor time goes for each operation, in microseconds,
/// as far as differences between servers can tell.
#[derive(Clone, Debug, Serialize)]
pub struct CpuSplit {
    /// The index of the target.
    pub target: usize,
    /// The target's model.
    #[serde(skip)]
    pub model: Model,
    /// All of it.
    pub total: f64,
    /// What its echo uses.
    pub floor: f64,
    /// Reading, executing and writing requests. In a model without a cost of
    /// its own that is all over the echo; the others are taken to use as much
    /// as the epoll model.
    pub protocol_and_store: Option<f64>,
    /// What is left: the model's own cost.
    pub rest: Option<f64>,
}

/// The split for each speicher target, at one scenario. Needs the echoes, and
/// for its finer part the epoll model.
pub fn cpu_split(comparison: &Comparison, cells: &[Cell], scenario: Scenario) -> Vec<CpuSplit> {
    let cpu = |target: usize| find(cells, scenario, 0.0, target)?.cpu_us;
    let over_floor = |target: usize| {
        let floor = comparison.targets[target].floor?;
        Some((cpu(target)?, cpu(floor)?))
    };
    let target_of = |model| {
        let mut targets = comparison.targets.iter();
        targets.position(|one| one.model == Some(model))
    };
    let reference = target_of(PROTOCOL_AND_STORE).and_then(over_floor);
    let reference = reference.map(|(total, floor)| total - floor);
    let splits = Model::ALL.into_iter().filter_map(|model| {
        let target = target_of(model)?;
        let (total, floor) = over_floor(target)?;
        let protocol_and_store = match Profile::of(model).own_cost {
            Some(_) => reference,
            None => Some(total - floor),
        };
        Some(CpuSplit {
            target,
            model,
            total,
            floor,
            protocol_and_store,
            rest: protocol_and_store.map(|work| total - floor - work),
        })
    });
    splits.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::bench::compare::pinning::Pinning;
    use crate::bench::compare::plan::{Extent, Plan};
    use crate::bench::compare::run;
    use crate::bench::compare::target::Target;
    use crate::bench::measurement::Tally;
    use crate::bench::process::ServerUse;

    /// One round of single requests to targets that use so much of the
    /// processor for each, in microseconds.
    fn comparison(targets: &[(&str, f64)]) -> Comparison {
        let (names, cpu_us): (Vec<_>, Vec<_>) = targets.iter().copied().unzip();
        let targets: Result<Vec<_>, _> = names.into_iter().map(Target::parse).collect();
        let plan = Plan::new(Extent::Quick, &[Scenario::Request], 1);
        let stopped = AtomicBool::new(true);
        let targets = targets.expect("targets");
        let comparison = run(&targets, &plan, &Pinning::default(), &stopped, &mut |_| ());
        let mut comparison = comparison.expect("nothing is pinned");
        let points = cpu_us.into_iter().enumerate().map(|(target, cpu_us)| {
            let server = ServerUse {
                cpu_seconds: 0.0,
                cpu_us_per_operation: cpu_us,
                switches_per_operation: 0.0,
                rss_bytes: 0,
            };
            let measurement = Measurement::new(Tally::new(), 1.0, 1, None, Some(server));
            Point {
                target,
                round: 0,
                scenario: Scenario::Request,
                x: 0.0,
                measurement: Some(measurement),
                bytes_each: None,
                idle: 0,
                attacked: None,
            }
        });
        comparison.points = points.collect();
        comparison
    }

    fn split(targets: &[(&str, f64)]) -> Vec<(usize, f64, Option<f64>, Option<f64>)> {
        let comparison = comparison(targets);
        let split = cpu_split(&comparison, &cells(&comparison), Scenario::Request);
        let figures = split.iter();
        figures
            .map(|one| (one.target, one.floor, one.protocol_and_store, one.rest))
            .collect()
    }

    #[test]
    #[cfg(feature = "epoll")]
    fn a_model_s_own_cost_is_what_the_echo_and_the_epoll_model_leave() {
        let measured = [
            ("epoll", 7.0),
            ("echo-epoll", 4.0),
            ("threads", 15.0),
            ("echo-threads", 5.0),
        ];
        let threads = (2, 5.0, Some(3.0), Some(7.0));
        assert_eq!(split(&measured), [threads, (0, 4.0, Some(3.0), Some(0.0))]);
        assert_eq!(split(&measured[2..]), [(0, 5.0, None, None)]);
        assert_eq!(split(&measured[..1]), [], "without its echo");
    }

    #[test]
    fn a_server_that_is_only_called_like_a_model_has_no_split() {
        let measured = [("epoll=speicher@127.0.0.1:1", 7.0), ("echo-epoll", 4.0)];
        assert_eq!(split(&measured), []);
    }
}
