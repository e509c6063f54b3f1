//! The password of a store: where it comes from, and where it is never shown.

use std::fs;

use super::scripted::{ScriptedNode, line};
use super::*;
use crate::cluster::can_start;

const VARIABLE: &str = "SPEICHER_STORE_PASSWORD";

/// A server that is given the password by its environment.
fn serve_with_password(store: &str, password: &str) -> Process {
    let mut command = speicher();
    command.args(["serve", "--port", "0", "--store", store]);
    command.env(VARIABLE, password);
    Process::spawn(command)
}

fn encoded(text: &str) -> String {
    let bytes = text.bytes();
    bytes.map(|byte| format!("%{byte:02X}")).collect()
}

fn command_line(server: &Process) -> String {
    let path = format!("/proc/{}/cmdline", server.child.id());
    String::from_utf8(fs::read(path).expect("it runs")).expect("UTF-8")
}

/// All that a process that can't start says.
fn said(arguments: &[&str]) -> String {
    let mut command = speicher();
    command.args(["serve", "--port", "0"]).args(arguments);
    command.env_remove(VARIABLE);
    let mut process = Process::spawn(command);
    assert_eq!(process.ready_line, "", "{arguments:?}");
    let (status, rest) = process.wait();
    assert!(matches!(status.code(), Some(1 | 2)), "{arguments:?}");
    process.complaint("\n") + &rest
}

#[test]
fn a_password_that_was_typed_is_taken_and_hidden() {
    if !can_start() {
        return;
    }
    for password in ["plain", "a/b:c@d#e?f%g", "päss wörd", "100%25"] {
        let node = Node::start(&["--requirepass", password]);
        let encoded = encoded(password);
        for user in ["", "default"] {
            let store = format!("redis://{user}:{encoded}@{}", node.address());
            let mut server = serve(&store, &["--verbose"]);
            let mut peer = server.connect();
            assert_eq!(peer.set("k", "1"), 200);
            drop(peer);
            let shown = command_line(&server);
            assert!(shown.contains(&node.address()), "{shown}");
            node.kill();
            let said = server.complaint("can't be reached") + &server.ready_line;
            server.signal("TERM");
            let (_, rest) = server.wait();
            for text in [shown, said, rest] {
                assert!(
                    !text.contains(password) && !text.contains(&encoded),
                    "{text}"
                );
            }
            node.restart();
        }
    }
}

#[test]
fn a_password_in_the_environment_is_taken_as_it_is() {
    if !can_start() {
        return;
    }
    for password in ["plain", "a/b:c@d#e?f%41"] {
        let node = Node::start(&["--requirepass", password]);
        let server = serve_with_password(&url(&node), password);
        assert_eq!(server.connect().set("k", "1"), 200);
    }
}

/// As an argument it is more than what is there by chance.
#[test]
fn of_two_passwords_the_typed_one_counts() {
    if !can_start() {
        return;
    }
    let node = Node::start(&["--requirepass", "right"]);
    let store = format!("redis://:right@{}", node.address());
    let server = serve_with_password(&store, "wrong");
    assert_eq!(server.connect().set("k", "1"), 200);
    assert!(!command_line(&server).contains("right"));
}

#[test]
fn other_options_that_look_alike_stay_as_they_were_typed() {
    if !can_start() {
        return;
    }
    let node = Node::start(&["--requirepass", "secret"]);
    let address = node.address();
    let store = format!("redis://:secret@{address}");
    let server = serve(&store, &["--store-prefix", "a b'\"$x:"]);
    assert_eq!(server.connect().set("k", "1"), 200);
    assert_eq!(node.ask(&["GET", "a b'\"$x:k"]).text(), "1");
    let shown = command_line(&server);
    let expected =
        format!("serve\0--port\00\0--store\0redis://{address}\0--store-prefix\0a b'\"$x:\0");
    assert!(shown.ends_with(&expected), "{shown:?}");
}

