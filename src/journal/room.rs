//! How much room there is on the journal's disk.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

use crate::memory;

/// How often the file system is asked.
const INTERVAL: Duration = Duration::from_millis(100);

/// What the engine collects in memory before it makes a table of it, in bytes:
/// a small part of the disk and of the memory, within these bounds.
const MEMTABLE_LEN_MAX: u64 = 16 << 20;
const MEMTABLE_LEN_MIN: u64 = 256 << 10;
const MEMTABLE_FRACTION: u64 = 64;

/// So many times that has to be free on the disk: the engine needs it for the
/// tables that it has not made yet, and can't do without.
const MEMTABLES_FREE: u64 = 4;

/// The room of the disk that a journal is on.
#[derive(Debug)]
pub(super) struct Room {
    memtable_len: u64,
    /// Bytes that are free by now, as far as known.
    free: u64,
    asked: Instant,
}

impl Room {
    /// That of the file system which has this directory.
    pub(super) fn of(dir: &Path) -> io::Result<Self> {
        let (free, total) = ask(dir)?;
        let memory = memory::usage().max.map_or(u64::MAX, |max| max as u64);
        let memtable_len =
            (total.min(memory) / MEMTABLE_FRACTION).clamp(MEMTABLE_LEN_MIN, MEMTABLE_LEN_MAX);
        Ok(Self {
            memtable_len,
            free,
            asked: Instant::now(),
        })
    }

    /// What the engine collects before it makes a table, in bytes.
    pub(super) fn memtable_len(&self) -> u64 {
        self.memtable_len
    }

    /// Whether it is time to [look](Self::look) again.
    pub(super) fn is_outdated(&self) -> bool {
        self.asked.elapsed() >= INTERVAL
    }

    /// Asks the file system which has this directory.
    pub(super) fn look(&mut self, dir: &Path) -> io::Result<()> {
        (self.free, _) = ask(dir)?;
        self.asked = Instant::now();
        Ok(())
    }

    /// Whether so many bytes may be written, and become a table later; then they
    /// are.
    pub(super) fn take(&mut self, len: u64) -> bool {
        let needed = 2 * len + MEMTABLES_FREE * self.memtable_len;
        let has_room = self.free >= needed;
        if has_room {
            self.free -= len;
        }
        has_room
    }
}

/// The bytes that are free, and all that there are.
fn ask(dir: &Path) -> io::Result<(u64, u64)> {
    let stats = statvfs(dir)?;
    let unit = stats.fragment_size();
    Ok((stats.blocks_available() * unit, stats.blocks() * unit))
}
