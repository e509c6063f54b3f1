//! The share that a target reaches of what its echo does.

use super::told::{Bounded, clusters, share_of_all, span, told, too_few};
use crate::bench::figures::percent;
use crate::bench::stats::{Estimate, Interval, RATIO_RESOLUTION, Verdict};

/// As much of the share as can be told. An echo moves the same bytes and does nothing else, so a
/// share of more than all is noise, or the echo is no floor.
pub(super) enum Share<'a> {
    /// This much.
    Told(&'a Estimate, Interval),
    /// Not less than this: the interval reaches all of it, or the generator bounded the target.
    AtLeast(f64),
    /// Not more than this: the generator bounded the echo.
    AtMost(f64),
    /// More than all: whatever bounds the echo is not what bounds the target.
    NoFloor(Interval),
    /// Nothing; why not.
    Untold(String),
}

impl<'a> Share<'a> {
    pub(super) fn of(verdict: &'a Verdict, bounded: Bounded) -> Self {
        let ratio = &verdict.ratio;
        if let Some(why) = too_few(ratio) {
            return Self::Untold(format!("can't be told ({why})"));
        }
        if let Some(clusters) = clusters(ratio, &share_of_all) {
            return Self::Untold(clusters);
        }
        let range = ratio.interval.expect("there are rounds enough");
        match bounded {
            Bounded::Both => Self::Untold(
                "can't be told, because the generator was the bound of it and of its echo"
                    .to_owned(),
            ),
            Bounded::Other if range.high < 1.0 => Self::AtMost(range.high),
            Bounded::Other => Self::Untold(
                "can't be told, because the generator was the bound of its echo".to_owned(),
            ),
            _ if range.low > 1.0 + RATIO_RESOLUTION => Self::NoFloor(range),
            Bounded::This => Self::AtLeast(range.low.min(1.0)),
            Bounded::Neither if range.high > 1.0 => Self::AtLeast(range.low.min(1.0)),
            Bounded::Neither => Self::Told(ratio, range),
        }
    }

    /// In a sentence, behind the target's name.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Told(ratio, _) => told(ratio, &percent),
            Self::AtLeast(low) => format!("at least {}", percent(*low)),
            Self::AtMost(high) => format!("at most {}", percent(*high)),
            Self::NoFloor(range) => format!(
                "more than its echo does ({}), which is therefore no floor of it",
                span(*range, &percent, " to ")
            ),
            Self::Untold(why) => why.clone(),
        }
    }

    /// In a table.
    pub(super) fn cell(&self) -> String {
        match self {
            Self::Told(ratio, range) => format!(
                "{} ({})",
                percent(ratio.median),
                span(*range, &percent, " .. ")
            ),
            Self::AtLeast(low) => format!("≥ {}", percent(*low)),
            Self::AtMost(high) => format!("≤ {}", percent(*high)),
            Self::NoFloor(_) => "no floor".to_owned(),
            Self::Untold(_) => "can't be told".to_owned(),
        }
    }
}
