//! What the log has of a store that does not do what it is asked.

use super::scripted::{Answer, ScriptedNode, answer_keys};
use super::*;

/// A value that goes over the connection for long ones.
const LONG_LEN: usize = 300_000;

#[test]
fn a_command_that_the_store_refuses_is_said_once_with_what_helps() {
    let node = ScriptedNode::start();
    let server = serve(&node.url(), &[]);
    let mut peer = server.connect();
    answer_keys(&node, "-NOPERM this user has no permissions for speicher:k");
    for _ in 0..100 {
        unavailable(&mut peer, set("k", "1"));
    }
    let said = server.complaint("refuses SET (NOPERM)");
    let address = node.address.to_string();
    for words in [&address, "docs/scaling.md"] {
        assert!(said.contains(words), "{said}");
    }
    assert!(!said.contains("speicher:k"), "no words of others: {said}");
    answer_keys(&node, "-OOM command not allowed");
    unavailable(&mut peer, set("k", "1"));
    let said = server.complaint("refuses SET (OOM)");
    assert_eq!(said.matches("refuses").count(), 2, "{said}");
}

#[test]
fn a_long_value_that_gets_no_answer_is_said() {
    let node = ScriptedNode::start();
    node.script(|words| {
        let is_long = words.iter().any(|word| word.len() >= LONG_LEN);
        is_long.then(|| Answer::LastBytes(Vec::new()))
    });
    let server = serve(&node.url(), &[]);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "1"), 200);
    let long = format!("\"{}\"", "v".repeat(LONG_LEN));
    peer.send(&framed(set("k", &long)));
    assert_eq!(peer.try_reply(), None);
    let said = server.complaint("nobody knows what became");
    assert!(said.contains(&node.address.to_string()), "{said}");
}

/// Two or three connections go to a node, and one line is enough.
#[test]
fn a_node_that_is_gone_is_one_line_and_so_is_its_return() {
    let node = ScriptedNode::start();
    let server = serve(&node.url(), &["--store-replicas", "1"]);
    node.refuse();
    node.cut();
    server.complaint("can't be reached (");
    // Each connection has been tried again more than once by then.
    let mut peer = server.connect();
    let long = format!("\"{}\"", "v".repeat(LONG_LEN));
    for value in ["1", &long] {
        wait_until("503", || {
            peer.send(&framed(set("k", value)));
            let reply = peer.try_reply();
            peer = server.connect();
            reply.is_some_and(|reply| status_of(&reply) == 503)
        });
    }
    let said = server.complaint("can't be reached (");
    assert_eq!(said.matches("can't be reached (").count(), 1, "{said}");
    node.come_back();
    wait_until_status(&server, 404, &get("absent"));
    let said = server.complaint("can be reached again");
    assert_eq!(said.matches("can be reached again").count(), 1, "{said}");
}
