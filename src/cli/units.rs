//! Sizes and times as people write them.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// The longest time that an option takes. Longer ones would not fit into a clock.
const TIME_MAX: Duration = Duration::from_secs(1000 * 24 * 3600);

/// A port.
pub(super) fn parse_port(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is no port; it is a number from 0 to 65535"))
}

/// A host, without the brackets that an address of version 6 may have. A port has an option of
/// its own.
pub(super) fn parse_host(text: &str) -> Result<String, String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once("]:") {
            Some((host, port)) => (host, Some(port)),
            None => (rest.strip_suffix(']').unwrap_or(text), None),
        },
        None => match text.split_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                (host, Some(port))
            }
            _ => (text, None),
        },
    };
    match port {
        Some(port) => Err(format!(
            "a port has its own option; write --host {host} --port {port}"
        )),
        None if host.contains(['@', '/']) => {
            Err("it is an address or a name, without anything around it".to_owned())
        }
        None if host.is_empty() => Err("it is empty; give it an address or a name".to_owned()),
        None => Ok(host.to_owned()),
    }
}

/// The most bytes that something may have, of which this is the shortest.
pub(super) fn parse_len_max(text: &str, what: &str, shortest: &str) -> Result<usize, String> {
    let len = parse_size(text)?;
    let least = shortest.len();
    match len >= least {
        true => Ok(len),
        false => Err(format!(
            "{text} is less than the shortest {what} has, {shortest}; allow at least {least} bytes"
        )),
    }
}

/// A number within these bounds.
pub(super) fn parse_number<N>(text: &str, min: N, max: N) -> Result<N, String>
where
    N: FromStr + PartialOrd + Display,
{
    match text.parse() {
        Ok(number) if number >= min && number <= max => Ok(number),
        _ => Err(format!("{text:?} is no number from {min} to {max}")),
    }
}

/// A size in bytes: digits, and K, M or G for powers of 1024.
pub(super) fn parse_size(text: &str) -> Result<usize, String> {
    let (digits, shift) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 10),
        None => match text.strip_suffix(['M', 'm']) {
            Some(digits) => (digits, 20),
            None => match text.strip_suffix(['G', 'g']) {
                Some(digits) => (digits, 30),
                None => (text, 0),
            },
        },
    };
    let parsed = digits
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift));
    parsed.ok_or_else(|| format!("{text:?} is no size; write it as in 500K, 64M or 1G"))
}

/// A time: a number of seconds, or a number and ms, s, m or h.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let unit_at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => Some(0.001),
        "" | "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    };
    let seconds = number.parse::<f64>().ok().zip(seconds);
    let seconds = seconds.map(|(number, unit)| number * unit);
    match seconds {
        Some(seconds) if seconds.is_finite() && seconds > TIME_MAX.as_secs_f64() => Err(format!(
            "{text:?} is too long; 1000 days, or 24000h, is the most"
        )),
        Some(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| no_time(text)),
        None => Err(no_time(text)),
    }
}

fn no_time(text: &str) -> String {
    format!("{text:?} is no time; write it as in 500ms, 30s or 5m")
}

/// A time that is not zero.
pub(super) fn parse_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("the time must be more than zero".to_owned()),
        timeout => Ok(timeout),
    }
}

/// A time for people, rounded up to whole seconds.
#[cfg(any(
    feature = "bench",
    feature = "conformance",
    feature = "data",
    feature = "metrics"
))]
pub(super) fn shown_duration(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    match (minutes / 60, minutes % 60, seconds) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(any(
        feature = "bench",
        feature = "conformance",
        feature = "data",
        feature = "metrics"
    ))]
    #[test]
    fn times_are_shown_in_one_or_two_units() {
        for (millis, shown) in [
            (1_500, "2 s"),
            (60_000, "1 min"),
            (163_000, "2 min 43 s"),
            (7_260_000, "2 h 1 min"),
        ] {
            assert_eq!(shown_duration(Duration::from_millis(millis)), shown);
        }
    }

    #[test]
    fn hosts_have_no_port_and_need_no_brackets() {
        for host in ["localhost", "127.0.0.1", "::1", "fe80::1"] {
            assert_eq!(parse_host(host), Ok(host.to_owned()));
        }
        assert_eq!(parse_host("[::1]"), Ok("::1".to_owned()));
        for wrong in ["", "[]", "localhost:7000", "127.0.0.1:1", "[::1]:7000"] {
            assert!(parse_host(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(parse_size("0"), Ok(0));
        assert_eq!(parse_size("500"), Ok(500));
        assert_eq!(parse_size("64M"), Ok(64 << 20));
        assert_eq!(parse_size("2k"), Ok(2048));
        assert_eq!(parse_size("1G"), Ok(1 << 30));
        for wrong in ["", "M", "-1", "1.5M", "1MB", "99999999999G"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_seconds_unless_they_say_otherwise() {
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("1h"), Ok(Duration::from_secs(3600)));
        for wrong in ["", "s", "-1", "1d", "inf", "nan", "1e400", "1 s"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_duration("24000h"), Ok(TIME_MAX));
        assert!(parse_duration("1e300").is_err() && parse_duration("24001h").is_err());
        assert!(parse_timeout("0").is_err());
    }
}
