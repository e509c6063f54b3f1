//! Sees to it that what the process takes is what it holds, and tells the operator
//! when it is full.
//!
//! The allocator keeps what is freed, in pieces that others may not fit into. So a
//! thread looks at what the process takes of the machine, has the rest given back,
//! and has the ceiling lowered by what could not be.

use std::fs::File;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::log;
use super::shutdown::Shutdown;
use crate::memory::ceiling::{self, Level};
use crate::memory::{self, Size};

/// How long the thread sleeps: as long as it would take to get to the ceiling, if
/// so many bytes came in a second, within these bounds.
const FILL_RATE: f64 = (1_u64 << 30) as f64;
const SLEEP_MIN: Duration = Duration::from_millis(20);
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Memory is given back so often at most: it takes the heaps' locks.
const TRIM_INTERVAL: Duration = Duration::from_millis(200);

/// The server has to have had room for so long before that is told.
const ROOM_TIME: Duration = Duration::from_secs(10);

/// Starts the thread, if the process has a ceiling. It ends with the server.
pub(super) fn start(shutdown: &Shutdown) -> io::Result<()> {
    let Some(max) = ceiling::max() else {
        return Ok(());
    };
    // Elsewhere nobody tells, and the ceiling holds without.
    let Ok(statm) = File::open("/proc/self/statm") else {
        return Ok(());
    };
    let shutdown = shutdown.clone();
    let run = move || {
        let mut watch = Watch::new(max, statm);
        while !shutdown.is_triggered() {
            shutdown.sleep(watch.look());
        }
    };
    thread::Builder::new()
        .name("memory".to_owned())
        .spawn(run)?;
    Ok(())
}

struct Watch {
    max: usize,
    statm: File,
    trimmed_at: Option<Instant>,
    /// The operator was told that it is full, and it was last so at that time.
    full_at: Option<Instant>,
    told_refused: u64,
}

impl Watch {
    fn new(max: usize, statm: File) -> Self {
        Self {
            max,
            statm,
            trimmed_at: None,
            full_at: None,
            told_refused: 0,
        }
    }

    /// Looks once; how long to sleep then.
    fn look(&mut self) -> Duration {
        let mut resident = resident(&self.statm).unwrap_or(0);
        if resident > self.max - self.max / 8 && self.is_trim_due() {
            memory::trim();
            self.trimmed_at = Some(Instant::now());
            resident = self::resident(&self.statm).unwrap_or(0);
        }
        self.tell(ceiling::note_resident(resident));
        let left = self.max.saturating_sub(resident);
        Duration::from_secs_f64(left as f64 / FILL_RATE).clamp(SLEEP_MIN, SLEEP_MAX)
    }

    fn is_trim_due(&self) -> bool {
        self.trimmed_at
            .is_none_or(|at| at.elapsed() >= TRIM_INTERVAL)
    }

    /// Tells the operator when something was refused for the first time, and when
    /// there is room again.
    fn tell(&mut self, level: Level) {
        let usage = memory::usage();
        let refused = usage.entries_refused + usage.frames_refused;
        if refused > self.told_refused && self.full_at.is_none() {
            let max = Size(self.max);
            log::line(format_args!(
                "full: it holds {} of {max}, and refuses what would make it more; remove entries, \
                 or start it with more --memory-max",
                Size(usage.used)
            ));
            self.told_refused = refused;
        }
        if level >= Level::Full || refused > self.told_refused {
            self.full_at = Some(Instant::now());
            self.told_refused = refused;
        } else if self.full_at.is_some_and(|at| at.elapsed() > ROOM_TIME) {
            self.full_at = None;
            log::line(format_args!("there is room again"));
        }
    }
}

/// What the process takes of the machine's memory, in bytes.
fn resident(statm: &File) -> Option<usize> {
    use std::os::unix::fs::FileExt;

    /// Of nearly all machines. Where pages are larger, less is given back.
    const PAGE_LEN: usize = 4 << 10;

    let mut text = [0; 128];
    let len = statm.read_at(&mut text, 0).ok()?;
    let text = std::str::from_utf8(&text[..len]).ok()?;
    let pages: usize = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE_LEN)
}
