//! What takes from the worth of a comparison, in sentences.

use super::{listed, name};
use crate::bench::compare::Comparison;
use crate::bench::compare::conformance::Conformance;
use crate::bench::compare::scenario::Scenario;
use crate::bench::compare::summary::{Cell, OTHERS_SHARE_MAX, others_share};
use crate::bench::figures;
use crate::bench::report::table::{figure, point_name};
use crate::bench::report::told::near;
use crate::bench::stats::{ROUNDS_MIN, Scatter};

/// What to know before anything else, the worst first.
pub(super) fn alerts(comparison: &Comparison, cells: &[Cell]) -> Vec<String> {
    let mut alerts = Vec::new();
    alerts.extend(early_end(comparison));
    alerts.extend(wrong_targets(comparison));
    alerts.extend(disturbed(comparison));
    alerts.extend(too_few_rounds(cells));
    let is_p99 = |cell: &&Cell| cell.scenario == Scenario::Latency;
    let steadier: Vec<&Cell> = cells.iter().filter(|cell| !is_p99(cell)).collect();
    alerts.extend(unsteady(comparison, "Rounds", &steadier));
    alerts
}

/// The same of the p99s, which differ from round to round more than anything else.
pub(super) fn unsteady_p99s(comparison: &Comparison, cells: &[Cell]) -> Option<String> {
    let p99s = cells
        .iter()
        .filter(|cell| cell.scenario == Scenario::Latency);
    unsteady(comparison, "The p99s of rounds", &p99s.collect::<Vec<_>>())
}

fn early_end(comparison: &Comparison) -> Option<String> {
    let rounds = comparison.points.iter().map(|point| point.round + 1).max();
    let when = match rounds {
        None => "before anything was measured".to_owned(),
        Some(round) => format!("in round {round} of {}", comparison.plan.rounds),
    };
    comparison
        .interrupted
        .then(|| format!("It was ended early, {when}: this is what was done so far."))
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

fn disturbed(comparison: &Comparison) -> Option<String> {
    let share = others_share(comparison).filter(|share| *share > OTHERS_SHARE_MAX)?;
    let neighbours = match comparison.machine.is_virtual {
        true => ", or neighbours of this virtual machine,",
        false => "",
    };
    Some(format!(
        "Other programs{neighbours} took {:.0} % of the processors' time while the loads ran. A \
         second run would not repeat these rates and latencies, so none is told or compared here; \
         the table has them. Close other programs and measure again.",
        share * 100.0
    ))
}

/// Of all that is compared over rounds; the scenarios that have few by design are not meant.
fn too_few_rounds(cells: &[Cell]) -> Option<String> {
    let compared = cells.iter().filter(|cell| is_judged(cell.scenario));
    let rounds = compared.map(|cell| cell.figure.rounds.len()).max()?;
    (rounds < ROUNDS_MIN).then(|| {
        format!(
            "{} can't tell a difference from noise, so nothing is compared here; ask for {ROUNDS_MIN} \
             --rounds or more.",
            figures::counted(rounds, "round")
        )
    })
}

/// Whether verdicts are made of its rounds.
fn is_judged(scenario: Scenario) -> bool {
    !matches!(
        scenario,
        Scenario::GrowthKeys
            | Scenario::GrowthConnections
            | Scenario::GrowthValues
            | Scenario::Attack
    )
}

/// Which rounds do not agree, and what to do about it.
fn unsteady(comparison: &Comparison, what: &str, cells: &[&Cell]) -> Option<String> {
    let clustered = cells.iter().filter_map(|cell| clusters(comparison, cell));
    let named = [
        ("fall into two clusters", clustered.collect()),
        ("spread by more than a fifth", spread(comparison, cells)),
    ];
    let named = named.into_iter().filter(|(_, names)| !names.is_empty());
    let parts: Vec<String> = named
        .map(|(how, names)| format!("{what} {how}: {}.", names.join("; ")))
        .collect();
    let pin = match comparison.pinning.servers().is_empty() {
        true => ", or --pin servers and generator to cores of their own",
        false => "",
    };
    (!parts.is_empty()).then(|| {
        format!(
            "{} Close other programs, or ask for more --rounds{pin}.",
            parts.join(" ")
        )
    })
}

fn clusters(comparison: &Comparison, cell: &Cell) -> Option<String> {
    let Scatter::TwoClusters { low, high } = cell.figure.scatter else {
        return None;
    };
    let show = |number| figure(cell.scenario, number);
    Some(format!(
        "{} ({}), {}",
        name(comparison, cell.target),
        point_name(cell.scenario, cell.x),
        near(low, high, &show)
    ))
}

/// The targets whose rounds spread, with the scenarios in which they do.
fn spread(comparison: &Comparison, cells: &[&Cell]) -> Vec<String> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    let mut scenarios: Vec<&str> = cells.iter().map(|cell| cell.scenario.name()).collect();
    scenarios.dedup();
    for scenario in scenarios {
        let targets = (0..comparison.targets.len()).filter(|target| {
            cells.iter().any(|cell| {
                let is_here = cell.scenario.name() == scenario && cell.target == *target;
                is_here && matches!(cell.figure.scatter, Scatter::Spread { .. })
            })
        });
        let targets: Vec<usize> = targets.collect();
        let names = match targets.len() {
            0 => continue,
            all if all == comparison.targets.len() && all > 2 => "every target".to_owned(),
            _ => listed(
                targets
                    .iter()
                    .map(|at| name(comparison, *at).to_owned())
                    .collect(),
            ),
        };
        match groups.iter_mut().find(|(same, _)| *same == names) {
            Some((_, scenarios)) => scenarios.push(scenario.to_owned()),
            None => groups.push((names, vec![scenario.to_owned()])),
        }
    }
    let groups = groups.into_iter();
    groups
        .map(|(names, scenarios)| format!("{names} ({})", listed(scenarios)))
        .collect()
}

