//! Carries out a plan: round after round, a fresh server for each group.

mod attack;
mod memory;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::comparison::{Comparison, Note, Point, Status};
use super::conformance::{self, Conformance};
use super::plan::Step;
use super::scenario::Scenario;
use super::target::{Origin, Target};
use crate::bench::generator::{self, Idle, Length, Load};
use crate::bench::measurement::Measurement;
use crate::bench::process;
use crate::bench::protocol::Protocol;
use crate::bench::server::{Budget, Server};
use crate::bench::stats::median;
use crate::bench::workload::{ValueSizes, Workload};

/// Connections that a server is told to serve beside those of the load:
/// the one that sets the keys, some that are not gone yet, and those that some
/// servers keep for themselves.
const CONNECTIONS_SPARE: usize = 64;

/// The fewest connections that a server is told to serve.
const CONNECTIONS_MIN: usize = 256;

/// A target that fails so often is not asked any more.
const FAILURES_MAX: usize = 3;

pub(super) struct Runner<'a> {
    targets: &'a [Target],
    comparison: Comparison,
    stop: &'a AtomicBool,
    failures: Vec<usize>,
    begun: Instant,
    /// When the rounds began, after the targets were checked.
    rounds_begun: Instant,
    /// Of the time that all is expected to take.
    expected: Duration,
    expected_so_far: Duration,
}

impl<'a> Runner<'a> {
    pub(super) fn new(targets: &'a [Target], comparison: Comparison, stop: &'a AtomicBool) -> Self {
        let plan = &comparison.plan;
        let expected: Duration = plan
            .groups
            .iter()
            .map(|group| plan.estimate(group) * rounds_of(&comparison, group) as u32)
            .sum();
        Self {
            expected: expected * targets.len() as u32,
            expected_so_far: Duration::ZERO,
            failures: vec![0; targets.len()],
            targets,
            comparison,
            stop,
            begun: Instant::now(),
            rounds_begun: Instant::now(),
        }
    }