/// Every part of the passwords here is `hush`.
#[test]
fn no_error_sentence_shows_a_password() {
    let node = ScriptedNode::start();
    node.refuse();
    let gone = node.address.to_string();
    let there = format!("redis://u:hush@{gone}");
    let repeated = format!("redis-cluster://:hush@{gone},127.0.0.1:1");
    let mut lines: Vec<Vec<String>> = [
        "redis://:hush@HOST",
        "redis-cluster://:hush@HOST,127.0.0.1:1",
        "rediss://:hush@HOST",
        "redsi://:hush@HOST",
        "redis:/:hush@HOST",
        "redis:://:hush@HOST",
        ":hush@HOST",
        "hush@HOST",
        "u:hush",
        "redis://:hush",
        "redis://u:hush",
        "redis://u:hush@",
        "redis://u:hush@/1",
        "redis://:hush@HOST/db",
        "redis://:hush@HOST/hush",
        "redis://:hush/hush@HOST",
        "redis://:hush:hush@HOST",
        "redis://:hush@hush@HOST",
        "redis://:hush#hush@HOST",
        "redis://:hush?hush@HOST",
        "redis://:hush%zzhush@HOST",
        "redis://:hush%@HOST",
        "redis://:hush hush@HOST",
        "redis://:hush,hush@HOST",
        "redis-cluster://:hush@HOST,:hush@HOST",
        "redis-cluster://:hush/hush@HOST,HOST",
        "redis-cluster://:hush@HOST/hush",
        "unix:///hush@hush",
        "redis+unix://:hush@/path",
    ]
    .into_iter()
    .map(|address| vec!["--store".to_owned(), address.replace("HOST", &gone)])
    .collect();
    for line in [
        &["--store", &there, "--nonsense"][..],
        &["--store", &there, "--stroe-prefix", "p:"],
        &["--store", &there, "--store", &there],
        &["--store", &there, "--store", &repeated],
        &[
            "--store",
            &there,
            "--store",
            "memory",
            "--store-prefix",
            "p:",
        ],
        &["--store", &there, "--model", "threads"],
        &["--store", &there, "--model", "nonsense"],
        &["--store", &there, "--frame-max", "1G"],
        &["--store", &there, "nonsense"],
        &["--store", &there, &repeated],
        &["--store", &there, "--store"],
        &["--stroe", &there],
        &["--Store", &there],
        &["-store", &there],
        &["--stores", &there],
        &["store", &there],
        &[&there],
        &[&format!("--store={there}")],
        &[&format!("-s{there}")],
    ] {
        lines.push(line.iter().map(|word| (*word).to_owned()).collect());
    }
    let leaks: Vec<_> = lines
        .iter()
        .map(|line| line.iter().map(String::as_str).collect::<Vec<_>>())
        .map(|line| (said(&line), line))
        .filter(|(said, _)| said.contains("hush"))
        .collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
}

#[test]
fn no_error_sentence_shows_a_password_that_another_option_was_given() {
    for option in ["--store-reset", "--store-timeout", "--host"] {
        let said = said(&[option, "redis://u:hush@127.0.0.1:1"]);
        assert!(!said.contains("hush"), "{said}");
    }
}

/// Some servers repeat what they were sent.
#[test]
fn no_password_is_told_in_the_words_of_a_server() {
    for quotes in [["'", "'"], ["`", "`"]] {
        let [begin, end] = quotes;
        let args = ["3", "AUTH", "default", "hush"].map(|arg| format!("{begin}{arg}{end}"));
        let error = format!(
            "-ERR unknown command {begin}HELLO{end}, with args beginning with: {} ",
            args.join(" ")
        );
        let node = ScriptedNode::start();
        let store = format!("redis://:hush@{}", node.address);
        let server = serve(&store, &[]);
        assert_eq!(server.connect().set("k", "1"), 200);
        node.script(move |_| line(&error));
        let complaints = said(&["--store", &store]);
        assert!(complaints.contains("can't use the store"), "{complaints}");
        assert!(!complaints.contains("hush"), "{complaints}");
        node.cut();
        let log = server.complaint("can't be reached");
        assert!(!log.contains("hush"), "{log}");
    }
}

/// What docs/scaling.md tells operators to give.
#[test]
fn a_user_with_few_rights_is_enough() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let rights = [
        "ACL",
        "SETUSER",
        "app",
        "on",
        ">secret",
        "~speicher:*",
        "+set",
        "+get",
        "+getrange",
        "+strlen",
        "+unlink",
        "+scan",
        "+cluster|slots",
    ];
    node.ask(&rights);
    node.ask(&["SET", "theirs", "1"]);
    let store = format!("redis://app@{}", node.address());
    let server = serve_with_password(&store, "secret");
    let mut peer = server.connect();
    let long = format!("\"{}\"", "v".repeat(100_000));
    assert_eq!(peer.set("k", &long), 200);
    assert_eq!(peer.ask(get("k"))["value"].to_string(), long);
    assert_eq!(peer.status(del("k")), 200);
    assert_eq!(peer.set("k", "1"), 200);
    assert_eq!(peer.status(RST), 200);
    assert_eq!(node.ask(&["DBSIZE"]).integer(), 1);
    node.ask(&["ACL", "SETUSER", "app", "-set"]);
    let sentence = unavailable(&mut peer, set("k", "1"));
    assert!(sentence.contains("refuses the user"), "{sentence}");
    assert_eq!(peer.status(get("k")), 404);
    node.ask(&["ACL", "SETUSER", "app", "resetkeys", "~other:*", "+set"]);
    let sentence = unavailable(&mut peer, set("k", "1"));
    assert!(sentence.contains("refuses the user"), "{sentence}");
}
