//! R4, S1: what keys are called in the store, and whose they are.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use proptest::collection::btree_set;
use proptest::prelude::*;

use super::scripted::{ScriptedNode, line};
use super::*;
use crate::cluster::can_start;

/// What other users of the same server have, among them what a prefix would
/// match if it were read as a pattern.
const FOREIGN: [&str; 9] = [
    "speicher",
    "Speicher:k",
    "speicherX",
    "aXbY\\k",
    "axxxbb?\\k",
    "a",
    "b-x",
    "other:k",
    "{t}other",
];

const PREFIXES: [&str; 8] = [
    "speicher:",
    "a*[b]?\\",
    "*",
    "?",
    "[^b]-",
    "{t}:",
    "ü \"' \\x00\n",
    "speicher:speicher:",
];

/// The key in a request.
fn quoted(key: &str) -> String {
    let text = serde_json::to_string(key).expect("a string");
    text[1..text.len() - 1].to_owned()
}

#[test]
fn the_prefix_is_what_keys_begin_with_and_all_that_a_reset_removes() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    for key in FOREIGN {
        node.ask(&["SET", key, "theirs"]);
    }
    for prefix in PREFIXES {
        let server = serve(&url(&node), &["--store-prefix", prefix]);
        let mut peer = server.connect();
        for key in ["k", "*", "speicher:k"] {
            assert_eq!(peer.set(key, "1"), 200);
            let stored = node.ask(&["GET", &format!("{prefix}{key}")]);
            assert_eq!(stored.text(), "1", "{prefix:?}");
        }
        assert_eq!(peer.status(RST), 200);
        for key in FOREIGN {
            let kept = node.ask(&["GET", key]);
            assert_eq!(kept.text(), "theirs", "{key:?} beside {prefix:?}");
        }
        let all = node.ask(&["DBSIZE"]);
        assert_eq!(all.integer(), FOREIGN.len() as i64, "{prefix:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Characters that mean something in a pattern, in prefixes and in keys.
    #[test]
    fn a_reset_removes_what_begins_with_the_prefix_and_nothing_else(
        prefix in "[*?a\\[\\]\\\\^-]{1,4}",
        keys in btree_set("[*?ab\\[\\]\\\\^-]{1,5}", 1..60),
    ) {
        if !can_start() {
            return Ok(());
        }
        let node = Node::start(&[]);
        let words = keys.iter().flat_map(|key| [key.as_str(), "1"]);
        let words: Vec<_> = ["MSET"].into_iter().chain(words).collect();
        node.ask(&words);
        let server = serve(&url(&node), &["--store-prefix", &prefix]);
        let mut peer = server.connect();
        prop_assert_eq!(peer.set("k", "1"), 200);
        prop_assert_eq!(peer.status(RST), 200);
        let left = node.ask(&["KEYS", "*"]);
        let left: BTreeSet<_> = left.items().iter().map(|key| key.text().to_owned()).collect();
        let others = keys.into_iter().filter(|key| !key.starts_with(&prefix));
        prop_assert_eq!(left, others.collect::<BTreeSet<_>>());
    }
}

#[test]
fn the_prefix_is_speicher_and_a_colon_unless_something_else_is_said() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let server = serve(&url(&node), &[]);
    assert_eq!(server.connect().set("k", "1"), 200);
    assert_eq!(node.ask(&["GET", "speicher:k"]).text(), "1");
}

#[test]
fn servers_with_different_prefixes_do_not_see_each_other_s_entries() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let servers = ["one:", "two:"].map(|it| serve(&url(&node), &["--store-prefix", it]));
    let [mut one, mut two] = servers.each_ref().map(Process::connect);
    assert_eq!(one.set("k", "1"), 200);
    assert_eq!(two.status(get("k")), 404);
    assert_eq!(two.set("k", "2"), 200);
    assert_eq!(one.status(RST), 200);
    assert_eq!(one.status(get("k")), 404);
    assert_eq!(two.ask(get("k"))["value"], 2);
}

#[test]
fn without_a_prefix_keys_are_as_they_came_and_a_reset_removes_all() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    node.ask(&["SET", "theirs", "1"]);
    let server = serve(&url(&node), &["--store-prefix", ""]);
    let mut peer = server.connect();
    assert_eq!(peer.ask(get("theirs"))["value"], 1);
    assert_eq!(peer.set("k", "2"), 200);
    assert_eq!(node.ask(&["GET", "k"]).text(), "2");
    assert_eq!(peer.status(RST), 200);
    assert_eq!(node.ask(&["DBSIZE"]).integer(), 0);
}

#[test]
fn a_flush_removes_what_others_have_too() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    node.ask(&["SET", "theirs", "1"]);
    let server = serve(&url(&node), &["--store-reset", "flush"]);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "1"), 200);
    assert_eq!(peer.status(RST), 200);
    assert_eq!(node.ask(&["DBSIZE"]).integer(), 0);
    assert_eq!(peer.status(get("k")), 404);
}

/// A number in the address is a database, and the others are somebody else's.
#[test]
fn a_flush_empties_its_database_and_leaves_others() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    node.ask(&["SET", "theirs", "1"]);
    let store = format!("{}/3", url(&node));
    let beside = serve(&store, &["--store-prefix", "other:"]);
    assert_eq!(beside.connect().set("k", "1"), 200);
    let server = serve(&store, &["--store-reset", "flush"]);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "1"), 200);
    assert_eq!(peer.status(RST), 200);
    let keyspace = node.ask(&["INFO", "keyspace"]);
    let keyspace = keyspace.text();
    assert!(keyspace.contains("db0:keys=1,"), "{keyspace}");
    assert!(!keyspace.contains("db3:"), "{keyspace}");
}