    pub(super) fn run(mut self, status: &mut dyn FnMut(Status<'_>)) -> Comparison {
        self.check_conformance(status);
        self.rounds_begun = Instant::now();
        let groups = self.comparison.plan.groups.clone();
        for round in 0..self.comparison.plan.rounds {
            let mut order: Vec<usize> = (0..self.targets.len()).collect();
            // A B C, C B A: what drifts with time drifts for all.
            if round % 2 == 1 {
                order.reverse();
            }
            for group in &groups {
                if round >= rounds_of(&self.comparison, group) {
                    continue;
                }
                for target in &order {
                    if self.is_stopped() {
                        return self.finish();
                    }
                    self.tell(status, round, *target, group);
                    self.run_group(round, *target, group);
                    self.expected_so_far += self.comparison.plan.estimate(group);
                }
            }
        }
        self.finish()
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn finish(mut self) -> Comparison {
        self.comparison.interrupted = self.is_stopped();
        self.comparison.seconds = self.begun.elapsed().as_secs_f64();
        self.comparison
    }

    fn tell(
        &self,
        status: &mut dyn FnMut(Status<'_>),
        round: usize,
        target: usize,
        group: &[Step],
    ) {
        let share = self.expected_so_far.as_secs_f64() / self.expected.as_secs_f64().max(0.001);
        let left = self.expected.saturating_sub(self.expected_so_far);
        // The time taken so far corrects the estimate once there is enough of it.
        let pace = match share > 0.05 {
            true => self.rounds_begun.elapsed().as_secs_f64() / self.expected_so_far.as_secs_f64(),
            false => 1.0,
        };
        status(Status {
            share,
            left: left.mul_f64(pace),
            round: Some(round + 1),
            target: &self.targets[target].name,
            scenario: group.first().map_or("", |step| step.scenario.name()),
        });
    }

    fn check_conformance(&mut self, status: &mut dyn FnMut(Status<'_>)) {
        for (index, target) in self.targets.iter().enumerate() {
            if target.protocol != Protocol::Speicher || self.is_stopped() {
                continue;
            }
            status(Status {
                share: 0.0,
                left: self.expected,
                round: None,
                target: &target.name,
                scenario: "",
            });
            let outcome = match &target.origin {
                // What it holds belongs to somebody, and the cases remove it.
                Origin::Running(_) => Conformance::NotChecked(
                    "it was running before, and the cases remove what a server holds".to_owned(),
                ),
                Origin::Command(command) => {
                    match Server::start(command, &self.budget(target, CONNECTIONS_MIN), self.stop) {
                        Ok(server) => conformance::check(server.address, self.stop),
                        Err(sentence) => Conformance::NotChecked(sentence),
                    }
                }
            };
            self.comparison.targets[index].conformance = outcome;
        }
    }

    fn budget(&self, target: &Target, connections: usize) -> Budget {
        Budget {
            connections: connections.max(CONNECTIONS_MIN).min(target.connections_max),
            cpus: self.comparison.pinning.servers().to_vec(),
        }
    }

    fn run_group(&mut self, round: usize, index: usize, group: &[Step]) {
        let targets = self.targets;
        let target = &targets[index];
        if self.failures[index] >= FAILURES_MAX || self.leaves_out(target, group) {
            return;
        }
        if let Err(sentence) = self.measure(round, index, group)
            && !self.is_stopped()
        {
            // One that is not started afresh does not come back by itself.
            self.failures[index] += match target.origin {
                Origin::Running(_) => FAILURES_MAX,
                Origin::Command(_) => 1,
            };
            let name = &target.name;
            self.note(format!("{name}: {sentence}"));
            if self.failures[index] >= FAILURES_MAX {
                let round = round + 1;
                self.note(format!(
                    "{name} is not asked any more from round {round} on"
                ));
            }
        }
    }

    fn note(&mut self, sentence: String) {
        let notes = &mut self.comparison.notes;
        match notes.iter_mut().find(|note| note.sentence == sentence) {
            Some(note) => note.rounds += 1,
            None => notes.push(Note {
                sentence,
                rounds: 1,
            }),
        }
    }

    /// Opens idle connections beside those of a load, as many as the target
    /// takes.
    fn open_idle(&self, idle: &mut Idle, step: &Step, index: usize, load: &Load) {
        if step.idle == 0 {
            return;
        }
        let busy = step.connections + CONNECTIONS_SPARE;
        let most = self.targets[index].connections_max.saturating_sub(busy);
        let wanted = step.idle.min(most);
        idle.grow_to(load, wanted, self.stop);
        if idle.count() < wanted {
            // It is full, and the busy ones have to connect too.
            idle.shrink_by(busy);
        }
    }

    /// Runs the steps of a group on a server of their own.
    fn measure(&mut self, round: usize, index: usize, group: &[Step]) -> Result<(), String> {
        if let Some(outcome) = self.look_at_connections(round, index, group) {
            return outcome;
        }
        let targets = self.targets;
        let target = &targets[index];
        let connections = group.iter().map(Step::connections_in_all).max();
        let budget = self.budget(target, connections.unwrap_or(0) + CONNECTIONS_SPARE);
        let server = match &target.origin {
            Origin::Command(command) => Some(Server::start(command, &budget, self.stop)?),
            Origin::Running(_) => None,
        };
        let address = match (&server, &target.origin) {
            (Some(server), _) => server.address,
            (None, Origin::Running(address)) => *address,
            (None, Origin::Command(_)) => return Ok(()),
        };
        let pid = server.as_ref().map(Server::pid);
        pid.inspect(|pid| wait_until_quiet(*pid));
        // Closed before the server is stopped.
        let mut idle = Idle::none();
        let mut filled = 0;
        for step in group {
            if step.share_of_peak.is_some() && self.peak(index) == 0.0 {
                // What failed there has its note.
                continue;
            }
            let load = self.load(step, index, address, pid);
            if let Some(point) = self.look_at_entries(step, round, index, &load)? {
                self.comparison.points.extend(point);
                continue;
            }
            if filled != step.keys {
                if target.protocol.has_entries() {
                    generator::fill(&load, self.stop)?;
                }
                filled = step.keys;
            }
            self.open_idle(&mut idle, step, index, &load);
            if self.is_stopped() {
                return Ok(());
            }
            if let Some(attack) = step.attack {
                self.attack(attack, step, round, index, &load)?;
                continue;
            }
            let measurement = generator::run(&load, self.stop, None)?;
            if measurement.interrupted {
                return Ok(());
            }
            let failed = errors_of(&measurement);
            let stopped = measurement.stopped_answering.is_some();
            self.comparison.points.push(Point {
                target: index,
                round,
                scenario: step.scenario,
                x: step.x,
                measurement: Some(measurement),
                bytes_each: None,
                idle: idle.count(),
                attacked: None,
            });
            if let Some(sentence) = failed {
                let sentence = format!("{}: {sentence}", step.scenario.name());
                if stopped {
                    return Err(sentence);
                }
                self.note(format!("{}: {sentence}", target.name));
            }
        }
        Ok(())
    }

    fn load(&self, step: &Step, index: usize, address: SocketAddr, pid: Option<u32>) -> Load {
        let plan = &self.comparison.plan;
        Load {
            address,
            protocol: self.targets[index].protocol,
            workload: Workload {
                keys: step.keys,
                distribution: step.distribution,
                value_sizes: ValueSizes::one(step.value_size),
                get_percent: step.get_percent,
                seed: plan.seed,
            },
            connections: step.connections,
            pipeline: step.pipeline,
            threads: plan.threads.min(step.connections),
            rate: step
                .share_of_peak
                .map(|share| (share * self.peak(index)).max(1.0)),
            length: Length::Time(plan.time),
            warmup: plan.warmup,
            fill: false,
            verify: false,
            server_pid: pid,
        }
    }

    /// The rate of single requests that the target has reached so far, in rounds without errors; 0
    /// if there are none.
    fn peak(&self, index: usize) -> f64 {
        let points = self.comparison.points.iter();
        let rates: Vec<f64> = points
            .filter(|point| point.target == index && point.scenario == Scenario::Request)
            .filter_map(|point| point.measurement.as_ref())
            .filter(|measurement| measurement.is_clean())
            .map(|measurement| measurement.rate)
            .collect();
        median(&rates)
    }
}

/// Waits until a server has started whatever it starts after it accepts
/// connections: ten thousand threads take their time.
fn wait_until_quiet(pid: u32) {
    const LOOK: Duration = Duration::from_millis(20);
    const LOOKS_MAX: u32 = 150;

    let cpu = || process::cpu(pid).unwrap_or_default();
    let mut before = cpu();
    for _ in 0..LOOKS_MAX {
        thread::sleep(LOOK);
        let now = cpu();
        if now.saturating_sub(before) < LOOK / 10 {
            return;
        }
        before = now;
    }
}

fn rounds_of(comparison: &Comparison, group: &[Step]) -> usize {
    let scenario = group.first().map(|step| step.scenario);
    scenario.map_or(0, |scenario| comparison.plan.rounds_of(scenario))
}

/// What went wrong with a load, in one sentence.
fn errors_of(measurement: &Measurement) -> Option<String> {
    let errors = measurement.errors.iter().map(|(kind, errors)| {
        format!("{} {} (first: {})", errors.count, kind.name(), errors.first)
    });
    let all: Vec<_> = errors
        .chain(measurement.stopped_answering.clone())
        .collect();
    (!all.is_empty()).then(|| all.join("; "))
}
