//! The blocking client, against the server and against hostile ones.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use speicher::client::{Client, Error, REPLY_LEN_MAX_DEFAULT};
use speicher::protocol::Reply;
use speicher::server::{Config, Model};

use crate::harness::*;

every_model![
    it_sets_gets_deletes_and_resets,
    values_keep_their_bytes,
    a_pipeline_of_any_size_never_locks_up,
    a_refused_request_leaves_the_client_usable,
    it_tells_the_server_s_reason_for_closing,
];

fn client(server: &Server) -> Client {
    Client::connect(server.address).expect("it listens")
}

fn it_sets_gets_deletes_and_resets(model: Model) {
    let server = Server::start(model);
    let mut client = client(&server);
    assert_eq!(client.get::<String>("foo").expect("a reply"), None);
    client.set("foo", "bar").expect("stored");
    let value = client.get("foo").expect("a reply");
    assert_eq!(value, Some("bar".to_owned()));
    assert!(client.delete("foo").expect("a reply"));
    assert!(!client.delete("foo").expect("a reply"));
    client.set("foo", &[1, 2]).expect("stored");
    client.set("null", &()).expect("stored");
    assert_eq!(client.get::<()>("null").expect("a reply"), Some(()));
    client.reset().expect("done");
    assert_eq!(client.get::<Vec<u8>>("foo").expect("a reply"), None);
}

/// R6
fn values_keep_their_bytes(model: Model) {
    let server = Server::start(model);
    let mut client = client(&server);
    for text in ["1e999", r#"{ "a": 1.10, "a": "\ud800" }"#] {
        let json: &RawValue = serde_json::from_str(text).expect("JSON");
        client.set("k", json).expect("stored");
        let back: Option<Box<RawValue>> = client.get("k").expect("a reply");
        assert_eq!(back.expect("it is there").get(), text);
    }
    assert!(matches!(client.get::<u8>("k"), Err(Error::Json(_))));
}

fn a_pipeline_of_any_size_never_locks_up(model: Model) {
    let server = Server::start(model);
    let mut client = client(&server);
    let long = "v".repeat(3_000_000);
    let mut pipeline = client.pipeline();
    pipeline.set("long", &long).expect("a request");
    for i in 0..20 {
        pipeline.get("long").expect("a request");
        pipeline.set("also", &long).expect("a request");
        pipeline.set("short", &i).expect("a request");
        pipeline.get("absent").expect("a request");
    }
    pipeline.delete("long").expect("a request").reset();
    let replies = pipeline.run().expect("replies");
    assert_eq!(replies.len(), 1 + 4 * 20 + 2);
    assert!(matches!(&replies[1], Reply::Value(v) if v.as_bytes().len() == long.len() + 2));
    assert_eq!(replies[4], Reply::NoValue);
    assert_eq!(replies[82], Reply::Done);
    assert_eq!(pipeline.run().expect("nothing"), []);
}

fn a_refused_request_leaves_the_client_usable(model: Model) {
    let server = Server::start(model);
    let mut client = client(&server);
    assert!(matches!(client.set("", &1), Err(Error::EmptyKey)));
    let deep = "[".repeat(513) + &"]".repeat(513);
    let deep: &RawValue = serde_json::from_str(&deep).expect("JSON");
    assert!(matches!(client.set("k", deep), Err(Error::TooDeep)));
    client.set("k", &1).expect("stored");
}

/// F5, S4
fn it_tells_the_server_s_reason_for_closing(model: Model) {
    let server = Server::with(Config {
        queue_timeout: Duration::from_millis(50),
        frame_len_max: 1000,
        ..room_for(model, 1)
    });
    let mut served = client(&server);
    let long = "v".repeat(50_000_000);
    let error = served.set("k", &long).expect_err("it is too long");
    assert!(
        matches!(&error, Error::BadRequest(s) if s.contains("1000")),
        "{error}"
    );
    drop(served);

    // Its place is free when the server has seen its end.
    let mut served = client(&server);
    wait_until("there is room again", || {
        served.set("k", &1).is_ok() || {
            served = client(&server);
            false
        }
    });
    let mut refused = client(&server);
    let error = refused.set("k", &2).expect_err("there is one worker");
    assert!(
        matches!(&error, Error::Unavailable(s) if s.contains(room_option(model))),
        "{error}"
    );
    let mut refused = client(&server);
    let mut pipeline = refused.pipeline();
    pipeline.get("k").expect("a request").reset();
    let error = pipeline.run().expect_err("the answer is one 503");
    assert!(matches!(&error, Error::Unavailable(_)), "{error}");
    let value = served.get("k").expect("a reply");
    assert_eq!(value, Some(1));
}

/// A server that reads one request, sends `bytes` and closes.
fn hostile(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let n = stream.read(&mut [0; 1000]).expect("a request");
        assert!(n > 0);
        for byte in bytes {
            stream.write_all(&[*byte]).expect("the client reads");
        }
    });
    address
}

