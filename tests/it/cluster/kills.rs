//! Primaries that are killed while clients ask.

use std::env;
use std::io::{Write, stderr};
use std::time::{Duration, Instant};

use super::can_start;
use super::front::{Caller, keys_of, serve, slot};
use super::load::{Group, during};
use super::nodes::Cluster;
use crate::harness::*;

/// How many primaries are killed, one after another, in place of three. Then it is also told how
/// long their slots were without service.
const KILLS_VARIABLE: &str = "SPEICHER_KILLS";

/// From when a primary was killed, how long its slots were without what.
struct Outage {
    of_owner: Duration,
    of_reads: Duration,
    /// With `--store-replicas 1`, there also has to be a replica again.
    of_changes: Duration,
}

/// S1, A6: each client checks all its answers; see `load`.
#[test]
fn a_killed_primary_loses_nothing_and_the_slots_of_others_are_served_meanwhile() {
    if !can_start() {
        return;
    }
    let cluster = Cluster::start(3, 1);
    // WAIT takes half of the timeout where there is no replica, and others wait behind it.
    let server = serve(
        &cluster,
        &["--store-replicas", "1", "--store-timeout", "2s"],
    );
    let group = |primary| {
        let keys = |client| keys_of(primary, &format!("{primary}-{client}"), 20);
        Group::new((0..2).map(keys).collect(), &[10])
    };
    // Each batch of the fourth's clients is for several nodes.
    let everywhere = (0..20).map(|number| format!("everywhere-{number}"));
    let everywhere = Group::new(vec![everywhere.collect()], &[10]);
    let groups = [group(0), group(1), group(2), everywhere];
    let (kills, is_told) = kills();
    during(server.address(), &groups, || {
        for kill in 0..kills {
            for group in &groups {
                group.wait_until_served(100);
            }
            let others = [&groups[(kill + 1) % 3], &groups[(kill + 2) % 3]];
            let before = others.map(Group::unserved);
            let outage = kill_one(&cluster, &server, kill % 3, others);
            assert_eq!(others.map(Group::unserved), before, "{}", kill % 3);
            if is_told {
                tell(kill, &outage);
            }
        }
    });
}

fn kills() -> (usize, bool) {
    match env::var(KILLS_VARIABLE) {
        Ok(count) => (count.parse().expect("a number"), true),
        Err(_) => (3, false),
    }
}

/// Kills the primary that has the slots now, waits until they are served again, and restarts it
/// as a replica.
fn kill_one(cluster: &Cluster, server: &Process, primary: usize, others: [&Group; 2]) -> Outage {
    let key = &keys_of(primary, "outage", 1)[0];
    let killed = cluster.primary_of_slot(slot(key));
    let mut caller = Caller::new(server.address());
    cluster.kill(killed);
    let begun = Instant::now();
    for group in others {
        group.wait_until_served(100);
    }
    assert_ne!(cluster.primary_of_slot(slot(key)), killed);
    let of_owner = begun.elapsed();
    wait_until("it is read again", || caller.ask(get(key)).is_served());
    let of_reads = begun.elapsed();
    cluster.restart(killed);
    wait_until("it is changed again", || {
        caller.ask(set(key, "\"v\"")).is_served()
    });
    Outage {
        of_owner,
        of_reads,
        of_changes: begun.elapsed(),
    }
}

fn tell(kill: usize, outage: &Outage) {
    let millis = |time: Duration| time.as_millis();
    let line = format!(
        "kill {kill}: no owner for {} ms, no reads for {} ms, no changes for {} ms\n",
        millis(outage.of_owner),
        millis(outage.of_reads),
        millis(outage.of_changes),
    );
    // Not `eprintln!`, which libtest shows only if a test fails.
    stderr().write_all(line.as_bytes()).expect("it is open");
}
