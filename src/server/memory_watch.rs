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

use super::log::{Event, Log};
use super::shutdown::Shutdown;
use crate::memory::{self, ceiling};

/// How long the thread sleeps: as long as it would take to get to the ceiling, if
/// so many bytes came in a second, within these bounds.
const FILL_RATE: f64 = (1_u64 << 30) as f64;
const SLEEP_MIN: Duration = Duration::from_millis(20);
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Memory is given back so often at most: it takes the heaps' locks.
const TRIM_INTERVAL: Duration = Duration::from_millis(200);

/// Starts the thread, if the process has a ceiling. It ends with the server.
pub(super) fn start(log: &Log, shutdown: &Shutdown) -> io::Result<()> {
    let Some(max) = ceiling::max() else {
        return Ok(());
    };
    // Elsewhere nobody tells, and the ceiling holds without.
    let Ok(statm) = File::open("/proc/self/statm") else {
        return Ok(());
    };
    let (log, shutdown) = (log.clone(), shutdown.clone());
    let run = move || {
        let mut watch = Watch::new(max, statm, log);
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
    told_refused: u64,
    log: Log,
}

impl Watch {
    fn new(max: usize, statm: File, log: Log) -> Self {
        Self {
            max,
            statm,
            trimmed_at: None,
            told_refused: 0,
            log,
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
        ceiling::note_resident(resident);
        self.tell();
        let left = self.max.saturating_sub(resident);
        Duration::from_secs_f64(left as f64 / FILL_RATE).clamp(SLEEP_MIN, SLEEP_MAX)
    }

    fn is_trim_due(&self) -> bool {
        self.trimmed_at
            .is_none_or(|at| at.elapsed() >= TRIM_INTERVAL)
    }

    /// Tells the operator when something was refused.
    fn tell(&mut self) {
        let usage = memory::usage();
        let refused = usage.entries_refused + usage.frames_refused;
        let news = refused - std::mem::replace(&mut self.told_refused, refused);
        if news > 0 {
            let full = || Event::full(usage.used, self.max);
            self.log.note_full(news, full);
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
