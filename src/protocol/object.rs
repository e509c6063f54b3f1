//! Named members of one JSON object, each as the text that came.
//!
//! A derived struct would not do: it also accepts an array in place of the
//! object (R1), refuses a repeated member (R8) and takes `null` for an absent
//! member (R5).

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::plain;

/// The value of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    json: &'a str,
    /// Known to be a string without escapes.
    is_plain: bool,
}

impl<'a> Member<'a> {
    /// Its JSON text.
    pub(crate) fn json(self) -> &'a str {
        self.json
    }

    /// The text of a string, its escapes resolved; `None` for another type and
    /// for a string that is not Unicode because of a lone surrogate escape.
    #[inline]
    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        if self.is_plain {
            return self.json.get(1..self.json.len() - 1).map(Cow::Borrowed);
        }
        match plain::string(self.json) {
            Some(text) => Some(Cow::Borrowed(text)),
            None => serde_json::from_str(self.json).ok().map(Cow::Owned),
        }
    }
}

/// Finds the members called `names` in the JSON object that is all of `text`.
///
/// A member that comes again replaces the one before it; members with other
/// names are checked to be JSON and left out. Fails when `text` is anything
/// but one JSON object.
// Inlined, the names are constants: to compare with one takes two instructions.
#[inline(always)]
pub(crate) fn members<'a, const N: usize>(
    text: &'a str,
    names: &[&str; N],
) -> serde_json::Result<[Option<Member<'a>>; N]> {
    let (found, is_plain) = match plain::members(text, names) {
        Some(found) => (found, true),
        None => (any_members(text, names)?, false),
    };
    Ok(found.map(|json| json.map(|json| Member { json, is_plain })))
}

/// As [`members`], but always with the general parser.
#[inline(never)]
fn any_members<'a, const N: usize>(
    text: &'a str,
    names: &[&str; N],
) -> serde_json::Result<[Option<&'a str>; N]> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = deserializer.deserialize_map(Members(names))?;
    deserializer.end()?;
    Ok(found.map(|member| member.map(RawValue::get)))
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
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 3] = ["command", "key", "value"];

    /// Texts that are an object of plain strings, or nearly one.
    fn nearly_plain() -> impl Strategy<Value = String> {
        let space = || prop::sample::select(vec!["", "", "", " ", "\t\r\n ", "\u{b}", "\u{a0}"]);
        let text = || {
            prop_oneof![
                prop::sample::select(vec![
                    "command",
                    "key",
                    "value",
                    "GET",
                    "",
                    "k\u{e4}",
                    "\u{1f600}"
                ])
                .prop_map(str::to_owned),
                prop::sample::select(vec![
                    "\\\"", "\\u0041", "\\ud800", "\\x", "\\", "\"", "\n", "\u{1}", "\u{7f}"
                ])
                .prop_map(str::to_owned),
                "[ -~]{0,80}",
                "[a-z\"\\\\\u{0}-\u{40}\u{80}-\u{200}]{0,20}",
            ]
        };
        let string =
            move || (space(), text(), space()).prop_map(|(a, text, b)| format!("{a}\"{text}\"{b}"));
        let value = prop_oneof![
            12 => string(),
            1 => prop::sample::select(vec!["1", "null", "{}", "[\"\"]", "-0.5e3", "", "tru"]).prop_map(str::to_owned),
        ];
        let member = (string(), value).prop_map(|(name, value)| format!("{name}:{value}"));
        let separator = prop::sample::select(vec![",", ",", ",", ",", ",", ",,", ";", ""]);
        let end = prop::sample::select(vec!["}", "}", "}", "} ", "}\u{0}", ",}", "", "}}", "]"]);
        (
            space(),
            prop::collection::vec((member, separator), 0..5),
            end,
        )
            .prop_map(|(space, members, end)| {
                let mut text = format!("{space}{{");
                let count = members.len();
                for (index, (member, separator)) in members.into_iter().enumerate() {
                    text += &member;
                    text += if index + 1 < count { separator } else { "" };
                }
                text + end
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn the_plain_parser_finds_what_the_general_one_finds(text in nearly_plain()) {
            if let Some(found) = plain::members(&text, &NAMES) {
                prop_assert_eq!(any_members(&text, &NAMES).ok(), Some(found));
            }
        }

        #[test]
        fn one_changed_byte_makes_no_difference_between_them(
            text in r#"\{ ?"command" ?: ?"[A-Z]{3}" ?, ?"key":"[a-z\u{e4}]{0,40}" ?, ?"value" ?:"[ -\u{ff}]{0,60}"\} ?"#,
            place in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = text.into_bytes();
            let place = place.index(bytes.len());
            bytes[place] = byte;
            if let Ok(text) = std::str::from_utf8(&bytes)
                && let Some(found) = plain::members(text, &NAMES)
            {
                prop_assert_eq!(any_members(text, &NAMES).ok(), Some(found));
            }
        }
    }

    #[test]
    fn plain_requests_are_plain() {
        for text in [
            r#"{"command":"SET","key":"k","value":"v"}"#,
            " { \"value\" : \"ü\" ,\n\"key\":\"\", \"x\":\"y\"\t} ",
        ] {
            assert!(plain::members(text, &NAMES).is_some(), "{text}");
        }
        let long = "v".repeat(1000);
        for len in 0..1000 {
            let text = format!(r#"{{"value":"{}"}}"#, &long[..len]);
            assert_eq!(
                plain::members(&text, &["value"]),
                Some([Some(&text[9..len + 11])])
            );
        }
    }

    fn member(text: &str) -> Option<String> {
        let [found] = members(text, &["a"]).expect("an object");
        found.map(|member| member.json().to_owned())
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
