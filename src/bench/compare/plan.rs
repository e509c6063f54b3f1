//! Which loads a comparison puts on every target, in every round.

use std::time::Duration;

use serde::Serialize;

use super::attack::{Attack, Strength};
use super::pinning::Pinning;
use super::scenario::Scenario;
use crate::bench::workload::Distribution;

/// The most rounds of `growth`.
pub(in crate::bench) const GROWTH_ROUNDS_MAX: usize = 3;

/// The most rounds of `attack`.
pub(in crate::bench) const ATTACK_ROUNDS_MAX: usize = 3;

/// What is to be done: on every target, in every round.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// How often everything is done.
    pub rounds: usize,
    /// What is done in each round. A server is started for each group.
    pub groups: Vec<Vec<Step>>,
    /// How long each step runs before it is measured.
    pub warmup: Duration,
    /// How long each step is measured.
    pub time: Duration,
    /// How strong attacks are, and how long.
    pub strength: Strength,
    /// Threads of the generator; see [`Pinning::threads`].
    pub threads: usize,
    /// What random choices start from.
    pub seed: u64,
}

/// One load, or one look at memory.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// The question that it belongs to.
    pub scenario: Scenario,
    /// Which of the scenario's points it is; see [`Scenario::x_name`].
    pub x: f64,
    /// Busy connections.
    pub connections: usize,
    /// Requests at a time.
    pub pipeline: usize,
    /// Keys, all set before.
    pub keys: u32,
    /// How often each is asked for.
    pub distribution: Distribution,
    /// Requests of a hundred that are GETs; the others are SETs.
    pub get_percent: u32,
    /// The length of a value in bytes.
    pub value_size: usize,
    /// Idle connections beside.
    pub idle: usize,
    /// What attackers do beside.
    pub attack: Option<Attack>,
    /// The share of the target's peak that an open loop sends.
    pub share_of_peak: Option<f64>,
}

impl Step {
    /// Connections that a server has at the same time.
    pub(super) fn connections_in_all(&self) -> usize {
        self.connections + self.idle + self.attack.map_or(0, Attack::connections)
    }

    fn new(scenario: Scenario, x: f64) -> Self {
        Self {
            scenario,
            x,
            connections: 8,
            pipeline: 1,
            keys: 100_000,
            distribution: Distribution::Uniform,
            get_percent: 80,
            value_size: 64,
            idle: 0,
            attack: None,
            share_of_peak: None,
        }
    }

    fn pipelined(scenario: Scenario) -> Self {
        Self {
            pipeline: 32,
            ..Self::new(scenario, 0.0)
        }
    }
}

/// How much a plan does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// About three minutes for five targets.
    Quick,
    /// About an hour for seven.
    Full,
}

impl Plan {
    /// The plan for these scenarios, with a generator that shares the cores.
    pub fn new(extent: Extent, scenarios: &[Scenario], seed: u64) -> Self {
        let is_full = extent == Extent::Full;
        let mut groups: Vec<Vec<Step>> = Vec::new();
        // On one server: the same entries, and the peak that latency needs.
        let mut first = Vec::new();
        let has = |scenario| scenarios.contains(&scenario);
        if has(Scenario::Request) || has(Scenario::Latency) {
            first.push(Step::new(Scenario::Request, 0.0));
        }
        if has(Scenario::Pipelined) {
            first.push(Step::pipelined(Scenario::Pipelined));
        }
        if has(Scenario::Latency) {
            let quick = [10, 50, 90];
            let full = [10, 20, 30, 40, 50, 60, 70, 80, 90];
            let percents = if is_full { &full[..] } else { &quick[..] };
            first.extend(percents.iter().map(|percent| Step {
                pipeline: 1000,
                share_of_peak: Some(f64::from(*percent) / 100.0),
                ..Step::new(Scenario::Latency, f64::from(*percent))
            }));
        }
        if has(Scenario::Writes) {
            first.push(Step {
                get_percent: 50,
                ..Step::pipelined(Scenario::Writes)
            });
        }
        if has(Scenario::Zipf) {
            first.push(Step {
                distribution: Distribution::Zipf,
                ..Step::pipelined(Scenario::Zipf)
            });
        }
        groups.push(first);
        for scenario in Scenario::ALL.into_iter().filter(|one| has(*one)) {
            groups.extend(Self::groups_of(scenario, is_full));
        }
        groups.retain(|steps| !steps.is_empty());
        Self {
            rounds: if is_full { 9 } else { 7 },
            groups,
            warmup: Duration::from_millis(if is_full { 200 } else { 80 }),
            time: Duration::from_millis(if is_full { 1000 } else { 350 }),
            strength: Strength::default(),
            threads: Pinning::default().threads(),
            seed,
        }
    }

