//! R5, R6: values that have been in a Redis server.

use proptest::prelude::*;
use speicher::server::Model;

use super::*;
use crate::cluster::can_start;
use crate::properties::frames;

/// Sends all frames at once, to a server that is empty; the payloads of the
/// replies.
fn replies(mut peer: Peer, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    assert_eq!(peer.status(RST), 200);
    peer.send(&frames.concat());
    frames.iter().map(|_| peer.payload()).collect()
}

/// R1 to R9, A1 to A4: whatever is asked.
#[test]
fn the_replies_are_those_of_entries_in_memory() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let remote = serve(&url(&node), &[]);
    let local = Server::start(Model::Tokio);
    proptest!(ProptestConfig::with_cases(100), |(frames in frames())| {
        let expected = replies(local.connect(), &frames);
        prop_assert_eq!(replies(remote.connect(), &frames), expected);
    });
}

/// R6
#[test]
fn values_come_back_byte_for_byte_from_redis() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let server = serve(&url(&node), &[]);
    let mut peer = server.connect();
    for value in [
        "1.0",
        "1e400",
        "-0",
        "123456789012345678901234567890",
        r#""\ud800""#,
        "\"\u{10ffff} \u{7f} ü \u{2028}\"",
        "{ \"b\" : 1 ,\r\n\t\"a\":[ ] , \"b\":null}",
        "\"\"",
    ] {
        assert_eq!(peer.set("k", value), 200);
        let reply = peer.get_text("k");
        assert_eq!(reply, format!(r#"{{"status_code":200,"value":{value}}}"#));
        assert_eq!(node.ask(&["GET", "speicher:k"]).text(), value);
    }
}

/// R6: from 64 KiB on, a value is asked for in another way.
#[test]
fn long_values_come_back_byte_for_byte_from_redis() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let server = serve(&url(&node), &[]);
    let mut peer = server.connect();
    for len in [65_535, 65_536, 65_537, 131_072, 5 << 20] {
        let text: String = (0..len - 2)
            .map(|at| char::from(b'a' + at as u8 % 26))
            .collect();
        let value = format!("\"{text}\"");
        assert_eq!(value.len(), len);
        assert_eq!(peer.set("k", &value), 200);
        // What is behind the value comes after it.
        peer.send(
            &[get("k"), get("none"), get("k"), del("k")]
                .map(framed)
                .concat(),
        );
        let expected = format!(r#"{{"status_code":200,"value":{value}}}"#);
        assert!(peer.payload() == expected.as_bytes(), "{len} bytes");
        assert_eq!(status_of(&peer.reply()), 404);
        assert!(peer.payload() == expected.as_bytes(), "{len} bytes");
        assert_eq!(status_of(&peer.reply()), 200);
    }
}

/// R6, F5
#[test]
fn the_longest_frame_is_a_value_that_redis_takes() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let server = serve(&url(&node), &["--frame-max", "1M"]);
    let mut peer = server.connect();
    let around = set("k", "\"\"").len();
    let value = format!("\"{}\"", "v".repeat((1 << 20) - around));
    assert_eq!(peer.set("k", &value), 200);
    assert_eq!(peer.ask(get("k"))["value"].to_string(), value);
}
