//! How requests and replies look in each protocol: one file for each, all
//! with the same three functions.

mod echo;
mod memcached;
mod message;
mod resp;
mod scan;
mod speicher;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::workload::{KEY_LEN, Operation, Values, Workload, key_bytes};

pub(super) use message::Message;
pub(super) use scan::{Malformed, Outcome, Scan};

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Frames of JSON; docs/protocol.md.
    Speicher,
    /// That of Redis and Valkey, version 2.
    Resp,
    /// memcached's text protocol.
    Memcached,
    /// What comes is returned: the floor under the others.
    Echo,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 4] = [Self::Speicher, Self::Resp, Self::Memcached, Self::Echo];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Speicher => "speicher",
            Self::Resp => "resp",
            Self::Memcached => "memcached",
            Self::Echo => "echo",
        }
    }

    /// Whether it has entries, which an echo does not.
    pub fn has_entries(self) -> bool {
        self != Self::Echo
    }

    /// The longest value that a server takes as compare starts it, in bytes, and somewhat less.
    pub(super) fn value_len_max(self) -> usize {
        match self {
            Self::Speicher | Self::Echo => (64 << 20) - 1024,
            Self::Resp => (512 << 20) - 1024,
            // `-I 4m`, of which the item's own head is a part.
            Self::Memcached => (4 << 20) - (64 << 10),
        }
    }

    /// Appends the request.
    pub(super) fn push(self, out: &mut Vec<u8>, operation: Operation, values: &Values) {
        let key = key_bytes(operation.key);
        let Operation { salt, .. } = operation;
        let value = |out: &mut Vec<u8>, len| values.push(out, operation.key, salt, len);
        let value_len = operation.value_len;
        match self {
            _ if !operation.is_get => self.push_set(out, &key, value_len, value),
            Self::Speicher => speicher::push_get(out, &key),
            Self::Resp => resp::push_get(out, &key),
            Self::Memcached => memcached::push_get(out, &key),
            Self::Echo => echo::push_get(out, &key, value_len, value),
        }
    }

    fn push_set(
        self,
        out: &mut Vec<u8>,
        key: &[u8; KEY_LEN],
        value_len: usize,
        value: impl FnOnce(&mut Vec<u8>, usize),
    ) {
        match self {
            Self::Speicher => speicher::push_set(out, key, value_len, value),
            Self::Resp => resp::push_set(out, key, value_len, value),
            Self::Memcached => memcached::push_set(out, key, value_len, value),
            Self::Echo => echo::push_set(out, key, value_len, value),
        }
    }

    /// What a reply says for people, in quotes and without control characters; its begin, if it is
    /// long.
    pub(super) fn sentence(self, reply: &[u8]) -> String {
        const SHOWN_LEN_MAX: usize = 300;

        let said = match self {
            Self::Speicher => speicher::sentence(reply),
            Self::Resp | Self::Memcached | Self::Echo => None,
        };
        let said = said.unwrap_or_else(|| String::from_utf8_lossy(reply).into_owned());
        let shown: String = said.trim().chars().take(SHOWN_LEN_MAX).collect();
        format!("{shown:?}")
    }

    /// A GET of the key.
    pub(super) fn get(self, key: u32) -> Vec<u8> {
        let operation = Operation {
            key,
            is_get: true,
            value_len: 64,
            salt: 0,
        };
        let mut out = Vec::new();
        self.push(&mut out, operation, &Values::new(&Workload::default()));
        out
    }

    /// A SET of a value of so many bytes.
    pub(super) fn long_set(self, key: u32, value_len: usize) -> Message {
        let key = key_bytes(key);
        let mut bytes = Vec::new();
        let (mut middle, mut filling) = (0, 0);
        let quotes = |out: &mut Vec<u8>, len: usize| {
            out.push(b'"');
            (middle, filling) = (out.len(), len - 2);
            out.push(b'"');
        };
        self.push_set(&mut bytes, &key, value_len, quotes);
        let foot = bytes.split_off(middle);
        Message::filled(bytes, filling, foot)
    }

    /// A small request that no server of the protocol executes, and after which it goes on;
    /// `None` where whatever comes is right.
    pub(super) fn malformed(self) -> Option<&'static [u8]> {
        match self {
            Self::Speicher => Some(speicher::MALFORMED),
            Self::Resp => Some(resp::MALFORMED),
            Self::Memcached => Some(memcached::MALFORMED),
            Self::Echo => None,
        }
    }

    /// Looks at the reply that `bytes` begin with.
    pub(super) fn scan(self, bytes: &[u8]) -> Result<Scan, Malformed> {
        match self {
            Self::Speicher => speicher::scan(bytes),
            Self::Resp => resp::scan(bytes),
            Self::Memcached => memcached::scan(bytes),
            Self::Echo => echo::scan(bytes),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| {
            format!(
                "there is no protocol {name:?}; choose one of {}",
                Self::ALL.map(Self::name).join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Decoder, Encoder, Frame, Reply, Request, Value};

    fn operation(is_get: bool) -> Operation {
        Operation {
            key: 42,
            is_get,
            value_len: 64,
            salt: 3,
        }
    }

    fn pushed(protocol: Protocol, is_get: bool) -> Vec<u8> {
        let values = Values::new(&Workload::default());
        let mut out = Vec::new();
        protocol.push(&mut out, operation(is_get), &values);
        out
    }

    fn value() -> Vec<u8> {
        let mut value = Vec::new();
        Values::new(&Workload::default()).push(&mut value, 42, 3, 64);
        value
    }

    /// The server's own decoder and parser read what the generator writes.
    #[test]
    fn speicher_requests_are_what_the_server_parses() {
        for is_get in [true, false] {
            let bytes = pushed(Protocol::Speicher, is_get);
            let mut decoder = Decoder::new(1000);
            decoder.read_from(&mut &bytes[..]).expect("a slice");
            let payload = decoder.next_frame().expect("in step").expect("whole");
            let Frame::Short(payload) = payload else {
                panic!("long");
            };
            match Request::parse(payload).expect("a request") {
                Request::Get { key } => assert!(is_get && key.as_str() == "key:0000000042"),
                Request::Set { entry } => {
                    assert_eq!(entry.key(), "key:0000000042");
                    assert_eq!(entry.value(), value());
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// What the server's encoder writes is understood, cut at any byte.
    #[test]
    fn speicher_replies_are_understood_in_any_pieces() {
        let json = String::from_utf8(value()).expect("ASCII");
        let json = serde_json::value::RawValue::from_string(json).expect("JSON");
        for (reply, outcome) in [
            (Reply::Done, Outcome::Done),
            (Reply::Value(Value::new(&json)), Outcome::Value),
            (Reply::NoValue, Outcome::Missing),
            (Reply::BadRequest("no".to_owned()), Outcome::BadRequest),
            (Reply::Unavailable("no".to_owned()), Outcome::Unavailable),
        ] {
            let mut encoder = Encoder::default();
            encoder.push(&reply);
            let mut bytes = Vec::new();
            encoder.write_to(&mut bytes).expect("a Vec");
            assert_scanned(Protocol::Speicher, &bytes, outcome);
        }
    }

    /// Before the value stands much that could be its begin.
    #[test]
    fn a_value_is_found_in_linear_time_and_where_it_stands() {
        let value = format!("\"{}\"", "v".repeat(1 << 20));
        let other = format!("\"{}w\"", "v".repeat(1 << 20));
        let json = format!("{{\"other\": {other}, \"value\": {value}, \"status_code\": 200}}");
        let header = u32::try_from(json.len()).expect("short").to_be_bytes();
        let bytes = [&header, json.as_bytes()].concat();
        match Protocol::Speicher.scan(&bytes) {
            Ok(Scan::Reply { value: range, .. }) => assert_eq!(&bytes[range], value.as_bytes()),
            other => panic!("{other:?}"),
        }
    }

    /// The replies of Redis and memcached, from their documentation.
    #[test]
    fn replies_of_redis_and_memcached_are_understood_in_any_pieces() {
        let text = String::from_utf8(value()).expect("ASCII");
        let cases = [
            (Protocol::Resp, "+OK\r\n".to_owned(), Outcome::Done),
            (Protocol::Resp, format!("$64\r\n{text}\r\n"), Outcome::Value),
            (Protocol::Resp, "$-1\r\n".to_owned(), Outcome::Missing),
            (
                Protocol::Resp,
                "-ERR unknown command\r\n".to_owned(),
                Outcome::BadRequest,
            ),
            (
                Protocol::Resp,
                "-OOM command not allowed\r\n".to_owned(),
                Outcome::Unavailable,
            ),
            (Protocol::Memcached, "STORED\r\n".to_owned(), Outcome::Done),
            (
                Protocol::Memcached,
                format!("VALUE key:0000000042 0 64\r\n{text}\r\nEND\r\n"),
                Outcome::Value,
            ),
            (Protocol::Memcached, "END\r\n".to_owned(), Outcome::Missing),
            (
                Protocol::Memcached,
                "CLIENT_ERROR bad data chunk\r\n".to_owned(),
                Outcome::BadRequest,
            ),
            (
                Protocol::Memcached,
                "SERVER_ERROR out of memory storing object\r\n".to_owned(),
                Outcome::Unavailable,
            ),
        ];
        for (protocol, bytes, outcome) in cases {
            assert_scanned(protocol, bytes.as_bytes(), outcome);
        }
    }

    /// Its own requests are what an echo answers with.
    #[test]
    fn an_echo_returns_as_many_bytes_as_the_others_move_both_ways() {
        for is_get in [true, false] {
            let echo = pushed(Protocol::Echo, is_get);
            assert_scanned(Protocol::Echo, &echo, Outcome::Echoed);
            let request = pushed(Protocol::Speicher, is_get).len();
            let reply = if is_get { 4 + 28 + 64 } else { 4 + 19 };
            let moved = request + reply;
            assert!(
                (moved - 1..=moved + 1).contains(&(2 * echo.len())),
                "{is_get}"
            );
        }
    }

    #[test]
    fn what_no_server_sends_is_malformed() {
        for (protocol, bytes) in [
            (Protocol::Speicher, &b"\xff\xff\xff\xff{}"[..]),
            (Protocol::Speicher, b"\0\0\0\x02[]"),
            (Protocol::Speicher, b"\0\0\0\x13{\"status_code\":999}"),
            (
                Protocol::Speicher,
                b"\0\0\0\x1b{\"status_code\":200,\"value\":",
            ),
            (
                Protocol::Speicher,
                b"\0\0\0\x1c{\"status_code\":200,\"value\":}",
            ),
            (Protocol::Resp, b"HTTP/1.1 400 Bad Request\r\n"),
            (Protocol::Resp, b"$x\r\n"),
            (Protocol::Memcached, b"VALUE key\r\n"),
            (Protocol::Memcached, b"STORE\r\n"),
        ] {
            assert!(protocol.scan(bytes).is_err(), "{protocol}: {bytes:?}");
        }
    }

    fn assert_scanned(protocol: Protocol, bytes: &[u8], expected: Outcome) {
        for cut in 0..bytes.len() {
            match protocol.scan(&bytes[..cut]) {
                Ok(Scan::Early) => {}
                Ok(Scan::Reply { len, outcome, .. }) => {
                    assert_eq!((len, outcome), (bytes.len(), expected), "cut at {cut}");
                }
                Err(Malformed(sentence)) => panic!("{protocol} cut at {cut}: {sentence}"),
            }
        }
        let followed = [bytes, b"more"].concat();
        match protocol.scan(&followed) {
            Ok(Scan::Reply {
                len,
                outcome,
                value: range,
            }) => {
                assert_eq!((len, outcome), (bytes.len(), expected));
                if outcome == Outcome::Value {
                    assert_eq!(followed[range], value());
                }
            }
            other => panic!("{protocol}: {other:?}"),
        }
    }
}
