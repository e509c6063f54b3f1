//! Clusters of which little or nothing is there.

use std::net::TcpListener;
use std::process::Output;

use super::can_start;
use super::front::{Answer, Caller, keys_of, serve, serve_at};
use super::nodes::Cluster;
use crate::harness::*;

/// An address where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    address.to_string()
}

/// A6
#[test]
fn a_server_outlives_its_cluster_and_serves_when_it_is_back() {
    if !can_start() {
        return;
    }
    let cluster = Cluster::start(3, 0);
    let server = serve(&cluster, &[]);
    let mut caller = Caller::new(server.address());
    let keys = [0, 1, 2].map(|primary| keys_of(primary, "k", 1).remove(0));
    for key in &keys {
        assert_eq!(caller.ask(set(key, "\"v\"")), Answer::Done);
    }
    for index in 0..3 {
        cluster.kill(index);
    }
    for key in &keys {
        wait_until("it is refused", || caller.ask(get(key)) == Answer::Refused);
        assert_eq!(caller.ask(set(key, "\"v\"")), Answer::Refused);
    }
    assert_eq!(caller.ask(RST.to_owned()), Answer::Refused);
    // What needs no node.
    assert_eq!(server.connect().status("no request"), 400);
    for node in cluster.nodes() {
        node.restart();
    }
    cluster.wait_until_ok();
    for key in &keys {
        // The nodes have saved nothing.
        wait_until("it is served", || caller.ask(get(key)) == Answer::Missing);
        assert_eq!(caller.ask(set(key, "\"v\"")), Answer::Done);
    }
    assert_eq!(caller.ask(RST.to_owned()), Answer::Done);
}

#[test]
fn one_node_that_answers_is_enough_to_find_the_others() {
    if !can_start() {
        return;
    }
    let cluster = Cluster::start(3, 1);
    // The kernel accepts for it, and nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("it is bound").to_string();
    let replica = cluster.nodes()[5].address();
    let seeds = [nobody(), address, nobody(), replica].join(",");
    let server = serve_at(&seeds, &["--store-timeout", "1s"]);
    drop(silent);
    for primary in 0..3 {
        let key = &keys_of(primary, "k", 1)[0];
        let mut caller = Caller::new(server.address());
        assert_eq!(caller.ask(set(key, "\"v\"")), Answer::Done);
    }
    // Nor is it needed any longer.
    cluster.kill(5);
    let lost = cluster.primary_of_slot(0);
    cluster.kill(lost);
    let mut caller = Caller::new(server.address());
    let key = &keys_of(0, "k", 1)[0];
    wait_until("its replica serves", || {
        caller.ask(set(key, "\"v\"")) == Answer::Done
    });
}

#[test]
fn a_server_that_finds_no_node_ends_with_a_sentence() {
    let seeds = [nobody(), nobody()];
    let Output {
        status,
        stdout,
        stderr,
    } = speicher()
        .args(["serve", "--port", "0", "--store"])
        .arg(format!("redis-cluster://{}", seeds.join(",")))
        .output()
        .expect("the program is there");
    let said = String::from_utf8(stderr).expect("UTF-8");
    assert_eq!(status.code(), Some(1), "{said}");
    assert_eq!(stdout, b"", "it was never ready");
    assert_eq!(said.lines().count(), 1, "{said}");
    for part in [&seeds[0], &seeds[1], "start it, or mend --store"] {
        assert!(said.contains(part), "{said}");
    }
}
