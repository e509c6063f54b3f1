//! The commands as people type them: output, exit codes, sentences.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::thread;

use speicher::server::Model;

use crate::harness::*;

struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(command: &mut Command, input: &str) -> Outcome {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is there");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that reads no input may be gone already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// Runs `speicher` with the arguments, against the server.
fn at(server: &Server, args: &[&str], input: &str) -> Outcome {
    let address = server.address.to_string();
    run(speicher().args(args).env("SPEICHER_ADDR", address), input)
}

fn alone(args: &[&str]) -> Outcome {
    run(speicher().args(args).env_remove("SPEICHER_ADDR"), "")
}

#[test]
fn values_go_in_and_come_out() {
    let server = Server::start(Model::default());
    for (json, input) in [
        (r#""bar""#, ""),
        ("-5", ""),
        ("-", r#"{ "a": [1, 1.10] }"#),
        ("null", ""),
    ] {
        let set = at(&server, &["set", "foo", json], input);
        assert_eq!(
            (set.code, set.stdout.as_str()),
            (Some(0), ""),
            "{}",
            set.stderr
        );
        let get = at(&server, &["get", "foo"], "");
        assert_eq!(get.code, Some(0));
        let expected = if input.is_empty() { json } else { input };
        assert_eq!(get.stdout, format!("{expected}\n"));
    }
}

#[test]
fn keys_may_look_like_options() {
    let server = Server::start(Model::default());
    for args in [["set", "--", "--k=1", "-1"], ["set", "--", "-", "2"]] {
        assert_eq!(at(&server, &args, "").code, Some(0));
    }
    assert_eq!(at(&server, &["get", "--", "--k=1"], "").stdout, "-1\n");
    assert_eq!(at(&server, &["get", "-"], "").stdout, "2\n");
    assert_eq!(at(&server, &["set", "help", "3"], "").code, Some(0));
    assert_eq!(at(&server, &["get", "help"], "").stdout, "3\n");
}

#[test]
fn what_is_not_there_exits_with_1_and_says_nothing() {
    let server = Server::start(Model::default());
    assert_eq!(at(&server, &["set", "foo", "1"], "").code, Some(0));
    assert_eq!(at(&server, &["delete", "foo"], "").code, Some(0));
    for args in [["delete", "foo"], ["get", "foo"]] {
        let outcome = at(&server, &args, "");
        assert_eq!(outcome.code, Some(1));
        assert_eq!(
            (outcome.stdout, outcome.stderr),
            (String::new(), String::new())
        );
    }
}

#[test]
fn reset_removes_everything() {
    let server = Server::start(Model::default());
    assert_eq!(at(&server, &["set", "foo", "1"], "").code, Some(0));
    assert_eq!(at(&server, &["reset"], "").code, Some(0));
    assert_eq!(at(&server, &["get", "foo"], "").code, Some(1));
}

#[test]
fn flags_name_the_server_and_win_over_the_variable() {
    let server = Server::start(Model::default());
    let port = server.address.port().to_string();
    let with_flags = |args: &[&str]| {
        let mut command = speicher();
        command.args(args).env("SPEICHER_ADDR", "127.0.0.1:1");
        run(&mut command, "").code
    };
    assert_eq!(with_flags(&["set", "--port", &port, "foo", "1"]), Some(0));
    assert_eq!(
        with_flags(&["get", "foo", &format!("--port={port}")]),
        Some(0)
    );
    let everything = [
        "get",
        "--host",
        "localhost",
        "--port",
        &port,
        "--timeout",
        "5s",
        "foo",
    ];
    assert_eq!(with_flags(&everything), Some(0));
    assert_eq!(with_flags(&["get", "foo"]), Some(2));
}

#[test]
fn mistakes_get_a_sentence_with_a_remedy_and_exit_with_2() {
    let server = Server::start(Model::default());
    let models = Model::ALL.map(Model::name).join(", ");
    for (args, words) in [
        (&["set", "foo", "bar"][..], r#"written '"bar"'"#),
        (&["set", "foo", "-"], "standard input is not one JSON value"),
        (&["set", "", "1"], "the key is empty"),
        (&["set", "foo", "bar"], "values are JSON, and bar is none"),
        (&["set", "foo", "{a:1}"], r#"as in '{"a": ["b", 1]}'"#),
        (&["set", "foo", ""], r#"an empty string is written '""'"#),
        (&["set", "foo", "it's"], r#"'"it'\''s"'"#),
        (&["set", "foo", "{'a':1}"], "double quotes"),
        (&["set", "foo"], "speicher set --help"),
        (&["get"], "key"),
        (&["del", "foo"], "it is called delete"),
        (&["--port", "7000", "get", "foo"], "come after"),
        (&["get", "foo", "--port", "80000"], "from 0 to 65535"),
        (&["serve", "--port", "-1"], r#""-1" is no port"#),
        (&["get", "foo", "--timeout", "-5"], r#""-5" is no time"#),
        (
            &["get", "foo", "--timeout", "99999999h"],
            "24000h, is the most",
        ),
        (&["get", "foo", "--reply-max", "18"], "at least 19 bytes"),
        (&["serve", "--frame-max", "0"], "at least 17 bytes"),
        (&["serve", "--frame-max", "16"], r#"{"command":"RST"}"#),
        (&["serve", "--connections-max", "-1"], "from 1 to 10000000"),
        (&["serve", "--connections-max", "5"], "is --workers"),
        (
            &["sevre"],
            "there is no command sevre (did you mean serve?)",
        ),
        (&["get", "--prot", "1", "foo"], "(did you mean --port?)"),
        (
            &["serve", "--frame_max", "1M"],
            "(did you mean --frame-max?)",
        ),
        (
            &["get", "foo", "-timeout", "1"],
            "(did you mean --timeout?)",
        ),
        (&["get", "foo", "--port", "x"], "--port"),
        (&["get", "foo", "--timeout", "0"], "more than zero"),
        (&["serve", "--workers", "0"], "from 1 to 10000"),
        (&["serve", "--frame-max", "3G"], "2147483647"),
        (&["serve", "--frame-max", "64MB"], "as in 500K, 64M or 1G"),
        (&["serve", "--model", "fibres"], models.as_str()),
        (
            &["serve", "--frame-timeout", "1d"],
            "as in 500ms, 30s or 5m",
        ),
        (&["no-such-command"], "no-such-command"),
        (&[], "speicher --help"),
    ] {
        let outcome = at(&server, args, "");
        assert_eq!(outcome.code, Some(2), "{args:?}: {}", outcome.stderr);
        assert!(
            outcome.stderr.contains(words),
            "{args:?}: {}",
            outcome.stderr
        );
        assert_eq!(outcome.stdout, "");
    }
}

/// What only some builds have.
#[test]
fn mistakes_with_other_models_and_with_the_lab_get_a_sentence_too() {
    for model in Model::ALL.into_iter().filter(|model| model.is_built()) {
        let other = match room_option(model) {
            "--workers" => "--connections-max",
            _ => "--workers",
        };
        let outcome = alone(&["serve", "--model", model.name(), other, "5"]);
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
        let words = format!("the {model} model has no {other}");
        assert!(outcome.stderr.contains(&words), "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains(room_option(model)),
            "{}",
            outcome.stderr
        );
    }
    #[cfg(feature = "bench")]
    for (args, words) in [
        (
            &["bench", "127.0.0.1:1", "--seed", "-1"][..],
            r#""-1" is no number from 0"#,
        ),
        (
            &["bench", "127.0.0.1:1", "--rate", "-5"],
            r#""-5" is no rate"#,
        ),
        (&["compare", "--seed", "x"], r#""x" is no number from 0"#),
    ] {
        let outcome = alone(args);
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
}

#[test]
fn a_server_that_is_not_there_is_named_with_a_remedy() {
    let outcome = run(
        speicher()
            .args(["get", "foo"])
            .env("SPEICHER_ADDR", "127.0.0.1:1"),
        "",
    );
    assert_eq!(outcome.code, Some(2));
    for words in ["127.0.0.1 port 1", "speicher serve", "SPEICHER_ADDR"] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
    let outcome = run(
        speicher()
            .args(["get", "foo"])
            .env("SPEICHER_ADDR", "nonsense"),
        "",
    );
    assert!(outcome.stderr.contains("host:port"), "{}", outcome.stderr);
}

/// A server that answers one request with the payload.
fn answering(payload: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let mut peer = Peer(stream);
        peer.payload();
        // A client that does not want all of it closes.
        let _ = peer.0.write_all(&framed(payload));
    });
    address
}

fn get_from(address: SocketAddr, args: &[&str]) -> Outcome {
    let mut command = speicher();
    command.args(["get", "k"]).args(args);
    run(command.env("SPEICHER_ADDR", address.to_string()), "")
}

#[test]
fn what_a_server_says_steers_no_terminal_and_is_cut() {
    let error = r"\u001b[31mred\u009b2J\n".to_owned() + &"x".repeat(10_000_000);
    let address = answering(format!(r#"{{"status_code":400,"error":"{error}"}}"#));
    let outcome = get_from(address, &[]);
    assert_eq!(outcome.code, Some(2));
    let stderr = outcome.stderr;
    assert!(stderr.len() < 1200, "{} bytes", stderr.len());
    assert!(stderr.contains(r"\u{1b}[31mred\u{9b}2J\nxxx"), "{stderr}");
    assert!(!stderr.trim_end().contains(char::is_control), "{stderr}");
}

#[test]
fn a_value_is_printed_byte_for_byte_where_nobody_looks() {
    let value = "\"\u{7f}\u{9b}2J\"";
    let address = answering(format!(r#"{{"status_code":200,"value":{value}}}"#));
    let outcome = get_from(address, &[]);
    assert_eq!(
        (outcome.code, outcome.stdout),
        (Some(0), format!("{value}\n"))
    );
}

#[test]
fn a_value_over_the_limit_is_an_error_that_names_the_option() {
    let reply = || format!(r#"{{"status_code":200,"value":"{}"}}"#, "v".repeat(2000));
    let outcome = get_from(answering(reply()), &["--reply-max", "1K"]);
    assert_eq!((outcome.code, outcome.stdout.len()), (Some(2), 0));
    for words in ["2030 bytes", "1024", "--reply-max"] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
    let outcome = get_from(answering(reply()), &["--reply-max", "2030"]);
    assert_eq!((outcome.code, outcome.stdout.len()), (Some(0), 2003));
}

#[test]
fn help_and_version_go_to_standard_output() {
    let version = alone(&["--version"]);
    assert_eq!(version.code, Some(0));
    assert_eq!(
        version.stdout,
        concat!("speicher ", env!("CARGO_PKG_VERSION"), "\n")
    );
    let help = alone(&["--help"]);
    assert_eq!(help.code, Some(0));
    let lab: &[&str] = match cfg!(feature = "bench") {
        true => &["bench", "compare", "echo"],
        false => &[],
    };
    let watching: &[&str] = match cfg!(feature = "metrics") {
        true => &["stat"],
        false => &[],
    };
    let lines: &[&str] = match cfg!(feature = "data") {
        true => &["dump", "load"],
        false => &[],
    };
    let always = ["serve", "set", "get", "delete", "reset"];
    for command in always.iter().chain(lab).chain(watching).chain(lines) {
        assert!(
            help.stdout.contains(&format!("\n  {command} ")),
            "{command}"
        );
        let asked = alone(&[command, "--help"]);
        assert_eq!(asked.code, Some(0));
        for args in [[command, "-h"], ["help", command], ["--help", command]] {
            assert_eq!(alone(&args).stdout, asked.stdout, "{args:?}");
        }
        // Behind the other three it is a key.
        if asked.stdout.contains("--help, help ") {
            assert_eq!(alone(&[command, "help"]).stdout, asked.stdout);
        }
    }
    for command in ["serve", "reset"] {
        assert!(alone(&[command, "help"]).stdout.contains("--help, help "));
    }
    assert_eq!(alone(&["-h"]).stdout, help.stdout);
}

#[test]
fn an_address_that_cannot_be_bound_exits_with_1_and_says_which_and_why() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let outcome = alone(&["serve", "--port", &port]);
    assert_eq!(outcome.code, Some(1));
    for words in ["127.0.0.1", port.as_str(), "another process", "--port"] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
    let outcome = alone(&["serve", "--host", "no.such.host.invalid"]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains("no.such.host.invalid"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn the_ready_line_is_what_scripts_wait_for() {
    let server = Process::serve(&["--workers", "3", "--memory-max", "64M"]);
    let port = server.address().port();
    let expected = format!("listening on 127.0.0.1:{port} (threads, 3 workers, 64 MiB of memory)");
    assert_eq!(server.ready_line, expected);
}

#[test]
fn a_ready_line_that_cannot_be_written_is_said_on_standard_error() {
    let program = env!("CARGO_BIN_EXE_speicher");
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec "$0" serve --port 0 > /dev/full"#, program]);
    let mut server = Process::spawn(command);
    let said = server.complaint("listening on ");
    assert!(said.contains("can't write to standard output"), "{said}");
    let (_, address) = said.split_once("listening on ").expect("the line");
    let address = address.split(' ').next().expect("an address");
    let mut peer = Peer::connect(address.parse().expect("an address"));
    assert_eq!(peer.set("k", "1"), 200, "it serves all the same");
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn verbose_logs_each_connection_on_standard_error() {
    let mut server = Process::serve(&["--verbose"]);
    let mut peer = server.connect();
    assert_eq!(peer.status(get("k")), 404);
    let name = peer.0.local_addr().expect("connected").to_string();
    drop(peer);
    let disconnected = format!("speicher: {name} disconnected: closed by the peer\n");
    let said = server.complaint(&disconnected);
    let connected = format!("speicher: {name} connected\n");
    assert_eq!(said.matches(&name).count(), 2, "{said}");
    assert!(said.contains(&connected), "{said}");
    server.signal("TERM");
    server.wait();
}
