//! Entries as lines of JSON: what `speicher dump` writes and `speicher load` reads.
//!
//! A line is an object with a `key` and a `value`. It is what a SET has in its
//! payload, without the command, and is read as that is (R1a to R9): other members
//! are left out, and the last of a repeated one counts.

use std::fmt;
use std::str;

use crate::protocol::frame::{self, FRAME_LEN_MAX, HEADER_LEN};
use crate::protocol::object::{Member, members};
use crate::protocol::reply::push_json_string;

/// Appends the line of an entry, with its end.
///
/// The value is JSON text, and its bytes stay what they are. Only a line break in it,
/// which JSON has nowhere but between its tokens, becomes a space: so an entry is one
/// line, and its value the same.
pub fn push_line(lines: &mut Vec<u8>, key: &str, value: &[u8]) {
    lines.extend_from_slice(br#"{"key":"#);
    push_json_string(lines, key);
    lines.extend_from_slice(br#","value":"#);
    lines.extend(value.iter().map(|byte| match byte {
        b'\n' | b'\r' => b' ',
        byte => *byte,
    }));
    lines.extend_from_slice(b"}\n");
}

/// An entry, as its line has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The JSON text of the key.
    key: &'a str,
    /// The JSON text of the value.
    value: &'a str,
}

impl<'a> Line<'a> {
    /// Reads a line, with its end or without. `None` if there is nothing in it but
    /// white space.
    pub fn parse(line: &'a [u8]) -> Result<Option<Self>, BadLine> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let text = str::from_utf8(line).map_err(|error| BadLine::NotUtf8 {
            offset: error.valid_up_to(),
        })?;
        let [key, value] =
            members(text, &["key", "value"]).map_err(|error| not_an_entry(&error))?;
        Ok(Some(Self {
            key: key_json(key)?,
            value: value.ok_or(BadLine::ValueMissing)?.json(),
        }))
    }

    /// Appends the frame of the SET that stores it, the value byte for byte. Fails, and
    /// appends nothing, if no frame is so long.
    pub fn push_set(&self, frames: &mut Vec<u8>) -> Result<(), BadLine> {
        let parts = [
            r#"{"command":"SET","key":"#,
            self.key,
            r#","value":"#,
            self.value,
            "}",
        ];
        let len = parts.iter().map(|part| part.len()).sum();
        let header = frame::header(len).ok_or(BadLine::TooLong)?;
        frames.reserve(HEADER_LEN + len);
        frames.extend_from_slice(&header);
        for part in parts {
            frames.extend_from_slice(part.as_bytes());
        }
        Ok(())
    }
}

/// The JSON text of a key that a server would take (R4, R4a).
fn key_json(member: Option<Member<'_>>) -> Result<&str, BadLine> {
    let member = member.ok_or(BadLine::KeyMissing)?;
    match member.string() {
        Some(key) if key.is_empty() => Err(BadLine::KeyEmpty),
        Some(_) => Ok(member.json()),
        None if member.json().starts_with('"') => Err(BadLine::KeyNotUnicode),
        None => Err(BadLine::KeyNotAString),
    }
}

/// The parser counts lines too, and there is only the one.
fn not_an_entry(error: &serde_json::Error) -> BadLine {
    // Of JSON that is no object it would repeat all.
    if error.is_data() {
        return BadLine::NotAnObject;
    }
    let words = error.to_string();
    let end = words.rfind(" at line ").unwrap_or(words.len());
    BadLine::NotJson {
        what: words[..end].to_owned(),
        column: error.column(),
    }
}

