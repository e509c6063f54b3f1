//! What the options of `bench` and `compare` take.

use speicher::bench::generator::{CONNECTIONS_MAX, PIPELINE_MAX};
use speicher::bench::workload::ValueSizes;

use crate::cli::units::{parse_number, parse_size};

fn parse_within(text: &str, max: u64, what: &str) -> Result<u64, String> {
    match parse_thousands(text) {
        Some(number) if number >= 1.0 && number <= max as f64 && number.fract() == 0.0 => {
            Ok(number as u64)
        }
        _ => Err(format!("{text:?} is no number of {what} from 1 to {max}")),
    }
}

/// A number of things: digits, and K or M for thousands and millions.
fn parse_thousands(text: &str) -> Option<f64> {
    let (digits, scale) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1e3),
        None => match text.strip_suffix(['M', 'm']) {
            Some(digits) => (digits, 1e6),
            None => (text, 1.0),
        },
    };
    let number: f64 = digits.parse().ok()?;
    number.is_finite().then_some(number * scale)
}

pub(in crate::cli) fn parse_connections(text: &str) -> Result<usize, String> {
    parse_within(text, CONNECTIONS_MAX as u64, "connections").map(|number| number as usize)
}

pub(in crate::cli) fn parse_pipeline(text: &str) -> Result<usize, String> {
    parse_within(text, PIPELINE_MAX as u64, "requests").map(|number| number as usize)
}

pub(in crate::cli) fn parse_threads(text: &str) -> Result<usize, String> {
    parse_within(text, 256, "threads").map(|number| number as usize)
}

pub(in crate::cli) fn parse_keys(text: &str) -> Result<u32, String> {
    parse_within(text, 1_000_000_000, "keys").map(|number| number as u32)
}

pub(in crate::cli) fn parse_count(text: &str) -> Result<u64, String> {
    parse_within(text, 1 << 40, "requests")
}

pub(in crate::cli) fn parse_percent(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(percent) if percent <= 100 => Ok(percent),
        _ => Err(format!("{text:?} is no percentage from 0 to 100")),
    }
}

pub(in crate::cli) fn parse_seed(text: &str) -> Result<u64, String> {
    parse_number(text, 0, u64::MAX)
}

pub(in crate::cli) fn parse_rate(text: &str) -> Result<f64, String> {
    const RATE_MAX: f64 = 1e8;

    match parse_thousands(text) {
        Some(rate) if rate > 0.0 && rate <= RATE_MAX => Ok(rate),
        _ => Err(format!(
            "{text:?} is no rate; it is a number of requests a second, up to {RATE_MAX}"
        )),
    }
}

pub(in crate::cli) fn parse_value_sizes(text: &str) -> Result<ValueSizes, String> {
    let sizes = text.split(',').map(|part| {
        let (size, weight) = part.split_once(':').unwrap_or((part, "1"));
        let weight = weight
            .parse()
            .map_err(|_| format!("{weight:?} is no weight; write sizes as in 64:90,16K:10"))?;
        Ok((parse_size(size)?, weight))
    });
    ValueSizes::mix(sizes.collect::<Result<_, String>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_one_or_a_mix() {
        let mix = parse_value_sizes("64:90,16K:10").expect("a mix");
        assert_eq!(mix.to_string(), "64:90,16384:10");
        assert_eq!(parse_value_sizes("1M").expect("one").to_string(), "1048576");
        for wrong in ["", "1", "64:0", "64:x", "x", "1G", "64:90,"] {
            assert!(parse_value_sizes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn counts_may_be_thousands_and_millions() {
        assert_eq!(parse_keys("100K"), Ok(100_000));
        assert_eq!(parse_count("2.5M"), Ok(2_500_000));
        for wrong in ["0", "-1", "1.5", "", "K", "inf", "2000M"] {
            assert!(parse_keys(wrong).is_err(), "{wrong}");
        }
    }
}
