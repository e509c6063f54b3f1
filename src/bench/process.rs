//! What processes and threads used, as Linux counts it.

use std::fs;
use std::time::Duration;

use nix::sys::time::TimeValLike;
use nix::time::ClockId;
use nix::unistd::Pid;
use serde::Serialize;

use crate::child::usage::{rss_bytes, status_field};

/// Processor time of all threads of a process since it began, those that have
/// ended among them, to the nanosecond; `None` when there is no such process,
/// or no right to ask. Takes no longer for a process with many threads.
pub(super) fn cpu(pid: u32) -> Option<Duration> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid.try_into().ok()?)).ok()?;
    let nanoseconds = clock.now().ok()?.num_nanoseconds();
    Some(Duration::from_nanos(nanoseconds.try_into().ok()?))
}

/// The most resident memory that a process has had, in bytes; `None` when there is no such
/// process, or no right to ask.
pub(super) fn peak_rss_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(status_field(&status, "VmHWM:")? << 10)
}

/// Reads what a server uses while a load is put on it. What is to be read of
/// each of its threads is read before the load and after it: ten thousand
/// threads take their time, which would be missing in the measured one.
pub(super) struct ServerMeter {
    pid: u32,
    switches: u64,
    begin: Option<Duration>,
    end: Option<Duration>,
}

impl ServerMeter {
    /// Before the load; `None` when there is no such process, or no right to
    /// ask.
    pub(super) fn before_load(pid: u32) -> Option<Self> {
        Some(Self {
            pid,
            switches: switches(pid)?,
            begin: None,
            end: None,
        })
    }

    /// The measured time begins.
    pub(super) fn begin(&mut self) {
        self.begin = cpu(self.pid);
    }

    /// The measured time ends, unless it has already.
    pub(super) fn end(&mut self) {
        self.end = self.end.or_else(|| cpu(self.pid));
    }

    /// After the load, of which `operations` were measured and `replies` came in
    /// all, while its connections are still open: what the server keeps for
    /// each is to be counted.
    pub(super) fn after_load(&self, operations: u64, replies: u64) -> Option<ServerUse> {
        let cpu = self.end?.saturating_sub(self.begin?);
        let switches = switches(self.pid)?.saturating_sub(self.switches);
        Some(ServerUse {
            cpu_seconds: cpu.as_secs_f64(),
            cpu_us_per_operation: cpu.as_secs_f64() * 1e6 / operations.max(1) as f64,
            switches_per_operation: switches as f64 / replies.max(1) as f64,
            rss_bytes: rss_bytes(self.pid)?,
        })
    }
}

/// What a server used while it was measured./// What a server used while it was measured.
#[derive(Clone, Debug, Serialize)]
pub struct ServerUse {
    /// Processor time of all its threads, in seconds.
    pub cpu_seconds: f64,
    /// The same in microseconds, for each operation.
    pub cpu_us_per_operation: f64,
    /// How often one of its threads was taken off a processor, by waiting or
    /// by force, for each reply of the whole load, warm-up and all. Of threads
    /// that ended meanwhile it is not known.
    pub switches_per_operation: f64,
    /// Resident memory at the end, in bytes.
    pub rss_bytes: u64,
}

/// Of all threads that run now.
fn switches(pid: u32) -> Option<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let of_each = tasks.map_while(Result::ok).map(|task| {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let count = |name| status_field(&status, name).unwrap_or(0);
        count("voluntary_ctxt_switches:") + count("nonvoluntary_ctxt_switches:")
    });
    Some(of_each.sum())
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
