//! Properties over all requests, replies and chunkings.

use std::collections::BTreeMap;
use std::io::Read;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::value::RawValue;
use speicher::protocol::frame::read_frame;
use speicher::protocol::{Decoder, Encoder, Entry, Frame, Json, Key, Reply, Request, Value};
use speicher::server::Model;
use speicher::store::shards::Shards;
use speicher::store::{Garbage, Store};

use crate::harness::*;
use crate::requests::PAYLOADS;

every_model![any_chunking_gets_the_same_replies];

fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,4})?",
        any::<String>().prop_map(|text| serde_json::to_string(&text).expect("a string")),
        Just(r#""\ud800 \u0000 \/""#.to_owned()),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" ,"))),
            vec(inner, 0..3).prop_map(|items| {
                let members: Vec<_> = items.iter().map(|v| format!("\"m\": {v}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Few keys, so that requests meet each other's entries.
fn key() -> impl Strategy<Value = Key> {
    prop_oneof!["[abc]", "\\PC{1,20}", "[\\x00-\\x1f\"\\\\/]{1,4}"]
        .prop_map(|text: String| Key::new(&text).expect("not empty"))
}

fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).expect("JSON")
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        4 => (key(), json_text()).prop_map(|(key, text)| {
            let json = raw(text);
            let json = Json::new(&json).expect("it is flat");
            let entry = Entry::with_json(key.as_str(), &json).expect("a key");
            Request::Set { entry }
        }),
        4 => key().prop_map(|key| Request::Get { key }),
        2 => key().prop_map(|key| Request::Delete { key }),
        1 => Just(Request::Reset),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        Just(Reply::Done),
        Just(Reply::NoValue),
        Just(Reply::NoKey),
        json_text().prop_map(|text| Reply::Value(Value::new(&raw(text)))),
        any::<String>().prop_map(Reply::BadRequest),
        any::<String>().prop_map(Reply::Unavailable),
    ]
}

fn payload_of(request: &Request) -> Vec<u8> {
    let mut payload = Vec::new();
    request.encode(&mut payload);
    payload
}

/// Frames of requests, and of payloads that are none.
pub fn frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let payload = prop_oneof![
        8 => request().prop_map(|request| payload_of(&request)),
        1 => vec(any::<u8>(), 0..40),
        1 => vec(prop_oneof![Just(b'{'), Just(b'"'), Just(b'\\'), any::<u8>()], 0..12),
    ];
    vec(payload.prop_map(framed), 1..30)
}

/// Gives out its bytes in pieces of the lengths given, then one by one.
struct Chunked<'a> {
    bytes: &'a [u8],
    lens: std::slice::Iter<'a, usize>,
}

impl Read for Chunked<'_> {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        let len = self.lens.next().copied().unwrap_or(1);
        let len = len.min(room.len()).min(self.bytes.len());
        let (now, later) = self.bytes.split_at(len);
        room[..len].copy_from_slice(now);
        self.bytes = later;
        Ok(len)
    }
}

