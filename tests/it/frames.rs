//! F1 to F8: how bytes are cut into requests and replies.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use speicher::server::{Config, Model};

use crate::harness::*;

every_model![
    a_frame_is_a_big_endian_length_and_a_payload,
    a_reply_arrives_whole_in_one_read,
    an_empty_frame_is_400_and_the_connection_stays_open,
    a_negative_length_is_400_and_the_connection_closes,
    a_length_over_the_limit_is_400_and_the_connection_closes,
    a_frame_of_just_the_limit_is_served,
    the_400_is_readable_while_100_mb_are_still_being_written,
    announced_lengths_take_no_memory,
    each_frame_has_its_own_time,
    frames_may_come_byte_by_byte,
    replies_to_coalesced_frames_come_in_order,
    a_pipeline_of_100_000_is_answered_in_order,
    long_values_come_back_in_a_pipeline,
    every_complete_frame_before_a_half_close_is_answered,
    an_incomplete_frame_is_never_executed,
    a_frame_that_does_not_finish_closes_the_connection,
    a_trickled_frame_is_as_late_as_a_stuck_one,
    an_idle_connection_is_not_a_late_frame,
    long_frames_earn_time,
];

/// F1
fn a_frame_is_a_big_endian_length_and_a_payload(model: Model) {
    let server = Server::start(model);
    let mut peer = server.connect();
    peer.send(b"\0\0\0\x2b{\"command\":\"SET\",\"key\":\"foo\",\"value\":\"bar\"}");
    peer.send(b"\0\0\0\x1d{\"command\":\"GET\",\"key\":\"foo\"}");
    let expected =
        b"\0\0\0\x13{\"status_code\":200}\0\0\0\x21{\"status_code\":200,\"value\":\"bar\"}";
    let mut replies = vec![0; expected.len()];
    peer.0.read_exact(&mut replies).expect("two replies");
    assert_eq!(
        String::from_utf8_lossy(&replies),
        String::from_utf8_lossy(expected)
    );
}

/// F2, F2a
fn a_reply_arrives_whole_in_one_read(model: Model) {
    let server = Server::start(model);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", &format!("\"{}\"", "v".repeat(1000))), 200);
    let mut room = [0; 4096];
    for _ in 0..200 {
        peer.send(&framed(get("k")));
        let n = peer.0.read(&mut room).expect("a reply");
        let reply_len = 4 + r#"{"status_code":200,"value":""}"#.len() + 1000;
        assert_eq!(n, reply_len);
    }
}

/// F3
fn an_empty_frame_is_400_and_the_connection_stays_open(model: Model) {
    let server = Server::start(model);
    let mut peer = server.connect();
    assert_eq!(peer.status(""), 400);
    assert_eq!(peer.set("k", "1"), 200);
}

/// F4
fn a_negative_length_is_400_and_the_connection_closes(model: Model) {
    let server = Server::start(model);
    for length in [-1_i32, i32::MIN] {
        let mut peer = server.connect();
        peer.send(&framed(set("before", "1")));
        peer.send(&length.to_be_bytes());
        peer.send(&framed(set("after", "1")));
        assert_eq!(status_of(&peer.reply()), 200);
        assert_eq!(status_of(&peer.reply()), 400);
        peer.assert_closed();
        assert_eq!(server.connect().status(get("after")), 404);
    }
}

/// F5
fn a_length_over_the_limit_is_400_and_the_connection_closes(model: Model) {
    let server = Server::with(Config {
        frame_len_max: 1000,
        ..config(model)
    });
    for length in [1001_i32, i32::MAX] {
        let mut peer = server.connect();
        peer.send(&length.to_be_bytes());
        let reply = peer.reply();
        assert_eq!(status_of(&reply), 400);
        let error = reply["error"].as_str().expect("a sentence");
        assert!(error.contains("1000") && error.contains("--frame-max"));
        peer.close_sending_side();
        peer.assert_closed();
    }
}

/// F5
fn a_frame_of_just_the_limit_is_served(model: Model) {
    let frame_len_max = 1000;
    let server = Server::with(Config {
        frame_len_max,
        ..config(model)
    });
    let around = set("k", "\"\"").len();
    let longest = format!("\"{}\"", "v".repeat(frame_len_max - around));
    let mut peer = server.connect();
    assert_eq!(set("k", &longest).len(), frame_len_max);
    assert_eq!(peer.set("k", &longest), 200);
    assert!(peer.get_text("k").contains(&longest));
}

