//! S6, S7, F9: what a server answers, and what it takes of the machine, when it holds as
//! much as it may.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use speicher::protocol::frame;
use speicher::server::Model;

use crate::harness::*;

every_model![
    entries_of_all_lengths_stay_below_the_ceiling,
    frames_in_progress_stay_below_the_ceiling,
    peers_that_do_not_read_stay_below_the_ceiling,
    values_that_are_gone_but_not_read_stay_below_the_ceiling,
    short_frames_in_progress_stay_below_the_ceiling,
    all_at_once_stays_below_the_ceiling,
];

const MIB: usize = 1 << 20;

const CEILING: usize = 64 * MIB;

/// The most that the process may ever have taken, in KiB: an unoptimised program's
/// own memory is in the 32 MiB.
const RESIDENT_MAX: u64 = ((CEILING + CEILING / 100 * 15 + 32 * MIB) >> 10) as u64;

fn start(model: Model, places: &str) -> Process {
    let limit = format!("-n {}", 5000);
    let flags = ["--model", model.name(), "--memory-max", "64M"];
    Process::serve_under(
        &limit,
        &[&flags[..], &[room_option(model), places]].concat(),
    )
}

fn assert_below_the_ceiling(server: &Process) {
    let taken = server.memory_kib("VmHWM");
    assert!(taken <= RESIDENT_MAX, "{taken} KiB, over {RESIDENT_MAX}");
}

/// Does the work, while a peer asks for little again and again.
fn beside_a_prober(server: &Process, work: impl FnOnce()) {
    let mut prober = server.connect();
    assert_eq!(prober.set("prober", "1"), 200);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let end = End(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert_eq!(
                    prober.get_text("prober"),
                    r#"{"status_code":200,"value":1}"#
                );
                assert_eq!(prober.status(del("nothing")), 404);
                assert_eq!(prober.set("prober", "1"), 200, "it does not grow");
            }
        });
        work();
        drop(end);
    });
}

/// Dropped, also by a panic, it sets the flag.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Lengths from 16 bytes to 64 KiB, as many of each magnitude.
struct Lengths(u64);

impl Lengths {
    fn next_number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn next(&mut self) -> usize {
        let magnitude = 4 + self.next_number() % 12;
        let least = 1 << magnitude;
        (least + self.next_number() % least) as usize
    }
}

/// Sets keys of its own until the store is full, and then overwrites them ten times.
fn fill_and_overwrite(mut peer: Peer, seed: u64) {
    const DEPTH: usize = 16;
    const REFUSED: usize = 200;

    let mut lengths = Lengths(seed);
    let mut values: HashMap<usize, usize> = HashMap::new();
    let mut refused = 0;
    let mut set_some = |keys: &mut dyn FnMut(u64) -> usize, values: &mut HashMap<usize, usize>| {
        let sets: Vec<_> = (0..DEPTH)
            .map(|_| (keys(lengths.next_number()), lengths.next()))
            .collect();
        for (key, len) in &sets {
            let value = format!("\"{}\"", "v".repeat(*len));
            peer.send(&framed(set(&format!("{seed}-{key}"), &value)));
        }
        let mut refused = 0;
        for (key, len) in sets {
            let reply = peer.reply();
            match status_of(&reply) {
                200 => drop(values.insert(key, len)),
                503 => {
                    refused += 1;
                    let sentence = reply["error"].as_str().expect("a sentence");
                    assert!(sentence.contains("64 MiB"), "{sentence}");
                    assert!(sentence.contains("--memory-max"), "{sentence}");
                }
                status => panic!("{status}"),
            }
        }
        refused
    };
    let mut next = 0;
    while refused < REFUSED {
        refused += set_some(
            &mut |_| {
                next += 1;
                next
            },
            &mut values,
        );
    }
    let count = next as u64;
    for _ in 0..10 * next / DEPTH {
        set_some(&mut |number| (number % count) as usize, &mut values);
    }
    for (key, len) in values.into_iter().take(200) {
        let reply = peer.ask(get(&format!("{seed}-{key}")));
        let value = reply["value"].as_str().expect("what was set");
        assert_eq!(value.len(), len, "the last that was not refused");
    }
}

fn entries_storm(server: &Process) {
    thread::scope(|scope| {
        for seed in 1..=4 {
            let peer = server.connect();
            scope.spawn(move || fill_and_overwrite(peer, seed << 32));
        }
    });
}

/// Peers that have sent the beginning of a frame of 63 MiB, as long as they got rid
/// of it.
fn frames_storm(server: &Process, count: usize) -> Vec<Peer> {
    let part = vec![b' '; 256 << 10];
    // Of the longer ones, none has room. Of the others, some have.
    let lens = [63 * MIB, 6 * MIB];
    let headers = lens.map(|len| frame::header(len).expect("short"));
    let send = |index: usize| {
        let mut peer = server.connect();
        peer.send(&headers[index % headers.len()]);
        peer.send(&part);
        peer
    };
    (0..count).map(send).collect()
}

