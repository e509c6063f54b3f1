//! What the system knows of this process, from `/proc`.

use std::fs;

use crate::system_limits;

/// Linux tells times to programs in hundredths of a second, whatever it counts
/// in itself.
const TICKS_PER_SECOND: f64 = 100.0;

/// `None` where the system does not tell.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) open_fds: Option<u64>,
    pub(super) max_fds: Option<u64>,
    /// Since 1970.
    pub(super) start_seconds: Option<f64>,
}

impl Process {
    pub(super) fn look() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            cpu_seconds: cpu_ticks(&stat).map(|ticks| ticks as f64 / TICKS_PER_SECOND),
            resident_bytes: kibibytes(&status, "VmRSS:"),
            virtual_bytes: kibibytes(&status, "VmSize:"),
            open_fds: open_fds(),
            max_fds: system_limits::of_process("Max open files").map(|count| count as u64),
            start_seconds: start_seconds(&stat),
        }
    }
}

/// The fields of `/proc/self/stat` from the third on; the second, a name, may
/// have spaces in it.
fn field(stat: &str, number: usize) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(number - 3)?.parse().ok()
}

fn cpu_ticks(stat: &str) -> Option<u64> {
    Some(field(stat, 14)? + field(stat, 15)?)
}

fn start_seconds(stat: &str) -> Option<f64> {
    let system = fs::read_to_string("/proc/stat").ok()?;
    let booted_at = system.lines().find_map(|line| line.strip_prefix("btime "));
    let booted_at: u64 = booted_at?.trim().parse().ok()?;
    Some(booted_at as f64 + field(stat, 22)? as f64 / TICKS_PER_SECOND)
}

/// A line of `/proc/self/status`, in bytes.
fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes << 10)
}

fn open_fds() -> Option<u64> {
    let all = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    // Without that of the folder.
    Some(all.saturating_sub(1))
}