proptest! {
    /// F1 to F6, F6a
    #[test]
    fn the_decoder_finds_what_the_blocking_reader_finds(
        frames in frames(),
        lens in vec(1_usize..5000, 0..40),
        released in vec(any::<bool>(), 1..5),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = frames.concat();
        bytes.truncate(cut.index(bytes.len() + 1));
        let limit = 60;

        let mut blocking = Vec::new();
        let mut stream = &bytes[..];
        let end = loop {
            match read_frame(&mut stream, limit) {
                Ok(Some(payload)) => blocking.push(payload),
                Ok(None) => break "clean",
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => break "broken",
                Err(_) => break "cut",
            }
        };

        let mut decoder = Decoder::new(limit);
        let mut stream = Chunked { bytes: &bytes, lens: lens.iter() };
        let mut incremental = Vec::new();
        let mut released = released.iter().cycle();
        let mut shared = Vec::new();
        let incremental_end = 'stream: loop {
            loop {
                match decoder.next_frame() {
                    Ok(Some(Frame::Short(payload))) => incremental.push(payload.to_vec()),
                    Ok(Some(Frame::Long(frame))) => incremental.push(frame.payload().to_vec()),
                    Ok(Some(Frame::Dropped(_))) => panic!("there is memory"),
                    Ok(None) => break,
                    Err(_) => break 'stream "broken",
                }
            }
            if released.next() == Some(&true) {
                decoder.release(&mut shared);
                decoder.acquire(&mut shared);
            }
            if decoder.read_from(&mut stream).expect("it does not fail") == 0 {
                break if decoder.buffered() == 0 { "clean" } else { "cut" };
            }
        };

        prop_assert_eq!(incremental, blocking);
        prop_assert_eq!(incremental_end, end);
    }

    /// F1: however long frames are, and whatever pieces they come in.
    #[test]
    fn the_decoder_finds_long_frames(
        payload_lens in vec(prop_oneof![0..100_usize, 65_000..66_000_usize, 100_000..300_000_usize], 1..6),
        lens in vec(1_usize..100_000, 1..40),
        released in vec(any::<bool>(), 1..5),
    ) {
        let payload = |(i, len): (usize, &usize)| vec![i as u8; *len];
        let payloads: Vec<_> = payload_lens.iter().enumerate().map(payload).collect();
        let bytes = payloads.iter().cloned().map(framed).collect::<Vec<_>>().concat();
        let mut stream = &bytes[..];
        let mut lens = lens.iter().cycle();
        let mut released = released.iter().cycle();
        let mut decoder = Decoder::new(1 << 20);
        let (mut found, mut shared) = (Vec::new(), Vec::new());
        loop {
            match decoder.next_frame() {
                Ok(Some(Frame::Short(payload))) => found.push(payload.to_vec()),
                Ok(Some(Frame::Long(frame))) => found.push(frame.payload().to_vec()),
                Ok(Some(Frame::Dropped(_))) | Err(_) => panic!("there is memory, and no other end"),
                Ok(None) => {
                    if released.next() == Some(&true) {
                        decoder.release(&mut shared);
                        decoder.acquire(&mut shared);
                    }
                    let len = *lens.next().expect("endless");
                    if decoder.read_from(&mut stream.by_ref().take(len as u64)).expect("it does not fail") == 0 {
                        break;
                    }
                }
            }
        }
        prop_assert!(found == payloads, "{:?}", payload_lens);
        prop_assert_eq!(decoder.buffered(), 0);
    }

    /// R1 to R6
    #[test]
    fn requests_survive_encoding(request in request()) {
        prop_assert_eq!(Request::parse(&payload_of(&request)), Ok(request));
    }

    /// A1 to A4
    #[test]
    fn replies_survive_encoding(reply in reply()) {
        let mut encoder = Encoder::default();
        encoder.push(&reply);
        let mut bytes = Vec::new();
        while encoder.pending() > 0 {
            encoder.write_to(&mut bytes).expect("a Vec takes all");
        }
        let payload = read_frame(&mut &bytes[..], usize::MAX).expect("a frame").expect("one");
        prop_assert_eq!(payload.len() + 4, bytes.len());
        prop_assert_eq!(Reply::parse(&payload), Ok(reply));
    }

    /// R1, R9: no payload makes the parser panic.
    #[test]
    fn any_payload_is_a_request_or_an_error(payload in vec(any::<u8>(), 0..200)) {
        let _ = Request::parse(&payload);
        let _ = Reply::parse(&payload);
    }

    /// S1
    #[test]
    fn the_store_is_a_map_and_so_are_its_shards(requests in vec(request(), 1..100)) {
        let mut store = Store::default();
        let shards = Shards::default();
        let mut map = BTreeMap::<String, Vec<u8>>::new();
        for request in requests {
            let expected = match &request {
                Request::Set { entry } => {
                    map.insert(entry.key().to_owned(), entry.value().to_vec());
                    (200, None)
                }
                Request::Get { key } => match map.get(key.as_str()) {
                    Some(value) => (200, Some(value.clone())),
                    None => (404, None),
                },
                Request::Delete { key } => match map.remove(key.as_str()) {
                    Some(_) => (200, None),
                    None => (404, None),
                },
                Request::Reset => {
                    map.clear();
                    (200, None)
                }
            };
            let sharded = shards.apply(request.borrowed(), &mut Garbage::default());
            let reply = store.apply(request.borrowed(), &mut Garbage::default());
            prop_assert_eq!(&reply, &sharded);
            let value = match &reply {
                Reply::Value(value) => Some(value.as_bytes().to_vec()),
                _ => None,
            };
            prop_assert_eq!((reply.status_code() as u16, value), expected);
        }
    }
}

/// All clauses in one stream: no model can be told from another by its bytes.
#[test]
fn every_model_answers_one_stream_with_the_same_bytes() {
    let mut stream: Vec<u8> = PAYLOADS.iter().flat_map(|(_, p, _)| framed(p)).collect();
    let long = format!("\"{}\"", "v".repeat(100_000));
    for payload in [
        RST.to_owned(),
        get("k"),
        del("k"),
        set("k", "[ 1.10 ]"),
        get("k"),
        String::new(),
        set("long", &long),
        get("long"),
        set("deep", &("[".repeat(513) + &"]".repeat(513))),
        del("k"),
        RST.to_owned(),
        get("long"),
    ] {
        stream.extend_from_slice(&framed(payload));
    }
    stream.extend_from_slice(b"\xff\xff\xff\xff and whatever follows");

    let models = Model::ALL.into_iter().filter(|model| model.is_built());
    let servers: Vec<_> = models.map(Server::start).collect();
    proptest!(ProptestConfig::with_cases(12), |(lens in vec(1_usize..5000, 0..60))| {
        let replies: Vec<_> = servers
            .iter()
            .map(|server| {
                let mut peer = server.connect();
                assert_eq!(peer.status(RST), 200);
                assert_eq!(peer.set("k", "1"), 200);
                peer.send_in_pieces(&stream, &lens);
                peer.close_sending_side();
                let mut replies = Vec::new();
                peer.0.read_to_end(&mut replies).expect("replies, then the end");
                replies
            })
            .collect();
        prop_assert!(replies[0].len() > 100_000);
        for other in &replies[1..] {
            prop_assert_eq!(&replies[0], other);
        }
    });
}

/// F6, F6a
fn any_chunking_gets_the_same_replies(model: Model) {
    let server = Server::start(model);
    let ask = |frames: &[Vec<u8>], lens: &[usize]| {
        let mut peer = server.connect();
        assert_eq!(peer.status(RST), 200);
        peer.send_in_pieces(&frames.concat(), lens);
        frames.iter().map(|_| peer.payload()).collect::<Vec<_>>()
    };
    proptest!(ProptestConfig::with_cases(64), |(
        frames in frames(),
        lens in vec(1_usize..200, 0..40),
    )| {
        prop_assert_eq!(ask(&frames, &lens), ask(&frames, &[]));
    });
}
