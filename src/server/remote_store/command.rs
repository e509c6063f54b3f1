//! What a node is asked for a request, and what its answer means.

use redis::{Arg, Cmd, Value as Answer};

use super::errors::{Redirection, odd, refused};
use super::topology::slot_of;
use crate::protocol::{BadRequest, Entry, KeyRef, NotStored, Reply, Request, Value};
use crate::store::StoreLost;

/// How much of a value a GET asks for. A longer one is asked for again, alone.
pub(super) const SHORT_VALUE_LEN: usize = 64 << 10;

/// What a GET asks for is that much, from the first byte to this one.
const SHORT_VALUE_LAST: usize = SHORT_VALUE_LEN - 1;

/// What a command takes beside its key and value, about.
const COMMAND_LEN: usize = 64;

/// A request as its node takes it.
#[derive(Debug)]
pub(super) struct Command {
    /// Its place in the round.
    pub(super) index: usize,
    pub(super) verb: Verb,
    pub(super) slot: u16,
    /// Where to send it, if not to the owner of its slot.
    pub(super) redirection: Option<Box<Redirection>>,
    pub(super) cmd: Cmd,
    /// Its last argument, if that is long and so is copied only when it can be
    /// sent.
    pub(super) value: Option<Entry>,
    /// Bytes that it may take until it is answered, both ways.
    pub(super) len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Set,
    /// The value, if it is short.
    Get,
    /// Its length.
    Measure,
    /// The value, however long.
    Fetch,
    Delete,
    /// All that the node has.
    Flush,
}

impl Verb {
    /// The store's command for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Get => "GETRANGE",
            Self::Measure => "STRLEN",
            Self::Fetch => "GET",
            Self::Delete => "UNLINK",
            Self::Flush => "FLUSHDB",
        }
    }

    pub(super) fn changes(self) -> bool {
        matches!(self, Self::Set | Self::Delete | Self::Flush)
    }
}

/// What is known of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    Replied(Reply),
    /// A value is there, and is long: it has to be fetched.
    Long,
    /// It has so many bytes.
    Measured(usize),
    /// Its text.
    Fetched(Vec<u8>),
}

/// A value that has to be fetched alone.
#[derive(Debug)]
pub(super) struct LongValue {
    /// With the prefix.
    key: Vec<u8>,
}

impl Command {
    /// The removal of everything from the database of the node that it is sent
    /// to.
    pub(super) fn flush() -> Self {
        let mut cmd = redis::cmd("FLUSHDB");
        cmd.arg("ASYNC");
        Self::of(Verb::Flush, &[], cmd, 0)
    }

    /// The removal of a key that a node has named, prefix and all.
    pub(super) fn delete((index, key): (usize, &Vec<u8>)) -> Self {
        let mut cmd = Cmd::with_capacity(2, COMMAND_LEN + key.len());
        cmd.arg("UNLINK").arg(&**key);
        Self {
            index,
            ..Self::of(Verb::Delete, key, cmd, 0)
        }
    }

    /// `key` holds the prefix, and then the key too.
    pub(super) fn new(index: usize, request: &Request<KeyRef<'_>>, key: &mut Vec<u8>) -> Self {
        let (verb, cmd, value) = match request {
            Request::Set { entry } if entry.value().len() > SHORT_VALUE_LEN => {
                key.extend_from_slice(entry.key().as_bytes());
                let mut cmd = Cmd::new();
                cmd.arg("SET").arg(&**key);
                (Verb::Set, cmd, Some(entry.clone()))
            }
            Request::Set { entry } => {
                key.extend_from_slice(entry.key().as_bytes());
                let len = COMMAND_LEN + key.len() + entry.value().len();
                let mut cmd = Cmd::with_capacity(3, len);
                cmd.arg("SET").arg(&**key).arg(entry.value());
                (Verb::Set, cmd, None)
            }
            Request::Get { key: name } => {
                key.extend_from_slice(name.as_str().as_bytes());
                let mut cmd = Cmd::with_capacity(4, COMMAND_LEN + key.len());
                cmd.arg("GETRANGE").arg(&**key).arg(0).arg(SHORT_VALUE_LAST);
                (Verb::Get, cmd, None)
            }
            Request::Delete { key: name } => {
                key.extend_from_slice(name.as_str().as_bytes());
                return Self::delete((index, key));
            }
            Request::Reset => unreachable!("a reset is a round of its own"),
        };
        let value_len = match request {
            Request::Set { entry } => entry.value().len(),
            _ => SHORT_VALUE_LEN,
        };
        Self {
            index,
            value,
            ..Self::of(verb, key, cmd, value_len)
        }
    }

