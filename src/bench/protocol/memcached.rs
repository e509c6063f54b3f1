//! memcached's text protocol: `get` and `set` without flags and expiry.

use super::scan::{Malformed, Outcome, Scan, decimal, line, push_decimal};
use crate::bench::workload::KEY_LEN;

/// A line that is no command, which is an error.
pub(super) const MALFORMED: &[u8] = b"NONE k\r\n";

pub(super) fn push_get(out: &mut Vec<u8>, key: &[u8; KEY_LEN]) {
    out.extend_from_slice(b"get ");
    out.extend_from_slice(key);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn push_set(
    out: &mut Vec<u8>,
    key: &[u8; KEY_LEN],
    value_len: usize,
    value: impl FnOnce(&mut Vec<u8>, usize),
) {
    out.extend_from_slice(b"set ");
    out.extend_from_slice(key);
    out.extend_from_slice(b" 0 0 ");
    push_decimal(out, value_len);
    out.extend_from_slice(b"\r\n");
    value(out, value_len);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn scan(bytes: &[u8]) -> Result<Scan, Malformed> {
    let Some((first, next)) = line(bytes)? else {
        return Ok(Scan::Early);
    };
    if let Some(rest) = first.strip_prefix(b"VALUE ") {
        // VALUE key flags bytes
        let value_len = rest.split(|byte| *byte == b' ').nth(2).and_then(decimal);
        let value_len = value_len.ok_or_else(|| Malformed::new(bytes))?;
        return Ok(Scan::Reply {
            len: next + value_len + b"\r\nEND\r\n".len(),
            outcome: Outcome::Value,
            value: next..next + value_len,
        });
    }
    let outcome = match first {
        b"STORED" => Outcome::Done,
        b"END" => Outcome::Missing,
        b"ERROR" => Outcome::BadRequest,
        b"ERROR Too many open connections" => Outcome::Unavailable,
        _ if first.starts_with(b"CLIENT_ERROR") => Outcome::BadRequest,
        _ if first.starts_with(b"SERVER_ERROR") => Outcome::Unavailable,
        _ => return Err(Malformed::new(bytes)),
    };
    Ok(Scan::plain(next, outcome))
}
