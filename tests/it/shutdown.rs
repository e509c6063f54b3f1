//! S2 and S2a: how the server ends.

use std::io::{BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use speicher::protocol::frame::read_frame;
use speicher::server::{Config, Model};

use crate::harness::*;

every_model![
    sigterm_and_sigint_end_the_process_with_0,
    a_second_signal_ends_it_at_once_with_130,
    idle_connections_are_closed_at_once,
    whatever_address_it_listens_on_it_wakes,
    it_stops_with_no_descriptor_left,
    a_stop_under_load_loses_no_reply,
    all_that_was_sent_before_the_stop_is_answered,
    a_slow_reader_still_gets_all_its_replies,
    a_peer_that_sends_on_while_its_replies_wait_gets_them_all,
    what_a_flooding_peer_sent_before_the_stop_is_answered,
    many_flooding_peers_keep_it_no_longer_than_one,
    a_connection_without_room_is_answered_before_the_end,
    after_the_stop_nobody_is_accepted,
];

/// The longest that a stop may take.
const STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// S2, S2a
fn sigterm_and_sigint_end_the_process_with_0(model: Model) {
    for signal in ["TERM", "INT"] {
        let mut server = Process::serve(&["--model", model.name()]);
        let mut peer = server.connect();
        assert_eq!(peer.set("k", "1"), 200);
        let begun = Instant::now();
        server.signal(signal);
        let (status, rest) = server.wait();
        assert_eq!(status.code(), Some(0), "SIG{signal}");
        assert!(begun.elapsed() < STOP_TIME_MAX);
        assert_eq!(rest, "", "the ready line is all there is");
        peer.assert_closed();
    }
}

/// S2a
fn a_second_signal_ends_it_at_once_with_130(model: Model) {
    let mut server = Process::serve(&["--model", model.name()]);
    // Replies that nobody reads keep the server from stopping early.
    let _peer = peer_that_does_not_read(&server);
    server.signal("TERM");
    wait_until("the first signal is acted on", || {
        TcpStream::connect(server.address()).is_err()
    });
    server.signal("TERM");
    let begun = Instant::now();
    let (status, _) = server.wait();
    assert_eq!(status.code(), Some(130));
    assert!(begun.elapsed() < Duration::from_millis(500));
}

/// S2a
fn idle_connections_are_closed_at_once(model: Model) {
    let server = Server::start(model);
    let mut peers: Vec<_> = (0..5).map(|_| server.connect()).collect();
    for peer in &mut peers {
        assert_eq!(peer.status(get("k")), 404);
    }
    let begun = Instant::now();
    server.stop().expect("it stops");
    let elapsed = begun.elapsed();
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
    for peer in &mut peers {
        peer.assert_closed();
    }
}

/// S2a
fn whatever_address_it_listens_on_it_wakes(model: Model) {
    for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
        if address.starts_with('[') && std::net::TcpListener::bind("[::1]:0").is_err() {
            eprintln!("skipped: {address}, for this machine has no IPv6");
            continue;
        }
        let server = Server::on(address, config(model));
        let begun = Instant::now();
        server.stop().expect("it stops");
        assert!(begun.elapsed() < Duration::from_secs(1), "{address}");
    }
}

/// S2a
fn it_stops_with_no_descriptor_left(model: Model) {
    let flags = ["--model", model.name(), "--queue-timeout", "1m"];
    let mut server = Process::serve_under("-n 40", &flags);
    let mut peers: Vec<_> = (0..60).map(|_| server.connect()).collect();
    for peer in &mut peers {
        peer.send(&framed(get("k")));
    }
    assert_eq!(status_of(&peers[0].reply()), 404);
    let begun = Instant::now();
    server.signal("TERM");
    let (status, _) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(begun.elapsed() < STOP_TIME_MAX);
    for peer in &mut peers[1..] {
        let status = status_of(&peer.reply());
        assert!(status == 404 || status == 503, "{status}");
    }
}

