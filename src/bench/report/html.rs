//! One page that needs nothing else: no network, no script.

use std::collections::BTreeSet;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::attacks;
use super::json::json;
use super::plot::{Axis, Bar, Line, Scale, bars, lines};
use super::table::{HEADER, figure, rows};
use super::words;
use crate::bench::compare::Comparison;
use crate::bench::compare::conformance::Conformance;
use crate::bench::compare::models::{PROTOCOL_AND_STORE, Profile, own_costs};
use crate::bench::compare::plan::{ATTACK_ROUNDS_MAX, GROWTH_ROUNDS_MAX};
use crate::bench::compare::scenario::Scenario;
use crate::bench::compare::summary::{Cell, cells, cpu_split};
use crate::bench::figures;

/// Colours that the style sheet has.
const COLOURS: usize = 8;

/// The page.
pub fn page(comparison: &Comparison) -> String {
    let cells = cells(comparison);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "speicher compare, " (comparison.date) }
                style { (PreEscaped(include_str!("page.css"))) (PreEscaped(series_style(comparison))) }
            }
            body {
                h1 { "Servers side by side" }
                p.faint {
                    (comparison.date) ", " (comparison.machine.processor) ", "
                    (comparison.machine.cores) " cores, Linux " (comparison.machine.kernel) ", speicher "
                    (comparison.speicher)
                }
                ul.summary { @for sentence in words::sentences(comparison) { li { (sentence) } } }
                (how_to_read(comparison))
                (plots(comparison, &cells))
                (split(comparison, &cells))
                (attacks::section(comparison))
                @if !cells.is_empty() { (full_table(comparison)) }
                (conditions(comparison))
                (raw(comparison))
            }
        }
    };
    page.into_string()
}

/// Which of the style sheet's colours each target has, as plots name them.
fn series_style(comparison: &Comparison) -> String {
    let rule = |series: usize| {
        let colour = format!("var(--s{})", series % COLOURS);
        format!(
            "svg [fill=\"#03{series:02X}03\"] {{ fill: {colour}; }}\n\
             svg [stroke=\"#03{series:02X}03\"] {{ stroke: {colour}; }}\n\
             .of{series} {{ background: {colour}; }}\n"
        )
    };
    (0..comparison.targets.len()).map(rule).collect()
}