/// Why a line is no entry: a part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadLine {
    /// It is not UTF-8.
    NotUtf8 {
        /// The offset of the first byte that is wrong.
        offset: usize,
    },
    /// It is not JSON.
    NotJson {
        /// The parser's words.
        what: String,
        /// The number of the byte where it says so, from 1.
        column: usize,
    },
    /// It is JSON, but no object.
    NotAnObject,
    /// There is no `key`.
    KeyMissing,
    /// The `key` is no string.
    KeyNotAString,
    /// The `key` has a lone surrogate escape.
    KeyNotUnicode,
    /// The `key` is empty.
    KeyEmpty,
    /// There is no `value`.
    ValueMissing,
    /// No frame is so long.
    TooLong,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 { offset } => write!(f, "it is not UTF-8 from byte {offset} on"),
            Self::NotJson { what, column } => {
                write!(f, "it is not one JSON object ({what}, at byte {column})")
            }
            Self::NotAnObject => {
                f.write_str(r#"it is no object as in {"key":"greeting","value":"hello"}"#)
            }
            Self::KeyMissing => f.write_str(r#"it has no "key""#),
            Self::KeyNotAString => f.write_str(r#"its "key" is not a string"#),
            Self::KeyNotUnicode => f.write_str(
                r#"its "key" has a surrogate escape without its other half, and keys are Unicode text"#,
            ),
            Self::KeyEmpty => f.write_str(r#"its "key" is empty"#),
            Self::ValueMissing => f.write_str(r#"it has no "value"; null is one"#),
            Self::TooLong => write!(f, "it is longer than a frame's {FRAME_LEN_MAX} bytes"),
        }
    }
}

impl std::error::Error for BadLine {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;
    use serde_json::value::RawValue;

    use super::*;
    use crate::protocol::Request;

    /// JSON texts with white space of all kinds between their tokens.
    fn json() -> impl Strategy<Value = String> {
        let space = || "[ \t\r\n]{0,3}";
        let leaf = prop_oneof![
            "null|true|-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?",
            any::<String>().prop_map(|text| serde_json::to_string(&text).expect("a string")),
            Just(r#""\ud83d\ude00 \u0000\n\r \/""#.to_owned()),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            let item = (space(), inner, space()).prop_map(|(a, json, b)| a + &json + &b);
            let member = (space(), any::<String>(), space(), item.clone())
                .prop_map(|(a, name, b, json)| format!("{a}{}{b}:{json}", Value::from(name)));
            let items = prop::collection::vec(item, 1..4);
            let members = prop::collection::vec(member, 1..4);
            prop_oneof![
                items.prop_map(|items| format!("[{}]", items.join(","))),
                members.prop_map(|members| format!("{{{}}}", members.join(","))),
            ]
        })
    }

    /// The line of an entry, and the SET that it becomes.
    fn there_and_back(key: &str, value: &str) -> (Vec<u8>, Request) {
        let mut line = Vec::new();
        push_line(&mut line, key, value.as_bytes());
        let read = Line::parse(&line).expect("an entry").expect("not blank");
        let mut frame = Vec::new();
        read.push_set(&mut frame).expect("short");
        let (header, payload) = frame.split_at(HEADER_LEN);
        assert_eq!(
            Some(header.to_vec()),
            frame::header(payload.len()).map(Vec::from)
        );
        let request = Request::parse(payload).expect("a request");
        (line, request)
    }

    proptest! {
        /// R4, R6
        #[test]
        fn an_entry_survives_its_line(key in ".{1,40}|[\\x00-\\x1f\"\\\\\u{2028}]{1,4}", value in json()) {
            let (line, request) = there_and_back(&key, &value);
            prop_assert_eq!(line.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count(), 1);
            let Request::Set { entry } = request else {
                panic!("it stores something");
            };
            prop_assert_eq!(entry.key(), &key);
            let stored = str::from_utf8(entry.value()).expect("UTF-8");
            prop_assert_eq!(stored, value.replace(['\n', '\r'], " "));
            if !value.contains(['\n', '\r']) {
                prop_assert_eq!(stored, &value);
            }
            // Numbers as they are written: f64 would make some of them equal.
            let parsed = |json: &str| serde_json::from_str::<Box<RawValue>>(json).is_ok();
            prop_assert!(parsed(stored));
            prop_assert_eq!(
                serde_json::from_str::<Value>(stored).ok(),
                serde_json::from_str::<Value>(&value).ok()
            );
        }

        #[test]
        fn any_bytes_are_a_line_or_an_error(line in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Line::parse(&line);
        }
    }

    #[test]
    fn a_key_of_a_mebibyte_survives_its_line() {
        let key = "k\u{e4}\"\n".repeat((1 << 20) / 5);
        let (_, request) = there_and_back(&key, "{ \"a\" :\t1 }");
        assert!(matches!(request, Request::Set { entry }
            if entry.key() == key && entry.value() == b"{ \"a\" :\t1 }"));
    }

    #[test]
    fn a_line_is_read_as_a_request_is() {
        let read = |line: &'static str| {
            Line::parse(line.as_bytes()).map(|line| line.map(|line| (line.key, line.value)))
        };
        for (line, entry) in [
            (
                " { \"value\" : [ 1 ] , \"key\" : \"k\" }\r\n",
                (r#""k""#, "[ 1 ]"),
            ),
            (
                r#"{"key":"\u006b","value":null,"more":{}}"#,
                (r#""\u006b""#, "null"),
            ),
            (
                r#"{"key":"a","key":"b","value":1,"value":1e999}"#,
                (r#""b""#, "1e999"),
            ),
        ] {
            assert_eq!(read(line), Ok(Some(entry)));
        }
        for blank in ["", "\n", " \t\r\n"] {
            assert_eq!(read(blank), Ok(None));
        }
        for (line, error) in [
            (r#"{"value":1}"#, BadLine::KeyMissing),
            (r#"{"key":1,"value":1}"#, BadLine::KeyNotAString),
            (r#"{"key":"","value":1}"#, BadLine::KeyEmpty),
            (r#"{"key":"\ud800","value":1}"#, BadLine::KeyNotUnicode),
            (r#"{"key":"k"}"#, BadLine::ValueMissing),
            (r#"["key","value"]"#, BadLine::NotAnObject),
        ] {
            assert_eq!(read(line), Err(error));
        }
        let error = read(r#"{"key":"k","value":tru}"#).expect_err("it is no JSON");
        assert_eq!(
            error.to_string(),
            "it is not one JSON object (expected ident, at byte 23)"
        );
        let error = Line::parse(b"{\"key\":\"\xff\"}").expect_err("it is no UTF-8");
        assert_eq!(error, BadLine::NotUtf8 { offset: 8 });
    }
}
