//! What payloads are taken for.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::{RawValue, to_raw_value};
use speicher::protocol::{BadRequest, Key, Reply, Request};

use crate::execution::set;
use crate::fault::Fault;
use crate::values::{key_kept, value_kept};

/// What comes of a payload.
pub enum Asked {
    Request(Request),
    Answer(Reply),
    Silence,
    HangUp,
}

fn refused(sentence: &str) -> Asked {
    Asked::Answer(Reply::BadRequest(sentence.to_owned()))
}

/// Reads a payload as this server does.
pub fn read(fault: Fault, payload: &[u8]) -> Asked {
    if payload.is_empty() {
        match fault {
            Fault::EmptyFrameSkipped => return Asked::Silence,
            Fault::EmptyFrameCloses => return Asked::HangUp,
            _ => {}
        }
    }
    let payload = spelled(fault, payload);
    let is_trimmed = payload.trim_ascii() == payload;
    if fault == Fault::Trimless && !is_trimmed {
        return refused("The payload has to begin with a brace.");
    }
    if fault == Fault::MembersByTextSearch {
        let text = String::from_utf8_lossy(&payload);
        if text.contains(r#""command":"RST""#) {
            return Asked::Request(Request::Reset);
        }
        if !text.contains(r#""command":""#) {
            return refused("There is no command.");
        }
    }
    match serde_json::from_slice::<Members>(&payload) {
        Ok(members) => read_members(fault, members),
        Err(_) => read_other(fault, &payload),
    }
}

/// Another spelling of the payload, of a server that is lenient about it.
fn spelled(fault: Fault, payload: &[u8]) -> Vec<u8> {
    let text = || String::from_utf8_lossy(payload).into_owned();
    let respelled = |spellings: &[(&str, &str)]| {
        let replace = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
        match serde_json::from_slice::<&RawValue>(payload) {
            Ok(_) => payload.to_vec(),
            Err(_) => spellings.iter().fold(text(), replace).into_bytes(),
        }
    };
    match fault {
        Fault::LossyUtf8 => text().into_bytes(),
        Fault::DetectsEncoding if payload.get(1) == Some(&0) => {
            let units = payload.as_chunks().0.iter().copied();
            String::from_utf16_lossy(&units.map(u16::from_le_bytes).collect::<Vec<_>>())
                .into_bytes()
        }
        Fault::DetectsEncoding => match payload.strip_prefix("\u{feff}".as_bytes()) {
            Some(rest) => rest.to_vec(),
            None => payload.to_vec(),
        },
        Fault::NanAccepted => respelled(&[("NaN", "0"), ("-Infinity", "0"), ("Infinity", "0")]),
        Fault::LaxJson => respelled(&[
            (",}", "}"),
            ("'", "\""),
            ("/**/", ""),
            (":0", ":"),
            (".}", ".0}"),
            (":+", ":"),
            (r"\x41", "A"),
            (r"\u123", "A"),
            ("\n", r"\n"),
        ]),
        Fault::Evaluated => {
            respelled(&[("'", "\""), (",}", "}"), ("None", "null"), (r"\x41", "A")])
        }
        Fault::RepairsJson => repaired(payload),
        Fault::TrailingTextAccepted => {
            let mut objects =
                serde_json::Deserializer::from_slice(payload).into_iter::<&RawValue>();
            match objects.next() {
                Some(Ok(first)) => first.get().as_bytes().to_vec(),
                _ => payload.to_vec(),
            }
        }
        _ => payload.to_vec(),
    }
}

/// The first way to end the payload, or its part before a comma, as an object.
fn repaired(payload: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(payload).replace("1 2", "1,2");
    let ends = std::iter::once(text.len()).chain(text.rmatch_indices(',').map(|(at, _)| at));
    let starts = ends.map(|end| text[..end].trim_end_matches('}'));
    let mut attempts = starts.flat_map(|start| ["}", "]}"].map(|end| format!("{start}{end}")));
    let is_object = |attempt: &String| serde_json::from_str::<Members>(attempt).is_ok();
    match is_object(&text) {
        true => text.into_bytes(),
        false => attempts
            .find(is_object)
            .map_or(payload.to_vec(), String::into_bytes),
    }
}

/// Reads what is no object.
fn read_other(fault: Fault, payload: &[u8]) -> Asked {
    let is_json = serde_json::from_slice::<&RawValue>(payload).is_ok();
    let key = || Key::new("text").expect("it is not empty");
    match fault {
        Fault::BadJsonSilent if !is_json => Asked::Silence,
        Fault::BadJsonCloses if !is_json => Asked::HangUp,
        Fault::OtherJsonCloses if is_json => Asked::HangUp,
        Fault::OtherJsonIsOk if is_json => Asked::Answer(Reply::Done),
        Fault::TextIsRequest if !is_json => Asked::Request(Request::Get { key: key() }),
        Fault::ListsAreRequests if payload.starts_with(b"[") => {
            match serde_json::from_slice::<Vec<&RawValue>>(payload).as_deref() {
                Ok([request]) => read(Fault::None, request.get().as_bytes()),
                Ok(_) => Asked::Request(Request::Get { key: key() }),
                Err(_) => refused("The payload is no JSON."),
            }
        }
        _ => parsed(fault, payload),
    }
}

