//! The conformance kit: where an implementation of the protocol stands.
//!
//! A [`Case`] is one claim about a server: what it proves (clauses of
//! docs/protocol.md), at which [`Level`], and what to do to see it. [`run`]
//! tries cases on a [`Subject`], and a [`Report`] holds what came of it.
//! docs/conformance.md says how to run it, read it and add a case.

mod answer;
mod case;
mod catalogue;
mod clause;
mod client;
mod code;
mod json;
mod linearize;
mod link;
mod process;
mod record;
pub mod report;
mod runner;
mod script;
mod subject;
mod template;
mod transcript;
mod trial;

use std::fmt;

pub use crate::child::kill_all;
pub use crate::child::port::require_port;
pub use case::{Case, Level, all, groups};
pub use clause::clause;
pub use client::{ClientCase, client_cases, run_client};
pub use record::{Record, Report, Side, Verdict};
pub use runner::{Options, run};
pub use subject::{Subject, Unreachable};

/// What a case wanted to see, and what it saw instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What conforms.
    pub expected: String,
    /// What came.
    pub got: String,
}

impl Failure {
    fn new(expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self {
            expected: expected.into(),
            got: got.into(),
        }
    }

    /// The failure of one of several steps.
    fn in_step(self, step: usize, all: usize) -> Self {
        Self {
            expected: format!("in step {step} of {all}, {}", self.expected),
            got: self.got,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, got {}", self.expected, self.got)
    }
}
