//! Where a server's processor time goes.

use serde::Serialize;

use super::figures;
use crate::bench::compare::comparison::{Comparison, Point};
use crate::bench::compare::models::{PROTOCOL_AND_STORE, Profile};
use crate::bench::compare::scenario::Scenario;
use crate::bench::stats::Estimate;
use crate::server::Model;

/// Where a server's processor time goes for each operation, in microseconds,
/// as far as differences between servers in the same round can tell. A
/// difference may come out below zero.
#[derive(Clone, Debug, Serialize)]
pub struct CpuSplit {
    /// The index of the target.
    pub target: usize,
    /// The target's model.
    #[serde(skip)]
    pub model: Model,
    /// All of it.
    pub total: Estimate,
    /// What its echo uses.
    pub floor: Estimate,
    /// Reading, executing and writing requests. In a model without a cost of
    /// its own that is all over the echo; the others are taken to use as much
    /// as the epoll model.
    pub protocol_and_store: Option<Estimate>,
    /// What is left: the model's own cost.
    pub rest: Option<Estimate>,
}

/// The split for each speicher target, at one scenario. Needs the echoes, and
/// for its finer part the epoll model.
pub fn cpu_split(comparison: &Comparison, scenario: Scenario) -> Vec<CpuSplit> {
    let target_of = |model| {
        let mut targets = comparison.targets.iter();
        targets.position(|one| one.model == Some(model))
    };
    let reference =
        target_of(PROTOCOL_AND_STORE).map(|target| over_floor(comparison, scenario, target));
    let splits = Model::ALL.into_iter().filter_map(|model| {
        let target = target_of(model)?;
        let rounds = over_floor(comparison, scenario, target);
        let work: Vec<Option<f64>> = match Profile::of(model).own_cost {
            None => rounds
                .iter()
                .map(|round| Some(round.total - round.floor))
                .collect(),
            Some(_) => rounds
                .iter()
                .map(|round| {
                    let mut same_round = reference
                        .iter()
                        .flatten()
                        .filter(|one| one.round == round.round);
                    same_round.next().map(|one| one.total - one.floor)
                })
                .collect(),
        };
        let rest = rounds.iter().zip(&work);
        let rest = rest.filter_map(|(round, work)| Some(round.total - round.floor - (*work)?));
        Some(CpuSplit {
            target,
            model,
            total: Estimate::from(rounds.iter().map(|round| round.total).collect())?,
            floor: Estimate::from(rounds.iter().map(|round| round.floor).collect())?,
            rest: Estimate::from(rest.collect()),
            protocol_and_store: Estimate::from(work.into_iter().flatten().collect()),
        })
    });
    splits.collect()
}

/// What a target and its echo used for an operation in one round, in microseconds.
struct OverFloor {
    round: usize,
    total: f64,
    floor: f64,
}

/// For each round that has both; none for a target without an echo.
fn over_floor(comparison: &Comparison, scenario: Scenario, target: usize) -> Vec<OverFloor> {
    let Some(floor) = comparison.targets[target].floor else {
        return Vec::new();
    };
    let cpu = |point: &Point| {
        let server = point.measurement.as_ref()?.server.as_ref()?;
        Some(server.cpu_us_per_operation)
    };
    let of = |target| figures(comparison, scenario, 0.0, target).map(|(point, _)| point);
    let rounds = of(target).filter_map(|point| {
        let mut same_round = of(floor).filter(|other| other.round == point.round);
        Some(OverFloor {
            round: point.round,
            total: cpu(point)?,
            floor: cpu(same_round.next()?)?,
        })
    });
    rounds.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::bench::compare::pinning::Pinning;
    use crate::bench::compare::plan::{Extent, Plan};
    use crate::bench::compare::run;
    use crate::bench::compare::target::Target;
    use crate::bench::measurement::{Measurement, Tally};
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
        let split = cpu_split(&comparison, Scenario::Request);
        let figures = split.iter();
        let median = |part: &Option<Estimate>| part.as_ref().map(|part| part.median);
        figures
            .map(|one| {
                let (work, rest) = (&one.protocol_and_store, &one.rest);
                (one.target, one.floor.median, median(work), median(rest))
            })
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
