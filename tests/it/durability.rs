//! Claims about entries that outlive the process: `speicher serve --data`.
//!
//! A few crashes and damages are tried each time. `make durability` tries as many as it takes to
//! find what is rare.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

use speicher::journal;
use speicher::server::Model;
use speicher::store::Change;

use crate::harness::*;

mod damage;
mod dump;
mod failures;
mod folders;
mod full_disk;
mod histories;
mod kills;
mod load;
mod power;
mod record;
mod snapshot;
mod storage;
mod values;

/// How many crashes each test with crashes tries, in place of a few.
const CRASHES_VARIABLE: &str = "SPEICHER_CRASHES";

/// How many cuts and how many flipped bits are tried, in place of a few.
const DAMAGES_VARIABLE: &str = "SPEICHER_DAMAGES";

fn crashes(few: usize) -> usize {
    count(CRASHES_VARIABLE, few)
}

fn damages(few: usize) -> usize {
    count(DAMAGES_VARIABLE, few)
}

fn count(variable: &str, few: usize) -> usize {
    env::var(variable).map_or(few, |count| count.parse().expect("a number"))
}

/// When changes are synced.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sync {
    Always,
    Every100Ms,
}

impl Sync {
    const ALL: [Self; 2] = [Self::Always, Self::Every100Ms];

    fn option(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Every100Ms => "100ms",
        }
    }
}

/// A folder of a test's own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);

        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("speicher-durability-{}-{number}", process::id());
        let parent = env::temp_dir().canonicalize().expect("it is there");
        let path = parent.join(name);
        // What is left of an earlier process of the same number.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("there is room");
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The options of a server with its entries in the folder.
fn options(model: Model, dir: &Path, sync: Sync) -> [&str; 6] {
    let dir = dir.to_str().expect("UTF-8");
    let model = model.name();
    ["--model", model, "--data", dir, "--sync", sync.option()]
}

fn serve(model: Model, dir: &Path, sync: Sync) -> Process {
    Process::serve(&options(model, dir, sync))
}

/// Kills the server as a crash does: it does not get to write anything more.
fn crash(mut server: Process) {
    server.child.kill().expect("it runs");
    server.child.wait().expect("it was running");
}

/// Ends the server as an operator does.
fn stop(mut server: Process) {
    server.signal("TERM");
    assert!(server.wait().0.success());
}

/// All entries in a directory that nobody uses.
fn stored(dir: &Path) -> BTreeMap<String, String> {
    let mut entries = BTreeMap::new();
    let change = |change: Change<'_>| {
        match change {
            Change::Set { key, value } => drop(entries.insert(key.to_owned(), value.to_owned())),
            Change::Delete { key } => drop(entries.remove(key)),
            Change::Reset => entries.clear(),
        }
        Ok(())
    };
    journal::read(dir, change, |_| ()).expect("it is whole");
    entries
}

/// The same numbers for the same seed (SplitMix64).
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low)
    }
}
