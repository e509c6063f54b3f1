//! What becomes of keys and values on their way into the store.

use serde_json::Value as Tree;
use serde_json::value::RawValue;
use speicher::protocol::{Reply, Value};

use crate::fault::Fault;

/// The most bytes that a server keeps which truncates keys.
const KEY_LEN_MAX: usize = 255;

/// A hit with this value.
pub fn json(text: &'static str) -> Reply {
    let raw: &RawValue = serde_json::from_str(text).expect("JSON");
    Reply::Value(Value::new(raw))
}

/// What many languages take for false.
pub fn is_falsy(value: &[u8]) -> bool {
    matches!(value, b"null" | b"false" | b"0" | b"\"\"" | b"[]" | b"{}")
}

/// The key under which an entry is kept; `None` when this server has none.
pub fn key_kept(fault: Fault, key: &str) -> Option<String> {
    Some(match fault {
        Fault::KeysInLowerCase => key.to_lowercase(),
        Fault::KeysTrimmed => key.trim().to_owned(),
        Fault::KeysTruncated => key.chars().take(KEY_LEN_MAX).collect(),
        Fault::KeysInAscii => in_ascii(key),
        Fault::KeysEndAtZero => key.split('\0').next()?.to_owned(),
        Fault::KeysNormalized => key.replace("u\u{308}", "\u{fc}"),
        Fault::KeysAreFileNames if key.contains('/') => return None,
        _ => key.to_owned(),
    })
}

/// The JSON text that is kept; `None` when this server refuses it.
pub fn value_kept(fault: Fault, text: &str) -> Option<String> {
    Some(match fault {
        Fault::NumbersAsFloats => mapped(text, &|tree| match tree {
            Tree::Number(number) => Tree::from(number.as_f64()),
            other => other,
        })?,
        Fault::NumbersAsIntegers => mapped(text, &|tree| match tree {
            Tree::Number(number) => Tree::from(number.as_f64().map(|float| float as i64 % 100)),
            other => other,
        })?,
        Fault::ValuesReformatted => mapped(text, &|tree| tree)?,
        Fault::ListsAsObjects => mapped(text, &|tree| match tree {
            Tree::Array(items) => {
                let names = (0..).map(|index: usize| index.to_string());
                Tree::Object(names.zip(items).collect())
            }
            other => other,
        })?,
        Fault::NamelessMembersDropped => without_member(text, "")?,
        Fault::PrototypeDropped => without_member(text, "__proto__")?,
        Fault::ValuesInAscii => in_ascii(text),
        Fault::ValuesEscaped => escaped(text),
        Fault::ValuesInUcs2 => text
            .chars()
            .map(|c| if c > '\u{ffff}' { '\u{fffd}' } else { c })
            .collect(),
        Fault::ValuesAsText => Tree::from(text).to_string(),
        Fault::StringsReparsed => match serde_json::from_str::<String>(text) {
            Ok(inner) if serde_json::from_str::<Tree>(&inner).is_ok() => inner,
            _ => text.to_owned(),
        },
        Fault::StringsWithoutEscapes => text.replace('\\', ""),
        Fault::SurrogatesReplaced => text
            .replace(r"\udc00", r"\ufffd")
            .replace(r"\ud800", r"\ufffd"),
        Fault::Depth64 if depth(text, false) > 64 => return None,
        Fault::Depth128 if depth(text, false) > 128 => return None,
        Fault::DepthInStrings if depth(text, true) > 512 => return None,
        _ => text.to_owned(),
    })
}

fn in_ascii(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii() { c } else { '?' })
        .collect()
}

fn escaped(text: &str) -> String {
    let mut units = [0; 2];
    let mut escape = |c: char| match c.is_ascii() {
        true => c.to_string(),
        false => c
            .encode_utf16(&mut units)
            .iter()
            .map(|unit| format!(r"\u{unit:04x}"))
            .collect(),
    };
    text.chars().map(&mut escape).collect()
}

/// The value parsed, changed at every level, and written again.
fn mapped(text: &str, change: &dyn Fn(Tree) -> Tree) -> Option<String> {
    fn walk(tree: Tree, change: &dyn Fn(Tree) -> Tree) -> Tree {
        change(match tree {
            Tree::Array(items) => {
                Tree::Array(items.into_iter().map(|item| walk(item, change)).collect())
            }
            Tree::Object(members) => {
                let walked = |(name, value)| (name, walk(value, change));
                Tree::Object(members.into_iter().map(walked).collect())
            }
            other => other,
        })
    }

    let tree = serde_json::from_str(text).ok()?;
    Some(walk(tree, change).to_string())
}

fn without_member(text: &str, name: &str) -> Option<String> {
    mapped(text, &|mut tree| {
        if let Tree::Object(members) = &mut tree {
            members.remove(name);
        }
        tree
    })
}

/// How many levels the brackets open.
fn depth(text: &str, counts_in_strings: bool) -> usize {
    let (mut depth, mut deepest, mut in_string) = (0_usize, 0, false);
    for c in text.chars() {
        match c {
            '"' => in_string = !in_string,
            _ if in_string && !counts_in_strings => {}
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
