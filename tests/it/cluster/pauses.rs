//! A primary that is there and does not answer.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use speicher::protocol::frame::{FRAME_LEN_MAX, read_frame};

use super::can_start;
use super::front::{Caller, keys_of, serve, slot};
use super::load::{Group, SetWhenDropped, during};
use super::nodes::Cluster;
use crate::harness::*;

const SENDERS: usize = 50;
const VALUE_LEN: usize = 1_000_000;

/// What senders may have on their way to one node is bounded, however much they send.
const MEMORY_MAX_KIB: u64 = 300 << 10;

/// S5, A6
#[test]
fn a_paused_primary_holds_up_no_other_and_takes_little_memory() {
    if !can_start() {
        return;
    }
    let cluster = Cluster::start(3, 1);
    let server = serve(&cluster, &["--store-timeout", "2s"]);
    let keys = keys_of(0, "paused", SENDERS);
    let others = [1, 2].map(|primary| keys_of(primary, "other", 20));
    let others = [Group::new(others.into(), &[10])];
    during(server.address(), &others, || {
        others[0].wait_until_served(100);
        let before = server.memory_kib("VmRSS");
        cluster.pause(0);
        let mut on_its_way = server.connect();
        on_its_way.send(&framed(get(&keys[0])));
        wait_until("it is read", || {
            receive_queues_are_empty(server.address().port())
        });
        flood_until(server.address(), &keys, || {
            // Nobody knows what it would have found, so no status is made up.
            on_its_way.assert_closed();
            others[0].wait_until_served(100);
            let mut caller = Caller::new(server.address());
            wait_until("the replica serves", || {
                caller.ask(get(&keys[0])).is_served()
            });
        });
        let taken = server.memory_kib("VmHWM") - before;
        assert!(taken < MEMORY_MAX_KIB, "{taken} KiB");
        cluster.resume(0);
        cluster.wait_until_ok();
        others[0].wait_until_served(100);
    });
    assert_eq!(others[0].unserved(), 0);
    assert_eq!(cluster.primary_of_slot(slot(&keys[0])), 3);
}

/// Has a sender for each key send SETs without end while something happens.
fn flood_until(address: SocketAddr, keys: &[String], happening: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let is_over = &is_over;
        for key in keys {
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    flood(address, key);
                }
            });
        }
        let _end = SetWhenDropped(is_over);
        happening();
    });
}

/// Sends many SETs on one connection, and then reads what there is to read until its end.
fn flood(address: SocketAddr, key: &str) {
    const DEPTH: usize = 20;

    let mut peer = Peer::connect(address);
    let frame = framed(set(key, &format!("\"{}\"", "v".repeat(VALUE_LEN))));
    let is_sent = (0..DEPTH).all(|_| peer.0.write_all(&frame).is_ok());
    if is_sent {
        peer.close_sending_side();
    }
    // At its end, or when it was closed while requests came.
    while let Ok(Some(reply)) = read_frame(&mut peer.0, FRAME_LEN_MAX) {
        let reply = serde_json::from_slice(&reply).expect("a reply is JSON");
        assert!([200, 503].contains(&status_of(&reply)), "{reply}");
    }
}
