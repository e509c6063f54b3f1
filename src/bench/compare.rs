//! Several servers under the same loads, in interleaved rounds.

pub mod attack;
pub mod attack_rows;
mod comparison;
pub mod conformance;
pub mod machine;
pub(in crate::bench) mod models;
pub mod pinning;
pub mod plan;
mod runner;
pub mod scenario;
pub mod summary;
pub mod target;

use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use super::pin::pinned;
use conformance::Conformance;
use machine::Machine;
use pinning::Pinning;
use plan::Plan;
use runner::Runner;
use target::{Origin, Target, echo_name};

pub use comparison::{Compared, Comparison, Note, Point, Status};

/// Compares the targets. `stop` ends it early, with what is done so far; `status` is told
/// before each step. Fails with a sentence when the generator can't have its CPUs.
pub fn run(
    targets: &[Target],
    plan: &Plan,
    pinning: &Pinning,
    stop: &AtomicBool,
    status: &mut (dyn FnMut(Status<'_>) + Send),
) -> Result<Comparison, String> {
    let index_of = |echo| {
        let name = echo_name(echo);
        targets.iter().position(|target| target.name == name)
    };
    let compared = targets.iter().map(|target| Compared {
        name: target.name.clone(),
        model: target.model,
        protocol: target.protocol,
        command: target.shown(),
        was_running: matches!(target.origin, Origin::Running(_)),
        version: target.version.clone(),
        floor: target.floor.and_then(index_of),
        conformance: Conformance::NotApplicable,
    });
    let comparison = Comparison {
        speicher: env!("CARGO_PKG_VERSION"),
        date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        seconds: 0.0,
        machine: Machine::this(),
        plan: plan.clone(),
        pinning: pinning.clone(),
        targets: compared.collect(),
        points: Vec::new(),
        left_out: Vec::new(),
        notes: Vec::new(),
        interrupted: false,
    };
    // What the runner starts inherits the CPUs: threads, and servers that get others.
    pinned(pinning.generator(), || {
        Runner::new(targets, comparison, stop).run(status)
    })
}