/// A6: a 503 would say that nothing was done.
#[test]
fn a_reset_that_removed_something_before_it_failed_has_no_status() {
    let node = ScriptedNode::start();
    node.script(|words| match words {
        ["SCAN", ..] => line("*2\r\n$1\r\n0\r\n*2\r\n$10\r\nspeicher:a\r\n$10\r\nspeicher:b"),
        ["UNLINK", "speicher:a"] => line("-NOREPLICAS Not enough good replicas to write."),
        ["UNLINK", "speicher:b"] => line(":1"),
        _ => None,
    });
    let server = serve(&node.url(), &[]);
    let mut peer = server.connect();
    peer.send(&framed(RST));
    peer.assert_closed();
}

#[test]
fn resets_at_the_same_time_look_at_the_keys_together() {
    const CLIENTS: usize = 50;

    let node = ScriptedNode::start();
    let server = serve(&node.url(), &[]);
    let mut peers: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    for peer in &mut peers {
        assert_eq!(peer.set("k", "1"), 200);
    }
    node.turn_deaf();
    for peer in &mut peers {
        peer.send(&framed(RST));
    }
    node.hear_again();
    for peer in &mut peers {
        assert_eq!(status_of(&peer.reply()), 200);
    }
    let scans = node
        .heard()
        .iter()
        .filter(|it| it.starts_with("SCAN"))
        .count();
    assert!((1..CLIENTS / 2).contains(&scans), "{scans}");
    assert_eq!(peers[0].status(get("k")), 404);
}

/// S1a: one that is under way may have gone past it.
#[test]
fn a_reset_that_comes_within_another_removes_what_was_set_before_it() {
    let node = ScriptedNode::start();
    let (answer, answers) = channel::<()>();
    let answers = Mutex::new(answers);
    node.script(move |words| match words[0] {
        "SCAN" => {
            // Until the test says so; it has seen no key.
            let held = answers.lock().expect("no panic").recv().is_ok();
            held.then(|| line("*2\r\n$1\r\n0\r\n*0")).flatten()
        }
        _ => None,
    });
    let server = serve(&node.url(), &[]);
    let [mut first, mut second] = [(); 2].map(|()| server.connect());
    first.send(&framed(RST));
    wait_until("it has begun", || !node.heard().is_empty());
    // No SET, for which the node has no ear as long as it scans.
    node.put("speicher:k", "1");
    second.send(&framed(RST));
    wait_until("the second is there", || {
        receive_queues_are_empty(server.address().port())
    });
    answer.send(()).expect("it scans");
    drop(answer);
    assert_eq!(status_of(&first.reply()), 200);
    assert_eq!(status_of(&second.reply()), 200);
    assert_eq!(node.entry("speicher:k"), None);
}

/// More than a node names at once.
#[test]
fn a_reset_removes_thousands_of_entries() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let server = serve(&url(&node), &[]);
    let mut peer = server.connect();
    for _ in 0..2 {
        let frames = (0..5_000).flat_map(|key| framed(set(&key.to_string(), "1")));
        peer.send(&frames.collect::<Vec<u8>>());
        for _ in 0..5_000 {
            assert_eq!(status_of(&peer.reply()), 200);
        }
        assert_eq!(node.ask(&["DBSIZE"]).integer(), 5_000);
        assert_eq!(peer.status(RST), 200);
        assert_eq!(node.ask(&["DBSIZE"]).integer(), 0);
    }
}

/// R4
#[test]
fn any_text_is_a_key_and_no_two_are_one() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let server = serve(&url(&node), &[]);
    let mut peer = server.connect();
    let long = "k".repeat(70_000);
    let very_long = "k".repeat(1_000_000);
    let keys = [
        " ",
        "\0",
        "\0\0",
        "{",
        "}",
        "{}",
        "{a}",
        "a{",
        "{a}{b}",
        "}{",
        "{{a}}",
        "\r\n",
        "$1\r\n1\r\n",
        "\"",
        "\\",
        "\u{feff}",
        "ä",
        "a\u{308}",
        "😀",
        "*",
        &long,
        &very_long,
    ];
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(
            peer.set(&quoted(key), &number.to_string()),
            200,
            "{key:.20?}"
        );
    }
    assert_eq!(node.ask(&["DBSIZE"]).integer(), keys.len() as i64);
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(peer.ask(get(&quoted(key)))["value"], number, "{key:.20?}");
        let stored = node.ask(&["GET", &format!("speicher:{key}")]);
        assert_eq!(stored.text(), number.to_string(), "{key:.20?}");
    }
    assert_eq!(peer.status(del(&quoted("\0"))), 200);
    assert_eq!(peer.status(get(&quoted("\0"))), 404);
    assert_eq!(peer.status(RST), 200);
    assert_eq!(node.ask(&["DBSIZE"]).integer(), 0);
}

#[test]
fn the_number_behind_the_address_is_that_of_the_database() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let server = serve(&format!("{}/3", url(&node)), &[]);
    assert_eq!(server.connect().set("k", "1"), 200);
    assert_eq!(node.ask(&["DBSIZE"]).integer(), 0);
    let keyspace = node.ask(&["INFO", "keyspace"]);
    assert!(keyspace.text().contains("db3:keys=1,"), "{keyspace:?}");
}
