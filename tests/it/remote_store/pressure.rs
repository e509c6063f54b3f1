//! S5: what is bounded when a node does not keep up, or clients do not.

use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use super::scripted::ScriptedNode;
use super::*;

const MIB: usize = 1 << 20;

/// Longer than a test.
const PATIENT: [&str; 2] = ["--store-timeout", "5m"];

/// Who has done nothing for so long waits for something.
const STILL: Duration = Duration::from_millis(500);

fn memory(server: &Process) -> usize {
    server.memory_kib("VmRSS:") as usize * 1024
}

fn value(len: usize) -> String {
    format!("\"{}\"", "v".repeat(len - 2))
}

/// Waits until the number has been the same for a while.
fn wait_until_still(mut number: impl FnMut() -> usize) {
    let mut last = (number(), Instant::now());
    wait_until("nothing changes", || {
        let now = number();
        if now != last.0 {
            last = (now, Instant::now());
        }
        last.1.elapsed() > STILL
    });
}

/// Sends frames until the server takes nothing more; how many bytes.
fn flood(peer: &mut Peer, frames: &[u8], bytes_max: usize) -> usize {
    peer.0.set_write_timeout(Some(STILL)).expect("a socket");
    let mut sent = 0;
    while sent < bytes_max {
        match peer.0.write(&frames[sent % frames.len()..]) {
            Ok(len) => sent += len,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                break;
            }
        }
    }
    sent
}

/// However much clients send, a node that reads nothing costs little memory,
/// and others are served.
#[test]
fn a_node_that_does_not_read_stops_its_clients_and_no_others() {
    const PEERS: usize = 20;

    let [deaf, other] = ScriptedNode::cluster();
    deaf.give_slots_to(&[&deaf, &other]);
    let server = serve(&deaf.url(), &PATIENT);
    let before = memory(&server);
    deaf.turn_deaf();
    // The slots of "a" and "b" are in different halves.
    let frames = framed(set("a", &value(MIB)));
    let floods: Vec<_> = std::thread::scope(|scope| {
        let floods = (0..PEERS).map(|_| {
            let mut peer = server.connect();
            let frames = &frames;
            scope.spawn(move || (flood(&mut peer, frames, 50 * MIB), peer))
        });
        let floods: Vec<_> = floods.collect();
        let floods = floods.into_iter().map(|flood| flood.join());
        floods.map(|flood| flood.expect("no panic")).collect()
    });
    for (sent, _) in &floods {
        assert!(*sent < 50 * MIB, "a client is still read from");
    }
    let more = memory(&server).saturating_sub(before);
    assert!(more < 200 * MIB, "{} MiB more", more / MIB);
    let mut peer = server.connect();
    for number in 0..100 {
        assert_eq!(peer.set("b", &number.to_string()), 200);
    }
    assert_eq!(peer.ask(get("b"))["value"], 99);
    deaf.hear_again();
    for (sent, mut peer) in floods {
        for _ in 0..sent / frames.len() {
            assert_eq!(status_of(&peer.reply()), 200);
        }
    }
    let mut peer = server.connect();
    assert_eq!(
        peer.ask(get("a"))["value"].as_str().map(str::len),
        Some(MIB - 2)
    );
}

/// A6: more than may be under way to a node, which does not read in time.
#[test]
fn what_waits_for_a_node_in_vain_is_refused_and_never_done() {
    const PEERS: usize = 60;

    let node = ScriptedNode::start();
    let server = serve(&node.url(), &["--store-timeout", "1s"]);
    let frame = framed(set("k", &value(2 * MIB)));
    let mut peers: Vec<_> = (0..PEERS).map(|_| server.connect()).collect();
    node.turn_deaf();
    for peer in &mut peers {
        peer.send(&frame);
    }
    let replies = peers.iter_mut().map(Peer::try_reply);
    let statuses: Vec<_> = replies.map(|reply| reply.as_ref().map(status_of)).collect();
    let count = |status| statuses.iter().filter(|it| **it == status).count();
    // The node was waiting for one of them.
    let maybe_done = count(None) + count(Some(200));
    let refused = count(Some(503));
    assert_eq!(maybe_done + refused, PEERS, "{statuses:?}");
    assert!(refused > 0, "64 MiB are under way at most");
    node.hear_again();
    wait_until_status(&server, 404, &get("none"));
    assert!(node.changes() <= maybe_done, "what was refused was done");
}

