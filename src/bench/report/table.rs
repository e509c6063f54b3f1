//! The full table of a comparison, in words.

use super::floor::Share;
use super::told::{Bounded, span, too_few};
use crate::bench::compare::Comparison;
use crate::bench::compare::scenario::Scenario;
use crate::bench::compare::summary::{Cell, find};
use crate::bench::figures;
use crate::bench::stats::{Finding, Scatter, Verdict};

pub(super) const HEADER: [&str; 10] = [
    "scenario",
    "target",
    "figure",
    "95 % interval",
    "to the first",
    "95 % interval",
    "of floor",
    "p50",
    "p99",
    "CPU/op",
];

/// The full table: a row for each target at each point.
pub(super) fn rows(comparison: &Comparison, cells: &[Cell]) -> Vec<[String; 10]> {
    let row = |cell: &Cell| {
        let (ratio, ratio_interval) = match &cell.to_first {
            Some(verdict) => (format!("{:.2}", verdict.ratio.median), interval(verdict)),
            None if cell.target == 0 => ("1".to_owned(), String::new()),
            None => (String::new(), String::new()),
        };
        let has_latency = cell.latency_ns.max > 0;
        let time = |nanoseconds: u64| match has_latency {
            true => figures::time(nanoseconds as f64),
            false => String::new(),
        };
        [
            point_name(cell.scenario, cell.x),
            comparison.targets[cell.target].name.clone(),
            figure(cell.scenario, cell.figure.median),
            figure_interval(cell),
            ratio,
            ratio_interval,
            share(comparison, cells, cell).map_or(String::new(), |share| share.cell()),
            time(cell.latency_ns.p50),
            time(cell.latency_ns.p99),
            cell.cpu_us.map_or(String::new(), figures::time_of_us),
        ]
    };
    cells.iter().map(row).collect()
}

/// The share of its floor that a target reaches, if it has one.
pub(super) fn share<'a>(
    comparison: &Comparison,
    cells: &[Cell],
    cell: &'a Cell,
) -> Option<Share<'a>> {
    let floor = comparison.targets[cell.target].floor?;
    let floor = find(cells, cell.scenario, cell.x, floor)?;
    let bounded = Bounded::of(cell.is_bounded(), floor.is_bounded());
    Some(Share::of(cell.of_floor.as_ref()?, bounded))
}

/// The scenario, and which of its points.
pub(super) fn point_name(scenario: Scenario, x: f64) -> String {
    let name = scenario.name();
    match scenario.x_name() {
        "" => name.to_owned(),
        _ if scenario == Scenario::Latency => format!("{name} at {x} %, p99"),
        what => {
            let what = what.split(',').next().unwrap_or(what);
            format!("{name}, {} {what}", figures::count(x))
        }
    }
}

/// A figure of the scenario, with its unit.
pub(super) fn figure(scenario: Scenario, number: f64) -> String {
    match scenario {
        Scenario::MemoryConnections | Scenario::MemoryEntries => figures::bytes(number),
        Scenario::Latency => figures::time_of_us(number),
        _ => format!("{}/s", figures::count(number)),
    }
}

/// The interval of a figure, and what is wrong with its rounds.
fn figure_interval(cell: &Cell) -> String {
    let show = |number: f64| figure(cell.scenario, number);
    let interval = cell.figure.interval.map(|range| span(range, &show, " .. "));
    let odd = match cell.figure.scatter {
        Scatter::TwoClusters { .. } => Some("two clusters"),
        Scatter::Spread { .. } => Some("spread"),
        Scatter::Steady => None,
    };
    let parts = interval.into_iter().chain(odd.map(str::to_owned));
    parts.collect::<Vec<_>>().join(": ")
}

fn interval(verdict: &Verdict) -> String {
    let Some(range) = verdict.ratio.interval else {
        return too_few(&verdict.ratio).unwrap_or_default();
    };
    let range = format!("{:.2} .. {:.2}", range.low, range.high);
    match verdict.finding {
        Finding::NoDifference => format!("{range}: no difference"),
        Finding::Unclear => format!("{range}: not told apart"),
        Finding::TwoClusters => format!("{range}: two clusters"),
        Finding::More | Finding::Less | Finding::TooFewRounds => range,
    }
}
