//! What processes and threads used, as Linux counts it.

use std::fs;
use std::time::Duration;

use nix::sys::time::TimeValLike;
use nix::time::ClockId;
use nix::unistd::Pid;
use serde::Serialize;

/// What a process has used since it began.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProcessUse {
    cpu: Duration,
    switches: u64,
}

impl ProcessUse {
    /// Asks the kernel; `None` when there is no such process, or no right to
    /// ask.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid.try_into().ok()?)).ok()?;
        let nanoseconds = clock.now().ok()?.num_nanoseconds();
        Some(Self {
            // To the nanosecond, and with the threads that have ended.
            cpu: Duration::from_nanos(nanoseconds.try_into().ok()?),
            switches: switches(pid)?,
        })
    }

    /// Processor time of all its threads.
    pub(super) fn cpu(&self) -> Duration {
        self.cpu
    }

    /// What it used from `earlier` until now, for so many operations.
    pub(super) fn since(&self, earlier: &Self, operations: u64, pid: u32) -> ServerUse {
        let operations = operations.max(1) as f64;
        let cpu = self.cpu.saturating_sub(earlier.cpu);
        ServerUse {
            cpu_seconds: cpu.as_secs_f64(),
            cpu_us_per_operation: cpu.as_secs_f64() * 1e6 / operations,
            switches_per_operation: self.switches.saturating_sub(earlier.switches) as f64
                / operations,
            rss_bytes: rss_bytes(pid).unwrap_or(0),
        }
    }
}

/// What a server used while it was measured.
#[derive(Clone, Debug, Serialize)]
pub struct ServerUse {
    /// Processor time of all its threads, in seconds.
    pub cpu_seconds: f64,
    /// The same in microseconds, for each operation.
    pub cpu_us_per_operation: f64,
    /// How often one of its threads was taken off a processor, by waiting or
    /// by force, for each operation. Of threads that ended meanwhile it is
    /// not known.
    pub switches_per_operation: f64,
    /// Resident memory at the end, in bytes.
    pub rss_bytes: u64,
}

/// Of all threads that run now.
fn switches(pid: u32) -> Option<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let of_each = tasks.map_while(Result::ok).map(|task| {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let count = |name| field(&status, name).unwrap_or(0);
        count("voluntary_ctxt_switches:") + count("nonvoluntary_ctxt_switches:")
    });
    Some(of_each.sum())
}

/// The resident memory of a process in bytes.
pub(super) fn rss_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(field(&status, "VmRSS:")? << 10)
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What the calling thread has used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ThreadUse {
    /// On a processor.
    pub(super) running: Duration,
    /// Able to run, but without a processor.
    pub(super) waiting: Duration,
}

impl ThreadUse {
    pub(super) fn now() -> Self {
        let running = ClockId::CLOCK_THREAD_CPUTIME_ID.now();
        let running = running.map_or(0, |time| time.num_nanoseconds());
        // Kernels without these statistics say nothing of the wait.
        let waiting = fs::read_to_string("/proc/thread-self/schedstat")
            .ok()
            .and_then(|text| text.split_whitespace().nth(1)?.parse().ok());
        Self {
            running: Duration::from_nanos(running.try_into().unwrap_or(0)),
            waiting: Duration::from_nanos(waiting.unwrap_or(0)),
        }
    }

    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            running: self.running.saturating_sub(earlier.running),
            waiting: self.waiting.saturating_sub(earlier.waiting),
        }
    }
}
