//! The lines that `stat` prints, which fit on a terminal of 80 columns.

use super::interval::Interval;

/// A title, how wide the column is, and what stands in it.
type Column = (&'static str, usize, fn(&Interval<'_>) -> Option<String>);

const COLUMNS: [Column; 13] = [
    ("ops", 5, |interval| rate(interval, &[])),
    ("get", 5, |interval| rate(interval, &[("command", "get")])),
    ("set", 5, |interval| rate(interval, &[("command", "set")])),
    ("del", 5, |interval| {
        rate(interval, &[("command", "delete")])
    }),
    ("err", 5, |interval| Some(count(errors(interval)))),
    ("p50", 5, |interval| interval.batch_seconds(0.5).map(time)),
    ("p99", 5, |interval| interval.batch_seconds(0.99).map(time)),
    ("conns", 5, |interval| {
        interval.gauge("speicher_connections").map(count)
    }),
    ("refused", 7, |interval| Some(count(interval.refused()))),
    ("keys", 5, |interval| {
        interval.gauge("speicher_entries").map(count)
    }),
    ("mem", 5, |interval| {
        interval.gauge("speicher_memory_used_bytes").map(bytes)
    }),
    ("full", 4, |interval| interval.fullness().map(percent)),
    ("cpu", 6, |interval| interval.cores().map(percent)),
];

/// The titles, each above the end of its column.
pub(super) fn header() -> String {
    joined(|(title, _, _)| (*title).to_owned())
}

/// The figures of the interval.
pub(super) fn line(interval: &Interval<'_>) -> String {
    joined(|(_, _, figure)| figure(interval).unwrap_or_else(|| "-".to_owned()))
}

fn joined(text: impl Fn(&Column) -> String) -> String {
    let cells = COLUMNS
        .iter()
        .map(|column| format!("{:>width$}", text(column), width = column.1));
    cells.collect::<Vec<_>>().join(" ")
}

fn rate(interval: &Interval<'_>, labels: &[(&str, &str)]) -> Option<String> {
    Some(count(interval.requests(labels) / interval.seconds()))
}

fn errors(interval: &Interval<'_>) -> f64 {
    interval.requests(&[("status", "400")]) + interval.requests(&[("status", "503")])
}

/// All digits up to 9999; less than 10 with one more, if it is no whole number.
fn count(number: f64) -> String {
    match number {
        n if n < 9.95 && (n - n.round()).abs() >= 0.05 => format!("{n:.1}"),
        n if n < 9999.5 => format!("{n:.0}"),
        n => scaled(n / 1e3, 1e3, &["K", "M", "G", "T", "P", "E"]),
    }
}

fn bytes(number: f64) -> String {
    match number {
        n if n < 999.5 => format!("{n:.0}"),
        n => scaled(n / 1024.0, 1024.0, &["K", "M", "G", "T", "P", "E"]),
    }
}

/// With two digits that count at most, because the buckets behind it are no finer.
fn time(seconds: f64) -> String {
    const UNITS: [&str; 4] = ["ns", "\u{b5}s", "ms", "s"];

    match unit(seconds * 1e9, 1e3, &UNITS) {
        (n, unit) if n < 9.95 => format!("{n:.1}{unit}"),
        (n, unit) => format!("{n:.0}{unit}"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// Three digits and a unit, of which the next is so many times as much.
fn scaled(number: f64, step: f64, units: &[&str]) -> String {
    match unit(number, step, units) {
        (n, unit) if n < 9.995 => format!("{n:.2}{unit}"),
        (n, unit) if n < 99.95 => format!("{n:.1}{unit}"),
        (n, unit) => format!("{n:.0}{unit}"),
    }
}

/// The number in the unit that leaves it below 1000.
fn unit<'a>(mut number: f64, step: f64, units: &[&'a str]) -> (f64, &'a str) {
    let mut index = 0;
    while number >= 999.5 && index + 1 < units.len() {
        number /= step;
        index += 1;
    }
    (number, units[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        for (shown, figure) in [
            (count(0.0), "0"),
            (count(0.2), "0.2"),
            (count(9.97), "10"),
            (count(9999.0), "9999"),
            (count(12_345.0), "12.3K"),
            (count(999_700.0), "1.00M"),
            (bytes(1000.0), "0.98K"),
            (bytes(1023.0 * 1024.0), "1.00M"),
            (bytes(67_108_864.0), "64.0M"),
            (time(0.000_041_23), "41\u{b5}s"),
            (time(0.999_9), "1.0s"),
            (percent(0.996), "100%"),
        ] {
            assert_eq!(shown, figure);
        }
    }

    #[test]
    fn a_header_fits_on_a_terminal() {
        assert!(header().len() < 80);
    }
}
