//! What a comparison finds, and how far it is.

use std::time::Duration;

use serde::Serialize;

use super::attack::Attacked;
use super::conformance::Conformance;
use super::machine::Machine;
use super::pinning::Pinning;
use super::plan::Plan;
use super::scenario::Scenario;
use crate::bench::measurement::Measurement;
use crate::bench::protocol::Protocol;
use crate::server::Model;

/// All that a comparison found.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// This program's version.
    pub speicher: &'static str,
    /// When it began, in RFC 3339.
    pub date: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What it ran on.
    pub machine: Machine,
    /// What was to be done.
    pub plan: Plan,
    /// Which CPUs servers and the generator kept to.
    pub pinning: Pinning,
    /// What was compared, in this order; ratios are to the first.
    pub targets: Vec<Compared>,
    /// What each step of each round found.
    pub points: Vec<Point>,
    /// What was not done because it makes no sense there, or is too much for this machine, in
    /// sentences without their ends.
    pub left_out: Vec<String>,
    /// What went wrong or is missing, in sentences.
    pub notes: Vec<Note>,
    /// Whether it was ended early.
    pub interrupted: bool,
}

/// A target, as the report has it.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// What it is called.
    pub name: String,
    /// The model, if it is one of this server's.
    #[serde(skip)]
    pub model: Option<Model>,
    /// What it speaks.
    pub protocol: Protocol,
    /// How it was started, or where it ran.
    pub command: String,
    /// Whether it ran before, so that nobody could pin it.
    pub was_running: bool,
    /// What its program says of its version.
    pub version: Option<String>,
    /// The index of the echo that moves bytes in the same way.
    pub floor: Option<usize>,
    /// What the conformance kit says of it.
    pub conformance: Conformance,
}

/// What went wrong with a target.
#[derive(Clone, Debug, Serialize)]
pub struct Note {
    /// The target and what went wrong, in a sentence without its end.
    pub sentence: String,
    /// In how many rounds.
    pub rounds: usize,
}

/// What one step found on one target in one round.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// The index of the target.
    pub target: usize,
    /// The round, from 0.
    pub round: usize,
    /// The question.
    pub scenario: Scenario,
    /// Which of the scenario's points; see [`Scenario::x_name`].
    pub x: f64,
    /// The load's figures, or none for a look at memory or an attack.
    pub measurement: Option<Measurement>,
    /// Resident bytes for each connection or entry; below 0 where noise is greater than what they
    /// take.
    pub bytes_each: Option<f64>,
    /// Idle connections that the target took.
    pub idle: usize,
    /// What an attack did.
    pub attacked: Option<Box<Attacked>>,
}

/// How far a comparison is.
pub struct Status<'a> {
    /// From 0 to 1.
    pub share: f64,
    /// How long it will still take, as far as can be told.
    pub left: Duration,
    /// The round, from 1; none while it is checked that the target is right.
    pub round: Option<usize>,
    /// The target.
    pub target: &'a str,
    /// What is done with it in the round.
    pub scenario: &'a str,
}
