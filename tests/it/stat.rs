//! `speicher stat`: a line a second, from whatever is at the address.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use speicher::server::Model;

use crate::harness::*;

fn spawn(address: &str, args: &[&str]) -> Child {
    let mut command = speicher();
    command.args(["stat", address]).args(args);
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    piped.spawn().expect("the program is there")
}

fn stat(address: &str, args: &[&str]) -> Output {
    spawn(address, args).wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

every_model!(the_lines_add_up_to_what_was_asked);

fn the_lines_add_up_to_what_was_asked(model: Model) {
    let mut server = Process::serve(&["--model", model.name(), "--metrics", "127.0.0.1:0"]);
    let mut child = spawn(&server.metrics_url(), &["--json", "--interval", "50ms"]);
    let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut lines = stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.expect("UTF-8")).expect("JSON"));
    let first = lines.next().expect("a line");
    assert_eq!(first["operations"], 0);
    let mut peer = server.connect();
    for i in 0..100 {
        assert_eq!(peer.set(&format!("k{i}"), "1"), 200);
    }
    assert_eq!(peer.status(get("k1")), 200);
    assert_eq!(peer.status(get("absent")), 404);
    let (mut sets, mut gets, mut absent) = (0, 0, 0);
    while sets + gets < 102 {
        let line = lines.next().expect("a line");
        let count = |name: &str| line[name].as_u64().expect("a count");
        assert_eq!(count("operations"), count("set") + count("get"));
        assert_eq!(
            count("operations"),
            count("status_200") + count("status_404")
        );
        // Not each batch is measured.
        assert!(line["batch_seconds_p50"].is_null() || count("operations") > 0);
        sets += count("set");
        gets += count("get");
        absent += count("status_404");
        if sets + gets == 102 {
            assert_eq!((count("entries"), count("connections")), (100, 1));
        }
    }
    assert_eq!((sets, gets, absent), (100, 2, 1));
    // Nobody reads on.
    drop(lines);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

#[test]
fn a_header_stands_above_each_twenty_lines_of_the_same_width() {
    let mut server = Process::serve(&["--metrics", "127.0.0.1:0"]);
    let output = stat(
        &server.metrics_url(),
        &["--interval", "5ms", "--count", "45"],
    );
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    let headers: Vec<usize> = (0..lines.len())
        .filter(|i| lines[*i].contains("ops"))
        .collect();
    assert_eq!((lines.len(), headers), (48, vec![0, 21, 42]));
    let width = |line: &&str| line.chars().count();
    assert!(
        lines.iter().all(|line| width(line) == width(&lines[0])),
        "{lines:?}"
    );
}

/// The address of a server that does this with each connection, once the request is there.
fn answering(answer: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 1024]);
            let answer = answer.clone();
            thread::spawn(move || answer(stream));
        }
    });
    address
}

const METRICS: &str = "HTTP/1.0 200 OK\r\n\r\n\
    speicher_info{version=\"1\",model=\"epoll\"} 1\n\
    speicher_requests_total{command=\"get\",status=\"200\"} 5\n";

#[test]
fn what_is_no_speicher_is_refused_with_a_remedy_and_in_time() {
    let is_listening = Process::serve(&["--frame-timeout", "1"]);
    let here = is_listening.address().to_string();
    let endless = answering(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n");
        while stream.write_all(&[b'#'; 65536]).is_ok() {}
    });
    let slow = answering(|mut stream| {
        while stream.write_all(b"H").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let nonsense = answering(|mut stream| {
        let _ = stream.write_all(b"\x1b[2J\xff\0");
    });
    let other = answering(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup 1\n");
        thread::sleep(TIMEOUT);
    });
    let steering = answering(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 500 \x1b[2J\r\n\r\n");
    });
    for (address, words) in [
        ("127.0.0.1:1", "refused"),
        (&here, "HTTP"),
        (&endless.to_string(), "longer than 1048576 bytes"),
        (&slow.to_string(), "within 5 s"),
        (&nonsense.to_string(), "HTTP"),
        (&other.to_string(), "not those of a speicher server"),
        (&steering.to_string(), "500 \\u{1b}[2J"),
    ] {
        let begun = Instant::now();
        let output = stat(address, &[]);
        let stderr = text(&output.stderr);
        assert_eq!(
            (output.status.code(), text(&output.stdout)),
            (Some(2), ""),
            "{stderr}"
        );
        assert!(
            stderr.contains(words) && stderr.contains("speicher serve --metrics"),
            "{stderr}"
        );
        assert!(begun.elapsed() < Duration::from_secs(10), "{words}");
    }
}

#[test]
fn a_server_that_goes_away_is_waited_for_and_said_to_be_back() {
    let mut server = Process::serve(&["--metrics", "127.0.0.1:0"]);
    let url = server.metrics_url();
    let mut child = spawn(&url, &["--json", "--interval", "50ms"]);
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut said = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let mut next = || said.next().expect("a line").expect("UTF-8");
    assert_eq!(server.connect().set("k", "1"), 200);
    lines.next().expect("a line").expect("UTF-8");
    server.signal("KILL");
    server.wait();
    let gone = next();
    assert!(
        gone.contains("does not answer any more") && gone.contains("waiting"),
        "{gone}"
    );
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let server = Process::serve(&["--metrics", address]);
    assert!(next().contains("answers again after "));
    assert_eq!(server.connect().set("k", "1"), 200);
    let mut sets = 0;
    let mut counted = lines.map(|line| {
        serde_json::from_str::<Value>(&line.expect("UTF-8")).expect("JSON")["set"].clone()
    });
    while sets == 0 {
        sets = counted.next().expect("a line").as_u64().expect("a count");
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

#[test]
fn a_count_ends_with_1_when_the_server_was_away() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let child = spawn(&address, &["--count", "3", "--interval", "20ms"]);
    let (mut stream, _) = listener.accept().expect("it connects");
    drop(listener);
    let _ = stream.read(&mut [0; 1024]);
    stream.write_all(METRICS.as_bytes()).expect("it reads");
    drop(stream);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr).lines().count(), 1, "it is said once");
}
