//! A comparison for programs.

use serde_json::json;

use super::words::{cores, sentences};
use crate::bench::compare::Comparison;
use crate::bench::compare::attack_rows::rows;
use crate::bench::compare::scenario::Scenario;
use crate::bench::compare::summary::{cells, cpu_split, idle_costs, others_share};

/// Everything as JSON: the comparison with all rounds, and what they come to.
pub fn json(comparison: &Comparison) -> String {
    let cells = cells(comparison);
    let split = cpu_split(comparison, Scenario::Request);
    let report = json!({
        "comparison": comparison,
        "summary": sentences(comparison),
        "cores": cores(comparison),
        "cells": cells,
        "cpu_split_request": split,
        "idle_costs": idle_costs(comparison),
        "others_share": others_share(comparison),
        "attacks": rows(comparison),
    });
    report.to_string()
}
