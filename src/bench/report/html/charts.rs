//! The charts of the page.

use std::collections::BTreeSet;

use maud::{Markup, PreEscaped, html};

use crate::bench::compare::Comparison;
use crate::bench::compare::scenario::Scenario;
use crate::bench::compare::summary::Cell;
use crate::bench::figures;
use crate::bench::report::plot::{Axis, Bar, Line, Scale, Size, bars, lines};
use crate::bench::report::table::figure;
use crate::bench::report::told::near;
use crate::bench::stats::Scatter;

/// The curves over what grows.
const CURVES: [Scenario; 4] = [
    Scenario::Idle,
    Scenario::GrowthKeys,
    Scenario::GrowthConnections,
    Scenario::GrowthValues,
];

/// Shares of the own peak, in percent, whose percentiles are drawn.
const PERCENTILES_AT: [u64; 3] = [90, 50, 10];

const KIB: f64 = 1024.0;

/// What fails while a plot is drawn.
type Drawn = Result<String, Box<dyn std::error::Error>>;

/// All charts, those of rates first.
pub(super) fn all(comparison: &Comparison, cells: &[Cell]) -> Markup {
    let of = |scenario: &Scenario| -> Vec<&Cell> {
        let cells = cells.iter();
        cells.filter(|cell| cell.scenario == *scenario).collect()
    };
    let measured = |scenario: &&Scenario| !of(scenario).is_empty();
    let rates: Vec<_> = Scenario::THROUGHPUT.iter().filter(measured).collect();
    let memory = [Scenario::MemoryConnections, Scenario::MemoryEntries];
    let memory: Vec<_> = memory.iter().filter(measured).collect();
    let latencies = of(&Scenario::Latency);
    html! {
        @if !rates.is_empty() {
            div.charts { @for scenario in rates { (bar_chart(comparison, *scenario, &of(scenario))) } }
            p.faint {
                "A bar is the median of the rounds, each dot one of them, and the line the median's "
                "95 % interval."
            }
        }
        @if !latencies.is_empty() {
            h2 { "Latency at a fixed rate" }
            (latency_charts(comparison, &latencies))
        }
        @if CURVES.iter().any(|scenario| measured(&scenario)) {
            h2 { "What grows" }
            div.charts {
                @for scenario in CURVES.iter().filter(measured) {
                    (curve(comparison, *scenario, &of(scenario)))
                }
            }
        }
        @if !memory.is_empty() {
            h2 { "Memory" }
            div.charts { @for scenario in memory { (bar_chart(comparison, *scenario, &of(scenario))) } }
        }
    }
}

/// The chart in both sizes, of which the style sheet shows one.
fn drawn(draw: &dyn Fn(Size) -> Drawn) -> Markup {
    let svg = |size| match draw(size) {
        Ok(svg) => html! { (PreEscaped(svg)) },
        Err(error) => html! { p { "This can't be drawn: " (error) "." } },
    };
    html! { div.wide { (svg(Size::Wide)) } div.narrow { (svg(Size::Narrow)) } }
}

fn bar_chart(comparison: &Comparison, scenario: Scenario, cells: &[&Cell]) -> Markup {
    let most = cells
        .iter()
        .map(|cell| cell.figure.median)
        .fold(0.0, f64::max);
    let (unit, one) = match scenario {
        Scenario::MemoryConnections | Scenario::MemoryEntries if most < KIB => {
            ("bytes of resident memory for each", 1.0)
        }
        Scenario::MemoryConnections | Scenario::MemoryEntries => {
            ("KiB of resident memory for each", KIB)
        }
        _ => ("operations a second", 1.0),
    };
    let rows: Vec<Bar> = cells
        .iter()
        .map(|cell| Bar {
            series: cell.target,
            name: comparison.targets[cell.target].name.clone(),
            value: cell.figure.median / one,
            interval: cell
                .figure
                .interval
                .map(|range| (range.low / one, range.high / one)),
            rounds: cell.figure.rounds.iter().map(|round| round / one).collect(),
            label: figure(scenario, cell.figure.median),
        })
        .collect();
    let format = |number: &f64| figures::count(*number);
    html! {
        figure {
            h3 { (scenario.title()) }
            (drawn(&|size| bars(size, unit, &rows, &format)))
            @for cell in cells { (oddness(comparison, scenario, cell)) }
        }
    }
}

/// What is wrong with the rounds of a bar.
fn oddness(comparison: &Comparison, scenario: Scenario, cell: &Cell) -> Markup {
    let name = &comparison.targets[cell.target].name;
    let show = |number| figure(scenario, number);
    html! {
        @match cell.figure.scatter {
            Scatter::Steady => {}
            Scatter::Spread { low, high } => {
                figcaption { "Rounds of " (name) " spread from " (show(low)) " to " (show(high)) "." }
            }
            Scatter::TwoClusters { low, high } => {
                figcaption.odd {
                    "Rounds of " (name) " fall into two clusters, " (near(low, high, &show))
                    ", so that the median is a matter of luck."
                }
            }
        }
    }
}

