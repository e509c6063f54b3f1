//! Requests of one batch that go out together, and what becomes of them. Pure:
//! it neither sends nor waits.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use redis::{Arg, Cmd, Value as Answer};

use super::address::NodeAddress;
use super::errors::{Redirection, odd, refused};
use super::topology::slot_of;
use crate::protocol::{BadRequest, KeyRef, NotStored, Reply, Request, Value};
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
}

impl Verb {
    pub(super) fn changes(self) -> bool {
        matches!(self, Self::Set | Self::Delete)
    }
}

/// What is known of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    Replied(Reply),
    /// A value is there, and is long.
    Long(LongValue),
    /// It has so many bytes.
    Measured(usize),
    /// Its text.
    Fetched(Vec<u8>),
}

/// A value that has to be fetched alone.
#[derive(Clone, Debug)]
pub(super) struct LongValue {
    key: Vec<u8>,
}

/// What a batch has next.
#[derive(Debug)]
pub(super) enum Round {
    Commands(Vec<Command>),
    Reset,
}

impl Round {
    /// Takes requests from the first on, as many as can go out together: up to
    /// a reset, and up to a change of a key that an earlier one reads, because
    /// that value may be long and has to be fetched before it is changed.
    pub(super) fn plan<'a>(
        requests: impl Iterator<Item = Request<KeyRef<'a>>>,
        prefix: &str,
    ) -> Self {
        let mut commands = Vec::new();
        let mut read = HashSet::<u64, BuildHasherDefault<HashOfHash>>::default();
        let mut key = prefix.as_bytes().to_vec();
        for request in requests {
            let changes = matches!(request, Request::Set { .. } | Request::Delete { .. });
            let hash = request.key_hash();
            match request {
                Request::Reset if commands.is_empty() => return Self::Reset,
                Request::Reset => break,
                _ if changes && read.contains(&hash) => break,
                Request::Get { .. } => {
                    read.insert(hash);
                }
                Request::Set { .. } | Request::Delete { .. } => {}
            }
            key.truncate(prefix.len());
            commands.push(Command::new(commands.len(), &request, &mut key));
        }
        Self::Commands(commands)
    }
}

/// Hashes what is a hash already: by itself.
#[derive(Default)]
struct HashOfHash(u64);

impl Hasher for HashOfHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a u64 is written at once");
    }
}

impl Command {
    /// The removal of a key that a node has named, prefix and all.
    pub(super) fn delete((index, key): (usize, &Vec<u8>)) -> Self {
        let mut cmd = Cmd::with_capacity(2, COMMAND_LEN + key.len());
        cmd.arg("UNLINK").arg(&**key);
        Self {
            index,
            verb: Verb::Delete,
            slot: slot_of(key),
            redirection: None,
            len: COMMAND_LEN + key.len(),
            cmd,
        }
    }

    /// `key` holds the prefix, and then the key too.
    fn new(index: usize, request: &Request<KeyRef<'_>>, key: &mut Vec<u8>) -> Self {
        let (verb, cmd) = match request {
            Request::Set { entry } => {
                key.extend_from_slice(entry.key().as_bytes());
                let len = COMMAND_LEN + key.len() + entry.value().len();
                let mut cmd = Cmd::with_capacity(3, len);
                cmd.arg("SET").arg(&**key).arg(entry.value());
                (Verb::Set, cmd)
            }
            Request::Get { key: name } => {
                key.extend_from_slice(name.as_str().as_bytes());
                let mut cmd = Cmd::with_capacity(4, COMMAND_LEN + key.len());
                cmd.arg("GETRANGE").arg(&**key).arg(0).arg(SHORT_VALUE_LAST);
                (Verb::Get, cmd)
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
            verb,
            slot: slot_of(key),
            redirection: None,
            len: COMMAND_LEN + key.len() + value_len,
            cmd,
        }
    }

    fn key(&self) -> &[u8] {
        match self.cmd.args_iter().nth(1) {
            Some(Arg::Simple(key)) => key,
            _ => &[],
        }
    }

    /// What the answer means. Fails if it makes no sense, and so does not say
    /// whether a change was made.
    fn outcome(&self, answer: Answer) -> Result<Outcome, StoreLost> {
        let reply = match (self.verb, answer) {
            (_, Answer::ServerError(error)) => refused(&error),
            (Verb::Set, Answer::Okay) => Reply::Done,
            (Verb::Delete, Answer::Int(0)) => Reply::NoKey,
            (Verb::Delete, Answer::Int(_)) => Reply::Done,
            (Verb::Set | Verb::Delete, _) => return Err(StoreLost),
            (Verb::Get, Answer::BulkString(text)) if text.len() == SHORT_VALUE_LEN => {
                let key = self.key().to_vec();
                return Ok(Outcome::Long(LongValue { key }));
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

/// What one node's answers to commands come to.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// With their places in the round.
    pub(super) outcomes: Vec<(usize, Outcome)>,
    /// What has to be sent again, elsewhere, in order.
    pub(super) again: Vec<Command>,
}

/// Sorts out what a node has answered. All commands for one key have gone to
/// the same node, and were not executed if it has redirected them.
///
/// A key's commands are executed in order, also if only some were redirected: a
/// read after one that was is done again, and one before a change that was
/// made is refused.
pub(super) fn settle(
    commands: Vec<Command>,
    answers: Vec<Answer>,
    from: &NodeAddress,
) -> Result<Settled, StoreLost> {
    let redirection = |answer: &Answer| match answer {
        Answer::ServerError(error) => Redirection::read(error, from),
        _ => None,
    };
    let mut settled = Settled::default();
    if !answers.iter().any(|answer| redirection(answer).is_some()) {
        settled.outcomes.reserve_exact(commands.len());
        for (command, answer) in commands.iter().zip(answers) {
            let outcome = command.outcome(answer)?;
            settled.outcomes.push((command.index, outcome));
        }
        return Ok(settled);
    }
    let mut last_change = HashMap::new();
    for (place, (command, answer)) in commands.iter().zip(&answers).enumerate() {
        if command.verb.changes() && !matches!(answer, Answer::ServerError(_)) {
            last_change.insert(command.key().to_vec(), place);
        }
    }
    let mut redirected = HashMap::new();
    for (place, (command, answer)) in commands.into_iter().zip(answers).enumerate() {
        let redirection = redirection(&answer);
        let key = command.key();
        let is_before_a_change = last_change.get(key).is_some_and(|change| *change > place);
        let is_after_one = redirected.contains_key(key) && command.verb == Verb::Get;
        match redirection {
            Some(redirection) if !is_before_a_change => {
                redirected.insert(key.to_vec(), Box::new(redirection));
                settled.again.push(command);
            }
            None if is_after_one => settled.again.push(command),
            _ => {
                let outcome = command.outcome(answer)?;
                settled.outcomes.push((command.index, outcome));
            }
        }
    }
    // A key's commands go to one node again, the one that was named last.
    for command in &mut settled.again {
        command.redirection = redirected.get(command.key()).cloned();
    }
    Ok(settled)
}

impl LongValue {
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
        Command {
            index: 0,
            verb,
            slot: slot_of(&self.key),
            redirection: None,
            cmd,
            len: COMMAND_LEN + self.key.len() + value_len,
        }
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