/// Peers that ask for long values, again and again, and read nothing.
fn deaf_storm(server: &Process, count: usize) -> Vec<Peer> {
    let mut setter = server.connect();
    // More of each than the kernel keeps for a connection.
    let lens = [(7_000, 1_500), (60_000, 200)];
    for (len, _) in lens {
        let value = format!("\"{}\"", "v".repeat(len));
        setter.set(&format!("deaf-{len}"), &value);
    }
    let requests = lens.map(|(len, count)| framed(get(&format!("deaf-{len}"))).repeat(count));
    let ask = |index: usize| {
        let peer = server.connect();
        peer.0.set_nonblocking(true).expect("a socket");
        // The server does not take all of it, or ends the connection.
        let _ = (&peer.0).write(&requests[index % lens.len()]);
        peer
    };
    (0..count).map(ask).collect()
}

fn entries_of_all_lengths_stay_below_the_ceiling(model: Model) {
    let server = start(model, "64");
    beside_a_prober(&server, || entries_storm(&server));
    assert_below_the_ceiling(&server);
    let mut peer = server.connect();
    assert_eq!(peer.status(RST), 200);
    assert_eq!(
        peer.set("k", "1"),
        200,
        "at once, however much is to be freed"
    );
}

fn frames_in_progress_stay_below_the_ceiling(model: Model) {
    let server = start(model, "2100");
    beside_a_prober(&server, || {
        let _peers = frames_storm(&server, 2000);
        wait_until("all is read", || {
            receive_queues_are_empty(server.address().port())
        });
    });
    assert_below_the_ceiling(&server);
}

fn peers_that_do_not_read_stay_below_the_ceiling(model: Model) {
    let server = start(model, "2100");
    beside_a_prober(&server, || drop(deaf_storm(&server, 200)));
    assert_below_the_ceiling(&server);
}

/// Each peer asks for a value of its own and does not read it; then it is removed.
fn values_that_are_gone_but_not_read_stay_below_the_ceiling(model: Model) {
    const COUNT: usize = 300;
    const LEN: usize = MIB;
    /// More of them than the kernel keeps for a connection.
    const ASKED: usize = 8;

    let server = start(model, "400");
    beside_a_prober(&server, || {
        let mut peers = Vec::new();
        let mut setter = server.connect();
        let value = format!("\"{}\"", "v".repeat(LEN));
        for index in 0..COUNT {
            let key = format!("gone-{index}");
            let status = setter.set(&key, &value);
            assert!([200, 503].contains(&status), "{status}");
            let mut peer = server.connect();
            peer.send(&framed(get(&key)).repeat(ASKED));
            // It is executed when its first bytes come.
            peer.0.peek(&mut [0; 1]).expect("a reply");
            peers.push(peer);
            let status = setter.status(del(&key));
            assert!([200, 404].contains(&status), "{status}");
        }
    });
    assert_below_the_ceiling(&server);
}

/// Frames that any connection may have, and very many of them.
fn short_frames_in_progress_stay_below_the_ceiling(model: Model) {
    const LEN: usize = 64_000;

    let server = start(model, "2100");
    let header = frame::header(LEN).expect("short");
    let part = vec![b' '; LEN - 1];
    beside_a_prober(&server, || {
        let send = |_| {
            let mut peer = server.connect();
            peer.send(&header);
            peer.send(&part);
            peer
        };
        let peers: Vec<_> = (0..2000).map(send).collect();
        wait_until("all is read", || {
            receive_queues_are_empty(server.address().port())
        });
        for mut peer in peers.into_iter().rev().take(100) {
            peer.send(b" ");
            let status = status_of(&peer.reply());
            assert!([400, 503].contains(&status), "{status}");
            assert_eq!(peer.status(get("nothing")), 404, "it is in step");
        }
    });
    assert_below_the_ceiling(&server);
}

fn all_at_once_stays_below_the_ceiling(model: Model) {
    let server = start(model, "2100");
    beside_a_prober(&server, || {
        thread::scope(|scope| {
            let frames = scope.spawn(|| frames_storm(&server, 1000));
            let deaf = scope.spawn(|| deaf_storm(&server, 200));
            entries_storm(&server);
            frames.join().expect("no panic");
            deaf.join().expect("no panic");
        });
    });
    assert_below_the_ceiling(&server);
}

#[test]
fn the_ceiling_is_three_quarters_of_what_the_process_may_use_unless_told() {
    let told = |flags: &[&str]| Process::serve(flags).ready_line.clone();
    let available = speicher::memory::available().expect("Linux");
    let default = speicher::memory::Size(available / 4 * 3).to_string();
    let line = told(&[]);
    assert!(line.ends_with(&format!(", {default} of memory)")), "{line}");
    let line = told(&["--memory-max", "1G"]);
    assert!(line.ends_with(", 1 GiB of memory)"), "{line}");
    let line = told(&["--memory-max", "0"]);
    assert!(line.ends_with(" workers)"), "{line}");
}

#[test]
fn a_ceiling_too_low_for_a_server_is_an_error_with_the_least() {
    let output = speicher()
        .args(["serve", "--memory-max", "15M"])
        .output()
        .expect("it ends");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("16 MiB"), "{said}");
}