fn legend(comparison: &Comparison, shown: &BTreeSet<usize>) -> Markup {
    html! {
        ul.legend {
            @for target in shown {
                li { span class={ "of" (target) } {} (comparison.targets[*target].name) }
            }
        }
    }
}

fn targets(cells: &[&Cell]) -> BTreeSet<usize> {
    cells.iter().map(|cell| cell.target).collect()
}

fn latency_charts(comparison: &Comparison, cells: &[&Cell]) -> Markup {
    let shown = targets(cells);
    let shares: BTreeSet<u64> = cells.iter().map(|cell| cell.x as u64).collect();
    html! {
        (legend(comparison, &shown))
        div.charts {
            figure {
                h3 { "p99 over the rate, median of the rounds" }
                (drawn(&|size| p99s(size, cells, &shown)))
            }
            @for share in PERCENTILES_AT.iter().filter(|share| shares.contains(*share)) {
                figure {
                    h3 { "Percentiles at " (share) " % of the own peak" }
                    (drawn(&|size| percentiles(size, cells, *share as f64)))
                    figcaption { "How long that share of the requests waited at most, all rounds merged." }
                }
            }
        }
    }
}

fn p99s(size: Size, cells: &[&Cell], shown: &BTreeSet<usize>) -> Drawn {
    let by_share = |target: &usize| Line {
        series: *target,
        points: cells
            .iter()
            .filter(|cell| cell.target == *target)
            .map(|cell| (cell.x, cell.figure.median))
            .collect(),
        has_dots: true,
    };
    let lines_of: Vec<Line> = shown.iter().map(by_share).collect();
    let x = Axis {
        name: "share of the own peak",
        scale: Scale::Linear,
        format: &|x| format!("{x:.0} %"),
    };
    lines(
        size,
        &x,
        &latency_axis("p99", &|us| figures::axis_time_of_us(*us)),
        &lines_of,
    )
}

fn latency_axis<'a>(name: &'a str, format: &'a dyn Fn(&f64) -> String) -> Axis<'a> {
    Axis {
        name,
        scale: Scale::Log,
        format,
    }
}

/// Latency over percentiles, with as much room for each further nine.
fn percentiles(size: Size, cells: &[&Cell], share: f64) -> Drawn {
    let curves: Vec<Line> = cells
        .iter()
        .filter(|cell| cell.x == share)
        .map(|cell| Line {
            series: cell.target,
            points: (0..=40)
                .map(|step| 10f64.powf(f64::from(step) / 10.0))
                // Beyond that a percentile would be a single request or two.
                .filter(|inverse| inverse * 5.0 < cell.histogram.len() as f64)
                .map(|inverse| {
                    let latency = cell.histogram.value_at_quantile(1.0 - 1.0 / inverse);
                    (inverse, latency as f64 / 1e3)
                })
                .collect(),
            has_dots: false,
        })
        .collect();
    let percent = |inverse: &f64| {
        let digits = (inverse.log10() - 2.0).max(0.0).ceil() as usize;
        format!("{:.digits$} %", 100.0 - 100.0 / inverse)
    };
    let x = Axis {
        name: "share of the requests",
        scale: Scale::Log,
        format: &percent,
    };
    lines(
        size,
        &x,
        &latency_axis("latency", &|us| figures::axis_time_of_us(*us)),
        &curves,
    )
}

fn curve(comparison: &Comparison, scenario: Scenario, cells: &[&Cell]) -> Markup {
    let shown = targets(cells);
    let is_idle = scenario == Scenario::Idle;
    let of_target = |target: &usize| Line {
        series: *target,
        points: cells
            .iter()
            .filter(|cell| cell.target == *target)
            // As many as the target took.
            .map(|cell| {
                (
                    if is_idle { cell.idle as f64 } else { cell.x },
                    cell.figure.median,
                )
            })
            .collect(),
        has_dots: true,
    };
    let curves: Vec<Line> = shown.iter().map(of_target).collect();
    let count = |number: &f64| figures::count(*number);
    let x = Axis {
        name: scenario.x_name(),
        scale: if is_idle { Scale::Linear } else { Scale::Log },
        format: &count,
    };
    let y = Axis {
        name: "operations a second",
        scale: Scale::Linear,
        format: &count,
    };
    html! {
        figure {
            h3 { (scenario.title()) }
            (legend(comparison, &shown))
            (drawn(&|size| lines(size, &x, &y, &curves)))
        }
    }
}
