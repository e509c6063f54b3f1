//! What is asked: a frame's payload becomes a [`Request`].

use std::borrow::Cow;
use std::fmt;

use super::entry::{self, Entry};
use super::object::{Member, members};
use super::reply::Reply;
use super::value::{Json, Key, KeyRef, TooDeep, VALUE_DEPTH_MAX};
use crate::memory;

/// One command with all it needs (R2, R3).
///
/// `K` is how it holds a key that it only looks up: a [`Key`] of its own, a
/// [`KeyRef`] into somebody else's text, or what a batch keeps of one.
#[derive(Clone, Debug)]
pub enum Request<K = Key> {
    /// Stores the entry, in place of one of the same key.
    Set {
        /// The name and the JSON text to keep.
        entry: Entry,
    },
    /// Asks for the value under `key`.
    Get {
        /// The entry's name.
        key: K,
    },
    /// Removes the entry under `key`.
    Delete {
        /// The entry's name.
        key: K,
    },
    /// Removes every entry.
    Reset,
}

impl Request {
    /// Reads the payload of a request's frame (R1 to R9, F3).
    pub fn parse(payload: &[u8]) -> Result<Self, BadRequest> {
        let (_, request) = Self::parse_with(payload, |key| key.to_key())?;
        Ok(request)
    }

    /// The same request, with its key borrowed from this one.
    pub fn borrowed(&self) -> Request<KeyRef<'_>> {
        match self {
            Self::Set { entry } => Request::Set {
                entry: entry.clone(),
            },
            Self::Get { key } => Request::Get {
                key: key.borrowed(),
            },
            Self::Delete { key } => Request::Delete {
                key: key.borrowed(),
            },
            Self::Reset => Request::Reset,
        }
    }

    /// Appends the payload of the frame that asks for this.
    pub fn encode(&self, payload: &mut Vec<u8>) {
        let (command, key, value) = match self {
            Self::Set { entry } => (Command::Set, Some(entry.key()), Some(entry.value())),
            Self::Get { key } => (Command::Get, Some(key.as_str()), None),
            Self::Delete { key } => (Command::Delete, Some(key.as_str()), None),
            Self::Reset => (Command::Reset, None, None),
        };
        payload.extend_from_slice(br#"{"command":""#);
        payload.extend_from_slice(command.name().as_bytes());
        payload.push(b'"');
        if let Some(key) = key {
            payload.extend_from_slice(br#","key":"#);
            super::reply::push_json_string(payload, key);
        }
        if let Some(value) = value {
            payload.extend_from_slice(br#","value":"#);
            payload.extend_from_slice(value);
        }
        payload.push(b'}');
    }
}

impl<K> Request<K> {
    /// Reads the payload of a request's frame (R1 to R9, F3), and returns the
    /// hash of its key with it; `make_key` keeps a key that is only looked up.
    #[inline]
    #[expect(
        clippy::unnecessary_lazy_evaluations,
        reason = "`ok_or` makes its error anyway, and drops it: eight instructions of a request"
    )]
    pub(crate) fn parse_with(
        payload: &[u8],
        make_key: impl FnOnce(KeyRef<'_>) -> K,
    ) -> Result<(u64, Self), BadRequest> {
        if payload.is_empty() {
            return Err(BadRequest::Empty);
        }
        let text = std::str::from_utf8(payload).map_err(|error| BadRequest::NotUtf8 {
            offset: error.valid_up_to(),
        })?;
        let [command, key, value] = members(text, &["command", "key", "value"])
            .map_err(|error| BadRequest::NotAnObject(reason(&error)))?;
        let command = Command::parse(command)?;
        if command == Command::Reset {
            return Ok((0, Self::Reset));
        }
        let key = key_text(command, key)?;
        let key_ref = || KeyRef::new(&key).ok_or_else(|| BadRequest::KeyEmpty);
        match command {
            Command::Set => {
                let value = value.ok_or_else(|| BadRequest::ValueMissing)?;
                let json =
                    Json::of_text(value.json()).map_err(|TooDeep| BadRequest::ValueTooDeep)?;
                let key = key_ref()?;
                let entry = Entry::try_with_json(key.as_str(), &json)
                    .ok_or_else(|| BadRequest::NoMemory)?;
                Ok((key.hash(), Self::Set { entry }))
            }
            Command::Get => {
                let key = key_ref()?;
                Ok((key.hash(), Self::Get { key: make_key(key) }))
            }
            _ => {
                let key = key_ref()?;
                Ok((key.hash(), Self::Delete { key: make_key(key) }))
            }
        }
    }
}

#[cfg(feature = "data")]
impl<K> Request<K> {
    /// A SET of a value that was stored before, and so is JSON. `None` if there
    /// is no memory for the entry, or the key is empty.
    pub(crate) fn stored(key: &str, value: &str) -> Option<Self> {
        let key = KeyRef::new(key)?;
        let entry = Entry::try_new(key.as_str(), value)?;
        Some(Self::Set { entry })
    }
}

impl Request<KeyRef<'_>> {
    /// The hash of its key; 0 if it has none.
    pub(crate) fn key_hash(&self) -> u64 {
        match self {
            Self::Set { entry } => entry::hash(entry.key()),
            Self::Get { key } | Self::Delete { key } => key.hash(),
            Self::Reset => 0,
        }
    }
}

