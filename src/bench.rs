//! The lab: a load on one server ([`generator`]), several servers side by side
//! ([`compare`]), and the floor under them ([`echo`]).
//!
//! docs/benchmarking.md says what is measured, and how to read it.

pub mod compare;
pub mod echo;
pub mod figures;
pub mod generator;
pub mod measurement;
mod others;
mod pin;
mod process;
pub mod protocol;
pub mod report;
mod schedule;
pub mod server;
pub mod stats;
pub mod workload;
