//! A run ends by itself, and keeps little, whatever the server sends.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{DONE, read_request, stdout};
use crate::harness::*;

/// The begin of a reply as servers usually write it, and of one that says nothing before
/// all of it is there.
const USUAL: &[u8] = br#"{"status_code":200,"value":""#;
const UNUSUAL: &[u8] = br#"{ "value": ""#;

/// Sends 2 GiB, as fast as the peer takes them.
fn flood(stream: &mut TcpStream, begin: &[u8]) {
    let block = b"v".repeat(1 << 20);
    let sent = stream.write_all(&i32::MAX.to_be_bytes());
    let mut sent = sent.and_then(|()| stream.write_all(begin));
    for _ in 0..2047 {
        if sent.is_err() {
            return;
        }
        sent = stream.write_all(&block);
    }
}

fn flooding(begin: &'static [u8]) -> SocketAddr {
    serve_each(move |mut stream| {
        while read_request(&mut stream) {
            flood(&mut stream, begin);
        }
    })
}

/// Runs `speicher bench` to its end, which has to come within the time.
fn run_within(time: Duration, address: SocketAddr, args: &[&str]) -> Output {
    let mut child = speicher()
        .args(["bench", &address.to_string()])
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is there");
    wait_within(time, &mut child);
    child.wait_with_output().expect("it has ended")
}

fn wait_within(time: Duration, child: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        if begun.elapsed() > time {
            child.kill().expect("a child");
            panic!("it still runs after {time:?}");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// The server is always there first: each read brings all that it may.
#[test]
fn a_server_that_sends_without_end_does_not_keep_a_run_from_its_end() {
    let args = ["--get", "100", "--warmup", "0", "--duration", "1"];
    let output = run_within(Duration::from_secs(15), flooding(USUAL), &args);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("stopped answering"));
    let said = stderr(&output);
    assert!(said.contains("this takes at most 22 s"), "{said}");
}

/// A server that sends a byte now and then is never silent, and never done. It tells of
/// each byte.
fn trickling() -> (SocketAddr, Receiver<()>) {
    let (sender, sent) = channel();
    let address = serve_each(move |mut stream| {
        read_request(&mut stream);
        let reply = [&100_000u32.to_be_bytes(), &b" ".repeat(100_000)[..]].concat();
        for byte in reply {
            thread::sleep(Duration::from_millis(20));
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            let _ = sender.send(());
        }
    });
    (address, sent)
}

#[test]
fn a_server_that_trickles_does_not_keep_an_interrupt_from_being_heard() {
    let (address, sent) = trickling();
    let mut child = speicher()
        .args(["bench", &address.to_string(), "--load"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program is there");
    for _ in 0..5 {
        sent.recv_timeout(TIMEOUT).expect("a byte is sent");
    }
    let begun = Instant::now();
    send_signal("INT", &child.id().to_string());
    let status = wait_within(Duration::from_secs(4), &mut child);
    assert_eq!(status.code(), Some(130), "after {:?}", begun.elapsed());
}

#[test]
fn a_server_that_trickles_while_keys_are_set_has_stopped_answering() {
    let (address, _sent) = trickling();
    let output = run_within(Duration::from_secs(15), address, &["--load"]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("no reply came for 5 s"), "{said}");
}

#[test]
fn a_reply_that_has_to_be_kept_has_a_limit() {
    for verify in [&[][..], &["--verify", "--keys", "1"]] {
        let address = serve_each(|mut stream| {
            // What sets the keys is answered as it should be.
            while read_request(&mut stream) && stream.write_all(DONE).is_ok() {
                if read_request(&mut stream) {
                    flood(&mut stream, UNUSUAL);
                }
            }
        });
        let load = ["--get", "0", "--warmup", "0", "--duration", "1"];
        let time = Duration::from_secs(15);
        let output = run_within(time, address, &[&load[..], verify].concat());
        assert_eq!(output.status.code(), Some(1));
        let table = stdout(&output);
        for words in ["1048640 bytes", "--value-size"] {
            assert!(table.contains(words), "{table}");
        }
    }
}

#[test]
fn what_is_kept_while_keys_are_set_has_a_limit() {
    let args = ["--load", "--keys", "1", "--duration", "1"];
    for begin in [USUAL, UNUSUAL] {
        let output = run_within(Duration::from_secs(15), flooding(begin), &args);
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        assert!(said.contains("1048640 bytes"), "{said}");
    }
}
