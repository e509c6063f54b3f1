//! The tables of the page.

use maud::{Markup, html};

use crate::bench::compare::Comparison;
use crate::bench::compare::conformance::Conformance;
use crate::bench::compare::models::{Profile, own_costs};
use crate::bench::compare::scenario::Scenario;
use crate::bench::compare::summary::{Cell, cpu_split};
use crate::bench::figures;
use crate::bench::report::split;
use crate::bench::report::table::{HEADER, rows};
use crate::bench::report::told::told;
use crate::bench::stats::Estimate;

/// A table whose cells say what they are where there is no room for columns.
pub(in crate::bench::report) fn table<const N: usize>(
    header: [&str; N],
    rows: &[[String; N]],
) -> Markup {
    html! {
        table {
            thead { tr { @for name in header { th { (name) } } } }
            tbody {
                @for row in rows {
                    tr {
                        @for (name, cell) in header.iter().zip(row) {
                            td data-is=(name) class=[cell.is_empty().then_some("none")] { (cell) }
                        }
                    }
                }
            }
        }
    }
}

/// Every figure.
pub(super) fn full(comparison: &Comparison, cells: &[Cell]) -> Markup {
    let rows = rows(comparison, cells);
    let first = comparison
        .targets
        .first()
        .map_or("nobody", |first| first.name.as_str());
    html! {
        @if !rows.is_empty() {
            h2 { "All figures" }
            (table(HEADER, &rows))
            p.faint {
                "\"To the first\" is the ratio to " (first) "; of latencies and memory less is better. "
                "\"Of floor\" is the share of the rate of the echo that moves bytes in the same way. "
                "p50 and p99 are of all rounds merged; those of a closed loop say how long its queue is."
            }
        }
    }
}

/// Where the processor time goes.
pub(super) fn split(comparison: &Comparison) -> Markup {
    let short: Vec<_> = own_costs().map(|cost| cost.short).collect();
    let short = short.join(" or ");
    let header = [
        "scenario",
        "target",
        "in all",
        "its echo",
        "protocol and store",
        &short,
    ];
    let time = |part: &Estimate| told(part, &figures::time_of_us);
    let part = |part: &Option<Estimate>| part.as_ref().map_or(String::new(), split::cell);
    let scenarios = [Scenario::Request, Scenario::Pipelined].into_iter();
    let rows = scenarios.flat_map(|scenario| {
        let splits = cpu_split(comparison, scenario).into_iter();
        splits.map(move |split| {
            let has_own_cost = Profile::of(split.model).own_cost.is_some();
            [
                scenario.name().to_owned(),
                comparison.targets[split.target].name.clone(),
                time(&split.total),
                time(&split.floor),
                part(&split.protocol_and_store),
                match has_own_cost {
                    true => part(&split.rest),
                    false => String::new(),
                },
            ]
        })
    });
    let rows: Vec<_> = rows.collect();
    html! {
        @if !rows.is_empty() {
            h2 { "Where the processor time of an operation goes" }
            (table(header, &rows))
        }
    }
}

/// What was compared.
pub(super) fn targets(comparison: &Comparison) -> Markup {
    let checked = |conformance: &Conformance| match conformance {
        Conformance::NotApplicable => "another protocol".to_owned(),
        Conformance::NotChecked(why) => format!("not checked: {why}"),
        Conformance::Passed => {
            "every MUST case passed, but those that start and stop a server were not run".to_owned()
        }
        Conformance::Failed(cases) => format!("failed: {}", cases.join("; ")),
    };
    let header = ["target", "protocol", "version", "conformance", "command"];
    let rows = comparison.targets.iter().map(|target| {
        [
            target.name.clone(),
            target.protocol.to_string(),
            target
                .version
                .clone()
                .unwrap_or_else(|| "unknown".to_owned()),
            checked(&target.conformance),
            target.command.clone(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    html! {
        h2 { "What was compared" }
        div.texts { (table(header, &rows)) }
    }
}
