//! F6, S1: many requests at the same time, for entries in a Redis server.

use speicher::server::Model;

use super::*;
use crate::cluster::can_start;

/// Requests that meet each other's entries; some values are long.
fn mixed(count: usize) -> Vec<Vec<u8>> {
    let long = format!("\"{}\"", "v".repeat(70_000));
    let request = |number: usize| {
        let key = format!("k{}", number * 7 % 13);
        match number % 20 {
            0 | 3 | 6 | 13 => set(&key, &number.to_string()),
            9 => set(&key, &long),
            7 | 16 => del(&key),
            11 => r#"{"command":"GET"}"#.to_owned(),
            19 => RST.to_owned(),
            _ => get(&key),
        }
    };
    (0..count).map(|number| framed(request(number))).collect()
}

/// F6
#[test]
fn a_thousand_mixed_requests_are_answered_in_order() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let remote = serve(&url(&node), &[]);
    let local = Server::start(Model::Tokio);
    let frames = mixed(1_000);
    let replies = |mut peer: Peer| {
        let writer = peer.0.try_clone().expect("a descriptor");
        std::thread::scope(|scope| {
            scope.spawn(|| Peer(writer).send(&frames.concat()));
            let replies = frames.iter().map(|_| peer.payload());
            replies.collect::<Vec<_>>()
        })
    };
    let (found, expected) = (replies(remote.connect()), replies(local.connect()));
    for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!(found == expected, "the reply to request {number}");
    }
}

/// F6, S5
#[test]
fn many_connections_at_once_each_get_their_own_replies() {
    const PEERS: usize = 200;

    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let server = serve(&url(&node), &[]);
    let mut peers: Vec<_> = (0..PEERS).map(|_| server.connect()).collect();
    for (number, peer) in peers.iter_mut().enumerate() {
        let key = number.to_string();
        let changes = (0..10).flat_map(|round| {
            let value = (number * 100 + round).to_string();
            [set(&key, &value), get(&key)]
        });
        let frames: Vec<u8> = changes
            .chain([del(&key), get(&key)])
            .flat_map(framed)
            .collect();
        peer.send(&frames);
    }
    for (number, peer) in peers.iter_mut().enumerate() {
        for round in 0..10 {
            assert_eq!(status_of(&peer.reply()), 200);
            assert_eq!(peer.reply()["value"], number * 100 + round);
        }
        assert_eq!(status_of(&peer.reply()), 200);
        assert_eq!(status_of(&peer.reply()), 404);
    }
}

/// S1
#[test]
fn what_one_server_has_acknowledged_another_server_finds() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let servers = [serve(&url(&node), &[]), serve(&url(&node), &[])];
    let [mut one, mut other] = servers.each_ref().map(Process::connect);
    for number in 0..100 {
        assert_eq!(one.set("k", &number.to_string()), 200);
        assert_eq!(other.ask(get("k"))["value"], number);
        assert_eq!(other.status(del("k")), 200);
        assert_eq!(one.status(get("k")), 404);
    }
}

/// S3a turned round: what is elsewhere outlives the server.
#[test]
fn a_server_that_is_started_again_finds_its_entries() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let mut server = serve(&url(&node), &[]);
    assert_eq!(server.connect().set("k", "1"), 200);
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
    let server = serve(&url(&node), &[]);
    assert_eq!(server.connect().ask(get("k"))["value"], 1);
}
