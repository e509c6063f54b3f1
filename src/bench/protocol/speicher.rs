//! Frames of JSON (F1, A1 to A4).

use super::scan::{Malformed, Outcome, Scan};
use crate::bench::workload::KEY_LEN;
use crate::protocol::Reply;
use crate::protocol::frame::{FRAME_LEN_MAX, HEADER_LEN, header, payload_len};
use crate::protocol::object::members;

const GET_HEAD: &[u8] = br#"{"command":"GET","key":""#;
const GET_FOOT: &[u8] = br#""}"#;
const SET_HEAD: &[u8] = br#"{"command":"SET","key":""#;
const SET_MIDDLE: &[u8] = br#"","value":"#;
const SET_FOOT: &[u8] = b"}";

/// A SET without its value, which is a 400 (R3).
pub(super) const MALFORMED: &[u8] = b"\0\0\0\x1b{\"command\":\"SET\",\"key\":\"k\"}";

/// What a reply to a GET has around its value.
const VALUE_HEAD: &[u8] = br#"{"status_code":200,"value":"#;
const VALUE_FOOT: &[u8] = b"}";

/// Bytes of a request for a key, frame included.
pub(super) const GET_LEN: usize = HEADER_LEN + GET_HEAD.len() + KEY_LEN + GET_FOOT.len();
/// Bytes of a SET without its value, and those around a value in a reply.
pub(super) const SET_LEN: usize =
    HEADER_LEN + SET_HEAD.len() + KEY_LEN + SET_MIDDLE.len() + SET_FOOT.len();
pub(super) const VALUE_LEN: usize = HEADER_LEN + VALUE_HEAD.len() + VALUE_FOOT.len();
/// Bytes of `{"status_code":200}`, frame included.
pub(super) const DONE_LEN: usize = HEADER_LEN + 19;

pub(super) fn push_get(out: &mut Vec<u8>, key: &[u8; KEY_LEN]) {
    push_header(out, GET_LEN);
    out.extend_from_slice(GET_HEAD);
    out.extend_from_slice(key);
    out.extend_from_slice(GET_FOOT);
}

pub(super) fn push_set(
    out: &mut Vec<u8>,
    key: &[u8; KEY_LEN],
    value_len: usize,
    value: impl FnOnce(&mut Vec<u8>, usize),
) {
    push_header(out, SET_LEN + value_len);
    out.extend_from_slice(SET_HEAD);
    out.extend_from_slice(key);
    out.extend_from_slice(SET_MIDDLE);
    value(out, value_len);
    out.extend_from_slice(SET_FOOT);
}

/// Appends the header of a frame that is `frame_len` bytes long with it.
pub(super) fn push_header(out: &mut Vec<u8>, frame_len: usize) {
    let header = header(frame_len - HEADER_LEN).expect("values are shorter than frames can be");
    out.extend_from_slice(&header);
}

/// The usual replies are told apart by what they begin with; a server that
/// writes its JSON in another way is read by a parser, which is slower.
pub(super) fn scan(bytes: &[u8]) -> Result<Scan, Malformed> {
    let Some(announced) = bytes.first_chunk() else {
        return Ok(Scan::Early);
    };
    let payload_len = payload_len(*announced, FRAME_LEN_MAX).map_err(|_| Malformed::new(bytes))?;
    let len = HEADER_LEN + payload_len;
    let payload = &bytes[HEADER_LEN..bytes.len().min(len)];
    // What is too short for a value is left to the parser, which finds none.
    let has_room = payload_len > VALUE_HEAD.len() + VALUE_FOOT.len();
    if has_room && payload.starts_with(VALUE_HEAD) {
        return Ok(Scan::Reply {
            len,
            outcome: Outcome::Value,
            value: HEADER_LEN + VALUE_HEAD.len()..len - VALUE_FOOT.len(),
        });
    }
    if payload == br#"{"status_code":200}"# {
        return Ok(Scan::plain(len, Outcome::Done));
    }
    if payload.len() < payload_len {
        return Ok(Scan::Early);
    }
    parse(payload, len).ok_or_else(|| Malformed::new(payload))
}

/// The sentence of a reply that refuses.
pub(super) fn sentence(bytes: &[u8]) -> Option<String> {
    match Reply::parse(bytes.get(HEADER_LEN..)?).ok()? {
        Reply::BadRequest(sentence) | Reply::Unavailable(sentence) => Some(sentence.to_string()),
        _ => None,
    }
}

/// A reply in any form that JSON allows; in time that is linear in it.
fn parse(payload: &[u8], len: usize) -> Option<Scan> {
    let outcome = match Reply::parse(payload).ok()? {
        Reply::Done => Outcome::Done,
        Reply::NoValue | Reply::NoKey => Outcome::Missing,
        Reply::BadRequest(_) => Outcome::BadRequest,
        Reply::Unavailable(_) => Outcome::Unavailable,
        Reply::Value(_) => {
            let [value] = members(str::from_utf8(payload).ok()?, &["value"]).ok()?;
            let value = value?.json();
            // The text lies in the payload: to look for it there could take for ever.
            let start = value.as_ptr() as usize - payload.as_ptr() as usize + HEADER_LEN;
            return Some(Scan::Reply {
                len,
                outcome: Outcome::Value,
                value: start..start + value.len(),
            });
        }
    };
    Some(Scan::plain(len, outcome))
}
