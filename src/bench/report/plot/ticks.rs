//! Where axes have labels.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

/// Labels that people count by: 1, 2 and 5 of each power of ten.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];

/// An axis with labels at these values.
pub(super) struct Divided {
    range: Range<f64>,
    labels: Vec<f64>,
    is_log: bool,
}

impl Divided {
    /// With labels where they are wanted.
    pub(super) fn at(range: Range<f64>, labels: Vec<f64>) -> Self {
        Self {
            range,
            labels,
            is_log: false,
        }
    }

    /// From 0 to a little more than the highest value, with so many labels beside that of 0 at
    /// most.
    pub(super) fn linear(high: f64, labels_max: usize) -> Self {
        let high = (high * 1.05).max(1e-9);
        let mut steps = around(high / 100.0, high).into_iter();
        let step = steps.find(|step| high / step <= labels_max as f64);
        let step = step.unwrap_or(high);
        let count = (high / step) as usize;
        let labels = (0..=count).map(|index| index as f64 * step);
        Self::at(0.0..high, labels.collect())
    }

    /// From the label below the lowest value to the one above the highest: at least two labels,
    /// and powers of ten alone where all would be more than so many.
    pub(super) fn log(low: f64, high: f64, labels_max: usize) -> Self {
        let low = low.max(1e-9);
        let high = high.max(low);
        let all = around(low, high);
        // A value on a label is not between two of them, whatever rounding says.
        let begin = all.iter().rposition(|label| *label <= low * (1.0 + 1e-9));
        let begin = begin.unwrap_or(0);
        let end = all.iter().position(|label| *label >= high * (1.0 - 1e-9));
        let end = end.unwrap_or(all.len() - 1).max(begin + 1);
        let mut labels = all[begin..=end].to_vec();
        if labels.len() > labels_max {
            labels.retain(|label| (label.log10() - label.log10().round()).abs() < 1e-9);
        }
        Self {
            range: all[begin]..all[end],
            labels,
            is_log: true,
        }
    }

    /// So many times as long, with labels at the same values.
    pub(super) fn with_room(mut self, factor: f64) -> Self {
        self.range.end *= factor;
        self
    }
}

impl Ranged for Divided {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let Range { start, end } = self.range;
        let share = match self.is_log {
            true => (value.max(start) / start).ln() / (end / start).ln(),
            false => (value - start) / (end - start),
        };
        from + (f64::from(to - from) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            // There is no finer grid.
            true => Vec::new(),
            false => self.labels.clone(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// The labels of the decades of these two values and around them.
fn around(low: f64, high: f64) -> Vec<f64> {
    let exponent = |value: f64| value.log10().floor() as i32;
    let exponents = exponent(low) - 1..=exponent(high) + 1;
    exponents
        .flat_map(|exponent| STEPS.map(|step| step * 10f64.powi(exponent)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_axis_has_two_labels_at_least_and_holds_its_values() {
        for (low, high) in [
            (0.2, 0.23),
            (1.0, 1.0),
            (200.0, 2300.0),
            (3.0, 3e7),
            (9.9, 10.1),
        ] {
            let Divided { range, labels, .. } = Divided::log(low, high, 6);
            assert!(labels.len() >= 2, "{low} to {high}: {labels:?}");
            assert!(
                range.start <= low && high <= range.end * (1.0 + 1e-6),
                "{range:?}"
            );
        }
        let labels = |low, high| Divided::log(low, high, 6).labels;
        assert_eq!(
            labels(200.0, 2300.0),
            [200.0, 500.0, 1000.0, 2000.0, 5000.0]
        );
        assert_eq!(labels(1.0, 1000.0), [1.0, 10.0, 100.0, 1000.0]);
    }

    #[test]
    fn a_linear_axis_begins_at_0_and_has_no_more_labels_than_fit() {
        for high in [0.3, 7.0, 118_000.0, 1_538_880.0] {
            let Divided { range, labels, .. } = Divided::linear(high, 5);
            assert!((3..=6).contains(&labels.len()), "{high}: {labels:?}");
            assert!(labels[0] == 0.0 && range.end >= high);
        }
    }
}
