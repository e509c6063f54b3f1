//! Claims about the clusters that tests start, see tests/cluster, and about servers in front of
//! them.

use std::io::{Write, stderr};
use std::sync::Once;

use nodes::{Cluster, Node, Reply, slot_of};

use crate::harness::*;

#[cfg(feature = "cluster")]
mod absences;
#[cfg(feature = "cluster")]
mod by_hand;
#[cfg(all(feature = "cluster", feature = "conformance"))]
mod conformance;
#[cfg(feature = "cluster")]
mod front;
#[cfg(feature = "cluster")]
mod histories;
#[cfg(feature = "cluster")]
mod kills;
#[cfg(feature = "cluster")]
mod load;
#[cfg(feature = "cluster")]
mod moves;
#[cfg(feature = "cluster")]
mod pauses;
#[cfg(feature = "cluster")]
mod python;
#[cfg(feature = "cluster")]
mod resets;

// Beside the tests, a program uses it too, and each leaves something unused.
#[allow(dead_code)]
#[path = "../cluster/nodes.rs"]
pub mod nodes;

/// Whether there is a server program, without which a test with a cluster is skipped. Says so
/// once for all of them.
pub fn can_start() -> bool {
    static SAID: Once = Once::new();

    let has_program = nodes::program().is_some();
    if !has_program {
        // Not `eprintln!`, which libtest shows only if a test fails.
        SAID.call_once(|| {
            let _ = stderr().write_all(
                b"SKIPPED: the tests with a cluster; there is no valkey-server or redis-server \
                  of 7 or newer on the PATH (apt-get install redis-server)\n",
            );
        });
    }
    has_program
}

/// Sets as many keys with the hash tag on the node; their names.
fn set_keys(node: &Node, tag: &str, count: usize) -> Vec<String> {
    let names = (0..count).map(|number| format!("{{{tag}}}{number}"));
    let keys: Vec<String> = names.collect();
    for key in &keys {
        assert_eq!(node.ask(&["SET", key, "value"]).text(), "OK");
    }
    keys
}

#[test]
fn a_started_cluster_agrees_on_its_slots_and_answers_on_every_node() {
    if !can_start() {
        return;
    }
    let cluster = Cluster::start(3, 1);
    assert_eq!(cluster.primaries(), [0, 1, 2]);
    for primary in 0..3 {
        assert_eq!(cluster.replicas_of(primary), [primary + 3]);
    }
    let ends = [(0, 5460), (5461, 10921), (10922, 16383)];
    for (primary, (first, last)) in ends.into_iter().enumerate() {
        assert_eq!(cluster.primary_of_slot(first), primary);
        assert_eq!(cluster.primary_of_slot(last), primary);
    }
    for node in cluster.nodes() {
        assert_eq!(node.ask(&["PING"]).text(), "PONG");
        let slots = node.ask(&["CLUSTER", "SLOTS"]);
        assert_eq!(slots.items().len(), 3, "{slots:?}");
    }
}

#[test]
fn a_killed_primary_s_replica_takes_over_and_the_primary_becomes_its_replica() {
    if !can_start() {
        return;
    }
    let cluster = Cluster::start(3, 1);
    let slot = slot_of(b"{tag}");
    let primary = cluster.primary_of_slot(slot);
    let replica = primary + 3;
    let keys = set_keys(&cluster.nodes()[primary], "tag", 10);
    let has_all = || {
        let reply = cluster.nodes()[replica].ask(&["DBSIZE"]);
        reply.integer() == keys.len() as i64
    };
    wait_until("the replica has the keys", has_all);
    cluster.kill(primary);
    assert_eq!(cluster.primary_of_slot(slot), replica);
    cluster.wait_until_ok();
    assert!(has_all());
    cluster.restart(primary);
    assert_eq!(cluster.replicas_of(replica), [primary]);
    assert_eq!(cluster.primary_of_slot(slot), replica);
}

#[test]
fn a_paused_primary_loses_its_slots_and_hears_of_it_when_it_is_resumed() {
    if !can_start() {
        return;
    }
    let cluster = Cluster::start(3, 1);
    cluster.pause(0);
    assert!(cluster.nodes()[0].is_running());
    assert_eq!(cluster.primary_of_slot(0), 3);
    cluster.resume(0);
    cluster.wait_until_ok();
    assert_eq!(cluster.primaries(), [1, 2, 3]);
    assert_eq!(cluster.replicas_of(3), [0]);
}

#[test]
fn a_moved_slot_s_keys_are_found_on_the_target() {
    if !can_start() {
        return;
    }
    let cluster = Cluster::start(3, 0);
    let slot = slot_of(b"{tag}");
    let from = cluster.primary_of_slot(slot);
    let to = (from + 1) % 3;
    let (source, target) = (&cluster.nodes()[from], &cluster.nodes()[to]);
    let keys = set_keys(source, "tag", 150);
    cluster.begin_move(slot, to);
    assert_eq!(cluster.move_keys(slot, 1), 1);
    let answers = keys.iter().map(|key| source.command(&["GET", key]));
    let asks = answers.filter(|answer| {
        let begin = format!("ASK {slot} {}", target.address());
        matches!(answer, Ok(Reply::Error(error)) if *error == begin)
    });
    assert_eq!(asks.count(), 1);
    while cluster.move_keys(slot, 100) > 0 {}
    cluster.finish_move(slot);
    assert_eq!(cluster.primary_of_slot(slot), to);
    for key in &keys {
        assert_eq!(target.ask(&["GET", key]).text(), "value");
    }
    cluster.move_slot(slot, from);
    cluster.wait_until_ok();
    for key in &keys {
        assert_eq!(source.ask(&["GET", key]).text(), "value");
    }
}

#[test]
fn the_slot_of_a_key_is_what_the_server_says() {
    if !can_start() {
        return;
    }
    let cluster = Cluster::start(1, 0);
    let keys = [
        "",
        "a",
        "greeting",
        "123456789",
        "{tag}",
        "{tag}1",
        "1{tag}",
        "{}",
        "{}a",
        "a{}b",
        "{",
        "}{",
        "}{a}",
        "{a",
        "{a}{b}",
        "{{a}}",
        "a{b}c{d}",
        "Schlüssel",
        "a\r\nb\0c",
    ];
    for key in keys {
        let reply = cluster.nodes()[0].ask(&["CLUSTER", "KEYSLOT", key]);
        assert_eq!(
            reply.integer(),
            i64::from(slot_of(key.as_bytes())),
            "{key:?}"
        );
    }
}

/// A server alone takes options, also those that change how it is spoken to.
#[test]
fn a_node_alone_takes_options_and_keeps_its_port_when_it_is_restarted() {
    if !can_start() {
        return;
    }
    let node = Node::start(&["--requirepass", "secret", "--maxmemory", "10mb"]);
    let address = node.address();
    let maxmemory = || {
        let reply = node.ask(&["CONFIG", "GET", "maxmemory"]);
        reply.items()[1].text().to_owned()
    };
    assert_eq!(maxmemory(), "10485760");
    node.kill();
    assert!(!node.is_running());
    assert!(node.command(&["PING"]).is_err());
    node.restart();
    assert_eq!(node.address(), address);
    assert_eq!(maxmemory(), "10485760");
}
