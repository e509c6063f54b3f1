//! When two JSON texts mean the same.
//!
//! A server may write a value in other words than it was sent in: what a MUST
//! case demands is the value. Numbers have no limits here and texts may hold
//! lone surrogates, so a parsed tree of machine types would not do.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Nesting beyond this is taken for different, since the comparison recurses.
const DEPTH_MAX: usize = 600;

/// Whether `stored` means what `sent` means.
///
/// An integer has to be the same number, whatever its length. A number with a
/// fraction or an exponent may have gone through a 64-bit float. The order of
/// members does not count.
pub(crate) fn same_value(sent: &str, stored: &str) -> bool {
    match (serde_json::from_str(sent), serde_json::from_str(stored)) {
        (Ok(sent), Ok(stored)) => same(sent, stored, DEPTH_MAX),
        _ => false,
    }
}

/// The text without the white space that stands outside of strings.
pub(crate) fn without_space(text: &str) -> String {
    let mut is_inside = false;
    let mut is_escaped = false;
    let counts = |c: &char| {
        let ends_or_begins = *c == '"' && !is_escaped;
        is_escaped = is_inside && *c == '\\' && !is_escaped;
        is_inside ^= ends_or_begins;
        is_inside || !matches!(c, ' ' | '\t' | '\r' | '\n')
    };
    text.chars().filter(counts).collect()
}

fn same(sent: &RawValue, stored: &RawValue, depth: usize) -> bool {
    let (sent, stored) = (sent.get(), stored.get());
    if depth == 0 {
        return false;
    }
    let first = |text: &str| text.bytes().next().unwrap_or_default();
    match (first(sent), first(stored)) {
        (b'{', b'{') => same_members(sent, stored, depth),
        (b'[', b'[') => match (items(sent), items(stored)) {
            (Ok(sent), Ok(stored)) => {
                sent.len() == stored.len()
                    && sent.iter().zip(stored).all(|(a, b)| same(a, b, depth - 1))
            }
            _ => false,
        },
        (b'"', b'"') => match (text_of(sent), text_of(stored)) {
            (Ok(sent), Ok(stored)) => sent == stored,
            _ => false,
        },
        (b'-' | b'0'..=b'9', b'-' | b'0'..=b'9') => same_number(sent, stored),
        // null, true and false
        _ => sent == stored,
    }
}

fn same_members(sent: &str, stored: &str, depth: usize) -> bool {
    let (Ok(mut sent), Ok(mut stored)) = (members(sent), members(stored)) else {
        return false;
    };
    sent.sort_by(|a, b| a.0.cmp(&b.0));
    stored.sort_by(|a, b| a.0.cmp(&b.0));
    sent.len() == stored.len()
        && sent
            .iter()
            .zip(stored)
            .all(|(a, b)| a.0 == b.0 && same(a.1, b.1, depth - 1))
}

fn items(text: &str) -> serde_json::Result<Vec<&RawValue>> {
    serde_json::from_str(text)
}

fn members(text: &str) -> serde_json::Result<Vec<(Vec<u8>, &RawValue)>> {
    serde_json::from_str::<Members>(text).map(|members| members.0)
}

fn text_of(text: &str) -> serde_json::Result<Vec<u8>> {
    serde_json::from_str::<Text>(text).map(|text| text.0)
}

struct Members<'a>(Vec<(Vec<u8>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> Visitor<'de> for Visit {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Visit)
    }
}

/// A string without its escapes, as bytes: no `str` holds a lone surrogate.
struct Text(Vec<u8>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl Visitor<'_> for Visit {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(bytes.to_vec()))
            }
        }

        deserializer.deserialize_bytes(Visit)
    }
}

fn same_number(sent: &str, stored: &str) -> bool {
    if decimal(sent) == decimal(stored) {
        return true;
    }
    let is_integer = !sent.contains(['.', 'e', 'E']);
    let float = |text: &str| text.parse::<f64>().ok();
    !is_integer && float(sent) == float(stored)
}

/// A number's sign, its digits without zeros around them, and the power of ten
/// that they are multiplied with.
fn decimal(text: &str) -> (bool, String, i64) {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (is_negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return (false, String::new(), 0);
    }
    let zeros = digits.len() - significant.len();
    // An exponent beyond 64 bits is as good as the largest.
    let exponent = exponent.parse::<i64>().unwrap_or(i64::MAX);
    let power = exponent
        .saturating_sub(fraction.len() as i64)
        .saturating_add(zeros as i64);
    (is_negative, significant.to_owned(), power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_words_for_the_same_value_are_the_same() {
        for (sent, stored) in [
            ("1", "1"),
            ("1.10", "1.1"),
            ("1e2", "100.0"),
            ("0.1000000000000000055511151231257827", "0.1"),
            ("-0", "0"),
            ("100", "1e2"),
            (r#""a/\u00fc""#, "\"\\u0061\\/ü\""),
            (r#""\ud83d\ude00""#, "\"😀\""),
            (r#""\ud800""#, r#""\uD800""#),
            (r#"{"a":1,"b":[1, 2]}"#, r#"{ "b":[1,2],"a":1.0}"#),
            ("null", "null"),
        ] {
            assert!(same_value(sent, stored), "{sent} {stored}");
        }
    }

    #[test]
    fn other_values_are_not() {
        for (sent, stored) in [
            ("1", "2"),
            ("1", "\"1\""),
            ("1", "true"),
            ("9007199254740993", "9007199254740992"),
            ("123456789012345678901234567890", "1.2345678901234568e29"),
            (r#""a""#, r#""b""#),
            (r#""\ud800""#, r#""\ufffd""#),
            (r#"{"a":1}"#, r#"{"a":1,"b":2}"#),
            (r#"{"a":1}"#, r#"{"b":1}"#),
            ("[1,2]", "[2,1]"),
            ("[]", "{}"),
            ("null", "false"),
            ("1e400", "Infinity"),
        ] {
            assert!(!same_value(sent, stored), "{sent} {stored}");
        }
    }

    #[test]
    fn white_space_counts_only_inside_strings() {
        assert_eq!(
            without_space(" { \"a b\" :\t[ 1 , 2 ]\r\n} "),
            r#"{"a b":[1,2]}"#
        );
        assert_eq!(without_space(r#" "\" \\" , " " "#), r#""\" \\"," ""#);
    }

    #[test]
    fn deep_values_are_compared_down_to_the_last_level() {
        let nested = |inner: &str| format!("{}{inner}{}", "[".repeat(512), "]".repeat(512));
        assert!(same_value(&nested("1"), &nested("1.0")));
        assert!(!same_value(&nested("1"), &nested("2")));
    }
}
