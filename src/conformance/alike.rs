//! Failures that have one cause, as far as their words show it.

use std::collections::HashMap;

use super::record::{Record, Verdict};

/// The failures of a run that were seen first of their kind.
#[derive(Default)]
pub(crate) struct Kinds {
    first: HashMap<(Verdict, bool, String), &'static str>,
}

impl Kinds {
    /// Notes in the record which earlier one failed alike: for the fault that their bytes show,
    /// or with the same words about what was expected and what came.
    pub(crate) fn note(&mut self, record: &mut Record) {
        let Some(failure) = &record.failure else {
            return;
        };
        let words = match &failure.hint {
            // Its numbers are those of one frame.
            Some(hint) => hint.split(':').next().unwrap_or_default().to_owned(),
            None => format!("{} {}", without_step(&failure.expected), failure.got),
        };
        let kind = (record.verdict, record.is_known, without_keys(&words));
        let first = *self.first.entry(kind).or_insert(record.id);
        record.alike = (first != record.id).then_some(first);
    }
}

fn without_step(expected: &str) -> &str {
    match expected.strip_prefix("in step ") {
        Some(rest) => rest.split_once(", ").map_or(rest, |(_, expected)| expected),
        None => expected,
    }
}

/// The words without the numbers in the keys of cases.
fn without_keys(words: &str) -> String {
    let mut pieces = words.split("conform-");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        text += "conform-";
        text += piece.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
    }
    text
}
