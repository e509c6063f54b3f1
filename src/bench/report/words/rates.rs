//! What was found about rates, in sentences.

use super::{listed, name};
use crate::bench::compare::Comparison;
use crate::bench::compare::scenario::Scenario;
use crate::bench::compare::summary::{Cell, find, idle_costs};
use crate::bench::figures::{self, percent};
use crate::bench::protocol::Protocol;
use crate::bench::report::table::{figure, share};
use crate::bench::report::told::{Bounded, clusters, ratio, share_of_all, span, told};
use crate::bench::stats::Finding;

/// The rate of the first target, and what the others do beside it.
pub(super) fn rates(comparison: &Comparison, cells: &[Cell], scenario: Scenario) -> Option<String> {
    let what = format!("{} ({})", scenario.brief(), scenario.name());
    let rate = |rate: f64| figure(scenario, rate);
    let own = name(comparison, 0);
    let Some(first) = find(cells, scenario, 0.0, 0) else {
        let mut others = cells.iter().filter(|cell| cell.scenario == scenario);
        others.next()?;
        return Some(format!(
            "{what}: {own} has no figure, so nothing is compared with it."
        ));
    };
    let reached = match clusters(&first.figure, &rate) {
        Some(clusters) => format!("the rate of {own} {clusters}"),
        None => format!("{own} {}", told(&first.figure, &rate)),
    };
    // An echo is compared as a floor.
    let is_server = |target: &usize| comparison.targets[*target].protocol != Protocol::Echo;
    let others = (1..comparison.targets.len()).filter(is_server);
    let others = others.filter_map(|target| {
        let cell = find(cells, scenario, 0.0, target)?;
        let bounded = Bounded::of(cell.is_bounded(), first.is_bounded());
        let ratio = ratio(cell.to_first.as_ref()?, bounded);
        Some(format!("{} {ratio}", name(comparison, target)))
    });
    let others: Vec<_> = others.collect();
    Some(match first.figure.interval.is_none() || others.is_empty() {
        true => format!("{what}: {reached}."),
        false => format!("{what}: {reached}; {}.", listed(others)),
    })
}

/// What each target reaches of its echo's rate.
pub(super) fn floors(
    comparison: &Comparison,
    cells: &[Cell],
    scenario: Scenario,
) -> Option<String> {
    let of_scenario = cells.iter().filter(|cell| cell.scenario == scenario);
    let with_interval = of_scenario.filter(|cell| cell.figure.interval.is_some());
    let shares = with_interval.filter_map(|cell| {
        let share = share(comparison, cells, cell)?.words();
        Some(format!("{} {share}", name(comparison, cell.target)))
    });
    let shares: Vec<_> = shares.collect();
    (!shares.is_empty()).then(|| {
        format!(
            "Of its echo's rate, which is what the kernel allows ({}): {}.",
            scenario.name(),
            listed(shares)
        )
    })
}

/// What the busy connections keep of their rate beside idle ones.
pub(super) fn idle(comparison: &Comparison, cells: &[Cell]) -> Option<String> {
    // If one of the rates is too low, the ratio is wrong, whichever it is.
    let bounded = |target: usize| {
        let of_target = |cell: &&Cell| cell.scenario == Scenario::Idle && cell.target == target;
        cells.iter().filter(of_target).any(Cell::is_bounded)
    };
    let costs = idle_costs(comparison).into_iter().filter_map(|cost| {
        let ratio = &cost.to_alone.ratio;
        let range = ratio.interval?;
        let interval = span(range, &percent, " to ");
        let kept = match cost.to_alone.finding {
            _ if bounded(cost.target) => {
                "can't be told, because the generator was the bound".to_owned()
            }
            Finding::Less => format!("keeps {} ({interval})", percent(ratio.median)),
            Finding::NoDifference => format!("loses nothing that these rounds show ({interval})"),
            Finding::TwoClusters => clusters(ratio, &share_of_all)?,
            // They make no server faster.
            Finding::More => format!("can't be told, because more than all is noise ({interval})"),
            Finding::Unclear | Finding::TooFewRounds => {
                format!("can't be told by these rounds ({interval})")
            }
        };
        let (name, idle) = (
            name(comparison, cost.target),
            figures::count(cost.idle as f64),
        );
        Some(format!("{name} beside {idle} {kept}"))
    });
    let costs: Vec<_> = costs.collect();
    (!costs.is_empty()).then(|| {
        format!(
            "What busy connections keep of their rate beside idle ones: {}.",
            costs.join(", ")
        )
    })
}
