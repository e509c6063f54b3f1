//! A6, S1: changes that replicas have to have.

use super::scripted::{ScriptedNode, line, redirection};
use super::*;
use crate::cluster::can_start;

/// A node that always says that this many replicas have it all.
fn node_with_replicas(count: usize) -> ScriptedNode {
    let node = ScriptedNode::start();
    node.script(move |words| match words[0] {
        "WAIT" => line(&format!(":{count}")),
        _ => None,
    });
    node
}

const REPLICATED: [&str; 4] = ["--store-replicas", "1", "--store-timeout", "20s"];

/// A server, and its replica, which is in sync.
fn node_with_its_replica() -> (Node, Node) {
    let node = Node::start(&["--repl-diskless-sync-delay", "0"]);
    let replica = Node::start(&["--replicaof", "127.0.0.1", &node.port().to_string()]);
    wait_until("the replica is in sync", || {
        let info = replica.ask(&["INFO", "replication"]);
        info.text().contains("master_link_status:up")
    });
    (node, replica)
}

#[test]
fn only_changes_wait_for_replicas() {
    let node = node_with_replicas(2);
    let server = serve(&node.url(), &["--store-replicas", "2"]);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "1"), 200);
    assert_eq!(peer.status(get("k")), 200);
    assert_eq!(peer.status(del("k")), 200);
    assert_eq!(peer.status(get("k")), 404);
    let waits = "WAIT 2 2500";
    let get = "GETRANGE speicher:k 0 65535";
    let expected = [
        "SET speicher:k 1",
        waits,
        get,
        "UNLINK speicher:k",
        waits,
        get,
    ];
    assert_eq!(node.heard(), expected);
}

#[test]
fn nothing_waits_unless_replicas_are_asked_for() {
    let node = ScriptedNode::start();
    let server = serve(&node.url(), &[]);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "1"), 200);
    assert_eq!(peer.status(del("k")), 200);
    assert_eq!(node.heard(), ["SET speicher:k 1", "UNLINK speicher:k"]);
}

#[test]
fn more_replicas_than_are_asked_for_are_enough() {
    let node = node_with_replicas(3);
    let server = serve(&node.url(), &["--store-replicas", "2"]);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "1"), 200);
    assert_eq!(peer.status(RST), 200);
}

/// A6: it was made, but may be forgotten.
#[test]
fn a_change_that_too_few_replicas_have_closes_the_connection() {
    let node = node_with_replicas(1);
    node.put("speicher:old", "1");
    let server = serve(&node.url(), &["--store-replicas", "2"]);
    for payload in [set("k", "1"), del("old"), RST.to_owned()] {
        let mut peer = server.connect();
        peer.send(&framed(payload));
        peer.assert_closed();
    }
    assert_eq!(server.connect().status(get("k")), 404);
}

/// A6
#[test]
fn what_changes_nothing_needs_no_replica() {
    let node = ScriptedNode::start();
    let server = serve(&node.url(), &["--store-replicas", "2"]);
    let mut peer = server.connect();
    assert_eq!(peer.status(get("k")), 404);
    assert_eq!(peer.status(del("k")), 404);
    node.script(|words| match words[0] {
        "SET" => line("-OOM command not allowed"),
        _ => None,
    });
    assert_eq!(peer.set("k", "1"), 503);
}

/// A6
#[test]
fn what_changes_nothing_needs_no_replica_where_a_slot_moves_either() {
    let [a, b] = ScriptedNode::cluster();
    let server = serve(&a.url(), &["--store-replicas", "1"]);
    let mut peer = server.connect();
    let address = b.address;
    a.script(move |words| match words[0] {
        "SET" | "UNLINK" => redirection("ASK", address),
        _ => None,
    });
    b.script(|words| match words[0] {
        "SET" => line("-OOM command not allowed"),
        _ => None,
    });
    assert_eq!(peer.status(del("k")), 404);
    assert_eq!(peer.set("k", "1"), 503);
    assert!(b.heard().contains(&"WAIT 1 2500".to_owned()));
}