/// A flood of short requests: bytes are not all that is bounded.
#[test]
fn a_node_that_does_not_read_stops_who_sends_many_short_requests() {
    let node = ScriptedNode::start();
    let server = serve(&node.url(), &PATIENT);
    let before = memory(&server);
    node.turn_deaf();
    let frames = framed(get("k")).repeat(10_000);
    let mut peers: Vec<_> = (0..20).map(|_| server.connect()).collect();
    std::thread::scope(|scope| {
        for peer in &mut peers {
            let frames = &frames;
            scope.spawn(move || {
                let sent = flood(peer, frames, 50 * MIB);
                assert!(sent < 50 * MIB, "a client is still read from");
            });
        }
    });
    let more = memory(&server).saturating_sub(before);
    assert!(more < 100 * MIB, "{} MiB more", more / MIB);
}

/// Each has a value or two in the server, and no more are asked for.
#[test]
fn clients_that_do_not_read_long_values_cost_one_or_two_each() {
    const PEERS: usize = 100;
    const GETS: usize = 20;

    let node = ScriptedNode::start();
    let server = serve(&node.url(), &[&PATIENT[..], &["--verbose"]].concat());
    let mut reader = server.connect();
    assert_eq!(reader.set("k", &value(MIB)), 200);
    let before = memory(&server);
    let peers: Vec<_> = (0..PEERS)
        .map(|_| {
            let mut peer = server.connect();
            peer.send(&framed(get("k")).repeat(GETS));
            peer
        })
        .collect();
    for peer in &peers {
        assert_eq!(peer.0.peek(&mut [0]).expect("its first reply has begun"), 1);
    }
    wait_until_still(|| node.heard().len());
    let more = memory(&server).saturating_sub(before);
    let bound = 2 * PEERS * MIB + 50 * MIB;
    assert!(more < bound, "{} MiB more", more / MIB);
    let heard = node.heard();
    let fetched = heard.iter().filter(|command| command.starts_with("GET "));
    assert!(fetched.count() < PEERS * GETS / 2, "they are not asked for");
    let served = reader.ask(get("k"));
    assert_eq!(served["value"].as_str().map(str::len), Some(MIB - 2));
}

/// Replies come back in order also to who reads late.
#[test]
fn a_client_that_reads_late_gets_all_its_long_values() {
    const GETS: usize = 20;

    let node = ScriptedNode::start();
    let server = serve(&node.url(), &[]);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", &value(MIB)), 200);
    peer.send(&framed(get("k")).repeat(GETS));
    let mut other = server.connect();
    assert_eq!(other.status(get("none")), 404);
    for _ in 0..GETS {
        assert_eq!(peer.reply()["value"].as_str().map(str::len), Some(MIB - 2));
    }
}

/// Each keeps what the replies of a batch may hold, however short the values
/// were that it read before.
#[test]
fn clients_that_do_not_read_many_values_cost_one_batch_each() {
    const CLIENTS: usize = 20;
    const GETS: usize = 500;

    let node = ScriptedNode::start();
    node.put("speicher:short", "1");
    node.put("speicher:k", &value(60_000));
    let server = serve(&node.url(), &PATIENT);
    let mut peers: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    for peer in &mut peers {
        for _ in 0..20 {
            assert_eq!(peer.status(get("short")), 200);
        }
    }
    let before = memory(&server);
    let gets = framed(get("k")).repeat(GETS);
    for peer in &mut peers {
        peer.send(&gets);
    }
    wait_until_still(|| memory(&server));
    let taken = memory(&server).saturating_sub(before);
    assert!(taken < 60 * MIB, "{} MiB", taken / MIB);
    for peer in &mut peers {
        for _ in 0..GETS {
            assert_eq!(peer.reply()["value"].to_string().len(), 60_000);
        }
    }
}
