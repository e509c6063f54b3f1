//! A6: what a node says instead of doing it.

use super::scripted::{ScriptedNode, answer_keys, line};
use super::*;
use crate::cluster::can_start;

/// What a node says, and words of the sentence that its client gets.
const ERRORS: [(&str, &str); 14] = [
    (
        "OOM command not allowed when used memory > 'maxmemory'.",
        "memory is full",
    ),
    (
        "LOADING Redis is loading the dataset in memory",
        "is loading",
    ),
    (
        "NOREPLICAS Not enough good replicas to write.",
        "too few replicas",
    ),
    (
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "no value of this protocol",
    ),
    (
        "NOPERM this user has no permissions to run this command",
        "refuses the user",
    ),
    ("NOAUTH Authentication required.", "refuses the user"),
    (
        "READONLY You can't write against a read only replica.",
        "is a replica and takes no changes; try again in a second, or name its primary in --store",
    ),
    ("CLUSTERDOWN Hash slot not served", "try again"),
    (
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "try again",
    ),
    (
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "try again",
    ),
    (
        "BUSY Redis is busy running a script.",
        "BUSY Redis is busy running a script",
    ),
    ("NEWS of a kind that nobody knows", "NEWS of a kind"),
    ("MOVED to nowhere", "try again"),
    ("ERR", "ERR"),
];

/// A6: the connection stays open, and the request is not tried again.
#[test]
fn an_error_of_the_node_is_a_503_that_says_what_it_is() {
    let node = ScriptedNode::start();
    let server = serve(&node.url(), &[]);
    let mut peer = server.connect();
    for (error, words) in ERRORS {
        answer_keys(&node, &format!("-{error}"));
        let before = node.heard().len();
        for payload in [set("k", "1"), get("k"), del("k")] {
            let sentence = unavailable(&mut peer, &payload);
            assert!(sentence.contains(words), "{error}: {sentence}");
        }
        assert_eq!(node.heard().len(), before + 3, "{error}");
    }
    node.script(|_| None);
    assert_eq!(peer.status(get("k")), 404);
}

/// A6
#[test]
fn an_error_for_one_request_leaves_those_beside_it_alone() {
    let node = ScriptedNode::start();
    node.script(|words| match words {
        ["SET", "speicher:b", _] => line("-OOM command not allowed"),
        _ => None,
    });
    let server = serve(&node.url(), &[]);
    let mut peer = server.connect();
    let payloads = [set("a", "1"), set("b", "2"), get("a"), get("b"), del("a")];
    let replies = pipelined(&mut peer, payloads);
    assert_eq!(statuses(&replies), [200, 503, 200, 404, 200]);
}

/// A long value is asked for three times: its begin, its length, all of it.
#[test]
fn a_long_value_that_changes_while_it_is_fetched_is_what_is_there_at_last() {
    let node = ScriptedNode::start();
    let server = serve(&node.url(), &[]);
    let mut peer = server.connect();
    let long = format!("\"{}\"", "v".repeat(100_000));
    node.put("speicher:k", &long);
    node.script(|words| match words {
        ["GET", "speicher:k"] => line("_"),
        _ => None,
    });
    assert_eq!(peer.status(get("k")), 404);
    node.script(|words| match words {
        ["GET", "speicher:k"] => line("$1\r\n7"),
        _ => None,
    });
    assert_eq!(peer.get_text("k"), r#"{"status_code":200,"value":7}"#);
    node.script(|words| match words {
        ["GET", "speicher:k"] => line("-LOADING Redis is loading the dataset in memory"),
        _ => None,
    });
    assert!(unavailable(&mut peer, get("k")).contains("is loading"));
    node.script(|words| match words {
        ["STRLEN", "speicher:k"] => line("-WRONGTYPE Operation against a key"),
        _ => None,
    });
    assert!(unavailable(&mut peer, get("k")).contains("no value of this protocol"));
    node.script(|_| None);
    assert_eq!(peer.ask(get("k"))["value"].to_string(), long);
    let fetched = [
        "GETRANGE speicher:k 0 65535",
        "STRLEN speicher:k",
        "GET speicher:k",
    ];
    let heard = node.heard();
    assert_eq!(heard[heard.len() - 3..], fetched);
}

/// A6, S6, S7
#[test]
fn a_store_without_memory_refuses_sets_and_still_answers_gets_and_dels() {
    if !can_start() {
        return;
    }
    let node = Node::start(&["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]);
    let server = serve(&url(&node), &[]);
    let mut peer = server.connect();
    let value = format!("\"{}\"", "v".repeat(50_000));
    let full = (0..).find(|number| peer.set(&number.to_string(), &value) == 503);
    let full = full.expect("3 MB are not endless");
    assert!(full > 0, "there was room for some");
    let sentence = unavailable(&mut peer, set("more", &value));
    assert!(sentence.contains("memory is full"), "{sentence}");
    assert!(sentence.contains("maxmemory"), "{sentence}");
    for number in 0..full {
        assert_eq!(peer.status(get(&number.to_string())), 200);
        assert_eq!(peer.status(del(&number.to_string())), 200);
    }
    assert_eq!(peer.status(RST), 200);
    wait_until("there is room again", || peer.set("more", &value) == 200);
}

/// A6
#[test]
fn what_is_no_value_of_this_protocol_is_a_503_and_can_be_replaced_and_removed() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let server = serve(&url(&node), &[]);
    let mut peer = server.connect();
    let long = "n".repeat(100_000);
    let put_nonsense: [(&[&[u8]], &str); 5] = [
        (&[b"SET", b"speicher:k", b"nonsense"], "no JSON"),
        (&[b"SET", b"speicher:k", b"\"\xff\""], "no JSON"),
        (&[b"SET", b"speicher:k", long.as_bytes()], "no JSON"),
        (&[b"SET", b"speicher:k", b"1 2"], "no JSON"),
        (
            &[b"RPUSH", b"speicher:k", b"1"],
            "no value of this protocol",
        ),
    ];
    for (command, words) in put_nonsense {
        node.ask(command);
        let sentence = unavailable(&mut peer, get("k"));
        assert!(sentence.contains(words), "{sentence}");
        assert_eq!(peer.set("k", "1"), 200);
        assert_eq!(peer.ask(get("k"))["value"], 1);
        node.ask(&["DEL", "speicher:k"]);
        node.ask(command);
        assert_eq!(peer.status(del("k")), 200);
        assert_eq!(peer.status(get("k")), 404);
    }
}
