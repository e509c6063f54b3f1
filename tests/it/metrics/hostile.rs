//! Whatever comes by HTTP, the service goes on and so do the metrics.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;

every_model![
    a_thousand_connections_do_not_touch_the_service,
    slow_requests_do_not_touch_the_service,
    endless_requests_do_not_touch_the_service,
];

/// The longest that a reply of the service may take beside an attack: the machine
/// of a test is busy with other tests too.
const REPLY_TIME_MAX: Duration = Duration::from_secs(1);

/// What the process may take more than before, in KiB.
const GROWTH_MAX: u64 = 16 << 10;

/// Runs the attack while a peer of the service asks again and again, and looks at
/// what the service and the process were like meanwhile.
fn beside_a_prober(model: Model, attack: impl FnOnce(SocketAddr)) {
    let (server, address) = process_with_metrics(&["--model", model.name()]);
    let mut prober = server.connect();
    assert_eq!(prober.set("k", "1"), 200);
    assert_eq!(get_path(address, "/metrics").status, 200);
    let (memory, threads) = (server.memory_kib("VmRSS"), server.memory_kib("Threads"));
    let is_over = AtomicBool::new(false);
    let (longest, replies) = thread::scope(|scope| {
        let probing = scope.spawn(|| {
            let (mut longest, mut replies) = (Duration::ZERO, 0);
            while !is_over.load(Ordering::Relaxed) || replies < 10 {
                let begun = Instant::now();
                assert_eq!(prober.status(get("k")), 200);
                longest = longest.max(begun.elapsed());
                replies += 1;
            }
            (longest, replies)
        });
        attack(address);
        is_over.store(true, Ordering::Relaxed);
        probing.join().expect("no panic")
    });
    assert!(longest < REPLY_TIME_MAX, "{longest:?} for one of {replies}");
    let peak = server.memory_kib("VmHWM");
    assert!(peak < memory + GROWTH_MAX, "{peak} KiB, {memory} before");
    assert_eq!(server.memory_kib("Threads"), threads);
    assert_eq!(server.connect().status(get("k")), 200);
    // Those that were attacked with are given up by then.
    wait_until("it answers again", || {
        let answered = TcpStream::connect(address).ok().and_then(|mut stream| {
            let _ = stream.set_read_timeout(Some(TIMEOUT));
            stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").ok()?;
            read_response(stream)
        });
        answered.is_some_and(|response| response.status == 200)
    });
}

/// They connect and say nothing; more than there may be are closed.
fn a_thousand_connections_do_not_touch_the_service(model: Model) {
    beside_a_prober(model, |address| {
        let timeout = Duration::from_millis(500);
        let silent: Vec<_> = (0..1_000)
            .filter_map(|_| TcpStream::connect_timeout(&address, timeout).ok())
            .collect();
        assert!(silent.len() > 100, "{} have come", silent.len());
        // The last of those that were accepted first is closed at once.
        let mut later = &silent[64];
        later.set_read_timeout(Some(TIMEOUT)).expect("a socket");
        let begun = Instant::now();
        assert!(matches!(later.read(&mut [0; 1]), Ok(0) | Err(_)));
        assert!(begun.elapsed() < Duration::from_secs(4), "at once");
    });
}

/// A byte at a time, for as long as the server puts up with it.
fn slow_requests_do_not_touch_the_service(model: Model) {
    beside_a_prober(model, |address| {
        let begun = Instant::now();
        let mut slow: Vec<_> = (0..32)
            .map(|_| TcpStream::connect(address).expect("it listens"))
            .collect();
        let request = b"GET /metrics HTTP/1.1\r\nx-header: a value that never ends";
        let mut bytes = request.iter().chain(std::iter::repeat(&b'.'));
        while !slow.is_empty() {
            let byte = [*bytes.next().expect("endless")];
            slow.retain_mut(|stream| stream.write_all(&byte).is_ok());
            assert!(begun.elapsed() < TIMEOUT, "{} are left", slow.len());
            thread::sleep(Duration::from_millis(100));
        }
        let took = begun.elapsed();
        assert!(took > Duration::from_secs(4), "{took:?}: they have 5 s");
    });
}

/// Heads without an end, bodies without an end, lines that are too long, and
/// what is no HTTP at all.
fn endless_requests_do_not_touch_the_service(model: Model) {
    beside_a_prober(model, |address| {
        let long_path = format!("GET /{} HTTP/1.1\r\n", "p".repeat(100_000));
        let chunked = "POST /metrics HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
        let heads = [
            "GET /metrics HTTP/1.1\r\n",
            "POST /metrics HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n",
            "GET /metrics HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n",
            chunked,
            &long_path,
            "\0\0\0\x1b{\"command\":\"GET\",\"key\":\"k\"}",
            "",
        ];
        let more = "x: ffffff\r\n".repeat(6_000);
        thread::scope(|scope| {
            for head in heads {
                let more = &more;
                scope.spawn(move || {
                    let mut stream = TcpStream::connect(address).expect("it listens");
                    stream.set_write_timeout(Some(TIMEOUT)).expect("a socket");
                    if stream.write_all(head.as_bytes()).is_err() {
                        return;
                    }
                    for sent in 0.. {
                        if stream.write_all(more.as_bytes()).is_err() {
                            return;
                        }
                        assert!(sent < 1_000, "it reads on and on: {head:?}");
                    }
                });
            }
        });
    });
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let (_server, address) = with_metrics(config(Model::Threads));
    let fits = format!("x: {}\r\n", "a".repeat(7_000));
    let line = "GET /metrics HTTP/1.1";
    assert_eq!(request(address, line, &fits).status, 200);
    let mut stream = TcpStream::connect(address).expect("it listens");
    let long = format!("{line}\r\nx: {}", "a".repeat(9_000));
    // It may be closed before all is written.
    let _ = stream.write_all(long.as_bytes());
    let response = read_response(stream);
    assert!(response.is_none_or(|response| response.status == 431));
}
