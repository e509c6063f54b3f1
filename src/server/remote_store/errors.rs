//! What nodes answer in place of values, and what it is for a client.

use redis::{ErrorKind, RedisError, ServerError, Value};

use super::address::NodeAddress;
use crate::protocol::{BadRequest, Reply};

/// How many characters of a node's own words are passed on.
const WORDS_LEN_MAX: usize = 200;

/// Why commands have no answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendError {
    /// They were not sent: there is no connection to the node.
    Unreachable,
    /// They were not sent: others were before them for too long.
    Busy,
    /// They were not sent: there is no memory for them or their answers.
    NoMemory,
    /// They may have been executed, or not.
    Unknown,
}

impl SendError {
    /// Its name in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Busy => "busy",
            Self::NoMemory => "no_memory",
            Self::Unknown => "unknown",
        }
    }

    /// The reply to a request that was not executed, or `None` if it may have
    /// been.
    pub(super) fn reply(self) -> Option<Reply> {
        let sentence = match self {
            Self::Unreachable => {
                "A node of the store that this needs can't be reached, so nothing was done; \
                 try again in a second."
            }
            Self::Busy => {
                "A node of the store that this needs does not keep up, so nothing was done; \
                 try again more slowly."
            }
            Self::NoMemory => return Some((&BadRequest::NoMemory).into()),
            Self::Unknown => return None,
        };
        Some(Reply::Unavailable(sentence.to_owned()))
    }
}

/// Where a node sends commands that are for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Redirection {
    pub(super) node: NodeAddress,
    /// Only this time, and it has to be told.
    pub(super) is_ask: bool,
}

impl Redirection {
    /// `None` if the answer is no redirection, or a wrong one.
    pub(super) fn of(answer: &Value, from: &NodeAddress) -> Option<Self> {
        let Value::ServerError(error) = answer else {
            return None;
        };
        let is_ask = match error.code() {
            "MOVED" => false,
            "ASK" => true,
            _ => return None,
        };
        let (_slot, address) = error.details()?.split_once(' ')?;
        Some(Self {
            node: NodeAddress::of_redirection(address, from)?,
            is_ask,
        })
    }
}

/// Whether the node may not be the one that has the key any more.
pub(super) fn is_out_of_date(error: &ServerError) -> bool {
    matches!(error.code(), "MOVED" | "READONLY" | "MASTERDOWN")
}

/// Something about which a node's operator has to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) code: &'static str,
    /// None of the node's own words: they may have a part of a key or a value.
    pub(super) sentence: &'static str,
}

impl Complaint {
    /// `None` if the answer is no refusal, or one that passes, or is about one
    /// entry.
    pub(super) fn of(answer: &Value) -> Option<Self> {
        let Value::ServerError(error) = answer else {
            return None;
        };
        let (code, sentence) = match error.code() {
            "MOVED" | "ASK" | "TRYAGAIN" | "WRONGTYPE" => return None,
            "OOM" => (
                "OOM",
                "its memory is full; remove entries, or raise its maxmemory",
            ),
            "NOPERM" => (
                "NOPERM",
                "give the user in --store the rights that docs/scaling.md lists, on every node",
            ),
            "NOAUTH" => (
                "NOAUTH",
                "it wants a password; put it into SPEICHER_STORE_PASSWORD",
            ),
            "READONLY" => (
                "READONLY",
                "it is a replica; name its primary in --store, unless it has just become one",
            ),
            "CLUSTERDOWN" => (
                "CLUSTERDOWN",
                "the cluster lacks nodes that have slots; start them, or assign the slots anew",
            ),
            "MASTERDOWN" => ("MASTERDOWN", "it is a replica whose primary is down"),
            "LOADING" => ("LOADING", "it is loading its entries"),
            "NOREPLICAS" => (
                "NOREPLICAS",
                "it has fewer replicas than its min-replicas-to-write",
            ),
            "MISCONF" => (
                "MISCONF",
                "it can't save its entries to its disk; its own log says why",
            ),
            _ => ("other", "its own log or its version may say why"),
        };
        Some(Self { code, sentence })
    }
}

