//! A comparison for people: words, a table, a page.

mod attacks;
mod floor;
mod html;
mod json;
mod plot;
mod split;
mod table;
mod told;
mod words;

use comfy_table::{CellAlignment, Table, presets};

use super::compare::Comparison;
use super::compare::summary::cells;

pub use html::page;
pub use json::json;
pub use words::sentences;

/// Summary and tables for a terminal.
pub fn text(comparison: &Comparison) -> String {
    let tables = [
        aligned(table::HEADER, table::rows(comparison, &cells(comparison))),
        aligned(attacks::HEADER, attacks::table(comparison)),
    ];
    let mut parts: Vec<_> = tables.into_iter().flatten().collect();
    let mut sentences = sentences(comparison);
    sentences.push(words::cores(comparison));
    parts.push(sentences.join("\n"));
    parts.join("\n\n")
}

/// A table with figures from the third column on; `None` without rows.
fn aligned<const N: usize>(header: [&str; N], rows: Vec<[String; N]>) -> Option<String> {
    if rows.is_empty() {
        return None;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for index in 2..N {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    Some(table.trim_fmt())
}
