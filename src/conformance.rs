//! The conformance kit: where an implementation of the protocol stands.
//!
//! A [`Case`] is one claim about a server: what it proves (clauses of
//! docs/protocol.md), at which [`Level`], and what to do to see it. [`run`]
//! tries cases on a [`Subject`], and a [`Report`] holds what came of it.
//! docs/conformance.md says how to run it, read it and add a case.

mod alike;
mod answer;
mod case;
mod case_file;
mod catalogue;
mod clause;
mod client;
mod code;
mod course;
mod failure;
mod hint;
mod json;
mod linearize;
mod link;
mod memory_option;
mod process;
mod record;
pub mod report;
mod runner;
mod script;
mod stop;
mod subject;
mod template;
mod transcript;
mod trial;

pub use crate::child::kill_all;
pub use crate::child::port::require_port;
pub use case::{Case, Level};
pub use catalogue::{all, groups};
pub use clause::{Clause, clause};
pub use client::{ClientCase, client_cases, run_client};
pub use course::Options;
pub use failure::Failure;
pub use memory_option::MemoryOption;
pub use record::{Record, Report, Side, Verdict};
pub use runner::run;
pub use stop::Stop;
pub use subject::{Subject, Unreachable};
