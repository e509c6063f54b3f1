//! Named members of one JSON object, each as the text that came.
//!
//! A derived struct would not do: it also accepts an array in place of the
//! object (R1), refuses a repeated member (R8) and takes `null` for an absent
//! member (R5).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Finds the members called `names` in the JSON object that is all of `text`.
///
/// A member that comes again replaces the one before it; members with other
/// names are checked to be JSON and left out. Fails when `text` is anything
/// but one JSON object.
pub(crate) fn members<'a, const N: usize>(
    text: &'a str,
    names: &[&str; N],
) -> serde_json::Result<[Option<&'a RawValue>; N]> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = deserializer.deserialize_map(Members(names))?;
    deserializer.end()?;
    Ok(found)
}

struct Members<'n, const N: usize>(&'n [&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Members<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(index) = map.next_key_seed(Name(self.0))? {
            match index {
                Some(index) => found[index] = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

/// The index of a member's name among those that are looked for.
struct Name<'n, const N: usize>(&'n [&'n str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Name<'_, N> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        // As bytes, because a name with a lone surrogate escape is still JSON
        // and no `str` can hold it.
        deserializer.deserialize_bytes(self)
    }
}

impl<const N: usize> Visitor<'_> for Name<'_, N> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_bytes<E: Error>(self, name: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|known| known.as_bytes() == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(text: &str) -> Option<String> {
        let [found] = members(text, &["a"]).expect("an object");
        found.map(|raw| raw.get().to_owned())
    }

    #[test]
    fn null_is_a_member_and_absence_is_not() {
        assert_eq!(member(r#"{"a":null}"#).as_deref(), Some("null"));
        assert_eq!(member(r#"{"b":null}"#), None);
    }

    #[test]
    fn the_last_of_a_repeated_member_counts() {
        assert_eq!(
            member(r#"{"a":1,"b":2,"a": [ 3 ] }"#).as_deref(),
            Some("[ 3 ]")
        );
    }

    #[test]
    fn names_are_compared_after_their_escapes() {
        assert_eq!(member(r#"{"\u0061":1}"#).as_deref(), Some("1"));
        assert_eq!(
            member(r#"{"\ud800":0,"a":1}"#).as_deref(),
            Some("1"),
            "a name that no str can hold is only unknown"
        );
    }

    #[test]
    fn only_one_whole_object_will_do() {
        for text in [
            "",
            "[]",
            r#"["a"]"#,
            "1",
            "{} {}",
            "{}x",
            "{",
            r#"{"b":01}"#,
            "\u{feff}{}",
        ] {
            assert!(members(text, &["a"]).is_err(), "{text}");
        }
    }
}
