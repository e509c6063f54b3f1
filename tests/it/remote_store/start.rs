//! What `serve` does where it can't use the store that it was given.

use super::scripted::{Answer, ScriptedNode, line};
use super::*;
use crate::cluster::can_start;

/// The server could not start.
const FAILED: i32 = 1;

/// The command line is wrong.
const MISTAKEN: i32 = 2;

/// The server does not start, ends with the code, and says each of these words.
fn assert_refused(options: &[&str], code: i32, words: &[&str]) {
    let mut process = Process::serve(options);
    assert_eq!(process.ready_line, "", "{options:?}");
    assert_eq!(process.wait().0.code(), Some(code), "{options:?}");
    let said = process.complaint(words[0]);
    for words in words {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    assert!(said.contains("speicher: "), "{said}");
    assert_eq!(said.matches("panicked").count(), 0, "{said}");
}

#[test]
fn the_ready_line_names_the_store() {
    let node = ScriptedNode::start();
    let server = serve(&node.url(), &[]);
    let line = &server.ready_line;
    assert!(line.contains("(tokio, 10000 connections, "), "{line}");
    let end = format!(", redis://{})", node.address);
    assert!(line.ends_with(&end), "{line}");
}

#[test]
fn a_store_that_is_not_there_is_named_with_what_helps() {
    let node = ScriptedNode::start();
    let url = node.url();
    node.refuse();
    let address = node.address.to_string();
    let words = ["can't use the store at", &address, "refused", "start it"];
    assert_refused(&["--store", &url], FAILED, &words);
    let url = format!("redis-cluster://{address}");
    assert_refused(&["--store", &url], FAILED, &words);
}

#[test]
fn a_store_that_accepts_and_says_nothing_is_given_up() {
    let node = ScriptedNode::start();
    node.script(|_| Some(Answer::Silence));
    let url = node.url();
    let options = [&["--store", &url], &IMPATIENT[..]].concat();
    let words = ["does not answer", &node.address.to_string()];
    assert_refused(&options, FAILED, &words);
}

#[test]
fn what_is_no_redis_server_is_told_from_one() {
    for answer in ["HTTP/1.1 400 Bad Request", "-ERR unknown command 'HELLO'"] {
        let node = ScriptedNode::start();
        node.script(move |_| line(answer));
        let words = ["can't use the store", &node.address.to_string()];
        assert_refused(&["--store", &node.url()], FAILED, &words);
    }
}

#[test]
fn a_node_of_a_cluster_and_a_server_alone_are_told_apart() {
    let [node] = ScriptedNode::cluster();
    let address = node.address;
    let right = format!("--store redis-cluster://{address}");
    let wrong = format!("redis://{address}");
    assert_refused(&["--store", &wrong], FAILED, &[&right]);
    let node = ScriptedNode::start();
    let address = node.address;
    let right = format!("--store redis://{address}");
    let wrong = format!("redis-cluster://{address}");
    assert_refused(&["--store", &wrong], FAILED, &[&right]);
}

#[test]
fn a_redis_node_of_a_cluster_and_a_redis_alone_are_told_apart() {
    if !can_start() {
        return;
    }
    let options = ["--cluster-enabled", "yes", "--cluster-port", "{second}"];
    let node = Node::start(&options);
    let cluster = format!("redis-cluster://{}", node.address());
    let right = format!("--store {cluster}");
    assert_refused(&["--store", &url(&node)], FAILED, &[&right]);
    assert_refused(&["--store", &cluster], FAILED, &["CLUSTER ADDSLOTS"]);
    let node = Node::start(&[]);
    let right = format!("--store {}", url(&node));
    let wrong = format!("redis-cluster://{}", node.address());
    assert_refused(&["--store", &wrong], FAILED, &[&right]);
}

/// Nobody knows which of the two it is.
#[test]
fn a_user_that_may_not_ask_for_slots_is_refused_with_what_it_lacks() {
    for scheme in ["redis", "redis-cluster"] {
        let node = ScriptedNode::start();
        node.script(|words| match words[0] {
            "CLUSTER" => {
                line("-NOPERM this user has no permissions to run the 'cluster|slots' command")
            }
            _ => None,
        });
        let store = format!("{scheme}://{}", node.address);
        assert_refused(
            &["--store", &store],
            FAILED,
            &[
                "(it lets that user do too little): ",
                "docs/scaling.md lists",
            ],
        );
    }
}

#[test]
fn one_of_the_nodes_that_are_named_is_enough() {
    let [gone, node] = ScriptedNode::cluster();
    node.give_slots_to(&[&node]);
    gone.refuse();
    let store = format!("redis-cluster://{},{}", gone.address, node.address);
    let server = serve(&store, &[]);
    assert_eq!(server.connect().set("k", "1"), 200);
}

#[test]
fn other_models_and_the_options_of_other_stores_are_refused() {
    let store = ["--store", "redis://127.0.0.1:1"];
    for model in ["threads", "epoll"] {
        let options = [&store[..], &["--model", model]].concat();
        assert_refused(&options, MISTAKEN, &[model, "tokio"]);
    }
    for (option, value) in [
        ("--store-prefix", "p:"),
        ("--store-timeout", "1s"),
        ("--store-replicas", "1"),
        ("--store-reset", "flush"),
    ] {
        assert_refused(&[option, value], MISTAKEN, &[option, "--store"]);
    }
    let options = ["--store", "memory", "--store-prefix", "p:"];
    assert_refused(&options, MISTAKEN, &["--store-prefix"]);
}

#[test]
fn options_without_sense_are_refused() {
    let store = ["--store", "redis://127.0.0.1:1"];
    for (options, words) in [
        (["--frame-max", "1G"], "536870912"),
        (["--store-timeout", "0"], "--store-timeout"),
        (["--store-replicas", "-1"], "--store-replicas"),
        (["--store-reset", "all"], "prefix or flush"),
        (["--workers", "8"], "--connections-max"),
    ] {
        let options = [&store[..], &options].concat();
        assert_refused(&options, MISTAKEN, &[words]);
    }
}

#[test]
fn what_is_no_address_is_refused() {
    for (address, words) in [
        ("redsi://h:1", "redis-cluster"),
        ("localhost:6379", "redis://"),
        ("redis://", "HOST:PORT"),
        ("redis://h:0x1", "HOST:PORT"),
        ("redis://h:70000", "HOST:PORT"),
        ("redis://h:1,i:2", "redis-cluster://"),
        ("redis-cluster://h:1/2", "databases"),
        ("redis-cluster://u:p@a:1,u:p@b:2", "HOST:PORT"),
        ("redis://h:1/db", "HOST:PORT"),
    ] {
        assert_refused(&["--store", address], MISTAKEN, &[words]);
    }
}

#[test]
fn tls_to_a_server_without_it_is_told_as_that() {
    if !can_start() {
        return;
    }
    let node = Node::start(&[]);
    let address = node.address();
    let store = format!("rediss://{address}");
    let words = [
        "can't use the store at",
        &address,
        "TLS",
        "redis, not rediss",
    ];
    assert_refused(&["--store", &store], FAILED, &words);
}

#[test]
fn a_wrong_password_is_told_with_where_the_right_one_belongs() {
    if !can_start() {
        return;
    }
    let node = Node::start(&["--requirepass", "secret"]);
    let address = node.address();
    let words = ["SPEICHER_STORE_PASSWORD", &address];
    for store in [
        format!("redis://{address}"),
        format!("redis://:guess@{address}"),
        format!("redis://nobody:secret@{address}"),
    ] {
        assert_refused(&["--store", &store], FAILED, &words);
    }
}
