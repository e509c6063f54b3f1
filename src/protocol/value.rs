//! Keys and values that cannot be wrong: once made, nothing checks them again.

use std::fmt;

use serde_json::value::RawValue;

use super::entry::{self, Entry};

/// The deepest nesting of arrays and objects that a value may have (R7).
pub const VALUE_DEPTH_MAX: usize = 512;

/// The name of an entry: any Unicode text but the empty one (R4, R4a).
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Box<str>);

impl Key {
    /// `None` when `text` is empty, which no key may be (R4a).
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// The text of the key, with no escapes in it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key, to look up.
    pub fn borrowed(&self) -> KeyRef<'_> {
        KeyRef {
            hash: entry::hash(self.as_str()),
            text: self.as_str(),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.as_str())
    }
}

/// A key in somebody else's text, with its hash: what a store looks up.
#[derive(Clone, Copy, Debug)]
pub struct KeyRef<'a> {
    hash: u64,
    text: &'a str,
}

impl<'a> KeyRef<'a> {
    /// Computes the hash. `None` when `text` is empty, which no key may be (R4a).
    pub fn new(text: &'a str) -> Option<Self> {
        let hash = entry::hash(text);
        (!text.is_empty()).then_some(Self { hash, text })
    }

    /// A key whose hash was computed before.
    pub(crate) fn with_hash(text: &'a str, hash: u64) -> Self {
        Self { hash, text }
    }

    /// The hash, the same for equal keys in all of this process.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The text of the key, with no escapes in it.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// A key with a text of its own.
    pub fn to_key(&self) -> Key {
        Key(self.text.into())
    }
}

impl Entry {
    /// Puts a key and a value together. Without memory the process ends.
    ///
    /// `None` when the key is empty (R4a).
    pub fn with_json(key: &str, json: &Json<'_>) -> Option<Self> {
        (!key.is_empty()).then(|| Self::new(key, json.0))
    }

    /// Puts a key, which is not empty, and a value together. `None` when there
    /// is no memory.
    #[inline]
    pub(super) fn try_with_json(key: &str, json: &Json<'_>) -> Option<Self> {
        Self::try_new(key, json.0)
    }
}

/// A JSON text that nests no deeper than a value may (R7).
#[derive(Clone, Copy, Debug)]
pub struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// Fails when the text nests deeper than [`VALUE_DEPTH_MAX`] levels.
    pub fn new(json: &'a RawValue) -> Result<Self, TooDeep> {
        Self::of_text(json.get())
    }

    /// As [`new`](Self::new), for a text that is known to be JSON.
    #[inline]
    pub(super) fn of_text(json: &'a str) -> Result<Self, TooDeep> {
        if nests_too_deep(json.as_bytes()) {
            return Err(TooDeep);
        }
        Ok(Self(json))
    }
}

/// The JSON text of a value, byte for byte as it came (R6).
///
/// Clones share the text, with each other and with the store: a GET copies
/// nothing where the store is.
#[derive(Clone)]
pub struct Value(Entry);

impl Value {
    /// Takes the text of one JSON value.
    pub fn new(json: &RawValue) -> Self {
        Self::of_text(json.get())
    }

    /// As [`new`](Self::new), for a text that is known to be JSON.
    pub(super) fn of_text(json: &str) -> Self {
        Self(Entry::new("", json))
    }

    /// Takes what was kept elsewhere, where others may have written too.
    #[cfg(feature = "cluster")]
    pub(crate) fn read_stored(bytes: &[u8]) -> Result<Self, NotStored> {
        let json: &RawValue = serde_json::from_slice(bytes).map_err(|_| NotStored::NoJson)?;
        let json = Json::new(json).map_err(|_| NotStored::NoJson)?;
        let entry = Entry::try_new("", json.0).ok_or(NotStored::NoMemory)?;
        Ok(Self(entry))
    }

    /// The JSON text.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.value()
    }
}

impl From<Entry> for Value {
    fn from(entry: Entry) -> Self {
        Self(entry)
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Value {}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({})", String::from_utf8_lossy(self.as_bytes()))
    }
}

/// Why there is no value to return.
#[cfg(feature = "cluster")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotStored {
    /// What is there is no JSON text, or nests too deep.
    NoJson,
    /// There is no memory for it.
    NoMemory,
}

/// A value nests deeper than [`VALUE_DEPTH_MAX`] levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooDeep;

/// Whether a valid JSON text nests deeper than [`VALUE_DEPTH_MAX`].
#[inline]
fn nests_too_deep(json: &[u8]) -> bool {
    // Each level needs an opening and a closing byte, so most values are
    // settled by their length.
    if json.len() < 2 * (VALUE_DEPTH_MAX + 1) || !matches!(json[0], b'[' | b'{') {
        return false;
    }
    let mut depth = 0_usize;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
        if depth > VALUE_DEPTH_MAX {
            return true;
        }
    }
    false
}

/// Moves past the rest of a JSON string whose opening quote has been taken.
fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'"' => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(open: &str, close: &str, depth: usize) -> String {
        open.repeat(depth) + "0" + &close.repeat(depth)
    }

    #[test]
    fn the_depth_limit_is_exact() {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), ("[ ", " ]")] {
            let deepest = nested(open, close, VALUE_DEPTH_MAX);
            assert!(!nests_too_deep(deepest.as_bytes()));
            let too_deep = nested(open, close, VALUE_DEPTH_MAX + 1);
            assert!(nests_too_deep(too_deep.as_bytes()));
        }
    }

    #[test]
    fn brackets_beside_or_inside_strings_do_not_nest() {
        let wide = format!("[{}0]", "[],".repeat(2000));
        assert!(!nests_too_deep(wide.as_bytes()));
        let text = format!(r#"["{}\"{}"]"#, "[".repeat(2000), "{".repeat(2000));
        assert!(!nests_too_deep(text.as_bytes()));
    }
}
