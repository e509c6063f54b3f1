//! Frames whose payload is a key and a value, for servers that return what
//! comes.
//!
//! A request to a store and its reply differ in length; an echo's do not. So
//! a frame is as long as the mean of the two would be: the kernel moves as
//! many bytes for the echo as for a speicher server.

use super::scan::{Malformed, Outcome, Scan};
use super::speicher;
use crate::bench::workload::{KEY_LEN, VALUE_SIZE_MIN};
use crate::protocol::frame::{FRAME_LEN_MAX, HEADER_LEN, payload_len};

pub(super) fn push_get(
    out: &mut Vec<u8>,
    key: &[u8; KEY_LEN],
    value_len: usize,
    value: impl FnOnce(&mut Vec<u8>, usize),
) {
    push(
        out,
        key,
        speicher::GET_LEN + speicher::VALUE_LEN + value_len,
        value,
    );
}

pub(super) fn push_set(
    out: &mut Vec<u8>,
    key: &[u8; KEY_LEN],
    value_len: usize,
    value: impl FnOnce(&mut Vec<u8>, usize),
) {
    push(
        out,
        key,
        speicher::SET_LEN + value_len + speicher::DONE_LEN,
        value,
    );
}

fn push(
    out: &mut Vec<u8>,
    key: &[u8; KEY_LEN],
    both_ways_len: usize,
    value: impl FnOnce(&mut Vec<u8>, usize),
) {
    let frame_len = (both_ways_len / 2).max(HEADER_LEN + KEY_LEN + VALUE_SIZE_MIN);
    speicher::push_header(out, frame_len);
    out.extend_from_slice(key);
    value(out, frame_len - HEADER_LEN - KEY_LEN);
}

pub(super) fn scan(bytes: &[u8]) -> Result<Scan, Malformed> {
    let Some(announced) = bytes.first_chunk() else {
        return Ok(Scan::Early);
    };
    let payload_len = payload_len(*announced, FRAME_LEN_MAX).map_err(|_| Malformed::new(bytes))?;
    Ok(Scan::Reply {
        len: HEADER_LEN + payload_len,
        outcome: Outcome::Echoed,
        value: HEADER_LEN + KEY_LEN.min(payload_len)..HEADER_LEN + payload_len,
    })
}
