//! S2, S2a: a server that ends while its store is slow.

use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::scripted::{ScriptedNode, silence_for};
use super::*;

/// The longest that a stop may take.
const STOP_TIME_MAX: Duration = Duration::from_millis(2_500);

fn wait_until_nobody_is_accepted(server: &Process) {
    wait_until("the signal is acted on", || {
        TcpStream::connect(server.address()).is_err()
    });
}

/// S2a
#[test]
fn what_a_slow_node_answers_during_a_stop_reaches_its_clients() {
    let node = ScriptedNode::start();
    let (answer, answers) = channel::<()>();
    let answers = Mutex::new(answers);
    node.script(move |words| {
        if words[1..].contains(&"speicher:slow") {
            // Until the test says so.
            let _ = answers.lock().expect("no panic").recv();
        }
        None
    });
    let mut server = serve(&node.url(), &[]);
    let mut peers: Vec<_> = (0..20).map(|_| server.connect()).collect();
    peers[0].send(&[set("slow", "1"), get("slow")].map(framed).concat());
    node.wait_for("SET speicher:slow 1");
    for peer in &mut peers[1..] {
        peer.send(&framed(set("k", "1")));
    }
    let begun = Instant::now();
    server.signal("TERM");
    wait_until_nobody_is_accepted(&server);
    drop(answer);
    assert_eq!(status_of(&peers[0].reply()), 200);
    assert_eq!(peers[0].reply()["value"], 1);
    peers[0].assert_closed();
    for peer in &mut peers[1..] {
        assert_eq!(status_of(&peer.reply()), 200);
        peer.assert_closed();
    }
    assert_eq!(server.wait().0.code(), Some(0));
    let elapsed = begun.elapsed();
    assert!(elapsed < STOP_TIME_MAX, "{elapsed:?}");
}

/// S2a
#[test]
fn a_node_that_never_answers_does_not_keep_a_server_from_ending() {
    let node = ScriptedNode::start();
    node.script(silence_for("speicher:k"));
    let mut server = serve(&node.url(), &["--store-timeout", "1m"]);
    let mut peers = [set("k", "1"), get("k"), del("k")].map(|payload| {
        let mut peer = server.connect();
        peer.send(&framed(payload));
        peer
    });
    wait_until("the node has a request", || !node.heard().is_empty());
    let begun = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
    let elapsed = begun.elapsed();
    assert!(elapsed < STOP_TIME_MAX, "{elapsed:?}");
    for peer in &mut peers {
        peer.assert_closed();
    }
}

/// S2a
#[test]
fn a_node_that_can_t_be_reached_does_not_keep_a_server_from_ending() {
    let node = ScriptedNode::start();
    let mut server = serve(&node.url(), &[]);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "1"), 200);
    node.refuse();
    wait_until_status(&server, 503, &get("k"));
    let begun = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
    assert!(begun.elapsed() < STOP_TIME_MAX);
    peer.assert_closed();
}

/// S2a
#[test]
fn a_pipeline_that_is_under_way_at_a_stop_is_answered_to_its_end() {
    const GETS: usize = 5_000;

    let node = ScriptedNode::start();
    let mut server = serve(&node.url(), &[]);
    let mut peer = server.connect();
    peer.send(&framed(get("k")).repeat(GETS));
    server.signal("TERM");
    for _ in 0..GETS {
        assert_eq!(status_of(&peer.reply()), 404);
    }
    peer.assert_closed();
    assert_eq!(server.wait().0.code(), Some(0));
}
