//! What was found about latencies, memory and processor time, in sentences.

use super::name;
use crate::bench::compare::Comparison;
use crate::bench::compare::models::Profile;
use crate::bench::compare::scenario::Scenario;
use crate::bench::compare::summary::{Cell, CpuSplit, cpu_split, find};
use crate::bench::figures;
use crate::bench::report::split::words as part;
use crate::bench::report::told::told;

/// The p99 at two shares of each target's own peak.
pub(super) fn latency(comparison: &Comparison, cells: &[Cell]) -> Vec<String> {
    let sentences = [50.0, 90.0].into_iter().filter_map(|share| {
        let each = (0..comparison.targets.len()).filter_map(|target| {
            let cell = find(cells, Scenario::Latency, share, target)?;
            let p99 = told(&cell.figure, &figures::time_of_us);
            Some(format!("{} {p99}", name(comparison, target)))
        });
        let each: Vec<_> = each.collect();
        (!each.is_empty()).then(|| {
            format!(
                "At {share} % of its own peak, of 100 requests one waits longer than this (the \
                 p99 of a round): {}.",
                each.join(", ")
            )
        })
    });
    sentences.collect()
}

/// What connections and entries take.
pub(super) fn memory(comparison: &Comparison, cells: &[Cell]) -> Vec<String> {
    let sentences = [Scenario::MemoryConnections, Scenario::MemoryEntries];
    let sentences = sentences.into_iter().filter_map(|scenario| {
        let of_scenario = cells.iter().filter(|cell| cell.scenario == scenario);
        let each: Vec<_> = of_scenario
            .map(|cell| {
                let low = cell
                    .figure
                    .interval
                    .map_or(cell.figure.median, |range| range.low);
                let bytes = match low > 0.0 {
                    true => told(&cell.figure, &figures::bytes),
                    false => "too little to be told".to_owned(),
                };
                format!("{} {bytes}", name(comparison, cell.target))
            })
            .collect();
        (!each.is_empty()).then(|| format!("{}: {}.", scenario.title(), each.join(", ")))
    });
    sentences.collect()
}

/// Where the processor time goes, of what has rounds enough.
pub(super) fn split(comparison: &Comparison) -> Vec<String> {
    let scenarios = [Scenario::Request, Scenario::Pipelined].into_iter();
    let sentences = scenarios.flat_map(|scenario| {
        let splits = cpu_split(comparison, scenario).into_iter();
        let told = splits.filter(|split| split.total.interval.is_some());
        told.map(move |split| split_in_words(comparison, scenario, &split))
    });
    sentences.collect()
}

fn split_in_words(comparison: &Comparison, scenario: Scenario, split: &CpuSplit) -> String {
    let own_cost = Profile::of(split.model).own_cost.map(|cost| cost.name);
    let work = split.protocol_and_store.as_ref();
    let work = work.map(|work| format!("protocol and store {}", part(work)));
    let rest = own_cost.zip(split.rest.as_ref());
    let rest = rest.map(|(own_cost, rest)| format!("{own_cost} {}", part(rest)));
    let floor = format!("its echo {}", told(&split.floor, &figures::time_of_us));
    let total = format!("in all {}", told(&split.total, &figures::time_of_us));
    let parts = [Some(total), Some(floor), work, rest].into_iter().flatten();
    format!(
        "Processor time of {} for an operation ({}): {}.",
        name(comparison, split.target),
        scenario.name(),
        parts.collect::<Vec<_>>().join(", ")
    )
}
