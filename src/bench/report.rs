//! A comparison for people: words, a table, a page.

mod html;
mod plot;
mod words;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;

use super::compare::Comparison;
use super::compare::scenario::Scenario;
use super::compare::summary::{Cell, cells, cpu_split};
use super::figures;
use super::stats::{Finding, Verdict};

pub use html::page;
pub use words::sentences;

/// Everything as JSON: the comparison with all rounds, and what they come to.
pub fn json(comparison: &Comparison) -> String {
    let cells = cells(comparison);
    let split = cpu_split(comparison, &cells, Scenario::Request);
    let report = json!({
        "comparison": comparison,
        "summary": sentences(comparison),
        "cells": cells,
        "cpu_split_request": split,
    });
    report.to_string()
}

/// Summary and table for a terminal.
pub fn text(comparison: &Comparison) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(HEADER);
    for row in rows(comparison) {
        table.add_row(row);
    }
    for index in 2..HEADER.len() {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!(
        "{}\n\n{}",
        table.trim_fmt(),
        sentences(comparison).join("\n")
    )
}

const HEADER: [&str; 9] = [
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
fn rows(comparison: &Comparison) -> Vec<[String; 9]> {
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

fn figure(scenario: Scenario, number: f64) -> String {
    match scenario {
        Scenario::MemoryConnections | Scenario::MemoryEntries => figures::bytes(number),
        Scenario::Latency => format!("{} (median p99 of a round)", figures::time(number * 1e3)),
        _ => format!("{}/s", figures::count(number)),
    }
}

fn interval(verdict: &Verdict) -> String {
    match (verdict.interval, verdict.finding) {
        (Some(range), Finding::NoDifference) => {
            format!("{:.2} .. {:.2}: no difference", range.low, range.high)
        }
        (Some(range), _) => format!("{:.2} .. {:.2}", range.low, range.high),
        (None, _) => format!("{} rounds are too few", verdict.rounds.len()),
    }
}
