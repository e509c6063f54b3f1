//! Real Redis or Valkey servers on loopback, alone or as a cluster.
//!
//! The tests of tests/it and the program beside this file start them. What goes wrong is a panic
//! with a sentence, because no test can go on without its servers.
//!
//! Nothing outlives the process that starts it: dropped, a [`Node`] is killed, and if nobody is
//! left to drop it, the [`folder`]'s guard kills it.

mod cluster;
mod folder;
mod moves;
mod node;
mod resp;
mod standing;

use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

pub use cluster::Cluster;
pub use moves::slot_of;
pub use node::Node;
pub use resp::Reply;

/// How long a server, or all of a cluster, may take for what it was asked.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How often to look at what nobody notifies us of.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The first version with `CLUSTER ADDSLOTSRANGE` and `cluster-port`.
const VERSION_MIN: u32 = 7;

/// The server program on the PATH, if there is one that is new enough.
pub fn program() -> Option<&'static str> {
    static PROGRAM: OnceLock<Option<&str>> = OnceLock::new();
    *PROGRAM.get_or_init(|| {
        let mut programs = ["valkey-server", "redis-server"].into_iter();
        programs.find(|program| version_of(program).is_some_and(|version| version >= VERSION_MIN))
    })
}

/// The first number of what it says: `Redis server v=7.0.15 sha=...`.
fn version_of(program: &str) -> Option<u32> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let says = String::from_utf8(output.stdout).ok()?;
    let (_, version) = says.split_once(" v=")?;
    version.split('.').next()?.parse().ok()
}

/// Tries until it succeeds. Panics with the last complaint when the time is up.
fn poll<T>(what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(complaint) if begun.elapsed() > TIMEOUT => {
                panic!("not so after {} s: {what}; {complaint}", TIMEOUT.as_secs())
            }
            Err(_) => thread::sleep(POLL_INTERVAL),
        }
    }
}
