//! What a comparison found, in sentences.

use super::attacks;
use super::table::interval;
use crate::bench::compare::Comparison;
use crate::bench::compare::conformance::Conformance;
use crate::bench::compare::models::Profile;
use crate::bench::compare::scenario::Scenario;
use crate::bench::compare::summary::{Cell, cells, cpu_split, find};
use crate::bench::figures;
use crate::bench::stats::{Finding, Verdict};

/// The share of rounds from which on the generator's part is told.
const BOUNDED_SHARE_MIN: f64 = 0.5;

/// The summary, the most important first.
pub fn sentences(comparison: &Comparison) -> Vec<String> {
    let cells = cells(comparison);
    let mut sentences = Vec::new();
    if comparison.interrupted {
        sentences.push("It was ended early: this is what was done so far.".to_owned());
    }
    sentences.extend(wrong_targets(comparison));
    for scenario in Scenario::THROUGHPUT {
        sentences.extend(verdicts(comparison, &cells, scenario));
    }
    sentences.extend(floors(comparison, &cells));
    sentences.extend(idle(comparison, &cells));
    sentences.extend(latency(comparison, &cells));
    sentences.extend(memory(comparison, &cells));
    sentences.extend(split(comparison, &cells));
    sentences.extend(attacks::sentences(comparison));
    sentences.extend(bounded(comparison, &cells));
    sentences.extend(comparison.notes.iter().map(|note| match note.rounds {
        1 => format!("{}.", note.sentence),
        rounds => format!("{} (in {rounds} rounds).", note.sentence),
    }));
    sentences
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

fn wrong_targets(comparison: &Comparison) -> Vec<String> {
    let mut sentences = Vec::new();
    for target in &comparison.targets {
        if let Conformance::Failed(cases) = &target.conformance {
            sentences.push(format!(
                "{} fails {} of the protocol's MUST cases, so its speed is not comparable: {}.",
                target.name,
                cases.len(),
                cases.join("; ")
            ));
        }
    }
    sentences
}

fn verdicts(comparison: &Comparison, cells: &[Cell], scenario: Scenario) -> Option<String> {
    let first = find(cells, scenario, 0.0, 0)?;
    let verdicts = (1..comparison.targets.len()).filter_map(|target| {
        let verdict = find(cells, scenario, 0.0, target)?.to_first.as_ref()?;
        Some(format!("{} {}", name(comparison, target), words(verdict)))
    });
    Some(format!(
        "{} ({}): {} reaches {} operations a second; of that, {}.",
        scenario.title(),
        scenario.name(),
        name(comparison, 0),
        figures::count(first.median),
        listed(verdicts.collect())
    ))
}

fn words(verdict: &Verdict) -> String {
    let ratio = format!("{:.2} times as much", verdict.ratio);
    match verdict.finding {
        Finding::NoDifference => format!("shows no difference ({})", brief(verdict)),
        Finding::TooFewRounds => format!("{ratio} ({})", interval(verdict)),
        Finding::More | Finding::Less => format!("{ratio} ({})", brief(verdict)),
    }
}

fn brief(verdict: &Verdict) -> String {
    let range = verdict.interval;
    range.map_or(String::new(), |range| {
        format!("{:.2} to {:.2}", range.low, range.high)
    })
}

fn listed(parts: Vec<String>) -> String {
    match parts.split_last() {
        None => "nothing else was measured".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

fn floors(comparison: &Comparison, cells: &[Cell]) -> Vec<String> {
    let mut sentences = Vec::new();
    for scenario in [Scenario::Request, Scenario::Pipelined] {
        let shares = (0..comparison.targets.len()).filter_map(|target| {
            let share = find(cells, scenario, 0.0, target)?.of_floor?;
            Some(format!(
                "{} {:.0} %",
                name(comparison, target),
                share * 100.0
            ))
        });
        let shares: Vec<_> = shares.collect();
        if !shares.is_empty() {
            sentences.push(format!(
                "Of what the kernel allows, which is the rate of an echo that moves bytes in the \
                 same way ({}): {}.",
                scenario.name(),
                listed(shares)
            ));
        }
    }
    sentences
}

fn idle(comparison: &Comparison, cells: &[Cell]) -> Option<String> {
    let most = |target: usize| {
        let of_target = |cell: &&Cell| cell.scenario == Scenario::Idle && cell.target == target;
        cells.iter().filter(of_target).max_by_key(|cell| cell.idle)
    };
    let shares = (0..comparison.targets.len()).filter_map(|target| {
        let (alone, beside) = (find(cells, Scenario::Idle, 0.0, target)?, most(target)?);
        Some(format!(
            "{} {:.0} % of its rate beside {} of them",
            name(comparison, target),
            beside.median / alone.median * 100.0,
            figures::count(beside.idle as f64)
        ))
    });
    let shares: Vec<_> = shares.collect();
    (!shares.is_empty()).then(|| {
        format!(
            "Idle connections leave to the busy ones: {}.",
            listed(shares)
        )
    })
}

fn latency(comparison: &Comparison, cells: &[Cell]) -> Vec<String> {
    let mut sentences = Vec::new();
    for share in [50.0, 90.0] {
        let each = (0..comparison.targets.len()).filter_map(|target| {
            let latency = find(cells, Scenario::Latency, share, target)?.latency_ns;
            Some(format!(
                "{} {} and {}",
                name(comparison, target),
                figures::time(latency.p50 as f64),
                figures::time(latency.p99 as f64)
            ))
        });
        let each: Vec<_> = each.collect();
        if !each.is_empty() {
            sentences.push(format!(
                "At {share} % of its own peak, p50 and p99: {}.",
                each.join(", ")
            ));
        }
    }
    sentences
}

fn memory(comparison: &Comparison, cells: &[Cell]) -> Vec<String> {
    let mut sentences = Vec::new();
    for (scenario, what) in [
        (Scenario::MemoryConnections, "An idle connection"),
        (Scenario::MemoryEntries, "An entry of 14 and 64 bytes"),
    ] {
        let of_scenario = cells.iter().filter(|cell| cell.scenario == scenario);
        let each: Vec<_> = of_scenario
            .map(|cell| {
                let bytes = figures::bytes(cell.median);
                format!("{} {bytes}", name(comparison, cell.target))
            })
            .collect();
        if !each.is_empty() {
            sentences.push(format!("{what} takes in memory: {}.", listed(each)));
        }
    }
    sentences
}

fn split(comparison: &Comparison, cells: &[Cell]) -> Vec<String> {
    let time = |us: f64| format!("{us:.2} µs");
    let mut sentences = Vec::new();
    for scenario in [Scenario::Request, Scenario::Pipelined] {
        for split in cpu_split(comparison, cells, scenario) {
            let name = name(comparison, split.target);
            let own_cost = Profile::of(split.model).own_cost.map(|cost| cost.name);
            let parts = match (own_cost, split.protocol_and_store, split.rest) {
                (Some(own_cost), Some(work), Some(rest)) => format!(
                    "protocol and store {}, {own_cost} {}",
                    time(work),
                    match rest > 0.0 {
                        true => time(rest),
                        false => "too little to be told apart".to_owned(),
                    }
                ),
                _ => format!("protocol and store {}", time(split.total - split.floor)),
            };
            sentences.push(format!(
                "{name} uses {} of processor time an operation ({}): floor {}, {parts}.",
                time(split.total),
                scenario.name(),
                time(split.floor)
            ));
        }
    }
    sentences
}

fn bounded(comparison: &Comparison, cells: &[Cell]) -> Vec<String> {
    let is_bounded =
        |cell: &&Cell| cell.bounded_by_generator as f64 >= BOUNDED_SHARE_MIN * cell.rounds as f64;
    let named = |is_open: bool| {
        let bounded = cells.iter().filter(is_bounded);
        let of_kind = bounded.filter(|cell| (cell.scenario == Scenario::Latency) == is_open);
        let names = of_kind.map(|cell| {
            let target = name(comparison, cell.target);
            match is_open {
                true => format!("{target} at {} %", cell.x),
                false => format!("{target} ({})", cell.scenario.name()),
            }
        });
        // A scenario of several points is named once.
        let mut once = Vec::new();
        names.for_each(|name| {
            if !once.contains(&name) {
                once.push(name);
            }
        });
        once
    };
    let mut sentences = Vec::new();
    let closed = named(false);
    if !closed.is_empty() {
        sentences.push(format!(
            "The generator always had something to do, so these servers may be faster than was \
             measured, and differences between them greater: {}.",
            listed(closed)
        ));
    }
    let open = named(true);
    if !open.is_empty() {
        sentences.push(format!(
            "The generator itself sent more than 5 % of the requests late, for want of a processor, \
             and the latencies contain that: {}.",
            listed(open)
        ));
    }
    sentences
}
