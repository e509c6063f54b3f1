//! What a comparison found, in sentences.

mod costs;
mod odd;
mod rates;

use super::attacks;
use crate::bench::compare::Comparison;
use crate::bench::compare::scenario::Scenario;
use crate::bench::compare::summary::{Cell, OTHERS_SHARE_MAX, cells, others_share};

/// The most sentences of the verdict.
const VERDICT_LEN_MAX: usize = 3;

/// The scenarios that the verdict is about before all others.
const VERDICT_SCENARIOS: [Scenario; 2] = [Scenario::Request, Scenario::Pipelined];

/// All that is said about a comparison.
pub(super) struct Words {
    /// What takes from the worth of all the rest.
    pub(super) alerts: Vec<String>,
    /// What most people want to know, in three sentences at most.
    pub(super) verdict: Vec<String>,
    /// What else can be told.
    pub(super) more: Vec<String>,
}

impl Words {
    /// Those about a comparison whose cells these are. What a second run would not repeat is not
    /// told.
    pub(super) fn on(comparison: &Comparison, cells: &[Cell]) -> Self {
        let is_disturbed = others_share(comparison) > Some(OTHERS_SHARE_MAX);
        let mut findings = match is_disturbed {
            true => Vec::new(),
            false => findings(comparison, cells),
        };
        let more = findings.split_off(findings.len().min(VERDICT_LEN_MAX));
        Self {
            alerts: odd::alerts(comparison, cells),
            verdict: findings,
            more: [
                more,
                odd::unsteady_p99s(comparison, cells).into_iter().collect(),
                costs::memory(comparison, cells),
                attacks::sentences(comparison),
                odd::bounded(comparison, cells),
                odd::notes(comparison),
            ]
            .concat(),
        }
    }
}

/// The summary, the most important first.
pub fn sentences(comparison: &Comparison) -> Vec<String> {
    let Words {
        alerts,
        verdict,
        more,
    } = Words::on(comparison, &cells(comparison));
    [alerts, verdict, more].concat()
}

/// What was found about speed, the most important first.
fn findings(comparison: &Comparison, cells: &[Cell]) -> Vec<String> {
    let of = |scenario: &Scenario| rates::rates(comparison, cells, *scenario);
    let share = |scenario: &Scenario| rates::floors(comparison, cells, *scenario);
    let others = Scenario::THROUGHPUT.iter();
    let others = others.filter(|scenario| !VERDICT_SCENARIOS.contains(scenario));
    VERDICT_SCENARIOS
        .iter()
        .filter_map(of)
        .chain(VERDICT_SCENARIOS.iter().filter_map(share))
        .chain(others.filter_map(of))
        .chain(rates::idle(comparison, cells))
        .chain(costs::latency(comparison, cells))
        .chain(costs::split(comparison))
        .collect()
}

/// How the cores were shared out, in a sentence.
pub(super) fn cores(comparison: &Comparison) -> String {
    let pinning = &comparison.pinning;
    if pinning.servers().is_empty() {
        let cores = match comparison.machine.cores {
            1 => "the one core".to_owned(),
            cores => format!("the {cores} cores"),
        };
        return format!("Servers and generator shared {cores} of this machine; none was pinned.");
    }
    let (servers, generator) = (cpus(pinning.servers()), cpus(pinning.generator()));
    let targets = comparison.targets.iter();
    let running = targets.filter(|target| target.was_running);
    let running: Vec<_> = running.map(|target| target.name.clone()).collect();
    let but = match running.is_empty() {
        true => String::new(),
        false => format!(
            ", but {}, which ran before and can't be pinned",
            listed(running)
        ),
    };
    format!("Servers ran on {servers}{but}; the generator ran on {generator}.")
}

fn cpus(cpus: &[usize]) -> String {
    match cpus {
        [only] => format!("core {only}"),
        [first, .., last] if cpus.windows(2).all(|pair| pair[0] + 1 == pair[1]) => {
            format!("cores {first} to {last}")
        }
        _ => format!(
            "cores {}",
            listed(cpus.iter().map(usize::to_string).collect())
        ),
    }
}

fn name(comparison: &Comparison, target: usize) -> &str {
    &comparison.targets[target].name
}

fn listed(parts: Vec<String>) -> String {
    match parts.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}