/// F5
fn the_400_is_readable_while_100_mb_are_still_being_written(model: Model) {
    let server = Server::with(Config {
        frame_len_max: 1 << 20,
        ..config(model)
    });
    let mut peer = server.connect();
    let length = 100_000_000;
    peer.send(&i32::to_be_bytes(length));
    let piece = [b'x'; 1 << 16];
    let mut left = length as usize;
    while left > 0 {
        let n = left.min(piece.len());
        peer.send(&piece[..n]);
        left -= n;
    }
    assert_eq!(status_of(&peer.reply()), 400);
    peer.close_sending_side();
    peer.assert_closed();
}

/// F5
fn announced_lengths_take_no_memory(model: Model) {
    let server = Process::serve(&["--model", model.name(), "--frame-max", "2147483647"]);
    let before = (server.memory_kib("VmRSS"), server.memory_kib("VmSize"));
    let peers: Vec<_> = (0..200)
        .map(|_| {
            let mut peer = server.connect();
            assert_eq!(peer.status(get("k")), 404);
            peer.send(&i32::MAX.to_be_bytes());
            peer.send(b"{");
            peer
        })
        .collect();
    wait_until("every length has been read", || {
        receive_queues_are_empty(server.address().port())
    });
    let lens = peers.len();
    let grown = server.memory_kib("VmRSS").saturating_sub(before.0);
    assert!(grown < 20 * 1024, "{grown} KiB for {lens} lengths");
    // Memory that is asked for and not touched, too. A heap that was just begun
    // may have been larger before.
    let grown = server.memory_kib("VmSize").saturating_sub(before.1);
    assert!(grown < 4 << 20, "{grown} KiB for {lens} lengths of 2 GiB");
}

/// F6a
fn frames_may_come_byte_by_byte(model: Model) {
    let server = Server::start(model);
    let mut peer = server.connect();
    for byte in framed(set("k", "[1, 2]")) {
        peer.send(&[byte]);
    }
    assert_eq!(status_of(&peer.reply()), 200);
    for byte in framed(get("k")) {
        peer.send(&[byte]);
    }
    assert_eq!(peer.reply()["value"][1], 2);
}

/// F6
fn replies_to_coalesced_frames_come_in_order(model: Model) {
    let server = Server::start(model);
    let mut peer = server.connect();
    let requests = [
        (set("a", "1"), 200),
        ("[]".into(), 400),
        ("".into(), 400),
        (get("a"), 200),
        (del("a"), 200),
        (get("a"), 404),
        ("{".into(), 400),
        (del("a"), 404),
        (RST.into(), 200),
    ];
    let bytes: Vec<u8> = requests.iter().flat_map(|(r, _)| framed(r)).collect();
    peer.send(&bytes);
    for (request, expected) in requests {
        assert_eq!(status_of(&peer.reply()), expected, "{request}");
    }
}

