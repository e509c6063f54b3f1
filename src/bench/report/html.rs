//! One page that needs nothing else: no network, no script.

mod charts;
mod prose;
pub(super) mod tables;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::attacks;
use super::json::json;
use super::words::Words;
use crate::bench::compare::Comparison;
use crate::bench::compare::summary::cells;
use crate::bench::figures;

/// Colours that the style sheet has.
const COLOURS: usize = 8;

/// The page: what is to be known at once, charts, tables, and the rest folded away.
pub fn page(comparison: &Comparison) -> String {
    let cells = cells(comparison);
    let words = Words::on(comparison, &cells);
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
                    (figures::counted(comparison.machine.cores, "core")) ", Linux "
                    (comparison.machine.kernel) ", speicher " (comparison.speicher)
                }
                @if !words.verdict.is_empty() {
                    ul.verdict { @for sentence in &words.verdict { li { (sentence) } } }
                }
                @if !words.alerts.is_empty() {
                    ul.alerts { @for sentence in &words.alerts { li { (sentence) } } }
                }
                (charts::all(comparison, &cells))
                (tables::full(comparison, &cells))
                (tables::split(comparison))
                (attacks::section(comparison))
                (tables::targets(comparison))
                @if !words.more.is_empty() {
                    (folded("What else was found", html! {
                        ul { @for sentence in &words.more { li { (sentence) } } }
                    }))
                }
                (folded("How to read this", prose::how_to_read()))
                (folded("How it was measured", prose::conditions(comparison)))
                (raw(comparison))
            }
        }
    };
    page.into_string()
}

fn folded(title: &str, text: Markup) -> Markup {
    html! { details { summary { (title) } (text) } }
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

fn raw(comparison: &Comparison) -> Markup {
    let data = BASE64_STANDARD.encode(json(comparison));
    html! {
        p {
            a download="speicher-compare.json" href={ "data:application/json;base64," (data) } {
                "speicher-compare.json"
            }
            ": every measurement of every round, with its histogram in HDR's own format."
        }
    }
}
