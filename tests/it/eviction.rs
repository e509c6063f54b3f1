//! Who gives up its place when others wait for one.

use std::io::{ErrorKind, Read};
use std::thread;
use std::time::{Duration, Instant};

use speicher::server::{Config, Model};

use crate::harness::*;

every_model![
    the_connection_silent_longest_gives_its_place_to_one_that_waits,
    all_silent_connections_give_their_places_if_so_many_wait,
    only_silent_connections_are_evicted,
    nobody_is_evicted_while_there_is_room,
    without_eviction_silent_connections_keep_their_places,
    the_log_says_who_was_evicted,
    a_stop_does_not_wait_for_who_was_evicted,
    silent_connections_give_their_descriptors_to_those_that_wait,
];

/// How long a connection may be silent here.
const SILENCE: Duration = Duration::from_millis(500);

fn server(model: Model, room: usize) -> Server {
    Server::with(config(model, room))
}

fn config(model: Model, room: usize) -> Config {
    Config {
        idle_eviction: Some(SILENCE),
        queue_timeout: Duration::from_millis(100),
        ..room_for(model, room)
    }
}

/// Connections that take as much room.
fn occupy(server: &Server, room: usize) -> Vec<Peer> {
    let mut peers: Vec<_> = (0..room).map(|_| server.connect()).collect();
    for peer in &mut peers {
        assert_eq!(peer.status(get("absent")), 404);
    }
    peers
}

/// A new connection, if it is served.
fn try_to_be_served(server: &Server) -> Option<Peer> {
    let mut peer = server.connect();
    match peer.status(get("absent")) {
        404 => Some(peer),
        503 => None,
        status => panic!("{status}"),
    }
}

/// A new connection, as soon as one is served.
fn be_served(server: &Server, mut meanwhile: impl FnMut()) -> Peer {
    let mut served = None;
    wait_until("there is a place", || {
        meanwhile();
        served = try_to_be_served(server);
        served.is_some()
    });
    served.expect("there was a place")
}

fn assert_served(peer: &mut Peer) {
    assert_eq!(peer.status(get("absent")), 404);
}

fn the_connection_silent_longest_gives_its_place_to_one_that_waits(model: Model) {
    let server = server(model, 3);
    let mut peers = occupy(&server, 3);
    let begun = Instant::now();
    // Apart, for a server that is not let run may be late to note a silence.
    for talks in [1, 2, 0] {
        thread::sleep(SILENCE / 4);
        assert_served(&mut peers[talks]);
    }
    let mut new = be_served(&server, || ());
    let elapsed = begun.elapsed();
    assert!(elapsed >= SILENCE * 5 / 4, "{elapsed:?}");
    peers[1].assert_closed();
    for peer in [0, 2] {
        assert_served(&mut peers[peer]);
    }
    assert_served(&mut new);
}

fn all_silent_connections_give_their_places_if_so_many_wait(model: Model) {
    const ROOM: usize = 8;

    let server = Server::with(Config {
        queue_timeout: TIMEOUT,
        ..config(model, ROOM)
    });
    let silent = occupy(&server, ROOM);
    thread::sleep(SILENCE);
    // They connect before any of them is answered.
    let mut new: Vec<_> = (0..ROOM).map(|_| server.connect()).collect();
    for peer in &mut new {
        assert_served(peer);
    }
    for mut peer in silent {
        peer.assert_closed();
    }
    for peer in &mut new {
        assert_served(peer);
    }
}

fn only_silent_connections_are_evicted(model: Model) {
    const GETS: usize = 4;

    let server = server(model, 4);
    let [mut talks, mut begins, mut reads_late, mut is_silent] = occupy(&server, 4)
        .try_into()
        .unwrap_or_else(|_| panic!("4 peers"));
    // More than the sockets' buffers hold.
    let value = format!("\"{}\"", "v".repeat(12_000_000));
    assert_eq!(reads_late.set("k", &value), 200);
    reads_late.send(&framed(get("k")).repeat(GETS));
    let request = framed(get("absent"));
    begins.send(&request[..3]);

    assert_served(&mut is_silent);
    let mut new = be_served(&server, || assert_served(&mut talks));
    is_silent.assert_closed();
    let begun = Instant::now();
    while begun.elapsed() < 2 * SILENCE {
        assert_served(&mut talks);
        assert_served(&mut new);
        assert!(try_to_be_served(&server).is_none(), "nobody is silent");
    }
    begins.send(&request[3..]);
    assert_eq!(status_of(&begins.reply()), 404);
    for _ in 0..GETS {
        assert!(reads_late.payload().len() > value.len());
    }
    assert_served(&mut reads_late);
}