    /// Scenarios with servers of their own.
    fn groups_of(scenario: Scenario, is_full: bool) -> Vec<Vec<Step>> {
        let step = |x: usize| Step::new(scenario, x as f64);
        match scenario {
            Scenario::Request
            | Scenario::Pipelined
            | Scenario::Latency
            | Scenario::Writes
            | Scenario::Zipf => Vec::new(),
            Scenario::Cold => vec![vec![Step {
                keys: 4_000_000,
                ..Step::pipelined(scenario)
            }]],
            Scenario::Many => vec![vec![Step {
                connections: 1000,
                ..step(0)
            }]],
            Scenario::Large => vec![vec![Step {
                keys: 10_000,
                value_size: 16 << 10,
                ..step(0)
            }]],
            Scenario::Idle => {
                let counts: &[usize] = match is_full {
                    true => &[0, 10, 100, 1000, 3000, 10_000],
                    false => &[0, 1000, 10_000],
                };
                let steps = counts.iter().map(|idle| Step {
                    idle: *idle,
                    ..step(*idle)
                });
                vec![steps.collect()]
            }
            // So many that the noise of a process's memory is little for each.
            Scenario::MemoryConnections => vec![vec![Step {
                keys: 1,
                idle: 4000,
                ..step(4000)
            }]],
            Scenario::MemoryEntries => vec![vec![Step {
                keys: 1_000_000,
                ..step(1_000_000)
            }]],
            Scenario::GrowthKeys => [3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5]
                .map(|exponent| {
                    let keys = 10f64.powf(exponent).round() as u32;
                    vec![Step {
                        keys,
                        ..step(keys as usize)
                    }]
                })
                .to_vec(),
            Scenario::GrowthConnections => {
                let counts = [1, 3, 10, 32, 100, 316, 1000];
                let steps = counts.map(|connections| Step {
                    connections,
                    ..step(connections)
                });
                vec![steps.to_vec()]
            }
            Scenario::GrowthValues => [16, 256, 4 << 10, 64 << 10, 1 << 20]
                .map(|value_size| {
                    // A quarter of a GiB of values at most.
                    let keys = ((256 << 20) / value_size).min(100_000) as u32;
                    vec![Step {
                        keys,
                        value_size,
                        ..step(value_size)
                    }]
                })
                .to_vec(),
            Scenario::Attack => Attack::ALL
                .into_iter()
                .enumerate()
                .map(|(index, attack)| {
                    vec![Step {
                        keys: 10_000,
                        attack: Some(attack),
                        ..step(index)
                    }]
                })
                .collect(),
        }
    }

    /// Rounds of a scenario: curves with many servers are drawn from fewer.
    pub(super) fn rounds_of(&self, scenario: Scenario) -> usize {
        match scenario {
            Scenario::GrowthKeys | Scenario::GrowthConnections | Scenario::GrowthValues => {
                self.rounds.min(GROWTH_ROUNDS_MAX)
            }
            Scenario::Attack => self.rounds.min(ATTACK_ROUNDS_MAX),
            _ => self.rounds,
        }
    }

    /// How long a group will take on one target, roughly.
    pub(super) fn estimate(&self, group: &[Step]) -> Duration {
        let of_steps: Duration = group
            .iter()
            .map(|step| match step.scenario {
                Scenario::MemoryConnections => Duration::from_millis(800),
                Scenario::MemoryEntries => Duration::from_millis(300),
                Scenario::Attack => {
                    let attack = step.attack.map(|attack| attack.time(&self.strength));
                    2 * (self.warmup + attack.unwrap_or_default())
                }
                _ => self.warmup + self.time + Duration::from_micros(60) * step.idle as u32,
            })
            .sum();
        let entries = group.iter().map(|step| step.keys).max().unwrap_or(0);
        let value_size = group.iter().map(|step| step.value_size).max().unwrap_or(0);
        let bytes = f64::from(entries) * (value_size as f64 + 400.0);
        of_steps + Duration::from_millis(150) + Duration::from_secs_f64(bytes / 5e8)
    }
}
