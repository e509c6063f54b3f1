//! A disk without room, and with room again.

use std::io::{Write, stderr};
use std::process::Command;

use super::*;

every_model![
    without_room_on_the_disk_nothing_is_changed_until_there_is_some,
    all_that_was_acknowledged_on_a_full_disk_is_back_after_a_crash,
];

const MIB: u64 = 1 << 20;

/// A small file system in memory, unmounted when it is dropped.
pub struct Mounted(pub Folder);

impl Mounted {
    /// `None`, and said, if this user can't mount.
    pub fn new(options: &str) -> Option<Self> {
        let folder = Folder::new();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "speicher-test"])
            .arg(&folder.0)
            .output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(Self(folder));
        }
        // Not `eprintln!`, which libtest shows only if a test fails.
        let _ = stderr()
            .write_all(b"SKIPPED: a test with a file system of its own; only root may mount one\n");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily, should a server still be there.
        let _ = Command::new("umount").arg("-l").arg(&self.0.0).status();
    }
}

/// A file that takes room until it is removed.
struct Ballast(PathBuf);

impl Ballast {
    fn new(path: PathBuf, len: u64) -> Self {
        let mut file = fs::File::create(&path).expect("there is room");
        for _ in 0..len / MIB {
            file.write_all(&[1; MIB as usize]).expect("there is room");
        }
        Self(path)
    }

    fn remove(self) {
        fs::remove_file(self.0).expect("it is there");
    }
}

fn value(number: u32) -> String {
    format!("\"{number} {}\"", "v".repeat(100_000))
}

/// Sets keys until one is refused; how many were not.
fn fill(peer: &mut Peer) -> u32 {
    let mut count = 0;
    loop {
        match peer.set(&format!("key-{count}"), &value(count)) {
            200 => count += 1,
            503 => return count,
            status => panic!("{status}"),
        }
        assert!(count < 1_000, "the disk is never full");
    }
}

fn assert_has(peer: &mut Peer, count: u32) {
    for number in 0..count {
        let reply = peer.get_text(&format!("key-{number}"));
        assert!(reply.contains(&value(number)), "{number}");
    }
    assert_eq!(peer.status(get(&format!("key-{count}"))), 404);
}

fn without_room_on_the_disk_nothing_is_changed_until_there_is_some(model: Model) {
    let Some(disk) = Mounted::new("size=64m") else {
        return;
    };
    let dir = disk.0.join("data");
    let ballast = Ballast::new(disk.0.join("ballast"), 40 * MIB);
    let server = serve(model, &dir, Sync::Always);
    let mut peer = server.connect();
    let count = fill(&mut peer);
    assert!(count > 10, "{count}");
    assert_eq!(peer.set("key-0", &value(1_000)), 503);
    assert_has(&mut peer, count);
    ballast.remove();
    wait_until("it writes again", || peer.set("after", "1") == 200);
    assert_eq!(peer.set(&format!("key-{count}"), &value(count)), 200);
    assert_has(&mut peer, count + 1);
    let said = server.complaint("again");
    assert_eq!(said.matches("can't be written").count(), 1, "{said}");
    crash(server);
    let server = serve(model, &dir, Sync::Always);
    let mut peer = server.connect();
    assert_has(&mut peer, count + 1);
    assert_eq!(peer.status(get("after")), 200);
}

/// And it can be served from a disk that is still full.
fn all_that_was_acknowledged_on_a_full_disk_is_back_after_a_crash(model: Model) {
    let Some(disk) = Mounted::new("size=24m") else {
        return;
    };
    let dir = disk.0.join("data");
    let server = serve(model, &dir, Sync::Every100Ms);
    let count = fill(&mut server.connect());
    // Not even what the server would keep free.
    let mut rest = fs::File::create(disk.0.join("rest")).expect("there is a place");
    while rest.write(&[1; 4096]).is_ok_and(|len| len > 0) {}
    let mut peer = server.connect();
    assert_eq!(peer.set("key-0", &value(1_000)), 503);
    crash(server);
    let server = serve(model, &dir, Sync::Every100Ms);
    let mut peer = server.connect();
    assert_has(&mut peer, count);
    assert_eq!(peer.set("key-0", &value(1_000)), 503);
    assert_has(&mut peer, count);
}