/// Sends numbered SETs of one key, each followed by a GET of it, in bursts,
/// and checks that each reply belongs to its request. Counts in `sent` the
/// pairs that were written, and returns how many were answered.
fn load(mut stream: TcpStream, key: &str, depth: u64, sent: &AtomicU64) -> u64 {
    let mut answered = 0;
    loop {
        let burst: Vec<u8> = (answered..answered + depth)
            .flat_map(|i| [framed(set(key, &i.to_string())), framed(get(key))].concat())
            .collect();
        if stream.write_all(&burst).is_err() {
            return answered;
        }
        let written = sent.fetch_add(depth, Ordering::SeqCst) + depth;
        while answered < written {
            for expected in [
                r#"{"status_code":200}"#.to_owned(),
                format!(r#"{{"status_code":200,"value":{}}}"#, answered),
            ] {
                match read_frame(&mut stream, usize::MAX) {
                    Ok(Some(payload)) => assert_eq!(payload, expected.as_bytes()),
                    Ok(None) => return answered,
                    Err(error) => {
                        assert_ne!(
                            error.kind(),
                            ErrorKind::UnexpectedEof,
                            "a reply was cut in two"
                        );
                        return answered;
                    }
                }
            }
            answered += 1;
        }
    }
}

/// S2a: no reply is cut, skipped, or missing to what was sent before the stop.
fn a_stop_under_load_loses_no_reply(model: Model) {
    for round in 0..4 {
        let server = Server::start(model);
        let address = server.address;
        let loads: Vec<_> = (0..6)
            .map(|i| {
                let sent = Arc::new(AtomicU64::new(0));
                let stream = TcpStream::connect(address).expect("it listens");
                let counter = Arc::clone(&sent);
                let depth = if i % 2 == 0 { 1 } else { 50 };
                let load = thread::spawn(move || load(stream, &format!("k{i}"), depth, &counter));
                (sent, load)
            })
            .collect();
        for (sent, _) in &loads {
            wait_until("every load runs", || sent.load(Ordering::SeqCst) > 50);
        }
        let sent_before: Vec<_> = loads
            .iter()
            .map(|(sent, _)| sent.load(Ordering::SeqCst))
            .collect();
        let begun = Instant::now();
        server.stop().expect("it stops");
        let elapsed = begun.elapsed();
        assert!(elapsed < STOP_TIME_MAX, "round {round}: {elapsed:?}");
        for ((_, load), sent_before) in loads.into_iter().zip(sent_before) {
            let answered = load.join().expect("every reply was the right one");
            assert!(answered >= sent_before, "{answered} of {sent_before}");
        }
    }
}

/// S2a: every fully received request is answered.
fn all_that_was_sent_before_the_stop_is_answered(model: Model) {
    const PIPELINE: usize = 5000;

    for _ in 0..4 {
        let server = Server::start(model);
        let mut peers: Vec<_> = (0..4).map(|_| server.connect()).collect();
        let bytes = framed(get("k")).repeat(PIPELINE);
        for peer in &mut peers {
            peer.send(&bytes);
        }
        server.shutdown.trigger();
        for peer in &mut peers {
            for _ in 0..PIPELINE {
                assert_eq!(status_of(&peer.reply()), 404);
            }
            peer.assert_closed();
        }
    }
}

/// S2a: the replies fill both sockets' buffers, and the peer reads them only
/// when the server has been told to stop.
fn a_slow_reader_still_gets_all_its_replies(model: Model) {
    const GETS: usize = 40;

    let server = Server::start(model);
    let mut peer = server.connect();
    let value = format!("\"{}\"", "v".repeat(100_000));
    assert_eq!(peer.set("k", &value), 200);
    peer.send(&framed(get("k")).repeat(GETS));
    server.shutdown.trigger();
    for _ in 0..GETS {
        assert_eq!(status_of(&peer.reply()), 200);
    }
    peer.assert_closed();
}

/// S2a: more replies wait than the peer has room for, and it sends on before it
/// reads them. A socket closed at that point would forget the replies.
fn a_peer_that_sends_on_while_its_replies_wait_gets_them_all(model: Model) {
    const GETS: usize = 40;

    let server = Server::start(model);
    let mut peer = server.connect();
    let value = format!("\"{}\"", "v".repeat(50_000));
    assert_eq!(peer.set("k", &value), 200);
    peer.send(&framed(get("k")).repeat(GETS));
    server.shutdown.trigger();
    for _ in 0..40 {
        // The pauses are this peer's manner, longer than the server's looks.
        thread::sleep(Duration::from_millis(5));
        if peer.0.write_all(&framed(get("k"))).is_err() {
            break;
        }
    }
    for answered in 0..GETS {
        let reply = read_frame(&mut peer.0, usize::MAX);
        assert!(matches!(reply, Ok(Some(_))), "{reply:?} after {answered}");
    }
}

/// S2a: a peer sends without a pause and begins to read only after the stop,
/// when the buffers of both sockets are full in both directions.
fn what_a_flooding_peer_sent_before_the_stop_is_answered(model: Model) {
    let server = Server::start(model);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", &format!("\"{}\"", "v".repeat(3000))), 200);
    let sent = Arc::new(AtomicU64::new(0));
    let mut writer = peer.0.try_clone().expect("a descriptor");
    let flood = thread::spawn({
        let sent = Arc::clone(&sent);
        move || {
            let padding = "p".repeat(1000);
            let request = format!(r#"{{"command":"GET","key":"k","p":"{padding}"}}"#);
            let request = framed(request);
            while writer.write_all(&request).is_ok() {
                sent.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    wait_until("the buffers fill", || sent.load(Ordering::SeqCst) >= 3000);
    let sent_before = sent.load(Ordering::SeqCst);
    server.shutdown.trigger();
    let mut replies = BufReader::new(&peer.0);
    for answered in 0..sent_before {
        let reply = read_frame(&mut replies, usize::MAX);
        assert!(
            matches!(reply, Ok(Some(_))),
            "{reply:?} after {answered} of {sent_before} replies"
        );
    }
    // Whatever else comes, so that the flood is not held up.
    let _ = std::io::copy(&mut replies, &mut std::io::sink());
    flood.join().expect("it ends with the connection");
}

/// S2a: as many as keep every loop and worker busy, with replies that are long
/// and read at once.
fn many_flooding_peers_keep_it_no_longer_than_one(model: Model) {
    const PEERS: usize = 100;

    let server = Server::start(model);
    let mut peer = server.connect();
    assert_eq!(
        peer.set("k", &format!("\"{}\"", "v".repeat(256 << 10))),
        200
    );
    let floods: Vec<_> = (0..PEERS)
        .map(|_| {
            let mut reader = server.connect().0;
            let mut writer = reader.try_clone().expect("a descriptor");
            let read = thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
            let requests = framed(get("k")).repeat(100);
            let write = thread::spawn(move || while writer.write_all(&requests).is_ok() {});
            (read, write)
        })
        .collect();
    wait_until("it answers beside them", || peer.status(get("none")) == 404);
    let begun = Instant::now();
    server.stop().expect("it stops");
    let elapsed = begun.elapsed();
    for (read, write) in floods {
        // A reset ends it as well.
        let _ = read.join().expect("no panic");
        write.join().expect("no panic");
    }
    assert!(elapsed < STOP_TIME_MAX, "{elapsed:?}");
}

/// S2a, A6: executed if there is room, else 503.
fn a_connection_without_room_is_answered_before_the_end(model: Model) {
    let server = Server::with(Config {
        queue_timeout: TIMEOUT,
        ..room_for(model, 1)
    });
    let mut served = server.connect();
    assert_eq!(served.status(get("k")), 404);
    let mut waiting = server.connect();
    waiting.send(&framed(set("k", "1")));
    let begun = Instant::now();
    server.stop().expect("it stops");
    assert!(begun.elapsed() < STOP_TIME_MAX);
    let status = status_of(&waiting.reply());
    assert!(status == 200 || status == 503, "{status}");
    waiting.assert_closed();
}

/// S2a
fn after_the_stop_nobody_is_accepted(model: Model) {
    let server = Server::start(model);
    let address = server.address;
    server.stop().expect("it stops");
    let error = TcpStream::connect(address).expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}
