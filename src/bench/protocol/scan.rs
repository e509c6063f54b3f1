//! What the bytes of a reply say.

use std::ops::Range;

/// What can be said about a reply before all of it is there.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::bench) enum Scan {
    /// Nothing yet: more bytes are needed.
    Early,
    /// It is so long, in bytes, and means this. All of it may not be there yet.
    Reply {
        len: usize,
        outcome: Outcome,
        /// Where the value lies, if the outcome is one.
        value: Range<usize>,
    },
}

impl Scan {
    /// A reply that carries no value.
    pub(super) fn plain(len: usize, outcome: Outcome) -> Self {
        Self::Reply {
            len,
            outcome,
            value: 0..0,
        }
    }
}

/// What a reply says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Outcome {
    /// A SET was executed.
    Done,
    /// A GET found a value.
    Value,
    /// A GET found nothing.
    Missing,
    /// Whatever was sent is back.
    Echoed,
    /// The server says that the request is at fault.
    BadRequest,
    /// The server says that it can't, now.
    Unavailable,
}

/// Bytes that no server of the protocol sends; holds what is wrong with them.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::bench) struct Malformed(pub(in crate::bench) String);

impl Malformed {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
        Self(format!("a reply begins with {shown:?}"))
    }
}

/// The longest line that is waited for, in bytes.
const LINE_LEN_MAX: usize = 4096;

/// The first line of `bytes` without its end, and where the next begins.
pub(super) fn line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Malformed> {
    // What lies further was looked at in vain, and would be again with each piece.
    let near = &bytes[..bytes.len().min(LINE_LEN_MAX + 1)];
    match near.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            let line = &bytes[..end];
            Ok(Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1)))
        }
        None if near.len() > LINE_LEN_MAX => Err(Malformed::new(bytes)),
        None => Ok(None),
    }
}

/// A length in decimal digits, as far as replies may be long.
pub(super) fn decimal(digits: &[u8]) -> Option<usize> {
    const LEN_MAX: usize = 1 << 31;

    let text = std::str::from_utf8(digits).ok()?;
    text.parse().ok().filter(|len| *len <= LEN_MAX)
}

/// Appends a number in decimal digits.
pub(super) fn push_decimal(out: &mut Vec<u8>, number: usize) {
    use std::io::Write;

    write!(out, "{number}").expect("a Vec takes all that is written to it");
}
