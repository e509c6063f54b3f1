//! What is answered: a [`Reply`] becomes the bytes of a frame.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice, Write};

use super::frame;
use super::object::{Member, members};
use super::value::Value;

/// The number that every reply carries (A1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum StatusCode {
    /// Done.
    Ok = 200,
    /// The request can't be understood or is over a limit.
    BadRequest = 400,
    /// There is no entry of that key.
    NotFound = 404,
    /// Not executed; asking again later can help (A6).
    Unavailable = 503,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// SET, RST, or DEL of a key that was there (A3).
    Done,
    /// GET of a key that is there (A2, A2a).
    Value(Value),
    /// GET of a key that is not there (A3).
    NoValue,
    /// DEL of a key that was not there (A3).
    NoKey,
    /// The request is at fault; the sentence says how to mend it (A4).
    BadRequest(String),
    /// Not executed; the sentence says why and what helps (A4, A6).
    Unavailable(String),
}

impl Reply {
    /// The reply's number (A1).
    pub fn status_code(&self) -> StatusCode {
        match self {
            Self::Done | Self::Value(_) => StatusCode::Ok,
            Self::NoValue | Self::NoKey => StatusCode::NotFound,
            Self::BadRequest(_) => StatusCode::BadRequest,
            Self::Unavailable(_) => StatusCode::Unavailable,
        }
    }

    /// Reads the payload of a reply's frame, as a client does.
    pub fn parse(payload: &[u8]) -> Result<Self, MalformedReply> {
        let text = std::str::from_utf8(payload).map_err(MalformedReply::new)?;
        let [status_code, value, error] =
            members(text, &["status_code", "value", "error"]).map_err(MalformedReply::new)?;
        let status_code = status_code.map_or("", Member::json);
        let sentence = || {
            let sentence = error.and_then(Member::string).unwrap_or_default();
            sentence.into_owned()
        };
        match (status_code, value) {
            ("200", Some(value)) => Ok(Self::Value(Value::of_text(value.json()))),
            ("200", None) => Ok(Self::Done),
            ("404", Some(_)) => Ok(Self::NoValue),
            ("404", None) => Ok(Self::NoKey),
            ("400", _) => Ok(Self::BadRequest(sentence())),
            ("503", _) => Ok(Self::Unavailable(sentence())),
            ("", _) => Err(MalformedReply::new("it has no status_code")),
            (other, _) => Err(MalformedReply::new(format_args!(
                "its status_code {other} is none of 200, 400, 404 and 503"
            ))),
        }
    }
}

/// A reply that no server of this protocol sends; holds what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedReply(String);

impl MalformedReply {
    pub(crate) fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

impl fmt::Display for MalformedReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the reply is malformed: {}", self.0)
    }
}

impl std::error::Error for MalformedReply {}

/// Values from this length on, in bytes, are written from where the store
/// keeps them; copying a shorter one is cheaper than a further slice.
const SHARED_LEN_MIN: usize = 8 << 10;

/// The most slices, and the most bytes, that one write is given. The kernel
/// would take megabytes at once, which takes it milliseconds.
const SLICES_MAX: usize = 16;
const WRITE_LEN_MAX: usize = 512 << 10;

/// The bytes of replies that wait for the socket, in order.
///
/// A frame's header and payload are handed over in one write (F2a).
#[derive(Debug, Default)]
pub struct Encoder {
    /// What goes before `tail`; empty unless long values wait.
    chunks: VecDeque<Chunk>,
    tail: Vec<u8>,
    /// Bytes of the first chunk, or of `tail` where there is none, that the
    /// socket has taken.
    sent: usize,
    pending: usize,
}

#[derive(Debug)]
enum Chunk {
    Owned(Vec<u8>),
    Shared(Value),
}

impl Chunk {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(value) => value.as_bytes(),
        }
    }
}

