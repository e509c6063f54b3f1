//! RESP version 2, as Redis and Valkey speak it: arrays of bulk strings out,
//! simple strings, bulk strings and errors back.

use super::scan::{Malformed, Outcome, Scan, decimal, line, push_decimal};
use crate::bench::workload::KEY_LEN;

/// A line that is no command, which is an error.
pub(super) const MALFORMED: &[u8] = b"NONE k\r\n";

pub(super) fn push_get(out: &mut Vec<u8>, key: &[u8; KEY_LEN]) {
    out.extend_from_slice(b"*2\r\n$3\r\nGET\r\n$14\r\n");
    out.extend_from_slice(key);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn push_set(
    out: &mut Vec<u8>,
    key: &[u8; KEY_LEN],
    value_len: usize,
    value: impl FnOnce(&mut Vec<u8>, usize),
) {
    out.extend_from_slice(b"*3\r\n$3\r\nSET\r\n$14\r\n");
    out.extend_from_slice(key);
    out.extend_from_slice(b"\r\n$");
    push_decimal(out, value_len);
    out.extend_from_slice(b"\r\n");
    value(out, value_len);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn scan(bytes: &[u8]) -> Result<Scan, Malformed> {
    let Some((first, next)) = line(bytes)? else {
        return Ok(Scan::Early);
    };
    match first {
        b"+OK" => Ok(Scan::plain(next, Outcome::Done)),
        b"$-1" => Ok(Scan::plain(next, Outcome::Missing)),
        [b'$', digits @ ..] => {
            let value_len = decimal(digits).ok_or_else(|| Malformed::new(bytes))?;
            Ok(Scan::Reply {
                len: next + value_len + 2,
                outcome: Outcome::Value,
                value: next..next + value_len,
            })
        }
        // The first word of an error is its kind; only ERR and WRONGTYPE say
        // that the request is at fault.
        [b'-', sentence @ ..] => {
            let is_bad = sentence.starts_with(b"ERR ") || sentence.starts_with(b"WRONGTYPE ");
            let outcome = if is_bad && !sentence.starts_with(b"ERR max number of clients") {
                Outcome::BadRequest
            } else {
                Outcome::Unavailable
            };
            Ok(Scan::plain(next, outcome))
        }
        _ => Err(Malformed::new(bytes)),
    }
}
