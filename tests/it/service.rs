//! S1 and S3: what the entries are like for everyone together.

use std::thread;

use speicher::server::Model;

use crate::harness::*;

every_model![
    what_is_acknowledged_is_seen_on_every_connection,
    a_reset_removes_everything,
    readers_never_see_time_go_backwards,
    resets_are_atomic,
];

/// S1
fn what_is_acknowledged_is_seen_on_every_connection(model: Model) {
    let server = Server::start(model);
    let mut peers: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for round in 0..100 {
        let writer = round % peers.len();
        assert_eq!(peers[writer].set("k", &round.to_string()), 200);
        for reader in &mut peers {
            assert_eq!(reader.ask(get("k"))["value"], round);
        }
    }
    assert_eq!(peers[0].status(del("k")), 200);
    for reader in &mut peers {
        assert_eq!(reader.status(get("k")), 404);
    }
}

/// S1
fn a_reset_removes_everything(model: Model) {
    let server = Server::start(model);
    let mut peer = server.connect();
    let sets: Vec<u8> = (0..10_000)
        .flat_map(|i| framed(set(&i.to_string(), "1")))
        .collect();
    peer.send(&sets);
    for _ in 0..10_000 {
        assert_eq!(status_of(&peer.reply()), 200);
    }
    assert_eq!(server.connect().status(RST), 200);
    for i in 0..10_000 {
        assert_eq!(peer.status(get(&i.to_string())), 404);
    }
}

/// S1a: a history of one register is linearizable only if no reader sees an
/// older value after a newer one.
fn readers_never_see_time_go_backwards(model: Model) {
    const LAST: u64 = 3000;

    let server = Server::start(model);
    let mut writer = server.connect();
    assert_eq!(writer.set("k", "0"), 200);
    thread::scope(|scope| {
        for _ in 0..3 {
            let mut reader = server.connect();
            scope.spawn(move || {
                let mut seen = 0;
                while seen < LAST {
                    let value = reader.ask(get("k"))["value"].as_u64();
                    let value = value.expect("always a number");
                    assert!(value >= seen, "{value} after {seen}");
                    seen = value;
                }
            });
        }
        for i in 1..=LAST {
            assert_eq!(writer.set("k", &i.to_string()), 200);
        }
    });
}

/// S1a: a reset beside a series of SETs removes those up to some point in it
/// and none after; what is left is the end of the series.
fn resets_are_atomic(model: Model) {
    const ROUNDS: usize = 300;
    const SERIES: usize = 16;

    let server = Server::start(model);
    let mut writer = server.connect();
    let mut resetter = server.connect();
    for round in 0..ROUNDS {
        thread::scope(|scope| {
            scope.spawn(|| {
                for i in 0..SERIES {
                    assert_eq!(writer.set(&i.to_string(), "1"), 200);
                }
            });
            scope.spawn(|| {
                // So that the reset falls somewhere into the series.
                for _ in 0..round % SERIES {
                    resetter.ask(get("0"));
                }
                assert_eq!(resetter.status(RST), 200);
            });
        });
        let left: Vec<usize> = (0..SERIES)
            .filter(|i| writer.status(get(&i.to_string())) == 200)
            .collect();
        let end: Vec<usize> = (SERIES - left.len()..SERIES).collect();
        assert_eq!(left, end);
        assert_eq!(writer.status(RST), 200);
    }
}

/// S3
#[test]
fn the_default_port_is_14567() {
    let mut server = {
        let mut command = speicher();
        command.args(["serve", "--model", Model::default().name()]);
        Process::spawn(command)
    };
    if server.ready_line.is_empty() {
        // Somebody else listens there, and the server says where.
        let (status, _) = server.wait();
        assert_eq!(status.code(), Some(1));
        server.complaint("14567");
    } else {
        assert!(server.ready_line.contains(":14567 "));
    }
}