/// Where a figure is not the server's.
pub(super) fn bounded(comparison: &Comparison, cells: &[Cell]) -> Vec<String> {
    let named = |is: &dyn Fn(&Cell) -> bool| {
        // A scenario of several points is named once.
        let mut once: Vec<String> = Vec::new();
        for cell in cells.iter().filter(|cell| is(cell)) {
            let target = name(comparison, cell.target);
            let name = match cell.scenario {
                Scenario::Latency => format!("{target} at {} %", cell.x),
                scenario => format!("{target} ({})", scenario.name()),
            };
            if !once.contains(&name) {
                once.push(name);
            }
        }
        once
    };
    let is_open = |cell: &Cell| cell.scenario == Scenario::Latency;
    let groups = [
        (
            named(&|cell| cell.is_bounded() && !is_open(cell)),
            "The generator always had something to do, so these servers may be faster than was \
             measured, and differences between them greater",
        ),
        (
            named(&|cell| cell.is_bounded() && is_open(cell)),
            "The generator itself sent more than 5 % of the requests late, for want of a \
             processor, and the latencies contain that",
        ),
        (
            named(&|cell| cell.is_overloaded() && !cell.is_bounded()),
            "More than 5 % of the requests never left, because the server did not keep up with \
             them, and the latencies are those of a queue",
        ),
    ];
    let named = groups.into_iter().filter(|(names, _)| !names.is_empty());
    named
        .map(|(names, what)| format!("{what}: {}.", listed(names)))
        .collect()
}

/// What went wrong with targets.
pub(super) fn notes(comparison: &Comparison) -> Vec<String> {
    let notes = comparison.notes.iter().map(|note| match note.rounds {
        1 => format!("{}.", note.sentence),
        rounds => format!("{} (in {rounds} rounds).", note.sentence),
    });
    notes.collect()
}
