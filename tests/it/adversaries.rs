//! What peers that mean harm can do to a server, and to its other peers.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use speicher::protocol::frame;
use speicher::server::Model;

use crate::harness::*;

every_model![
    unfinished_frames_take_little_more_than_what_has_come,
    frames_beyond_memory_get_503_and_the_server_lives,
    entries_beyond_memory_get_503_and_the_server_lives,
    long_frames_hold_up_neither_others_nor_the_stop,
    a_peer_that_asks_now_and_then_does_not_hold_up_the_stop,
];

const MIB: usize = 1 << 20;

/// Frames of 64 MiB, of which so many bytes of payload have been sent.
struct Unfinished {
    peers: Vec<Peer>,
    payload: Vec<u8>,
    sent: usize,
}

const FRAME_LEN: usize = 64 * MIB;

impl Unfinished {
    /// Sends all of them at the same time.
    fn send(server: &Process, count: usize, sent: usize) -> Self {
        let (head, foot) = (r#"{"command":"SET","key":"long","value":""#, r#""}"#);
        let value = vec![b'v'; FRAME_LEN - head.len() - foot.len()];
        let payload = [head.as_bytes(), &value, foot.as_bytes()].concat();
        let header = frame::header(FRAME_LEN).expect("short");
        let peers: Vec<_> = (0..count).map(|_| server.connect()).collect();
        thread::scope(|scope| {
            let part = &payload[..sent];
            for mut stream in peers.iter().map(|peer| &peer.0) {
                scope.spawn(move || {
                    stream.write_all(&header).expect("the server reads");
                    stream.write_all(part).expect("the server reads");
                });
            }
        });
        Self {
            peers,
            payload,
            sent,
        }
    }

    /// Sends the rest of all at the same time, and returns the replies' status
    /// codes.
    fn finish(mut self) -> Vec<u64> {
        let rest = &self.payload[self.sent..];
        for peer in &mut self.peers {
            peer.send(rest);
        }
        let reply = |mut peer: Peer| status_of(&peer.reply());
        self.peers.into_iter().map(reply).collect()
    }
}

fn unfinished_frames_take_little_more_than_what_has_come(model: Model) {
    const COUNT: usize = 8;
    const LEN: usize = 36 * MIB;

    let server = Process::serve(&["--model", model.name()]);
    let before = server.memory_kib("VmRSS");
    let unfinished = Unfinished::send(&server, COUNT, LEN);
    wait_until("all is read", || {
        receive_queues_are_empty(server.address().port())
    });
    let taken = server.memory_kib("VmHWM") - before;
    let sent = ((COUNT * LEN) >> 10) as u64;
    assert!(
        taken < sent + sent / 4 + 16 * 1024,
        "{taken} KiB for {sent}"
    );
    drop(unfinished);
}

/// A6: more than there is memory for, in sum.
fn frames_beyond_memory_get_503_and_the_server_lives(model: Model) {
    const COUNT: usize = 32;
    const LEN: usize = 60 * MIB;

    let flags = with_workers(model, "48");
    let server = Process::serve_under("-v 1600000", &flags);
    let mut other = server.connect();
    assert_eq!(other.set("k", "1"), 200);
    let value = r#"{"status_code":200,"value":1}"#;
    let unfinished = Unfinished::send(&server, COUNT, LEN);
    assert_eq!(other.get_text("k"), value, "in the meantime");
    let statuses = unfinished.finish();
    assert!(
        statuses.iter().all(|status| [200, 503].contains(status)),
        "{statuses:?}"
    );
    assert!(
        statuses.contains(&503),
        "it had the memory, so this shows nothing"
    );
    assert_eq!(other.get_text("k"), value, "afterwards");
    assert_eq!(other.status(RST), 200);
    assert_eq!(other.set("k", "2"), 200);
}

/// A6: entries of several lengths, from several peers at the same time, until
/// each has been refused many.
fn entries_beyond_memory_get_503_and_the_server_lives(model: Model) {
    const VALUE_LENS: [usize; 4] = [3000, 3000, 800, 20_000];
    const REFUSED: usize = 1000;

    let flags = with_workers(model, "8");
    let server = Process::serve_under("-v 1000000", &flags);
    let mut other = server.connect();
    assert_eq!(other.set("k", "1"), 200);
    let value = r#"{"status_code":200,"value":1}"#;
    thread::scope(|scope| {
        let filling = VALUE_LENS.map(|len| {
            let peer = server.connect();
            scope.spawn(move || fill(peer, len, REFUSED))
        });
        while !filling.iter().all(|it| it.is_finished()) {
            assert_eq!(server.connect().get_text("k"), value, "in the meantime");
        }
    });
    assert_eq!(other.get_text("k"), value, "afterwards");
    assert_eq!(other.status(del("k")), 200);
    assert_eq!(server.connect().status(RST), 200);
    wait_until("there is memory again", || other.set("k", "2") == 200);
}

/// Sets keys of its own, many at a time, until so many are refused.
fn fill(mut peer: Peer, value_len: usize, refused: usize) {
    const DEPTH: usize = 32;

    let name = peer.0.local_addr().expect("connected").port();
    let value = format!("\"{}\"", "v".repeat(value_len));
    let (mut next, mut count) = (0, 0);
    while count < refused {
        let mut requests = Vec::new();
        for key in next..next + DEPTH {
            requests.extend(framed(set(&format!("{name}-{key}"), &value)));
        }
        next += DEPTH;
        peer.send(&requests);
        for _ in 0..DEPTH {
            match status_of(&peer.reply()) {
                200 => {}
                503 => count += 1,
                status => panic!("{status}"),
            }
        }
    }
}

/// S5: frames of 64 MiB, each of which takes a core longer to read than a peer
/// should wait.
fn long_frames_hold_up_neither_others_nor_the_stop(model: Model) {
    const COUNT: usize = 24;
    /// Reading and parsing all of them takes several seconds of a core; this
    /// leaves room for a busy machine.
    const WAIT_MAX: Duration = Duration::from_millis(500);

    let mut server = Process::serve(&["--model", model.name()]);
    let mut other = server.connect();
    let unfinished = Unfinished::send(&server, COUNT, FRAME_LEN - 1);
    let mut longest = Duration::ZERO;
    thread::scope(|scope| {
        let finished = scope.spawn(|| unfinished.finish());
        while !finished.is_finished() {
            let asked = Instant::now();
            assert_eq!(other.status(get("none")), 404);
            longest = longest.max(asked.elapsed());
        }
    });
    assert!(longest < WAIT_MAX, "{longest:?}");
    let _again = Unfinished::send(&server, COUNT, FRAME_LEN - 1);
    let begun = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}

/// S2a: its last reply is never confirmed for long, since the next follows.
fn a_peer_that_asks_now_and_then_does_not_hold_up_the_stop(model: Model) {
    const INTERVAL: Duration = Duration::from_millis(20);

    let mut server = Process::serve(&["--model", model.name()]);
    let mut peer = server.connect();
    let asking = thread::spawn(move || {
        // Until the server closes the connection.
        while peer.0.write_all(&framed(get("k"))).is_ok() {
            if frame::read_frame(&mut peer.0, MIB).is_ok_and(|reply| reply.is_none()) {
                return;
            }
            thread::sleep(INTERVAL);
        }
    });
    thread::sleep(10 * INTERVAL);
    let begun = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
    let elapsed = begun.elapsed();
    asking.join().expect("no panic");
    assert!(elapsed < Duration::from_millis(500), "{elapsed:?}");
}