/// The reply to a request that a node has refused, and so not executed (A6).
pub(super) fn refused(error: &ServerError) -> Reply {
    let sentence = match error.code() {
        "OOM" => "The store's memory is full; remove entries, or raise the maxmemory of its nodes.",
        "MOVED" | "ASK" | "TRYAGAIN" => return slots_move(),
        "READONLY" => {
            "The store's node is a replica and takes no changes; try again in a second, or name \
             its primary in --store."
        }
        "CLUSTERDOWN" | "MASTERDOWN" => return unowned(),
        "LOADING" => "The store's node is loading its entries; try again in a few seconds.",
        "NOREPLICAS" => "The store's node has too few replicas to take changes; try again later.",
        "NOAUTH" | "NOPERM" | "WRONGPASS" => {
            "The store refuses the user that this server is for it; its operator has to mend that."
        }
        "WRONGTYPE" => {
            "The store has something under this key that is no value of this protocol; \
             remove it there, or SET it."
        }
        _ => {
            return Reply::Unavailable(format!("The store refused the request: {}.", words(error)));
        }
    };
    Reply::Unavailable(sentence.to_owned())
}

/// The reply to a request for an entry that goes from one node to another.
pub(super) fn slots_move() -> Reply {
    Reply::Unavailable(
        "The entry moves between the store's nodes, so nothing was done; try again.".to_owned(),
    )
}

/// The reply to a request for which no node is responsible.
pub(super) fn unowned() -> Reply {
    Reply::Unavailable(
        "The store has no node for this at the moment, so nothing was done; try again in a second."
            .to_owned(),
    )
}

/// The reply where a node's answer makes no sense.
pub(super) fn odd() -> Reply {
    Reply::Unavailable(
        "The store's answer makes no sense; its operator has to check that --store names a Redis \
         or Valkey server."
            .to_owned(),
    )
}

fn words(error: &ServerError) -> String {
    let words = format!("{} {}", error.code(), error.details().unwrap_or_default());
    shortened(words.trim_end())
}

/// Why a node can't be reached, for people. None of its own words: some repeat
/// what they were sent, and that may be the password.
pub(super) fn told(error: &RedisError) -> String {
    if error.is_timeout() {
        return "it does not answer".to_owned();
    }
    let words = error.to_string();
    let told = match error.kind() {
        // The system's words.
        ErrorKind::Io => return shortened(&words),
        _ if words.contains("unknown command") => {
            "it does not know HELLO; Redis has it from version 6 on"
        }
        _ if lacks_rights(&words) => "it lets that user do too little",
        _ if is_refusal(error) => "it refuses that user or password",
        _ => match error.code() {
            Some(code) => return format!("it answers {}", shortened(code)),
            None => "it does not answer as a Redis server does",
        },
    };
    told.to_owned()
}

fn shortened(words: &str) -> String {
    words.chars().take(WORDS_LEN_MAX).collect()
}

/// Whether it is this server's user who is refused.
fn is_refusal(error: &RedisError) -> bool {
    let words = error.to_string();
    error.kind() == ErrorKind::AuthenticationFailed
        || ["WRONGPASS", "NOAUTH"]
            .iter()
            .any(|code| words.contains(code))
        || lacks_rights(&words)
}

fn lacks_rights(words: &str) -> bool {
    words.contains("NOPERM") || words.contains("no permissions")
}

/// What a server does that is spoken to with TLS and has none, or the other way
/// round.
fn is_silence(error: &RedisError) -> bool {
    error.is_timeout() || error.is_connection_dropped()
}

/// Whether what was answered to `CLUSTER SLOTS` says that there is no cluster,
/// and not that the user may not ask.
pub(super) fn knows_no_cluster(error: &ServerError) -> bool {
    let details = error.details().unwrap_or_default();
    [
        "cluster support disabled",
        "unknown command",
        "unknown subcommand",
    ]
    .iter()
    .any(|words| details.contains(words))
}

/// What helps against it, for people; with TLS or without.
pub(super) fn remedy(error: &RedisError, is_tls: bool) -> &'static str {
    let words = error.to_string();
    if is_refusal(error) {
        "check the user in --store and the password in SPEICHER_STORE_PASSWORD; the user needs \
         the commands that docs/scaling.md lists"
    } else if words.contains("certificate") {
        "put the certificate of the authority that signed its own into a file, and name that file \
         in SSL_CERT_FILE; the host in --store has to be the one that its own is for"
    } else if error.is_connection_refusal() || !is_silence(error) {
        "start it, or mend --store"
    } else if is_tls {
        "mend --store; where nothing speaks TLS, the address begins with redis, not rediss"
    } else {
        "mend --store; what speaks TLS has an address that begins with rediss"
    }
}