/// F6
fn a_pipeline_of_100_000_is_answered_in_order(model: Model) {
    const LEN: usize = 100_000;

    let server = Server::start(model);
    let mut peer = server.connect();
    let mut writer = Peer(peer.0.try_clone().expect("a descriptor"));
    let sending = thread::spawn(move || {
        let bytes: Vec<u8> = (0..LEN)
            .flat_map(|i| [framed(set("k", &i.to_string())), framed(get("k"))].concat())
            .collect();
        writer.send(&bytes);
    });
    for i in 0..LEN {
        assert_eq!(peer.payload(), br#"{"status_code":200}"#);
        let expected = format!(r#"{{"status_code":200,"value":{i}}}"#);
        assert_eq!(peer.payload(), expected.as_bytes());
    }
    sending.join().expect("all was sent");
}

/// F6
fn long_values_come_back_in_a_pipeline(model: Model) {
    let server = Server::start(model);
    let mut peer = server.connect();
    let lens = [1_usize, 5_000, 20_000, 300_000, 3_000_000];
    for len in lens {
        let value = format!("\"{}\"", "v".repeat(len));
        assert_eq!(peer.set(&len.to_string(), &value), 200);
    }
    let gets: Vec<u8> = (0..4)
        .flat_map(|_| lens.map(|len| framed(get(&len.to_string()))))
        .flatten()
        .collect();
    peer.send(&gets);
    for len in lens.repeat(4) {
        let reply = peer.reply();
        assert_eq!(reply["value"].as_str().map(str::len), Some(len));
    }
}

/// F7
fn every_complete_frame_before_a_half_close_is_answered(model: Model) {
    let server = Server::start(model);
    let mut peer = server.connect();
    let bytes = [framed(set("a", "1")), framed(get("a")), framed(del("a"))].concat();
    peer.send(&bytes);
    peer.close_sending_side();
    for _ in 0..3 {
        assert_eq!(status_of(&peer.reply()), 200);
    }
    peer.assert_closed();
}

/// F7
fn an_incomplete_frame_is_never_executed(model: Model) {
    let server = Server::start(model);
    let whole = framed(set("k", "1"));
    for cut in 1..whole.len() {
        let mut peer = server.connect();
        peer.send(&whole[..cut]);
        peer.close_sending_side();
        peer.assert_closed();
    }
    assert_eq!(server.connect().status(get("k")), 404);
}

fn impatient(model: Model) -> Server {
    Server::with(Config {
        frame_timeout: Duration::from_millis(200),
        ..config(model)
    })
}

/// F8
fn a_frame_that_does_not_finish_closes_the_connection(model: Model) {
    let server = impatient(model);
    let whole = framed(set("k", "1"));
    for cut in [1, 4, whole.len() - 1] {
        let mut peer = server.connect();
        assert_eq!(peer.status(get("k")), 404);
        let begun = Instant::now();
        peer.send(&whole[..cut]);
        peer.assert_closed();
        let elapsed = begun.elapsed();
        assert!(elapsed > Duration::from_millis(190), "{elapsed:?}");
        assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    }
}

/// F8
fn a_trickled_frame_is_as_late_as_a_stuck_one(model: Model) {
    let server = impatient(model);
    let mut peer = server.connect();
    let begun = Instant::now();
    let mut bytes = framed(set("k", &format!("\"{}\"", "v".repeat(10_000)))).into_iter();
    // The pauses are the peer's behaviour that the claim is about.
    peer.0
        .set_read_timeout(Some(Duration::from_millis(20)))
        .expect("a socket");
    let closed = bytes.find(|byte| {
        use std::io::Write;
        let is_refused = peer.0.write_all(&[*byte]).is_err();
        is_refused || !matches!(peer.0.read(&mut [0]), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock)
    });
    assert!(closed.is_some(), "it was closed before all was sent");
    assert!(begun.elapsed() < Duration::from_secs(2));
}

/// F8
fn an_idle_connection_is_not_a_late_frame(model: Model) {
    let server = impatient(model);
    let mut idle = server.connect();
    assert_eq!(idle.set("k", "1"), 200);
    let mut late = server.connect();
    late.send(b"\0");
    late.assert_closed();
    assert_eq!(idle.status(get("k")), 200);
}

/// F8: the frame before it, and how many came with it, do not matter.
fn each_frame_has_its_own_time(model: Model) {
    let frame_timeout = Duration::from_millis(600);
    let server = Server::with(Config {
        frame_timeout,
        ..config(model)
    });
    // As many as are executed together, and one less and more.
    for count in [1023, 1024, 1025] {
        let mut peer = server.connect();
        let frames = framed("").repeat(count);
        let (begin, rest) = frames.split_at(1);
        // The pauses are the peer's, each well within the time of one frame
        // and together more than that.
        peer.send(begin);
        thread::sleep(frame_timeout * 2 / 3);
        peer.send(&[rest, b"\0"].concat());
        thread::sleep(frame_timeout * 2 / 3);
        peer.send(b"\0\0\0");
        for i in 0..=count {
            assert_eq!(status_of(&peer.reply()), 400, "{i} of {count}");
        }
    }
}

/// F8: a second more for each 64 KiB received.
fn long_frames_earn_time(model: Model) {
    let server = impatient(model);
    let whole = framed(set("k", &format!("\"{}\"", "v".repeat(200_000))));
    let (most, rest) = whole.split_at(150_000);
    let mut peer = server.connect();
    peer.send(most);
    // Longer than the timeout of a short frame, which a witness shows.
    let mut late = server.connect();
    late.send(b"\0");
    late.assert_closed();
    peer.send(rest);
    assert_eq!(status_of(&peer.reply()), 200);
}
