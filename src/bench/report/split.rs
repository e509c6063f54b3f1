//! A part of the processor time, which is a difference between servers, in words.

use super::told::{clusters, span, told, too_few};
use crate::bench::figures::time_of_us as time;
use crate::bench::stats::Estimate;

/// In a sentence. What may as well be nothing is not told.
pub(super) fn words(part: &Estimate) -> String {
    let too_few = too_few(part).map(|why| format!("can't be told ({why})"));
    let untold = too_few.or_else(|| clusters(part, &time));
    match (untold, part.interval) {
        (Some(untold), _) => untold,
        (None, Some(range)) if range.high <= 0.0 => "nothing that can be told".to_owned(),
        (None, Some(range)) if range.low <= 0.0 => {
            format!("too little to be told ({} at most)", time(range.high))
        }
        (None, _) => told(part, &time),
    }
}

/// In a table.
pub(super) fn cell(part: &Estimate) -> String {
    if clusters(part, &time).is_some() {
        return "can't be told".to_owned();
    }
    match part.interval {
        Some(range) if range.low > 0.0 => {
            format!("{} ({})", time(part.median), span(range, &time, " .. "))
        }
        Some(range) if range.high > 0.0 => format!("< {}", time(range.high)),
        _ => "can't be told".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(rounds: &[f64]) -> Estimate {
        Estimate::from(rounds.to_vec()).expect("there are rounds")
    }

    #[test]
    fn what_may_be_nothing_is_not_told() {
        let below = part(&[-0.7, -0.72, -0.69, -0.8, -0.6, -0.71]);
        assert_eq!(words(&below), "nothing that can be told");
        assert_eq!(cell(&below), "can't be told");
        let around = part(&[-0.7, 0.2, 0.1, -0.3, 0.4, 0.3]);
        assert_eq!(words(&around), "too little to be told (400 ns at most)");
        assert_eq!(cell(&around), "< 400 ns");
        let some = part(&[6.0, 6.1, 6.2, 6.1, 6.0, 6.1]);
        assert_eq!(words(&some), "6.10 µs (6.00 to 6.20 µs)");
        assert_eq!(words(&part(&[6.0])), "can't be told (1 round is too few)");
    }
}