impl PartialEq for Request {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Set { entry: one }, Self::Set { entry: other }) => one == other,
            (Self::Get { key: one }, Self::Get { key: other })
            | (Self::Delete { key: one }, Self::Delete { key: other }) => one == other,
            (Self::Reset, Self::Reset) => true,
            _ => false,
        }
    }
}

impl Eq for Request {}

/// The verb of a request (R2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Set,
    Get,
    Delete,
    Reset,
}

impl Command {
    fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Get => "GET",
            Self::Delete => "DEL",
            Self::Reset => "RST",
        }
    }

    fn parse(member: Option<Member<'_>>) -> Result<Self, BadRequest> {
        let member = member.ok_or(BadRequest::CommandMissing)?;
        let name = member.string().ok_or(BadRequest::CommandNotAString)?;
        match &*name {
            "SET" => Ok(Self::Set),
            "GET" => Ok(Self::Get),
            "DEL" => Ok(Self::Delete),
            "RST" => Ok(Self::Reset),
            _ => Err(BadRequest::CommandUnknown(excerpt(&name))),
        }
    }
}

#[inline]
fn key_text(command: Command, member: Option<Member<'_>>) -> Result<Cow<'_, str>, BadRequest> {
    let member = member.ok_or(BadRequest::KeyMissing(command.name()))?;
    member.string().ok_or_else(|| {
        if member.json().starts_with('"') {
            BadRequest::KeyNotUnicode
        } else {
            BadRequest::KeyNotAString
        }
    })
}

/// The most characters of a peer's text that an error sentence repeats.
const EXCERPT_LEN_MAX: usize = 40;

fn excerpt(text: &str) -> String {
    let mut excerpt: String = text.chars().take(EXCERPT_LEN_MAX).collect();
    if excerpt.len() < text.len() {
        excerpt.push('…');
    }
    excerpt
}

/// What the parser has to say. Of text that is JSON but no object it repeats
/// all, which may be as long as a frame, so its own words end there.
fn reason(error: &serde_json::Error) -> String {
    if error.is_data() {
        format!(
            "it is other JSON, at line {} column {}",
            error.line(),
            error.column()
        )
    } else {
        error.to_string()
    }
}

/// Why a payload is not a request: what a reply with status 400 says (A4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// The frame has no payload (F3).
    Empty,
    /// The payload is not UTF-8 (R9).
    NotUtf8 {
        /// The offset in the payload of the first byte that is wrong.
        offset: usize,
    },
    /// The payload is not one JSON object (R1, R9); holds the parser's words.
    NotAnObject(String),
    /// There is no `command` (R1).
    CommandMissing,
    /// `command` is not a string (R2).
    CommandNotAString,
    /// `command` is none of the four (R2); holds the beginning of it.
    CommandUnknown(String),
    /// There is no `key` (R3); holds the command that needs it.
    KeyMissing(&'static str),
    /// `key` is not a string (R4).
    KeyNotAString,
    /// `key` has a lone surrogate escape (R4a).
    KeyNotUnicode,
    /// `key` is the empty string (R4a).
    KeyEmpty,
    /// SET without `value` (R3).
    ValueMissing,
    /// `value` nests deeper than [`VALUE_DEPTH_MAX`] levels (R7).
    ValueTooDeep,
    /// There is no memory for the entry, which is no fault of the request (A6).
    NoMemory,
    /// The entry would grow a store that holds as much as the server's ceiling
    /// allows (S6).
    Full,
    /// The server's ceiling leaves no room for a frame of so many bytes (F9).
    NoRoomForFrame {
        /// The length of the frame, with its header.
        frame_len: usize,
    },
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(
                "The frame is empty; its payload must be a JSON object with a \"command\".",
            ),
            Self::NotUtf8 { offset } => write!(
                f,
                "The payload is not UTF-8 from byte {offset} on; send JSON text in UTF-8."
            ),
            Self::NotAnObject(reason) => write!(
                f,
                "The payload must be one JSON object with a \"command\": {reason}."
            ),
            Self::CommandMissing => {
                f.write_str("The request has no \"command\"; give it one of SET, GET, DEL and RST.")
            }
            Self::CommandNotAString => {
                f.write_str("The \"command\" must be a string: one of SET, GET, DEL and RST.")
            }
            Self::CommandUnknown(name) => write!(
                f,
                "The command {name:?} is unknown; use SET, GET, DEL or RST, in capitals."
            ),
            Self::KeyMissing(command) => {
                write!(f, "{command} needs a \"key\"; give it a string.")
            }
            Self::KeyNotAString => f.write_str("The \"key\" must be a string."),
            Self::KeyNotUnicode => f.write_str(
                "The \"key\" has a surrogate escape without its other half; \
                 keys must be Unicode text.",
            ),
            Self::KeyEmpty => f.write_str("The \"key\" must not be empty."),
            Self::ValueMissing => {
                f.write_str("SET needs a \"value\"; give it any JSON, for example null.")
            }
            Self::ValueTooDeep => write!(
                f,
                "The \"value\" nests deeper than {VALUE_DEPTH_MAX} levels; flatten it, \
                 or store it as a string of JSON text."
            ),
            Self::NoMemory => f.write_str(
                "The server has no memory for this request; send less, \
                 or send it again when others have removed entries.",
            ),
            Self::Full => write!(
                f,
                "The server holds as much as it may{}; remove entries, or start it with \
                 more --memory-max.",
                ceiling()
            ),
            Self::NoRoomForFrame { frame_len } => write!(
                f,
                "The server has no room for a frame of {frame_len} bytes, of what it may \
                 hold{}; send it again later, or start the server with more --memory-max.",
                ceiling()
            ),
        }
    }
}

/// The server's ceiling, as a part of a sentence.
fn ceiling() -> String {
    memory::ceiling::max().map_or_else(String::new, |max| format!(", {}", memory::Size(max)))
}

impl std::error::Error for BadRequest {}

/// What it is answered with (A4, A6).
impl From<&BadRequest> for Reply {
    fn from(error: &BadRequest) -> Self {
        match error {
            BadRequest::NoMemory | BadRequest::Full | BadRequest::NoRoomForFrame { .. } => {
                Self::Unavailable(error.to_string())
            }
            _ => Self::BadRequest(error.to_string()),
        }
    }
}
