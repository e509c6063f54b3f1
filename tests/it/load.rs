//! `speicher load`: lines of JSON, to a server of any model.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use speicher::server::{Config, Model};

use crate::harness::*;

every_model![
    values_are_stored_byte_for_byte,
    many_entries_and_long_ones_are_stored_in_their_order,
    a_full_server_says_where_to_go_on,
    a_server_that_goes_away_ends_it_with_what_is_stored,
];

/// `speicher load` at the server, with its input piped.
fn spawn(address: SocketAddr, args: &[&str]) -> Child {
    let mut command = speicher();
    command.arg("load").arg(address.to_string()).args(args);
    piped(&mut command)
}

fn piped(command: &mut Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is there")
}

/// Its exit code, and what it printed on standard output and error.
fn end(child: Child) -> (Option<i32>, String, String) {
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn load(address: SocketAddr, args: &[&str], lines: &[u8]) -> (Option<i32>, String, String) {
    let mut child = spawn(address, args);
    let mut stdin = child.stdin.take().expect("it is piped");
    // One that has an error may be gone before it has read all.
    let _ = stdin.write_all(lines);
    drop(stdin);
    end(child)
}

fn assert_stored((code, stdout, stderr): (Option<i32>, String, String), count: &str) {
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let words = format!("{count} stored in ");
    assert!(stdout.starts_with(&words), "{stdout}");
}

fn assert_failed(outcome: (Option<i32>, String, String), words: &[&str]) {
    let (code, stdout, stderr) = outcome;
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word}: {stderr}");
    }
}

