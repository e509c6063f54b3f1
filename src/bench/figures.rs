//! Figures as people read them.

use indicatif::HumanCount;

/// A number with commas between the thousands.
pub fn count(number: f64) -> String {
    HumanCount(number.round().max(0.0) as u64).to_string()
}

/// So many things of that name, as in 1 round and 2 rounds.
pub fn counted(number: usize, name: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {name}{plural}", count(number as f64))
}

/// A time of so many nanoseconds, with three digits and a unit.
pub fn time(nanoseconds: f64) -> String {
    let (number, unit) = match nanoseconds {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    format!("{} {unit}", three_digits(number))
}

/// A time of so many microseconds, in the same way.
pub fn time_of_us(microseconds: f64) -> String {
    time(microseconds * 1e3)
}

/// The same with no more digits than it needs, for the label of an axis.
pub fn axis_time_of_us(microseconds: f64) -> String {
    let time = time_of_us(microseconds);
    match time.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!(
                "{} {unit}",
                number.trim_end_matches('0').trim_end_matches('.')
            )
        }
        _ => time,
    }
}

/// A share of 1, in whole percent.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// So many bytes, with three digits and a unit of powers of 1024.
pub fn bytes(number: f64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];

    let mut number = number;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if number < 1024.0 {
            break;
        }
        number /= 1024.0;
        unit = larger;
    }
    format!("{} {unit}", three_digits(number))
}

/// At least three digits, and no more behind the point than that takes.
pub fn three_digits(number: f64) -> String {
    match number.abs() {
        n if n >= 100.0 || n == 0.0 => format!("{number:.0}"),
        n if n >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        assert_eq!(time(850.0), "850 ns");
        assert_eq!(time(12_345.0), "12.3 µs");
        assert_eq!(time(1_234_567.0), "1.23 ms");
        assert_eq!(time(5e9), "5.00 s");
        assert_eq!(axis_time_of_us(2e3), "2 ms");
        assert_eq!(axis_time_of_us(100.0), "100 µs");
        assert_eq!(bytes(512.0), "512 B");
        assert_eq!(bytes(1536.0), "1.50 KiB");
        assert_eq!(count(1_234_567.4), "1,234,567");
        assert_eq!(counted(1, "round"), "1 round");
        assert_eq!(counted(2000, "round"), "2,000 rounds");
    }
}