impl Encoder {
    /// Appends the frame of `reply`.
    pub fn push(&mut self, reply: &Reply) {
        match reply {
            Reply::Done => self.push_payload(&[br#"{"status_code":200}"#]),
            Reply::NoValue => self.push_payload(&[br#"{"status_code":404,"value":null}"#]),
            Reply::NoKey => self.push_payload(&[br#"{"status_code":404}"#]),
            Reply::Value(value) => self.push_value(value),
            Reply::BadRequest(error) => {
                self.push_error(br#"{"status_code":400,"error":"#, error);
            }
            Reply::Unavailable(error) => {
                self.push_error(br#"{"status_code":503,"error":"#, error);
            }
        }
    }

    /// Bytes that the socket has not taken yet.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Hands what is pending to one `write`, but no more than 512 KiB, and
    /// returns how much it took.
    pub fn write_to(&mut self, writer: &mut impl Write) -> io::Result<usize> {
        let n = if self.chunks.is_empty() {
            let pending = &self.tail[self.sent..];
            writer.write(&pending[..pending.len().min(WRITE_LEN_MAX)])?
        } else {
            let bytes = self.chunks.iter().map(Chunk::as_bytes);
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let mut count = 0;
            let mut left = WRITE_LEN_MAX;
            for (slice, bytes) in slices.iter_mut().zip(bytes.chain([&self.tail[..]])) {
                let skip = if count == 0 { self.sent } else { 0 };
                let len = left.min(bytes.len() - skip);
                *slice = IoSlice::new(&bytes[skip..skip + len]);
                count += 1;
                left -= len;
                if left == 0 {
                    break;
                }
            }
            writer.write_vectored(&slices[..count])?
        };
        self.advance(n);
        Ok(n)
    }

    /// Takes a buffer, if it has none of its own; see [`release`](Self::release).
    pub fn acquire(&mut self, buffer: &mut Vec<u8>) {
        if self.tail.capacity() == 0 {
            std::mem::swap(&mut self.tail, buffer);
        }
    }

    /// Gives up the buffer if nothing is pending, so that many quiet
    /// connections share one.
    pub fn release(&mut self, buffer: &mut Vec<u8>) {
        if self.pending == 0 {
            self.chunks = VecDeque::new();
            let own = std::mem::take(&mut self.tail);
            // If another connection's has come back meanwhile, one is enough.
            if buffer.capacity() == 0 {
                *buffer = own;
            }
        }
    }

    /// Keeps no more than what is pending.
    pub(crate) fn shrink(&mut self) {
        for chunk in &mut self.chunks {
            if let Chunk::Owned(bytes) = chunk {
                bytes.shrink_to_fit();
            }
        }
        if self.chunks.is_empty() {
            self.tail.drain(..std::mem::take(&mut self.sent));
        }
        self.tail.shrink_to_fit();
    }

    fn advance(&mut self, n: usize) {
        self.pending -= n;
        self.sent += n;
        while let Some(first) = self.chunks.front() {
            let len = first.as_bytes().len();
            if self.sent < len {
                return;
            }
            self.sent -= len;
            self.chunks.pop_front();
        }
        if self.sent == self.tail.len() {
            self.tail.clear();
            self.sent = 0;
        }
    }

    fn push_value(&mut self, value: &Value) {
        const HEAD: &[u8] = br#"{"status_code":200,"value":"#;
        const FOOT: &[u8] = b"}";
        let json = value.as_bytes();
        if json.len() < SHARED_LEN_MIN {
            self.push_payload(&[HEAD, json, FOOT]);
            return;
        }
        self.push_header(HEAD.len() + json.len() + FOOT.len());
        self.push_bytes(HEAD);
        self.chunks
            .push_back(Chunk::Owned(std::mem::take(&mut self.tail)));
        self.chunks.push_back(Chunk::Shared(value.clone()));
        self.pending += json.len();
        self.push_bytes(FOOT);
    }

    fn push_error(&mut self, head: &[u8], error: &str) {
        let mut payload = head.to_vec();
        push_json_string(&mut payload, error);
        payload.push(b'}');
        self.push_payload(&[&payload]);
    }

    fn push_payload(&mut self, parts: &[&[u8]]) {
        self.push_header(parts.iter().map(|part| part.len()).sum());
        for part in parts {
            self.push_bytes(part);
        }
    }

    fn push_header(&mut self, payload_len: usize) {
        // What surrounds a value in the reply is shorter than what surrounded
        // it in the SET, whose frame was within the limit.
        let header = frame::header(payload_len).expect("shorter than the request it came in");
        self.push_bytes(&header);
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.pending += bytes.len();
    }
}

/// Appends `text` as a JSON string.
pub(crate) fn push_json_string(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect("a Vec takes all that is written to it");
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::protocol::frame::read_frame;

    /// Takes at most `most` bytes a write, as a socket with little room does.
    struct Narrow {
        most: usize,
        taken: Vec<u8>,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.most);
            self.taken.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn value_of_len(len: usize) -> Reply {
        let text = format!("\"{}\"", "v".repeat(len - 2));
        let json: &RawValue = serde_json::from_str(&text).expect("a JSON string");
        Reply::Value(Value::new(json))
    }

    #[test]
    fn replies_survive_any_narrow_socket() {
        let replies = [
            Reply::Done,
            value_of_len(SHARED_LEN_MIN),
            value_of_len(SHARED_LEN_MIN - 1),
            Reply::NoValue,
            value_of_len(3 * SHARED_LEN_MIN),
            value_of_len(SHARED_LEN_MIN),
            Reply::NoKey,
            Reply::BadRequest("\"quoted\" \u{1} ü".to_owned()),
        ];
        for most in [1, 7, 1000, SHARED_LEN_MIN, usize::MAX] {
            let mut encoder = Encoder::default();
            for reply in &replies {
                encoder.push(reply);
            }
            let mut socket = Narrow {
                most,
                taken: Vec::new(),
            };
            while encoder.pending() > 0 {
                encoder.write_to(&mut socket).expect("a Vec");
            }
            let mut stream = &socket.taken[..];
            for reply in &replies {
                let payload = read_frame(&mut stream, usize::MAX).expect("a frame");
                let payload = payload.expect("a reply for each request");
                assert_eq!(Reply::parse(&payload).as_ref(), Ok(reply));
            }
            assert!(stream.is_empty());
        }
    }

    #[test]
    fn replies_outside_the_protocol_are_malformed() {
        for payload in [
            "",
            "[]",
            "{}",
            r#"{"status_code":100}"#,
            r#"{"status_code":"200"}"#,
            r#"{"status_code":200.0}"#,
        ] {
            assert!(Reply::parse(payload.as_bytes()).is_err(), "{payload}");
        }
    }
}