fn error_after(bytes: &'static [u8]) -> Error {
    let mut client = Client::connect(hostile(bytes)).expect("it listens");
    let error = client.get::<u8>("k").expect_err("no reply is whole");
    let after = client.get::<u8>("k").expect_err("it is closed");
    assert!(matches!(after, Error::Disconnected), "{after}");
    error
}

/// C2
#[test]
fn broken_replies_are_typed_errors_and_end_the_connection() {
    assert!(matches!(error_after(b""), Error::Closed));
    assert!(matches!(error_after(b"\0\0"), Error::Closed));
    assert!(matches!(error_after(b"\0\0\0\x13{\"status"), Error::Closed));
    for bytes in [
        &b"\0\0\0\0"[..],
        b"\xff\xff\xff\xff",
        b"\0\0\0\x02[]",
        b"\0\0\0\x13{\"status_code\":100}",
    ] {
        let error = error_after(bytes);
        assert!(matches!(error, Error::Malformed(_)), "{error}");
    }
    let error = error_after(b"\0\0\0\x13{\"status_code\":200}");
    assert!(matches!(error, Error::Unfit(Reply::Done)), "{error}");
}

/// C1
#[test]
fn a_reply_in_pieces_is_a_reply() {
    let address = hostile(b"\0\0\0\x1d{\"status_code\":200,\"value\":7}");
    let mut client = Client::connect(address).expect("it listens");
    assert_eq!(client.get("k").expect("a reply"), Some(7));
}

/// C3
#[test]
fn silence_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let timeout = Duration::from_millis(50);
    let mut client = Client::connect_timeout(address, timeout).expect("it listens");
    let error = client.reset().expect_err("nobody answers");
    assert!(
        matches!(error, Error::TimedOut(t) if t == timeout),
        "{error}"
    );
}

/// A server that reads a request and then sends the pieces with a pause after each, until
/// all are sent or the sender is dropped; then it keeps the connection until that.
fn slow(pieces: Vec<Vec<u8>>, pause: Duration) -> (SocketAddr, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (sender, over) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let n = stream.read(&mut [0; 1000]).expect("a request");
        assert!(n > 0);
        for piece in pieces {
            // The client may have given up.
            let is_sent = stream.write_all(&piece).is_ok();
            if !is_sent || over.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
        let _ = over.recv();
    });
    (address, sender)
}

/// It would take ten seconds for all of the reply.
#[test]
fn a_server_that_is_never_silent_has_a_deadline_too() {
    let reply = framed(format!(
        r#"{{"status_code":200,"value":"{}"}}"#,
        "x".repeat(470)
    ));
    let pieces = reply.iter().map(|byte| vec![*byte]).collect();
    let (address, _over) = slow(pieces, Duration::from_millis(20));
    let timeout = Duration::from_millis(200);
    let mut client = Client::connect_timeout(address, timeout).expect("it listens");
    let begun = Instant::now();
    let error = client
        .get::<String>("k")
        .expect_err("it is not over in time");
    assert!(
        matches!(error, Error::TimedOut(t) if t == timeout),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(3), "it gives up");
    let after = client.get::<u8>("k").expect_err("it is closed");
    assert!(matches!(after, Error::Disconnected), "{after}");
}

/// Each reply takes less than the timeout, and all together take more.
#[test]
fn a_pipeline_that_gets_on_may_take_longer_than_a_call() {
    let replies = vec![framed(r#"{"status_code":200}"#); 4];
    let (address, _over) = slow(replies, Duration::from_millis(400));
    let timeout = Duration::from_secs(1);
    let mut client = Client::connect_timeout(address, timeout).expect("it listens");
    let begun = Instant::now();
    let mut pipeline = client.pipeline();
    for _ in 0..4 {
        pipeline.set("k", &1).expect("a request");
    }
    assert_eq!(pipeline.run().expect("replies").len(), 4);
    assert!(begun.elapsed() > timeout);
}

/// It is refused by its header: nothing more comes.
#[test]
fn a_reply_over_the_limit_is_not_read() {
    for (len, limit) in [(REPLY_LEN_MAX_DEFAULT + 1, None), (11, Some(10))] {
        let header = i32::try_from(len).expect("short").to_be_bytes();
        let (address, _over) = slow(vec![header.to_vec()], Duration::ZERO);
        let mut client = Client::connect(address).expect("it listens");
        if let Some(limit) = limit {
            client = client.with_reply_len_max(limit);
        }
        let error = client.get::<u8>("k").expect_err("it is too long");
        assert!(
            matches!(error, Error::ReplyTooLong { len: l, reply_len_max } if l == len && reply_len_max == len - 1),
            "{error}"
        );
        assert!(error.to_string().contains("--reply-max"), "{error}");
        let after = client.get::<u8>("k").expect_err("it is closed");
        assert!(matches!(after, Error::Disconnected), "{after}");
    }
}

#[test]
fn an_address_without_a_server_is_a_connect_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let error = Client::connect(address).expect_err("nobody listens");
    assert!(matches!(error, Error::Connect(_)), "{error}");
}