/// Reads an object whose members are taken as this server takes them.
fn read_members(fault: Fault, mut members: Members) -> Asked {
    match fault {
        Fault::MembersInOrder if !members.are_in_order() => {
            return refused("The members are not in order.");
        }
        Fault::UnknownMembersRefused if members.any(|name| !is_known(name)) => {
            return refused("There is a member that no command has.");
        }
        Fault::SurplusMembersRefused if members.has_surplus() => {
            return refused("There is a member that this command does not have.");
        }
        Fault::FirstMemberCounts => members.0.reverse(),
        Fault::ValueMeansSet if members.text("value").is_some() => {
            members.put("command", "\"SET\"")
        }
        Fault::CommandInAnyCase => members.map_text("command", |name| name.to_uppercase()),
        Fault::CommandTrimmed => members.map_text("command", |name| name.trim().to_owned()),
        Fault::CommandByRawText
            if members
                .text("command")
                .is_some_and(|text| text.contains('\\')) =>
        {
            return refused("The command is unknown.");
        }
        Fault::LongCommandNames => members.map_text("command", |name| match name {
            "DELETE" => "DEL".to_owned(),
            "RESET" => "RST".to_owned(),
            name => name.to_owned(),
        }),
        Fault::MissingCommandIsGet => members.put_missing("command", "\"GET\""),
        Fault::MissingKeyIsUndefined => members.put_missing("key", "\"undefined\""),
        Fault::MissingValueIsNull => members.put_missing("value", "null"),
        Fault::KeysMadeStrings => members.map_raw("key", |raw| match raw.starts_with('"') {
            true => raw.to_owned(),
            false => serde_json::Value::from(raw).to_string(),
        }),
        Fault::KeysByRawText => members.map_raw("key", |raw| {
            serde_json::Value::from(raw.trim_matches('"')).to_string()
        }),
        Fault::EmptyKeyAccepted => members.map_raw("key", |raw| match raw {
            r#""""# => r#""\u0000""#.to_owned(),
            raw => raw.to_owned(),
        }),
        Fault::SurrogatesInKeysReplaced => members.map_raw("key", |raw| {
            raw.replace(r"\udc00", r"\ufffd")
                .replace(r"\ud800", r"\ufffd")
        }),
        _ => return parsed(fault, members.to_string().as_bytes()),
    }
    parsed(fault, members.to_string().as_bytes())
}

/// Reads what is as the protocol has it, or as good as.
fn parsed(fault: Fault, payload: &[u8]) -> Asked {
    match Request::parse(payload) {
        Ok(Request::Set { entry }) => {
            let value = String::from_utf8_lossy(entry.value());
            match (key_kept(fault, entry.key()), value_kept(fault, &value)) {
                (Some(key), Some(value)) => match set(&key, value) {
                    Some(request) => Asked::Request(request),
                    None => refused("The value is not one for this server."),
                },
                _ => refused("The key or the value is not one for this server."),
            }
        }
        Ok(Request::Get { key }) => with_key(fault, &key, |key| Request::Get { key }),
        Ok(Request::Delete { key }) => with_key(fault, &key, |key| Request::Delete { key }),
        Ok(Request::Reset) => Asked::Request(Request::Reset),
        Err(error) => match (fault, &error) {
            (Fault::DepthUnlimited, BadRequest::ValueTooDeep) => Asked::Answer(Reply::Done),
            (Fault::DepthCrashes, BadRequest::ValueTooDeep) => std::process::exit(139),
            (
                Fault::UnknownCommandIsOk,
                BadRequest::CommandMissing
                | BadRequest::CommandNotAString
                | BadRequest::CommandUnknown(_),
            ) => Asked::Answer(Reply::Done),
            _ => Asked::Answer(Reply::BadRequest(error.to_string())),
        },
    }
}

fn with_key(fault: Fault, key: &Key, request: impl FnOnce(Key) -> Request) -> Asked {
    match key_kept(fault, key.as_str()).and_then(|key| Key::new(&key)) {
        Some(key) => Asked::Request(request(key)),
        None => refused("The key is not one for this server."),
    }
}

fn is_known(name: &str) -> bool {
    matches!(name, "command" | "key" | "value")
}

/// The members of a JSON object, in their order, each as often as it came.
struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    fn any(&self, is: impl Fn(&str) -> bool) -> bool {
        self.0.iter().any(|(name, _)| is(name))
    }

    fn are_in_order(&self) -> bool {
        let names: Vec<_> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        ["command", "key", "value"].starts_with(&names)
    }

    fn has_surplus(&self) -> bool {
        match self.text("command") {
            Some("\"RST\"") => self.any(|name| name != "command"),
            Some("\"GET\"" | "\"DEL\"") => self.any(|name| name == "value"),
            _ => false,
        }
    }

    /// The JSON text of the last member of that name.
    fn text(&self, wanted: &str) -> Option<&str> {
        let mut found = self.0.iter().rev().filter(|(name, _)| name == wanted);
        found.next().map(|(_, raw)| raw.get())
    }

    fn put(&mut self, name: &str, text: &str) {
        let raw = RawValue::from_string(text.to_owned()).expect("JSON");
        self.0.push((name.to_owned(), raw));
    }

    fn put_missing(&mut self, name: &str, text: &str) {
        if self.text(name).is_none() {
            self.put(name, text);
        }
    }

    fn map_raw(&mut self, wanted: &str, map: impl Fn(&str) -> String) {
        for (_, raw) in self.0.iter_mut().filter(|(name, _)| name == wanted) {
            *raw = RawValue::from_string(map(raw.get())).expect("JSON");
        }
    }

    fn map_text(&mut self, wanted: &str, map: impl Fn(&str) -> String) {
        for (_, raw) in self.0.iter_mut().filter(|(name, _)| name == wanted) {
            if let Ok(text) = serde_json::from_str::<String>(raw.get()) {
                *raw = to_raw_value(&map(&text)).expect("a string");
            }
        }
    }
}

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |name: &String| serde_json::Value::from(name.as_str()).to_string();
        let members = self
            .0
            .iter()
            .map(|(name, raw)| format!("{}:{raw}", quoted(name)));
        write!(f, "{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> Visitor<'de> for Visit {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Visit)
    }
}
