//! RST where several nodes have the entries.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::can_start;
use super::front::{Answer, Caller, keys_of, serve, slot};
use super::load::SetWhenDropped;
use super::nodes::{Cluster, Node};
use crate::harness::*;

/// More than a node is asked for at once.
const COUNT: usize = 5_000;

const TAG: &str = "{moves}";

/// S1
#[test]
fn a_reset_removes_the_entries_of_all_primaries_and_no_others() {
    if !can_start() {
        return;
    }
    let cluster = Cluster::start(3, 0);
    // A star in a prefix stands for itself.
    let server = serve(&cluster, &["--store-prefix", "t*:"]);
    let tenant = serve(&cluster, &["--store-prefix", "tenant:"]);
    let [mut own, mut other] = [&server, &tenant].map(|it| Caller::new(it.address()));
    let keys = names("k", COUNT);
    set_all(&mut own, &keys);
    set_all(&mut other, &keys[..100]);
    assert!(cluster.nodes().iter().all(|node| size(node) > 1_000));
    assert_eq!(own.ask(RST.to_owned()), Answer::Done);
    assert!(
        own.ask_all(&gets(&keys))
            .iter()
            .all(|it| *it == Answer::Missing)
    );
    assert_eq!(cluster.nodes().iter().map(size).sum::<i64>(), 100);
    assert!(has_all(&mut other, &keys[..100]));
    // Nobody else has anything there.
    let flushing = serve(&cluster, &["--store-reset", "flush"]);
    assert_eq!(
        Caller::new(flushing.address()).ask(RST.to_owned()),
        Answer::Done
    );
    assert_eq!(cluster.nodes().iter().map(size).sum::<i64>(), 0);
}

/// S1: some of its entries are on one node, some on the other.
#[test]
fn a_reset_removes_the_entries_of_a_slot_on_the_move() {
    if !can_start() {
        return;
    }
    let cluster = Cluster::start(3, 0);
    let server = serve(&cluster, &[]);
    let mut caller = Caller::new(server.address());
    let keys = names(TAG, 200);
    let from = cluster.primary_of_slot(slot(TAG));
    let to = (from + 1) % 3;
    set_all(&mut caller, &keys);
    cluster.begin_move(slot(TAG), to);
    cluster.move_keys(slot(TAG), 100);
    assert_eq!(
        [from, to].map(|index| size(&cluster.nodes()[index])),
        [100, 100]
    );
    assert_eq!(caller.ask(RST.to_owned()), Answer::Done);
    assert_eq!(cluster.nodes().iter().map(size).sum::<i64>(), 0);
    cluster.finish_move(slot(TAG));
    cluster.wait_until_ok();
    set_all(&mut caller, &keys);
    assert_eq!(caller.ask(RST.to_owned()), Answer::Done);
    assert_eq!(cluster.nodes().iter().map(size).sum::<i64>(), 0);
}

/// S1: entries that go from a node that has not been reset yet to one that has.
#[test]
fn a_reset_misses_no_entry_that_moves_meanwhile() {
    if !can_start() {
        return;
    }
    let cluster = Cluster::start(2, 0);
    let server = serve(&cluster, &[]);
    let mut caller = Caller::new(server.address());
    let slot = slot(TAG);
    // So that it takes a while until that node's entries are all removed.
    let others = names("other", 4 * COUNT);
    let keys = names(TAG, 500);
    for _ in 0..5 {
        set_all(&mut caller, &others);
        set_all(&mut caller, &keys);
        let to = 1 - cluster.primary_of_slot(slot);
        cluster.begin_move(slot, to);
        let is_over = AtomicBool::new(false);
        let answer = thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    cluster.move_keys(slot, 5);
                }
            });
            let _end = SetWhenDropped(&is_over);
            caller.ask(RST.to_owned())
        });
        // Some may be left only if the answer does not say that all are removed.
        if answer == Answer::Done {
            let found = caller.ask_all(&gets(&keys));
            assert!(found.iter().all(|it| *it == Answer::Missing));
        }
        while cluster.move_keys(slot, 100) > 0 {}
        cluster.finish_move(slot);
        cluster.wait_until_ok();
    }
}

/// A6
#[test]
fn a_reset_without_a_primary_removes_nothing() {
    if !can_start() {
        return;
    }
    let cluster = Cluster::start(3, 0);
    let scopes = ["prefix", "flush"];
    let servers = scopes.map(|scope| serve(&cluster, &["--store-reset", scope]));
    let mut callers = [0, 1].map(|index| Caller::new(servers[index].address()));
    let keys = [keys_of(0, "k", 50), keys_of(1, "k", 50)].concat();
    set_all(&mut callers[0], &keys);
    cluster.kill(2);
    let lost = &keys_of(2, "k", 1)[0];
    for caller in &mut callers {
        wait_until("it is known", || caller.ask(get(lost)) == Answer::Refused);
        assert_eq!(caller.ask(RST.to_owned()), Answer::Refused);
        assert!(has_all(caller, &keys));
    }
    cluster.restart(2);
    for caller in &mut callers {
        set_all(caller, &keys);
        wait_until("all can be removed", || {
            caller.ask(RST.to_owned()) == Answer::Done
        });
        assert_eq!(cluster.nodes().iter().map(size).sum::<i64>(), 0);
    }
}

#[test]
fn changes_that_too_few_replicas_have_are_not_acknowledged() {
    let set = set("k", "\"new\"");
    assert_closed_without_a_replica(&[], &[set, del("k"), RST.to_owned()]);
}

#[test]
fn a_flush_that_too_few_replicas_have_is_not_acknowledged() {
    assert_closed_without_a_replica(&["--store-reset", "flush"], &[RST.to_owned()]);
}

/// Each of the requests finds an entry, and makes a change that the only replica does not get.
fn assert_closed_without_a_replica(options: &[&str], requests: &[String]) {
    if !can_start() {
        return;
    }
    let cluster = Cluster::start(1, 1);
    let options = [options, &["--store-replicas", "1", "--store-timeout", "2s"]].concat();
    let server = serve(&cluster, &options);
    let mut caller = Caller::new(server.address());
    for request in requests {
        assert_eq!(caller.ask(set("k", "\"old\"")), Answer::Done);
        cluster.pause(1);
        assert_eq!(caller.ask(request.clone()), Answer::Closed, "{request}");
        cluster.resume(1);
        cluster.wait_until_ok();
    }
}

fn names(name: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{name}-{number}"))
        .collect()
}

fn gets(keys: &[String]) -> Vec<String> {
    keys.iter().map(|key| get(key)).collect()
}

fn set_all(caller: &mut Caller, keys: &[String]) {
    for keys in keys.chunks(500) {
        let sets: Vec<_> = keys.iter().map(|key| set(key, "\"v\"")).collect();
        assert!(caller.ask_all(&sets).iter().all(|it| *it == Answer::Done));
    }
}

fn has_all(caller: &mut Caller, keys: &[String]) -> bool {
    let found = caller.ask_all(&gets(keys));
    found.iter().all(|it| *it == Answer::Found("v".to_owned()))
}

/// How many keys it has, whoever's.
fn size(node: &Node) -> i64 {
    node.ask(&["DBSIZE"]).integer()
}
