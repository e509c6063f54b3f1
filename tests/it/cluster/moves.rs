//! Slots that get other owners while clients ask.

use super::can_start;
use super::front::{serve, slot};
use super::load::{Group, during};
use super::nodes::{Cluster, Node};

/// Names of slots that are moved, as hash tags; about as many on each node.
const TAGS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Where a value is over 64 KiB, a GET takes several commands.
const LONG_LEN: usize = 100_000;

/// A client's keys are in all slots.
fn keys(client: &str, count: usize) -> Vec<String> {
    let key = |number| format!("{{{}}}-{client}-{number}", TAGS[number % TAGS.len()]);
    (0..count).map(key).collect()
}

/// S1, S1a: each client checks all its answers; see `load`. No move is a reason to refuse one.
#[test]
fn slots_on_the_move_are_served_without_an_error() {
    if !can_start() {
        return;
    }
    let cluster = Cluster::start(3, 0);
    let server = serve(&cluster, &[]);
    let short = Group::new(
        ["1", "2", "3"].map(|client| keys(client, 60)).into(),
        &[10, 300],
    );
    let long = Group::new(vec![keys("long", 18)], &[LONG_LEN, 10]);
    let groups = [short, long];
    during(server.address(), &groups, || {
        for tag in TAGS.repeat(2) {
            move_slowly(&cluster, slot(&format!("{{{tag}}}")), &groups);
        }
    });
    for group in &groups {
        assert_eq!(group.unserved(), 0);
    }
    for error in ["ASK", "MOVED"] {
        assert!(has_answered(&cluster, error), "{error}");
    }
}

/// Whether a node has answered this error.
fn has_answered(cluster: &Cluster, error: &str) -> bool {
    let line = format!("errorstat_{error}:");
    let stats = |node: &Node| node.ask(&["INFO", "errorstats"]).text().contains(&line);
    cluster.nodes().iter().any(stats)
}

/// Moves the slot to the next node, and leaves half of its keys behind for a while.
fn move_slowly(cluster: &Cluster, slot: u16, groups: &[Group]) {
    let from = cluster.primary_of_slot(slot);
    let count = cluster.nodes()[from].ask(&["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()]);
    cluster.begin_move(slot, (from + 1) % 3);
    cluster.move_keys(slot, count.integer() as usize / 2);
    for group in groups {
        group.wait_until_served(200);
    }
    while cluster.move_keys(slot, 1) > 0 {}
    cluster.finish_move(slot);
    // Else an owner that others have not heard of yet could lose the slot again.
    cluster.wait_until_ok();
}