/// The reply to a GET of a key that has this value.
fn stored(json: &str) -> String {
    format!(r#"{{"status_code":200,"value":{json}}}"#)
}

/// R4, R6
fn values_are_stored_byte_for_byte(model: Model) {
    let server = Server::start(model);
    let key = "k\u{e4}".repeat(1 << 19);
    let value = format!("\"{}\"", "v".repeat(1 << 20));
    let lines = [
        r#"{"key":"a","value":{ "b" : [1.10, 1e999, "\ud800"] }}"#.to_owned(),
        "\t{ \"value\" :\t null ,\"key\":\"\\u0062\\n\" } \r".to_owned(),
        String::new(),
        format!(r#"{{"key":"{key}","value":{value}}}"#),
        r#"{"key":"twice","value":1}"#.to_owned(),
        r#"{"key":"twice","value":2}"#.to_owned(),
    ];
    let mut peer = server.connect();
    assert_eq!(peer.set("other", "1"), 200);
    // The last line needs no end.
    let outcome = load(server.address, &[], lines.join("\n").as_bytes());
    assert_stored(outcome, "5 entries");
    for (key, json) in [
        ("a", r#"{ "b" : [1.10, 1e999, "\ud800"] }"#),
        (r"b\n", "null"),
        (key.as_str(), value.as_str()),
        ("twice", "2"),
        ("other", "1"),
    ] {
        assert!(peer.get_text(key) == stored(json), "{json:.40}");
    }
}

/// More than both sides have room for, with lines as long as a frame.
fn many_entries_and_long_ones_are_stored_in_their_order(model: Model) {
    const LONG: usize = (64 << 20) - 100;

    let server = Server::start(model);
    let mut lines = Vec::new();
    let long = "v".repeat(LONG);
    for i in 0..100_000 {
        writeln!(lines, r#"{{"key":"k{}","value":{i}}}"#, i % 5000).expect("a Vec");
        if i == 50_000 {
            writeln!(lines, r#"{{"key":"long","value":"{long}"}}"#).expect("a Vec");
        }
    }
    assert_stored(load(server.address, &[], &lines), "100,001 entries");
    let mut peer = server.connect();
    for i in 0..5000 {
        let json = (95_000 + i).to_string();
        assert_eq!(peer.get_text(&format!("k{i}")), stored(&json));
    }
    assert_eq!(peer.get_text("long").len(), stored("\"\"").len() + LONG);
}

#[test]
fn any_keys_and_values_are_stored_as_they_are() {
    let server = Server::start(Model::default());
    let key = prop_oneof![".{1,20}", "[\\x00-\\x1f\"\\\\/\u{2028}\u{10ffff}]{1,6}"];
    let value = prop_oneof![
        any::<String>().prop_map(|text| serde_json::to_string(&text).expect("a string")),
        "\\[[ \t]{0,3}-?[1-9][0-9]{0,40}(\\.[0-9]{1,9})?[ \t]{0,3}(,[ \t]{0,3}\"[ -!#-\\[\\]-~]{0,300}\" ?){0,3}\\]",
    ];
    let entries = vec((key, value), 1..40);
    proptest!(ProptestConfig::with_cases(24), |(entries in entries)| {
        let mut peer = server.connect();
        let mut lines = String::new();
        for (index, (key, value)) in entries.iter().enumerate() {
            let key = serde_json::to_string(&format!("{index}{key}")).expect("a string");
            lines += &format!("{{\"key\":{key},\"value\":{value}}}\n");
        }
        let (code, _, stderr) = load(server.address, &[], lines.as_bytes());
        prop_assert_eq!((code, stderr.as_str()), (Some(0), ""));
        for (index, (key, value)) in entries.iter().enumerate() {
            let key = serde_json::to_string(&format!("{index}{key}")).expect("a string");
            let text = peer.get_text(&key[1..key.len() - 1]);
            prop_assert_eq!(text, stored(value));
        }
    });
}

#[test]
fn a_bad_line_is_named_and_what_is_before_it_is_stored() {
    let server = Server::start(Model::default());
    let mut peer = server.connect();
    let deep = format!("{}{}", "[".repeat(513), "]".repeat(513));
    let deep = format!(r#"{{"key":"k","value":{deep}}}"#);
    for (line, words) in [
        (&br#"{"key":"k"}"#[..], r#"it has no "value""#),
        (br#"{"value":1}"#, r#"it has no "key""#),
        (br#"{"key":7,"value":1}"#, "not a string"),
        (br#"{"key":"","value":1}"#, "is empty"),
        (br#"{"key":"\udc00","value":1}"#, "surrogate"),
        (
            br#"["k", 1]"#,
            r#"as in {"key":"greeting","value":"hello"}"#,
        ),
        (br#"{"key":"k","value":01}"#, "at byte 21"),
        (
            b"{\"key\":\"k\",\"value\":\"\xff\"}",
            "not UTF-8 from byte 20",
        ),
        (b"\x1b[2J", "not one JSON object"),
        (deep.as_bytes(), "deeper than 512"),
    ] {
        assert_eq!(peer.status(RST), 200);
        let lines = [&br#"{"key":"before","value":1}"#[..], b"", line].join(&b'\n');
        let outcome = load(server.address, &[], &lines);
        let before = ["line 3 is no", "1 entry is stored; --skip", words];
        assert_failed(outcome, &before);
        assert_eq!(peer.get_text("before"), stored("1"));
    }
}

/// A file of another kind may have no lines, and no end.
#[test]
fn what_is_no_line_from_its_beginning_is_not_read_to_its_end() {
    let server = Server::start(Model::default());
    for endless in [&b"\0"[..], b" [{\"key\":1},\n"] {
        let mut child = spawn(server.address, &[]);
        let mut stdin = child.stdin.take().expect("it is piped");
        let piece = endless.iter().filter(|byte| **byte != b'\n').copied();
        let piece: Vec<u8> = piece.cycle().take(1 << 16).collect();
        while stdin.write_all(&piece).is_ok() {}
        assert_failed(end(child), &["line 1 is no entry", "no entry is stored"]);
    }
}

/// F5
#[test]
fn a_line_over_the_server_s_limit_is_named_with_the_limit() {
    let server = Server::with(Config {
        frame_len_max: 1000,
        ..config(Model::default())
    });
    let long = "v".repeat(10_000_000);
    let lines = format!("{{\"key\":\"a\",\"value\":1}}\n{{\"key\":\"b\",\"value\":\"{long}\"}}\n");
    let outcome = load(server.address, &[], lines.as_bytes());
    let words = [
        "line 2 is not stored",
        "over the limit of 1000",
        "--frame-max",
        "--skip 1 ",
    ];
    assert_failed(outcome, &words);
    assert_eq!(server.connect().get_text("a"), stored("1"));
}

/// S6
fn a_full_server_says_where_to_go_on(model: Model) {
    const COUNT: usize = 50_000;
    // Some lines replace a value by a shorter one, which a full server takes.
    let is_new = |i: usize| i % 50 != 49;

    let server = Process::serve(&["--model", model.name(), "--memory-max", "16M"]);
    let lines: Vec<String> = (0..COUNT)
        .map(|i| match is_new(i) {
            true => format!("{{\"key\":\"k{i}\",\"value\":\"{i:0500}\"}}\n"),
            false => "{\"key\":\"k0\",\"value\":0}\n".to_owned(),
        })
        .collect();
    let (code, stdout, stderr) = load(server.address(), &[], lines.concat().as_bytes());
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    for words in ["not stored: the server is unavailable", "--memory-max"] {
        assert!(stderr.contains(words), "{stderr}");
    }
    let (_, skip) = stderr.split_once("--skip ").expect("where to go on");
    let skip = skip.split(' ').next().expect("a number");
    let stored: usize = skip.parse().expect("a number");
    assert!(stored > 5000 && stored < COUNT, "{stderr}");

    let mut peer = server.connect();
    let mut status = |i: usize| peer.status(get(&format!("k{i}")));
    for i in (stored - 100..stored).filter(|i| is_new(*i)) {
        assert_eq!(status(i), 200, "{i}: {stderr}");
    }
    assert_eq!(status(stored), 404, "{stderr}");
    assert_eq!(server.connect().status(RST), 200);
    let end = stored + 10;
    let outcome = load(
        server.address(),
        &["--skip", skip],
        lines[..end].concat().as_bytes(),
    );
    assert_stored(outcome, "10 entries");
    for i in (stored - 100..end).filter(|i| is_new(*i)) {
        assert_eq!(status(i), if i < stored { 404 } else { 200 }, "{i}");
    }
}

fn a_server_that_goes_away_ends_it_with_what_is_stored(model: Model) {
    let mut server = Process::serve(&["--model", model.name()]);
    let mut child = spawn(server.address(), &[]);
    let mut stdin = child.stdin.take().expect("it is piped");
    let mut peer = server.connect();
    let mut i = 0_u64;
    let mut is_stored = false;
    while writeln!(stdin, r#"{{"key":"k{i}","value":{i}}}"#).is_ok() {
        if i.is_multiple_of(1000) && !is_stored && peer.status(get("k1000")) == 200 {
            is_stored = true;
            server.signal("KILL");
            server.wait();
        }
        i += 1;
    }
    assert_failed(end(child), &["connection", "entries are stored; --skip "]);
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let line = br#"{"key":"k","value":"0123456789"}"#;
    // What waits in the sockets, and what never fits into them.
    for count in [1, 2_000_000] {
        let begun = Instant::now();
        let lines = vec![&line[..]; count].join(&b'\n');
        let outcome = load(address, &["--timeout", "300ms"], &lines);
        assert_failed(
            outcome,
            &["did not answer within 300ms", "no entry is stored"],
        );
        assert!(begun.elapsed() < Duration::from_secs(15));
    }
}

/// It answers each request when it has read a whole window of them, and never reads ahead.
#[test]
fn a_server_that_reads_and_replies_in_turn_is_never_waited_for_in_vain() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let mut peer = Peer(stream);
        let padding = " ".repeat(20_000);
        // Long replies: 200 MB of them, which the client has to take while it sends.
        for _ in 0..10_000 {
            peer.payload();
            peer.send(&framed(format!(r#"{{"status_code":200{padding}}}"#)));
        }
    });
    let line = format!(r#"{{"key":"k","value":"{}"}}"#, "v".repeat(2000));
    let lines = vec![line.as_bytes(); 10_000].join(&b'\n');
    assert_stored(load(address, &[], &lines), "10,000 entries");
    server.join().expect("it was asked so often");
}

#[test]
fn a_line_is_sent_when_it_comes_and_ctrl_c_says_how_far_it_is() {
    let server = Server::start(Model::default());
    let mut child = spawn(server.address, &[]);
    let mut stdin = child.stdin.take().expect("it is piped");
    let mut peer = server.connect();
    for i in 1..=3 {
        writeln!(stdin, r#"{{"key":"k{i}","value":{i}}}"#).expect("it reads");
        wait_until("it is stored", || peer.status(get(&format!("k{i}"))) == 200);
    }
    // Nothing more comes, and nothing ends.
    send_signal("INT", &child.id().to_string());
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let mut said = BufReader::new(child.stderr.take().expect("it is piped"));
    said.read_line(&mut stderr).expect("UTF-8");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    child
        .stdout
        .take()
        .expect("it is piped")
        .read_to_string(&mut stdout)
        .expect("UTF-8");
    assert_eq!(stdout, "");
    assert!(
        stderr.contains("interrupted; 3 entries are stored; --skip 3 "),
        "{stderr}"
    );
}

#[test]
fn lines_come_from_a_file_and_the_server_from_the_variable() {
    let server = Server::start(Model::default());
    let path = std::env::temp_dir().join(format!("speicher-load-{}.jsonl", std::process::id()));
    fs::write(&path, "no entry\n{\"key\":\"k\",\"value\":1}\n").expect("a folder");
    let mut command = speicher();
    command.args(["load", "--skip", "1", "--file"]).arg(&path);
    command.env("SPEICHER_ADDR", server.address.to_string());
    let outcome = end(piped(&mut command));
    fs::remove_file(&path).expect("it is there");
    assert_stored(outcome, "1 entry");
    assert_eq!(server.connect().get_text("k"), stored("1"));
    assert_stored(load(server.address, &[], b""), "0 entries");
}

#[test]
fn mistakes_of_load_are_sentences_with_a_remedy() {
    let nobody = "127.0.0.1:1".parse().expect("an address");
    assert_failed(
        load(nobody, &[], b""),
        &["127.0.0.1 port 1", "an argument HOST:PORT"],
    );
    let missing = ["--file", "/no/such/file"];
    assert_failed(
        load(nobody, &missing, b""),
        &["can't read /no/such/file: No such file"],
    );
    assert_failed(load(nobody, &["--file", "/"], b""), &["can't connect"]);
    let server = Server::start(Model::default());
    assert_failed(
        load(server.address, &["--file", "/"], b""),
        &["can't read /: Is a directory"],
    );
    let outcome = end(piped(speicher().args(["load", "entries.jsonl"])));
    assert_failed(outcome, &["write HOST:PORT", "--file"]);
}
