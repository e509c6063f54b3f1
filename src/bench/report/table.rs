//! The full table of a comparison, in words.

use crate::bench::compare::Comparison;
use crate::bench::compare::scenario::Scenario;
use crate::bench::compare::summary::{Cell, cells};
use crate::bench::figures;
use crate::bench::stats::{Finding, Verdict};

pub(super) const HEADER: [&str; 9] = [
    "scenario",
    "target",
    "figure",
    "to the first",
    "95 % interval",
    "of floor",
    "p50",
    "p99",
    "CPU/op",
];

/// The full table: a row for each target at each point.
pub(super) fn rows(comparison: &Comparison) -> Vec<[String; 9]> {
    let cells = cells(comparison);
    let row = |cell: &Cell| {
        let (ratio, interval) = match &cell.to_first {
            Some(verdict) => (format!("{:.2}", verdict.ratio), interval(verdict)),
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
            figure(cell.scenario, cell.median),
            ratio,
            interval,
            cell.of_floor
                .map_or(String::new(), |share| format!("{share:.2}")),
            time(cell.latency_ns.p50),
            time(cell.latency_ns.p99),
            cell.cpu_us
                .map_or(String::new(), |us| figures::time(us * 1e3)),
        ]
    };
    cells.iter().map(row).collect()
}

/// The scenario, and which of its points.
fn point_name(scenario: Scenario, x: f64) -> String {
    let name = scenario.name();
    match scenario.x_name() {
        "" => name.to_owned(),
        _ if scenario == Scenario::Latency => format!("{name} at {x} %"),
        what => {
            let what = what.split(',').next().unwrap_or(what);
            format!("{name}, {} {what}", figures::count(x))
        }
    }
}

pub(super) fn figure(scenario: Scenario, number: f64) -> String {
    match scenario {
        Scenario::MemoryConnections | Scenario::MemoryEntries => figures::bytes(number),
        Scenario::Latency => format!("{} (median p99 of a round)", figures::time(number * 1e3)),
        _ => format!("{}/s", figures::count(number)),
    }
}

pub(super) fn interval(verdict: &Verdict) -> String {
    match (verdict.interval, verdict.finding) {
        (Some(range), Finding::NoDifference) => {
            format!("{:.2} .. {:.2}: no difference", range.low, range.high)
        }
        (Some(range), _) => format!("{:.2} .. {:.2}", range.low, range.high),
        (None, _) => format!("{} rounds are too few", verdict.rounds.len()),
    }
}
