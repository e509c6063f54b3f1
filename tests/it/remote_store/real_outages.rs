//! A6: a Redis server that goes away and comes back.

use super::*;
use crate::cluster::can_start;

/// A6
#[test]
fn a_redis_that_is_killed_and_started_again_costs_503_meanwhile_and_two_lines() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let server = serve(&url(&node), &[]);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "1"), 200);
    node.kill();
    server.complaint("can't be reached");
    for payload in [set("k", "2"), get("k"), del("k"), RST.to_owned()] {
        let sentence = unavailable(&mut peer, payload);
        assert!(sentence.contains("nothing was done"), "{sentence}");
    }
    node.restart();
    wait_until("it is served again", || peer.set("k", "3") == 200);
    assert_eq!(peer.ask(get("k"))["value"], 3);
    let said = server.complaint("can be reached again");
    let address = node.address();
    for words in ["can't be reached", "can be reached again"] {
        assert_eq!(said.matches(words).count(), 1, "{said}");
    }
    // The line of the start names it too.
    assert_eq!(said.matches(&address).count(), 3, "{said}");
}

/// A6: its connections stay open, but nothing comes back.
#[test]
fn a_redis_that_is_paused_costs_503_until_it_goes_on() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let server = serve(&url(&node), &IMPATIENT);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "1"), 200);
    node.pause();
    peer.send(&framed(set("k", "2")));
    peer.assert_closed();
    wait_until_status(&server, 503, &get("k"));
    node.resume();
    wait_until_status(&server, 200, &get("k"));
    let mut peer = server.connect();
    let value = peer.ask(get("k"))["value"].as_u64();
    assert!(matches!(value, Some(1 | 2)), "{value:?}");
}

/// A6: all that may be executed is, once, or its connection is closed.
#[test]
fn a_redis_that_is_killed_under_load_loses_no_acknowledged_order() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let server = serve(&url(&node), &[]);
    let mut peers: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for (number, peer) in peers.iter_mut().enumerate() {
        let key = number.to_string();
        let frames = (0..200).flat_map(|value| framed(set(&key, &value.to_string())));
        peer.send(&frames.collect::<Vec<u8>>());
    }
    node.kill();
    for peer in &mut peers {
        let replies = std::iter::from_fn(|| peer.try_reply());
        let statuses: Vec<_> = replies.take(200).map(|reply| status_of(&reply)).collect();
        let done = statuses.iter().take_while(|status| **status == 200).count();
        let rest = &statuses[done..];
        assert!(rest.iter().all(|status| *status == 503), "{statuses:?}");
    }
    node.restart();
    wait_until_status(&server, 200, &set("k", "1"));
}

/// A6
#[test]
fn a_redis_that_drops_its_connections_is_connected_to_again() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let server = serve(&url(&node), &[]);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "1"), 200);
    for _ in 0..3 {
        node.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        wait_until_status(&server, 200, &get("k"));
    }
}

/// A6: the log says why, without the password.
#[test]
fn a_user_that_is_no_longer_let_in_costs_503_until_it_is_again() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let enable = ["ACL", "SETUSER", "app", "on", ">hush", "~*", "+@all"];
    node.ask(&enable);
    let server = serve(&format!("redis://app:hush@{}", node.address()), &[]);
    assert_eq!(server.connect().set("k", "1"), 200);
    // Its connections are closed, too.
    node.ask(&["ACL", "DELUSER", "app"]);
    wait_until_status(&server, 503, &get("k"));
    let said = server.complaint("can't be reached");
    assert!(!said.contains("hush"), "{said}");
    node.ask(&enable);
    wait_until_status(&server, 200, &get("k"));
    server.complaint("can be reached again");
}
