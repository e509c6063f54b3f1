//! The requests that are benchmarked: 80 % GETs, the others SETs, of keys of 14 bytes and values
//! of 64, spread over all keys.

use speicher::protocol::frame::{self, FRAME_LEN_MAX_DEFAULT};
use speicher::protocol::{Decoder, Frame};
use speicher::store::shards::Shards;
use speicher::store::{BATCH_LEN_MAX, Batch};

/// Of so many requests one is a SET.
const SET_EVERY: u32 = 5;

/// A store that holds so many keys.
pub fn filled(keys: u32) -> Shards {
    let shards = Shards::default();
    let mut rest = 0..keys;
    while !rest.is_empty() {
        let mut batch = Batch::default();
        for key in rest.by_ref().take(BATCH_LEN_MAX) {
            batch.push_frame(Frame::Short(set(key).as_bytes()));
        }
        shards.execute(&mut batch);
    }
    shards
}

/// The frames of the requests from `first` on, as they come over a connection.
pub fn frames(first: u32, count: u32, keys: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in first..first + count {
        let key = spread(number, keys);
        let payload = match number % SET_EVERY {
            0 => set(key),
            _ => format!(r#"{{"command":"GET","key":"key:{key:010}"}}"#),
        };
        bytes.extend(frame::header(payload.len()).expect("it is short"));
        bytes.extend(payload.as_bytes());
    }
    bytes
}

/// A decoder as a server has it.
pub fn decoder() -> Decoder {
    Decoder::new(FRAME_LEN_MAX_DEFAULT)
}

/// Parses whole frames into the batch.
pub fn parse(frames: &[u8], decoder: &mut Decoder, batch: &mut Batch) {
    let mut rest = frames;
    decoder.read_from(&mut rest).expect("memory can be read");
    while let Some(frame) = decoder.next_frame().expect("the frames are right") {
        batch.push_frame(frame);
    }
}

fn set(key: u32) -> String {
    let value = "v".repeat(62);
    format!(r#"{{"command":"SET","key":"key:{key:010}","value":"{value}"}}"#)
}

/// One of the keys, far from that of the number before.
fn spread(number: u32, keys: u32) -> u32 {
    let random = number.wrapping_mul(0x9e37_79b9);
    ((u64::from(random) * u64::from(keys)) >> 32) as u32
}
