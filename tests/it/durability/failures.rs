//! Disks that fail: what is answered is true, before, then and after a restart.

use super::storage::{Storage, Written};
use super::*;

every_model![
    after_a_sync_that_failed_nothing_is_changed_until_a_restart,
    with_time_to_sync_a_sync_that_failed_ends_changes_too,
    what_could_not_be_written_was_not_done,
];

/// What a GET of the key finds.
fn found(peer: &mut Peer, key: &str) -> Option<String> {
    let reply = peer.ask(get(key));
    match status_of(&reply) {
        200 => Some(reply["value"].to_string()),
        404 => None,
        status => panic!("{status} to a GET"),
    }
}

fn some(json: &str) -> Option<String> {
    Some(json.to_owned())
}

fn after_a_sync_that_failed_nothing_is_changed_until_a_restart(model: Model) {
    let Some(mut storage) = Storage::new(0) else {
        return;
    };
    let server = storage.serve(model, Sync::Always);
    let mut peer = server.connect();
    assert_eq!(peer.set("a", "1"), 200);
    assert_eq!(peer.set("b", "2"), 200);
    storage.fail_syncs();
    assert_eq!(peer.set("a", "10"), 503);
    storage.mend();
    for payload in [set("a", "11"), set("c", "3"), del("b"), RST.to_owned()] {
        assert_eq!(peer.status(&payload), 503, "{payload}");
    }
    let mut other = server.connect();
    assert_eq!(other.set("a", "12"), 503);
    assert_eq!(found(&mut other, "a"), some("1"));
    assert_eq!(found(&mut other, "b"), some("2"));
    assert_eq!(found(&mut other, "c"), None);
    let said = server.complaint("again");
    assert_eq!(said.matches("is lost").count(), 1, "{said}");
    crash(server);
    // The page cache has what the disk has not.
    for written in [None, Some(Written::Nothing)] {
        match written {
            None => drop(fs::remove_dir_all(storage.mirror())),
            Some(written) => storage.lose_power(written),
        }
        fs::create_dir_all(storage.mirror()).expect("there is room");
        let server = storage.serve(model, Sync::Always);
        let mut peer = server.connect();
        assert_eq!(found(&mut peer, "a"), some("1"));
        assert_eq!(found(&mut peer, "b"), some("2"));
        assert_eq!(found(&mut peer, "c"), None);
        assert_eq!(peer.set("d", "4"), 200);
        crash(server);
    }
}

/// Up to then, what was acknowledged is with the operating system.
fn with_time_to_sync_a_sync_that_failed_ends_changes_too(model: Model) {
    let Some(storage) = Storage::new(0) else {
        return;
    };
    let server = storage.serve(model, Sync::Every100Ms);
    let mut peer = server.connect();
    assert_eq!(peer.set("a", "0"), 200);
    storage.fail_syncs();
    let mut last = 0;
    wait_until("the sync has failed", || {
        let status = peer.set("a", &(last + 1).to_string());
        last += u32::from(status == 200);
        status == 503
    });
    storage.mend();
    assert_eq!(peer.set("a", "-1"), 503);
    assert_eq!(found(&mut peer, "a"), some(&last.to_string()));
    server.complaint("again");
    crash(server);
    let server = serve(model, &storage.dir(), Sync::Every100Ms);
    let mut peer = server.connect();
    assert_eq!(found(&mut peer, "a"), some(&last.to_string()));
    assert_eq!(peer.set("a", "1000000"), 200);
}

/// Refused changes do not come back: neither when writes go on, nor after a crash meanwhile.
fn what_could_not_be_written_was_not_done(model: Model) {
    for how in ["ENOSPC", "ENOSPC half", "EIO half"] {
        for crashes_meanwhile in [true, false] {
            let Some(storage) = Storage::new(0) else {
                return;
            };
            fail_writes(&storage, model, how, crashes_meanwhile);
        }
    }
}

fn fail_writes(storage: &Storage, model: Model, how: &str, crashes_meanwhile: bool) {
    let what = format!("{how}, crashes meanwhile: {crashes_meanwhile}");
    let server = storage.serve(model, Sync::Always);
    let mut peer = server.connect();
    assert_eq!(peer.set("a", "1"), 200);
    assert_eq!(peer.set("b", "2"), 200);
    storage.fail_writes(how);
    for payload in [set("a", "10"), set("c", "3"), del("b"), set("a", "11")] {
        assert_eq!(peer.status(&payload), 503, "{what}: {payload}");
    }
    let is_as_before = |peer: &mut Peer| {
        assert_eq!(found(peer, "a"), some("1"), "{what}");
        assert_eq!(found(peer, "b"), some("2"), "{what}");
        assert_eq!(found(peer, "c"), None, "{what}");
    };
    is_as_before(&mut peer);
    server.complaint("disk");
    let mut expected = None;
    if !crashes_meanwhile {
        storage.mend();
        wait_until("it writes again", || peer.set("d", "4") == 200);
        expected = some("4");
        is_as_before(&mut peer);
    }
    crash(server);
    storage.mend();
    let server = serve(model, &storage.dir(), Sync::Always);
    let mut peer = server.connect();
    is_as_before(&mut peer);
    assert_eq!(found(&mut peer, "d"), expected, "{what}");
    assert_eq!(peer.set("a", "12"), 200);
}