/// A change that is redirected waits for the replicas of the node that made it.
#[test]
fn a_change_that_is_redirected_waits_where_it_is_made() {
    for kind in ["MOVED", "ASK"] {
        let [a, b] = ScriptedNode::cluster();
        let server = serve(&a.url(), &["--store-replicas", "1"]);
        let mut peer = server.connect();
        let address = b.address;
        a.script(move |words| match words[0] {
            "SET" => redirection(kind, address),
            _ => None,
        });
        b.script(|words| match words[0] {
            "WAIT" => line(":1"),
            _ => None,
        });
        assert_eq!(peer.set("k", "1"), 200);
        assert_eq!(a.heard(), ["SET speicher:k 1", "WAIT 1 2500"]);
        let heard = b.heard();
        assert_eq!(
            heard[heard.len() - 2..],
            ["SET speicher:k 1", "WAIT 1 2500"]
        );
        b.script(|_| None);
        peer.send(&framed(set("k", "1")));
        peer.assert_closed();
    }
}

/// A6
#[test]
fn a_wait_that_fails_or_makes_no_sense_is_no_replica() {
    for answer in ["-ERR WAIT cannot be used", "+OK", "_"] {
        let node = ScriptedNode::start();
        node.script(move |words| match words[0] {
            "WAIT" => line(answer),
            _ => None,
        });
        let server = serve(&node.url(), &["--store-replicas", "1"]);
        let mut peer = server.connect();
        peer.send(&framed(set("k", "1")));
        peer.assert_closed();
    }
}

#[test]
fn a_redis_alone_has_no_replica_and_acknowledges_no_change() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    node.ask(&["SET", "speicher:old", "1"]);
    let server = serve(
        &url(&node),
        &[&IMPATIENT[..], &["--store-replicas", "1"]].concat(),
    );
    let mut peer = server.connect();
    assert_eq!(peer.ask(get("old"))["value"], 1);
    peer.send(&framed(set("k", "1")));
    peer.assert_closed();
    let mut peer = server.connect();
    assert_eq!(peer.ask(get("k"))["value"], 1, "it is there all the same");
}

#[test]
fn a_redis_with_a_replica_acknowledges_what_the_replica_has() {
    if !can_start() {
        return;
    }
    let (node, replica) = node_with_its_replica();
    let server = serve(&url(&node), &REPLICATED);
    let mut peer = server.connect();
    for number in 0..10 {
        assert_eq!(peer.set("k", &number.to_string()), 200);
        let stored = replica.ask(&["GET", "speicher:k"]);
        assert_eq!(stored.text(), number.to_string());
    }
    assert_eq!(peer.status(RST), 200);
    assert_eq!(replica.ask(&["DBSIZE"]).integer(), 0);
}

/// Each waits for what it has changed itself.
#[test]
fn many_connections_at_once_have_their_changes_acknowledged_by_a_replica() {
    const CLIENTS: usize = 200;

    if !can_start() {
        return;
    }
    let (node, replica) = node_with_its_replica();
    let server = serve(&url(&node), &REPLICATED);
    let mut peers: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    for (number, peer) in peers.iter_mut().enumerate() {
        peer.send(&framed(set(&format!("k{number}"), &number.to_string())));
    }
    for peer in &mut peers {
        assert_eq!(status_of(&peer.reply()), 200);
    }
    for number in 0..CLIENTS {
        let stored = replica.ask(&["GET", &format!("speicher:k{number}")]);
        assert_eq!(stored.text(), number.to_string());
    }
}

/// What comes while others wait for replicas waits together.
#[test]
fn many_changes_wait_together() {
    const CLIENTS: usize = 50;

    let node = node_with_replicas(1);
    let server = serve(&node.url(), &["--store-replicas", "1"]);
    let mut peers: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    for peer in &mut peers {
        assert_eq!(peer.status(get("k")), 404);
    }
    node.turn_deaf();
    for (number, peer) in peers.iter_mut().enumerate() {
        peer.send(&framed(set(&format!("k{number}"), "1")));
    }
    node.hear_again();
    for peer in &mut peers {
        assert_eq!(status_of(&peer.reply()), 200);
    }
    assert_eq!(node.changes(), CLIENTS);
    let waits = node
        .heard()
        .iter()
        .filter(|it| it.starts_with("WAIT"))
        .count();
    assert!((1..CLIENTS / 2).contains(&waits), "{waits}");
}
