//! A comparison for people: words, a table, a page.

mod html;
mod json;
mod plot;
mod table;
mod words;

use comfy_table::{CellAlignment, Table, presets};

use super::compare::Comparison;
use table::{HEADER, rows};

pub use html::page;
pub use json::json;
pub use words::sentences;

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
