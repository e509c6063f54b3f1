//! Estimates in words, as far as their rounds allow them to be told.

use crate::bench::figures;
use crate::bench::stats::{Cluster, Estimate, Finding, Interval, Scatter, Verdict};

/// How a figure is written.
type Show<'a> = &'a dyn Fn(f64) -> String;

/// A figure with its interval, its interval alone if that is wide, or why there is none.
pub(super) fn told(estimate: &Estimate, show: Show<'_>) -> String {
    if let Some(clusters) = clusters(estimate, show) {
        return clusters;
    }
    match estimate.interval {
        None => format!(
            "{} in {}",
            show(estimate.median),
            figures::counted(estimate.rounds.len(), "round")
        ),
        Some(range) if show(range.low) == show(range.high) => show(estimate.median),
        Some(range) if range.is_wide() => format!("between {}", span(range, show, " and ")),
        Some(range) => format!("{} ({})", show(estimate.median), span(range, show, " to ")),
    }
}

/// The ends of an interval with such a word between them; a unit that both have is said once.
pub(super) fn span(range: Interval, show: Show<'_>, between: &str) -> String {
    let (low, high) = (show(range.low), show(range.high));
    let unit = |text: &str| text.find(['/', ' ']).map(|at| text[at..].to_owned());
    match unit(&low).filter(|of_low| unit(&high).as_ref() == Some(of_low)) {
        Some(unit) => format!("{}{between}{high}", low.trim_end_matches(&unit)),
        None => format!("{low}{between}{high}"),
    }
}

/// That a figure can't be told, and what the rounds say instead, if they fall into two clusters.
pub(super) fn clusters(estimate: &Estimate, show: Show<'_>) -> Option<String> {
    let Scatter::TwoClusters { low, high } = estimate.scatter else {
        return None;
    };
    // Neither has fewer than two rounds.
    Some(format!(
        "can't be told ({} rounds say {}, {} say {})",
        low.rounds,
        show(low.median),
        high.rounds,
        show(high.median)
    ))
}

/// How many rounds are near which figure.
pub(super) fn near(low: Cluster, high: Cluster, show: Show<'_>) -> String {
    format!(
        "{} near {} and {} near {}",
        low.rounds,
        show(low.median),
        high.rounds,
        show(high.median)
    )
}

/// A share of what can't be more than all: beyond that it is noise, and how much does not matter.
pub(super) fn share_of_all(share: f64) -> String {
    match share > 1.0 {
        true => "more than all".to_owned(),
        false => figures::percent(share),
    }
}

/// That there are too few rounds for it, if so.
pub(super) fn too_few(estimate: &Estimate) -> Option<String> {
    let rounds = figures::counted(estimate.rounds.len(), "round");
    let verb = if estimate.rounds.len() == 1 {
        "is"
    } else {
        "are"
    };
    (estimate.interval.is_none()).then(|| format!("{rounds} {verb} too few"))
}

/// Whose rate the generator bounded, of two that are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Bounded {
    Neither,
    /// That of the one which is compared.
    This,
    /// That of the one which it is compared with.
    Other,
    Both,
}

impl Bounded {
    pub(super) fn of(this: bool, other: bool) -> Self {
        match (this, other) {
            (false, false) => Self::Neither,
            (true, false) => Self::This,
            (false, true) => Self::Other,
            (true, true) => Self::Both,
        }
    }
}

/// A ratio of rates, behind the name of the target whose it is.
pub(super) fn ratio(verdict: &Verdict, bounded: Bounded) -> String {
    let times = |ratio: f64| format!("{ratio:.2} times");
    if let Some(too_few) = too_few(&verdict.ratio) {
        return format!("can't be compared ({too_few})");
    }
    if let Some(clusters) = clusters(&verdict.ratio, &times) {
        return clusters;
    }
    let range = verdict.ratio.interval.expect("there are rounds enough");
    let interval = format!("({:.2} to {:.2})", range.low, range.high);
    match (verdict.finding, bounded) {
        (_, Bounded::Both) => {
            "can't be compared, because the generator was the bound of both".to_owned()
        }
        (Finding::More | Finding::Less, Bounded::Neither) => {
            format!("{} as much {interval}", times(verdict.ratio.median))
        }
        (Finding::More | Finding::Less, Bounded::This) => {
            format!("at least {} as much", times(range.low))
        }
        (Finding::More | Finding::Less, Bounded::Other) => {
            format!("at most {} as much", times(range.high))
        }
        (Finding::NoDifference, Bounded::Neither) => format!("as much {interval}"),
        _ => format!("can't be told apart by these rounds {interval}"),
    }
}
