//! Attacks on a server that only counts.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;

use super::*;
use crate::bench::generator::load::Length;
use crate::bench::protocol::Protocol;
use crate::bench::workload::Workload;

/// How long an attack lasts here.
const TIME: Duration = Duration::from_millis(400);

/// What a server counted.
#[derive(Default)]
struct Counted {
    connections: AtomicU64,
    bytes: AtomicU64,
}

/// A server that reads all, and writes `reply` after each read.
fn server(reply: &'static [u8]) -> (Load, Arc<Counted>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let load = Load {
        address: listener.local_addr().expect("it is bound"),
        protocol: Protocol::Memcached,
        workload: Workload::default(),
        connections: 1,
        pipeline: 1,
        threads: 1,
        rate: None,
        length: Length::Time(TIME),
        warmup: Duration::ZERO,
        fill: false,
        verify: false,
        server_pid: None,
    };
    let counted = Arc::new(Counted::default());
    let counts = Arc::clone(&counted);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            counts.connections.fetch_add(1, Ordering::Relaxed);
            let counts = Arc::clone(&counts);
            thread::spawn(move || {
                let mut room = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut room) {
                    counts.bytes.fetch_add(n as u64, Ordering::Relaxed);
                    if stream.write_all(reply).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (load, counted)
}

fn assault(manner: Manner, messages: Vec<Message>) -> Assault {
    Assault {
        manner,
        connections: 3,
        messages,
        before: None,
        time: TIME,
        bytes_max: u64::MAX,
        opened_max: 1000,
    }
}

fn attacked(reply: &'static [u8], assault: &Assault) -> (Spent, Arc<Counted>) {
    let (load, counted) = server(reply);
    let begun = Instant::now();
    let spent = attack(&load, assault, &AtomicBool::new(false)).expect("sockets");
    assert!(begun.elapsed() < 5 * TIME, "it ends by itself");
    // What was sent last may still be on its way.
    let deadline = Instant::now() + Duration::from_secs(10);
    let count = || counted.bytes.load(Ordering::Relaxed);
    while count() < spent.bytes_sent && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    (spent, counted)
}

#[test]
fn a_message_that_is_sent_once_is_counted_to_the_byte() {
    let messages = (1..=3).map(|key| Protocol::Memcached.long_set(key, 300_000).cut(200_000));
    let (spent, counted) = attacked(b"", &assault(Manner::Once, messages.collect()));
    assert_eq!(spent.bytes_sent, 600_000);
    assert_eq!(counted.bytes.load(Ordering::Relaxed), 600_000);
    assert_eq!((spent.connections, spent.opened, spent.ended), (3, 3, 0));
    assert_eq!(spent.bytes_received, 0);
}

#[test]
fn a_message_is_sent_again_only_after_the_reply() {
    let assault = assault(Manner::AfterReply, vec![Message::of(b"set".to_vec())]);
    let (spent, _) = attacked(b"", &assault);
    assert_eq!(spent.bytes_sent, 3 * 3);
    let (spent, _) = attacked(b"STORED\r\n", &assault);
    assert!(spent.bytes_sent > 100, "{spent:?}");
    assert!(spent.bytes_received > spent.bytes_sent, "{spent:?}");
}

#[test]
fn bytes_have_a_bound() {
    let assault = Assault {
        bytes_max: 1000,
        ..assault(Manner::WithoutPause, vec![Message::of(vec![b'x'; 100])])
    };
    let (spent, _) = attacked(b"", &assault);
    // One event may send 1 MiB.
    assert!(
        (1000..=1000 + (1 << 20)).contains(&spent.bytes_sent),
        "{spent:?}"
    );
}

#[test]
fn single_bytes_are_sent_at_a_pace() {
    let message = Message::of(b"get k\r\n".to_vec());
    let (spent, counted) = attacked(b"", &assault(Manner::ByteByByte, vec![message]));
    let most = 3 * (2 * TIME.as_millis() / TICK.as_millis()) as u64;
    assert!((3..=most).contains(&spent.bytes_sent), "{spent:?}");
    assert_eq!(counted.bytes.load(Ordering::Relaxed), spent.bytes_sent);
}

#[test]
fn replies_that_are_not_read_are_not_counted() {
    let unread = assault(Manner::Unread, vec![Message::of(vec![b'x'; 50_000])]);
    let (spent, _) = attacked(b"a reply", &unread);
    assert_eq!((spent.bytes_sent, spent.bytes_received), (150_000, 0));
}

#[test]
fn connections_that_are_reset_are_replaced_up_to_a_bound() {
    let message = Message::of(b"get k\r\n".to_vec());
    let assault = Assault {
        opened_max: 50,
        ..assault(Manner::Reconnecting, vec![message])
    };
    let (spent, counted) = attacked(b"END\r\n", &assault);
    assert_eq!((spent.opened, spent.bytes_sent), (50, 50 * 7));
    assert_eq!(counted.connections.load(Ordering::Relaxed), 50);
    assert!(spent.connections <= 3, "at the same time: {spent:?}");
}

#[test]
fn a_server_that_ends_connections_is_not_asked_without_a_pause() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (load, _) = server(b"");
    let load = Load {
        address: listener.local_addr().expect("it is bound"),
        ..load
    };
    thread::spawn(move || listener.incoming().for_each(drop));
    let assault = assault(Manner::WithoutPause, vec![Message::of(vec![b'x'; 100])]);
    let spent = attack(&load, &assault, &AtomicBool::new(false)).expect("sockets");
    let most = 3 * (2 * TIME.as_millis() / TICK.as_millis()) as u64;
    assert!((3..=most).contains(&spent.opened), "{spent:?}");
}
