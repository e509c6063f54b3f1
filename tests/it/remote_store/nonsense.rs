//! Nodes that talk nonsense, or say more than they were asked.

use super::scripted::{Answer, ScriptedNode, answer_keys};
use super::*;

/// A6: what a GET was answered with can't have changed anything.
#[test]
fn nonsense_that_answers_a_get_is_a_503() {
    let node = ScriptedNode::start();
    let server = serve(&node.url(), &[]);
    let mut peer = server.connect();
    for answer in ["+PONG", ":1", "*0", "#t", ",1.5", "%0", "=5\r\ntxt:1"] {
        answer_keys(&node, answer);
        let sentence = unavailable(&mut peer, get("k"));
        assert!(sentence.contains("makes no sense"), "{answer}: {sentence}");
    }
}

/// A6: nobody knows what it means.
#[test]
fn nonsense_that_answers_a_change_closes_the_connection() {
    let node = ScriptedNode::start();
    let server = serve(&node.url(), &[]);
    for (payload, answer) in [
        (set("k", "1"), "+PONG"),
        (set("k", "1"), "_"),
        (set("k", "1"), ":1"),
        (set("k", "1"), "$2\r\nOK"),
        (del("k"), "+OK"),
        (del("k"), "_"),
        (del("k"), "$1\r\n1"),
    ] {
        answer_keys(&node, answer);
        let mut peer = server.connect();
        peer.send(&framed(payload));
        peer.assert_closed();
    }
    node.script(|_| None);
    assert_eq!(server.connect().set("k", "1"), 200);
}

/// A6
#[test]
fn what_is_no_answer_at_all_closes_the_connection_and_others_are_served() {
    let node = ScriptedNode::start();
    let server = serve(&node.url(), &[]);
    let nested = "*1\r\n".repeat(100_000) + ":1";
    for answer in ["HTTP/1.1 400 Bad Request", "", "$1\r\n1xx", ":one", &nested] {
        for payload in [set("k", "1"), get("k")] {
            answer_keys(&node, answer);
            let mut peer = server.connect();
            peer.send(&framed(payload));
            peer.assert_closed();
            node.script(|_| None);
            wait_until_status(&server, 404, &get("k"));
        }
    }
}

/// What always holds, 1: also for what a node announces.
#[test]
fn a_length_that_a_node_only_announces_takes_no_memory() {
    let node = ScriptedNode::start();
    let server = serve(&node.url(), &IMPATIENT);
    let before = server.memory_kib("VmHWM:");
    let lens = [
        "$2000000000",
        "*2000000000",
        "%2000000000",
        "~2000000000",
        ">2000000000",
    ];
    for len in lens
        .into_iter()
        .chain(["$9000000000000000000", "*9000000000000000000"])
    {
        answer_keys(&node, len);
        let mut peer = server.connect();
        peer.send(&framed(get("k")));
        peer.assert_closed();
        node.script(|_| None);
        wait_until_status(&server, 404, &get("k"));
    }
    let more = server.memory_kib("VmHWM:") - before;
    assert!(more < 50 << 10, "{more} KiB more");
}

/// What a server may say at any time answers nothing.
#[test]
fn a_push_between_answers_is_no_answer() {
    let node = ScriptedNode::start();
    let server = serve(&node.url(), &[]);
    let mut peer = server.connect();
    node.script(|words| match words {
        ["GETRANGE", key, ..] => {
            let answer = format!(
                ">2\r\n+invalidate\r\n*0\r\n${}\r\n\"{key}\"\r\n",
                key.len() + 2
            );
            Some(Answer::Bytes(answer.into_bytes()))
        }
        _ => None,
    });
    for number in 0..10 {
        let key = number.to_string();
        assert_eq!(peer.ask(get(&key))["value"], format!("speicher:{key}"));
    }
}
