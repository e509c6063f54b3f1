//! A6, S5: nodes that can't be reached, do not answer, or break off.

use std::time::{Duration, Instant};

use super::scripted::{Answer, ScriptedNode, silence_for};
use super::*;

/// A6
#[test]
fn what_a_node_that_refuses_connections_would_do_gets_503_at_once() {
    let node = ScriptedNode::start();
    let server = serve(&node.url(), &[]);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "1"), 200);
    node.refuse();
    wait_until_status(&server, 503, &get("k"));
    let begun = Instant::now();
    for payload in [set("k", "2"), get("k"), del("k"), RST.to_owned()] {
        let sentence = unavailable(&mut peer, &payload);
        assert!(sentence.contains("nothing was done"), "{sentence}");
    }
    assert!(begun.elapsed() < USUAL);
    node.come_back();
    wait_until("the node is found again", || peer.status(get("k")) == 200);
    assert_eq!(node.entry("speicher:k").as_deref(), Some("1"));
}

/// A6: nobody knows what became of a request that was sent.
#[test]
fn a_request_that_a_node_does_not_answer_closes_its_connection_without_a_status() {
    for payload in [set("k", "1"), get("k"), del("k")] {
        let node = ScriptedNode::start();
        node.script(silence_for("speicher:k"));
        let server = serve(&node.url(), &IMPATIENT);
        let mut peer = server.connect();
        let begun = Instant::now();
        peer.send(&framed(&payload));
        peer.assert_closed();
        assert!(begun.elapsed() >= SHORT, "it waits");
        wait_until_status(&server, 404, &get("other"));
        let sent = node.heard();
        let of_key = sent.iter().filter(|command| command.contains(":k"));
        assert_eq!(of_key.count(), 1, "it is not sent again: {sent:?}");
    }
}

/// A6
#[test]
fn a_reset_that_a_node_does_not_answer_closes_its_connection_without_a_status() {
    let node = ScriptedNode::start();
    node.script(|words| (words[0] == "UNLINK").then_some(Answer::Silence));
    let server = serve(&node.url(), &IMPATIENT);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "1"), 200);
    peer.send(&framed(RST));
    peer.assert_closed();
    wait_until_status(&server, 200, &get("k"));
}

/// S5
#[test]
fn a_node_that_does_not_answer_one_request_leaves_none_hanging() {
    let node = ScriptedNode::start();
    node.script(silence_for("speicher:k"));
    let server = serve(&node.url(), &IMPATIENT);
    let mut peers: Vec<_> = (0..20).map(|_| server.connect()).collect();
    peers[0].send(&framed(get("k")));
    node.wait_for("GETRANGE speicher:k 0 65535");
    let begun = Instant::now();
    for peer in &mut peers[1..] {
        peer.send(&framed(get("other")));
    }
    for peer in &mut peers[1..] {
        let status = peer.try_reply().map(|reply| status_of(&reply));
        assert!(matches!(status, None | Some(404 | 503)), "{status:?}");
    }
    assert!(begun.elapsed() < SHORT + Duration::from_secs(5));
    peers[0].assert_closed();
}

/// S5
#[test]
fn a_node_that_does_not_answer_holds_up_no_request_for_another() {
    let [silent, other] = ScriptedNode::cluster();
    silent.give_slots_to(&[&silent, &other]);
    let server = serve(&silent.url(), &[]);
    // The slots of "a" and "b" are in different halves.
    silent.script(silence_for("speicher:a"));
    let mut waiting = server.connect();
    waiting.send(&framed(get("a")));
    silent.wait_for("GETRANGE speicher:a 0 65535");
    let mut peer = server.connect();
    let begun = Instant::now();
    for _ in 0..10 {
        assert_eq!(peer.set("b", "1"), 200);
    }
    assert!(begun.elapsed() < USUAL);
    assert!(other.heard().contains(&"SET speicher:b 1".to_owned()));
}

/// A6
#[test]
fn a_node_that_closes_its_connection_before_it_answers_closes_that_of_the_client() {
    for bytes in ["", "$5", "$5\r\n12"] {
        let node = ScriptedNode::start();
        node.script(|words| {
            let is_meant = words[1..].contains(&"speicher:k");
            is_meant.then(|| Answer::LastBytes(bytes.as_bytes().to_vec()))
        });
        let server = serve(&node.url(), &[]);
        let begun = Instant::now();
        for payload in [set("k", "1"), get("k"), del("k")] {
            let mut peer = server.connect();
            peer.send(&framed(payload));
            assert_eq!(peer.try_reply(), None, "after {bytes:?}");
            wait_until_status(&server, 404, &get("other"));
        }
        assert!(begun.elapsed() < USUAL, "it is seen at once");
    }
}

/// A6
#[test]
fn a_node_that_accepts_connections_and_says_nothing_is_one_that_can_t_be_reached() {
    let node = ScriptedNode::start();
    let server = serve(&node.url(), &IMPATIENT);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "1"), 200);
    node.script(|_| Some(Answer::Silence));
    node.cut();
    server.complaint("can't be reached (it does not answer)");
    assert!(unavailable(&mut peer, get("k")).contains("can't be reached"));
    node.script(|_| None);
    node.cut();
    wait_until_status(&server, 200, &get("k"));
}

/// A6: half an answer is none.
#[test]
fn a_node_that_stops_within_an_answer_is_one_that_does_not_answer() {
    let node = ScriptedNode::start();
    node.script(|words| {
        let is_meant = words[1..].contains(&"speicher:k");
        is_meant.then(|| Answer::Bytes(b"$100\r\n12".to_vec()))
    });
    let server = serve(&node.url(), &IMPATIENT);
    let mut peer = server.connect();
    peer.send(&framed(get("k")));
    peer.assert_closed();
}