fn how_to_read(comparison: &Comparison) -> Markup {
    let plan = &comparison.plan;
    let has = |scenario: Scenario| {
        let mut steps = plan.groups.iter().flatten();
        steps.any(|step| step.scenario.name() == scenario.name())
    };
    html! {
        p {
            "The same requests went to each server in turn, in " (plan.rounds)
            " interleaved rounds (A B C, then C B A)"
            @for (scenario, rounds_max) in [
                (Scenario::GrowthKeys, GROWTH_ROUNDS_MAX), (Scenario::Attack, ATTACK_ROUNDS_MAX),
            ] {
                @if has(scenario) { ", those of " (scenario.name()) " in " (plan.rounds.min(rounds_max)) }
            }
            ", with a fresh server each time. " (words::cores(comparison)) " "
            "80 % of the requests are GETs and keys are chosen evenly, unless the scenario says otherwise. A figure is the median over rounds; its "
            "interval holds the true median in 19 of 20 comparisons. Where the interval of a ratio reaches "
            "within 2 % of 1, the rounds show no difference. "
            "An echo returns bytes unread: it is what the kernel allows for a way of moving bytes. "
            "Speicher's requests are JSON, those of Redis and memcached are not; that difference is not a "
            "model's."
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

fn plots(comparison: &Comparison, cells: &[Cell]) -> Markup {
    let of = |scenario: Scenario| -> Vec<&Cell> {
        cells
            .iter()
            .filter(|cell| cell.scenario == scenario)
            .collect()
    };
    html! {
        @for (heading, scenarios) in [
            ("Throughput", &Scenario::THROUGHPUT[..]),
            ("Memory", &[Scenario::MemoryConnections, Scenario::MemoryEntries]),
        ] {
            @if scenarios.iter().any(|scenario| !of(*scenario).is_empty()) {
                h2 { (heading) }
                @if heading == "Memory" {
                    p { "The threads model starts its workers when it starts, so that they are in nobody's figure: a "
                        "connection there costs what comes on top. In the other servers all of it is counted." }
                }
                @for scenario in scenarios.iter().filter(|scenario| !of(**scenario).is_empty()) {
                    (bar_plot(comparison, *scenario, &of(*scenario)))
                }
            }
        }
        @if !of(Scenario::Latency).is_empty() {
            h2 { "Latency at a fixed rate" }
            p { "An open loop: requests arrive at random at the stated share of what the server itself reached "
                "with single requests, and wait from the moment they were due. Shares of different servers are "
                "different rates." }
            (latency_plots(comparison, &of(Scenario::Latency)))
        }
        @for scenario in [
            Scenario::Idle, Scenario::GrowthKeys, Scenario::GrowthConnections, Scenario::GrowthValues,
        ] {
            @if !of(scenario).is_empty() {
                h2 { (scenario.title()) }
                (curve(comparison, scenario, &of(scenario)))
            }
        }
    }
}

fn svg(drawn: Result<String, Box<dyn std::error::Error>>) -> Markup {
    match drawn {
        Ok(svg) => html! { (PreEscaped(svg)) },
        Err(error) => html! { p { "This can't be drawn: " (error) "." } },
    }
}

fn bar_plot(comparison: &Comparison, scenario: Scenario, cells: &[&Cell]) -> Markup {
    let unit = match scenario {
        Scenario::MemoryConnections | Scenario::MemoryEntries => "resident bytes each",
        _ => "operations a second",
    };
    let rows: Vec<Bar> = cells
        .iter()
        .map(|cell| Bar {
            series: cell.target,
            name: comparison.targets[cell.target].name.clone(),
            value: cell.median,
            low: cell.interval.map_or(cell.median, |range| range.low),
            high: cell.interval.map_or(cell.median, |range| range.high),
            label: figure(scenario, cell.median),
        })
        .collect();
    html! {
        figure {
            h3 { (scenario.title()) }
            (svg(bars(unit, &rows, &|x| figures::count(*x))))
            figcaption { "Median over rounds; the line is its 95 % interval, where there were rounds enough." }
        }
    }
}

fn latency_plots(comparison: &Comparison, cells: &[&Cell]) -> Markup {
    let shares: BTreeSet<u64> = cells.iter().map(|cell| cell.x as u64).collect();
    let shown: BTreeSet<usize> = cells.iter().map(|cell| cell.target).collect();
    let time = |us: &f64| figures::time(us * 1e3);
    let by_share: Vec<Line> = shown
        .iter()
        .map(|target| Line {
            series: *target,
            points: cells
                .iter()
                .filter(|cell| cell.target == *target)
                .map(|cell| (cell.x, cell.latency_ns.p99 as f64 / 1e3))
                .collect(),
            has_dots: true,
        })
        .collect();
    let (x, y) = (
        Axis {
            name: "share of the own peak, %",
            scale: Scale::Linear,
            format: &|x| format!("{x:.0} %"),
        },
        Axis {
            name: "p99",
            scale: Scale::Log,
            format: &time,
        },
    );
    html! {
        (legend(comparison, &shown))
        figure {
            h3 { "p99 over the rate" }
            (svg(lines(&x, &y, &by_share)))
        }
        @for share in shares.iter().rev().filter(|share| [10, 50, 90].contains(*share)) {
            figure {
                h3 { "Percentiles at " (share) " % of the own peak" }
                (svg(percentiles(cells, *share as f64)))
                figcaption { "How long that share of the requests waited at most, over all rounds merged." }
            }
        }
    }
}

/// Latency over percentiles, with as much room for each further nine.
fn percentiles(cells: &[&Cell], share: f64) -> Result<String, Box<dyn std::error::Error>> {
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
        let digits = (inverse.log10() - 2.0).max(0.0).round() as usize;
        format!("{:.digits$} %", 100.0 - 100.0 / inverse)
    };
    let x = Axis {
        name: "share of the requests",
        scale: Scale::Log,
        format: &percent,
    };
    let time = |us: &f64| figures::time(us * 1e3);
    let y = Axis {
        name: "latency",
        scale: Scale::Log,
        format: &time,
    };
    lines(&x, &y, &curves)
}

fn curve(comparison: &Comparison, scenario: Scenario, cells: &[&Cell]) -> Markup {
    let shown: BTreeSet<usize> = cells.iter().map(|cell| cell.target).collect();
    let is_idle = scenario == Scenario::Idle;
    let curves: Vec<Line> = shown
        .iter()
        .map(|target| Line {
            series: *target,
            points: cells
                .iter()
                .filter(|cell| cell.target == *target)
                // As many as the target took.
                .map(|cell| (if is_idle { cell.idle as f64 } else { cell.x }, cell.median))
                .collect(),
            has_dots: true,
        })
        .collect();
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
        (legend(comparison, &shown))
        figure { (svg(lines(&x, &y, &curves))) }
    }
}

fn split(comparison: &Comparison, cells: &[Cell]) -> Markup {
    let splits: Vec<_> = [Scenario::Request, Scenario::Pipelined]
        .into_iter()
        .flat_map(|scenario| {
            let of_scenario = cpu_split(comparison, cells, scenario);
            of_scenario.into_iter().map(move |split| (scenario, split))
        })
        .collect();
    let time = |us: Option<f64>| us.map_or(String::new(), |us| format!("{us:.2} µs"));
    let own_costs: Vec<_> = own_costs().collect();
    let clauses: Vec<_> = own_costs.iter().map(|cost| cost.clause).collect();
    let short: Vec<_> = own_costs.iter().map(|cost| cost.short).collect();
    html! {
        @if !splits.is_empty() {
            h2 { "Where the processor time goes" }
            p { "Processor time of the server for each operation. The floor is what its echo uses. What the "
                (PROTOCOL_AND_STORE) " model uses over its echo is protocol and store, because it does both on the "
                "thread that owns the socket. What then is left is, " (clauses.join(", and ")) ". These are "
                "differences between servers, not measured within one: a small one may come out below zero." }
            table {
                tr { th { "scenario" } th { "target" } th { "in all" } th { "floor" } th { "protocol and store" }
                     th { (short.join(" or ")) } }
                @for (scenario, split) in &splits {
                    @let has_own_cost = Profile::of(split.model).own_cost.is_some();
                    tr {
                        td { (scenario.name()) } td { (comparison.targets[split.target].name) }
                        td { (time(Some(split.total))) } td { (time(Some(split.floor))) }
                        td { (time(split.protocol_and_store)) }
                        td { @if has_own_cost { (time(split.rest)) } }
                    }
                }
            }
        }
    }
}

fn full_table(comparison: &Comparison) -> Markup {
    html! {
        h2 { "All figures" }
        p { "Ratios are to " (comparison.targets.first().map_or("nobody", |first| first.name.as_str()))
            ", and of latencies those of the p99, where less is better. \"Of floor\" is the ratio of the rate to that "
            "of the echo of the same way of moving bytes. Percentiles are of the latencies of all rounds, merged; those of a "
            "closed loop say how long its queue is. The figure of a latency is another one: the median of the "
            "p99s of single rounds." }
        div.scroll {
            table {
                tr { @for name in HEADER { th { (name) } } }
                @for row in rows(comparison) { tr { @for cell in row { td { (cell) } } } }
            }
        }
    }
}

fn conditions(comparison: &Comparison) -> Markup {
    let machine = &comparison.machine;
    let checked = |conformance: &Conformance| match conformance {
        Conformance::NotApplicable => "another protocol".to_owned(),
        Conformance::NotChecked(why) => format!("not checked: {why}"),
        Conformance::Passed => {
            "every MUST case passed, but those that start and stop a server were not run".to_owned()
        }
        Conformance::Failed(cases) => format!("failed: {}", cases.join("; ")),
    };
    html! {
        h2 { "Conditions" }
        p {
            (machine.processor) ", " (machine.cores) " cores, "
            (figures::bytes(machine.memory_bytes as f64)) " of memory"
            @if machine.is_virtual { ", a virtual machine" }
            ". " (machine.system) ", Linux " (machine.kernel) ". Loopback. Before it began, "
            (machine.load_before) " processes wanted to run. It took "
            (format!("{:.0}", comparison.seconds)) " s; each load"
            @if comparison.plan.groups.iter().flatten().any(|step| step.attack.is_some()) { " but those of attacks" }
            " ran for "
            (format!("{:.2}", comparison.plan.time.as_secs_f64())) " s after "
            (format!("{:.2}", comparison.plan.warmup.as_secs_f64())) " s that do not count, from "
            (comparison.plan.threads) (if comparison.plan.threads == 1 { " thread" } else { " threads" }) " of the generator."
        }
        div.scroll {
            table {
                tr { th { "target" } th { "protocol" } th { "version" } th { "conformance" } th { "command" } }
                @for target in &comparison.targets {
                    tr {
                        td { (target.name) } td { (target.protocol) }
                        td.wrap { (target.version.as_deref().unwrap_or("unknown")) }
                        td.wrap { (checked(&target.conformance)) }
                        td.wrap { code { (target.command) } }
                    }
                }
            }
        }
    }
}

fn raw(comparison: &Comparison) -> Markup {
    let data = BASE64_STANDARD.encode(json(comparison));
    html! {
        h2 { "Raw figures" }
        p {
            a download="speicher-compare.json" href={ "data:application/json;base64," (data) } {
                "speicher-compare.json"
            }
            ": every measurement of every round, with its histogram in HDR's own format."
        }
    }
}