    /// The first of its round, about this key and a value of so many bytes.
    fn of(verb: Verb, key: &[u8], cmd: Cmd, value_len: usize) -> Self {
        Self {
            index: 0,
            verb,
            slot: slot_of(key),
            redirection: None,
            cmd,
            value: None,
            len: COMMAND_LEN + key.len() + value_len,
        }
    }

    /// What is sent, which this leaves behind.
    pub(super) fn take_cmd(&mut self) -> Cmd {
        let mut cmd = std::mem::take(&mut self.cmd);
        if let Some(entry) = self.value.take() {
            cmd.arg(entry.value());
        }
        cmd
    }

    /// Its key, prefix and all.
    pub(super) fn key(&self) -> &[u8] {
        match self.cmd.args_iter().nth(1) {
            Some(Arg::Simple(key)) => key,
            _ => &[],
        }
    }

    /// What the answer means. Fails if it makes no sense, and so does not say
    /// whether a change was made.
    pub(super) fn outcome(&self, answer: Answer) -> Result<Outcome, StoreLost> {
        let reply = match (self.verb, answer) {
            (_, Answer::ServerError(error)) => refused(&error),
            (Verb::Set | Verb::Flush, Answer::Okay) => Reply::Done,
            (Verb::Delete, Answer::Int(0)) => Reply::NoKey,
            (Verb::Delete, Answer::Int(_)) => Reply::Done,
            (Verb::Set | Verb::Delete | Verb::Flush, _) => return Err(StoreLost),
            (Verb::Get, Answer::BulkString(text)) if text.len() == SHORT_VALUE_LEN => {
                return Ok(Outcome::Long);
            }
            (Verb::Measure, Answer::Int(len)) => {
                return Ok(Outcome::Measured(usize::try_from(len).unwrap_or_default()));
            }
            (Verb::Fetch, Answer::BulkString(text)) => return Ok(Outcome::Fetched(text)),
            (Verb::Get | Verb::Measure | Verb::Fetch, answer) => value_reply(answer),
        };
        Ok(Outcome::Replied(reply))
    }
}

impl LongValue {
    pub(super) fn new(prefix: &str, key: &str) -> Self {
        Self {
            key: [prefix, key].concat().into_bytes(),
        }
    }

    /// Asks how long the value is.
    pub(super) fn measure(&self) -> Command {
        self.command(Verb::Measure, "STRLEN", 0)
    }

    /// Asks for all of it, which may be so long.
    pub(super) fn fetch(&self, len: usize) -> Command {
        self.command(Verb::Fetch, "GET", len)
    }

    fn command(&self, verb: Verb, name: &str, value_len: usize) -> Command {
        let mut cmd = Cmd::with_capacity(2, COMMAND_LEN + self.key.len());
        cmd.arg(name).arg(&*self.key);
        Command::of(verb, &self.key, cmd, value_len)
    }
}

/// The reply to a GET that was answered so. No value is empty, so an empty
/// string says that there is none.
pub(super) fn value_reply(answer: Answer) -> Reply {
    match answer {
        Answer::Nil => Reply::NoValue,
        Answer::BulkString(text) if text.is_empty() => Reply::NoValue,
        Answer::BulkString(text) => match Value::read_stored(&text) {
            Ok(value) => Reply::Value(value),
            Err(NotStored::NoJson) => Reply::Unavailable(
                "The store has something under this key that is no JSON, so somebody else has \
                 written it; SET or DEL it."
                    .to_owned(),
            ),
            Err(NotStored::NoMemory) => (&BadRequest::NoMemory).into(),
        },
        Answer::ServerError(error) => refused(&error),
        _ => odd(),
    }
}