fn nobody_is_evicted_while_there_is_room(model: Model) {
    let server = server(model, 3);
    let mut silent = occupy(&server, 2);
    thread::sleep(SILENCE * 3 / 2);
    let new = try_to_be_served(&server);
    assert!(new.is_some());
    for peer in &mut silent {
        // Longer than one that is evicted goes on answering.
        let a_while = Some(Duration::from_millis(100));
        peer.0.set_read_timeout(a_while).expect("a socket");
        let error = peer.0.read(&mut [0]).expect_err("it is not closed");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        peer.0.set_read_timeout(Some(TIMEOUT)).expect("a socket");
        assert_served(peer);
    }
}

fn without_eviction_silent_connections_keep_their_places(model: Model) {
    let room = [room_option(model), "2"];
    let flags = ["--model", model.name(), "--queue-timeout", "50ms"];
    let eviction = ["--idle-eviction", "0"];
    let server = Process::serve(&[&flags[..], &room, &eviction].concat());
    let mut silent = [server.connect(), server.connect()];
    silent.iter_mut().for_each(assert_served);
    for _ in 0..10 {
        assert_eq!(status_of(&server.connect().reply()), 503);
    }
    silent.iter_mut().for_each(assert_served);
}

fn the_log_says_who_was_evicted(model: Model) {
    let room = [room_option(model), "1", "--idle-eviction", "1ms"];
    let server = Process::serve(&[&["--verbose", "--model", model.name()], &room[..]].concat());
    let mut silent = server.connect();
    assert_served(&mut silent);
    let local = silent.0.local_addr().expect("connected").to_string();
    wait_until("it is evicted", || {
        server.connect().status(get("absent")) == 404
    });
    silent.assert_closed();
    let end = format!("{local} disconnected");
    let said = server.complaint(&end);
    let end = said.lines().find(|line| line.contains(&end));
    let end = end.expect("a line about its end");
    assert!(end.contains("--idle-eviction"), "{end}");
}

/// S2a
fn a_stop_does_not_wait_for_who_was_evicted(model: Model) {
    let server = server(model, 8);
    let silent = occupy(&server, 8);
    thread::sleep(SILENCE);
    let mut new: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for peer in &mut new {
        peer.send(&framed(get("absent")));
    }
    let begun = Instant::now();
    server.stop().expect("it stops");
    let elapsed = begun.elapsed();
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
    for peer in &mut new {
        let status = status_of(&peer.reply());
        assert!(status == 404 || status == 503, "{status}");
    }
    drop(silent);
}

/// Each that comes gets the descriptor of the one that has been silent longest,
/// and nobody gives up one that nobody waits for.
fn silent_connections_give_their_descriptors_to_those_that_wait(model: Model) {
    /// So few that they also get a worker each.
    const DESCRIPTORS: usize = 60;
    const NEW: usize = 3;

    let limit = format!("-n {DESCRIPTORS}");
    let timeouts = ["--idle-eviction", "500ms", "--queue-timeout", "1m"];
    let server = Process::serve_under(
        &limit,
        &[&["--model", model.name()][..], &timeouts].concat(),
    );
    let mut talks = server.connect();
    let mut peers = Vec::new();
    // Those that the server has no descriptor for are not answered.
    let first_unserved = loop {
        assert_served(&mut talks);
        let mut peer = server.connect();
        peer.send(&framed(get("absent")));
        peer.0
            .set_read_timeout(Some(SILENCE / 5))
            .expect("a socket");
        if peer.0.peek(&mut [0]).is_err() {
            break peer;
        }
        peer.0.set_read_timeout(Some(TIMEOUT)).expect("a socket");
        assert_eq!(status_of(&peer.reply()), 404);
        peers.push(peer);
    };
    assert!(peers.len() < DESCRIPTORS);

    let mut new = vec![first_unserved];
    new.extend((1..NEW).map(|_| server.connect()));
    for peer in &mut new[1..] {
        peer.send(&framed(get("absent")));
    }
    for peer in &mut new {
        peer.0.set_read_timeout(Some(TIMEOUT)).expect("a socket");
        assert_eq!(status_of(&peer.reply()), 404);
    }
    for silent in &mut peers[..NEW] {
        silent.assert_closed();
    }
    // Longer than it takes to evict more.
    thread::sleep(SILENCE);
    for peer in new.iter_mut().chain(&mut peers[NEW..]).chain([&mut talks]) {
        assert_served(peer);
    }
}
