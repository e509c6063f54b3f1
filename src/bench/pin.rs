//! On which CPUs threads run, and with them the processes that they start.

use std::panic::resume_unwind;
use std::thread;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread.
const THIS: Pid = Pid::from_raw(0);

/// The CPUs that the calling thread may use; none, where the system does not tell.
pub(super) fn allowed() -> Vec<usize> {
    cpus_of(THIS)
}

/// The same for the first thread of a process.
pub(super) fn allowed_for(process: u32) -> Vec<usize> {
    // Linux numbers processes with positive 32-bit integers.
    cpus_of(Pid::from_raw(process as i32))
}

fn cpus_of(thread: Pid) -> Vec<usize> {
    let set = sched_getaffinity(thread).unwrap_or_default();
    let cpus = 0..CpuSet::count();
    cpus.filter(|cpu| set.is_set(*cpu).unwrap_or(false))
        .collect()
}

/// Keeps the calling thread on these CPUs; where it is, if there are none.
pub(super) fn pin(cpus: &[usize]) -> Result<(), String> {
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    let pinned = cpus
        .iter()
        .try_for_each(|cpu| set.set(*cpu))
        .and_then(|()| sched_setaffinity(THIS, &set));
    pinned.map_err(|error| format!("can't run on the CPUs {cpus:?} ({error}); name others"))
}

/// Does the work on a thread that is kept on these CPUs, and leaves the caller's where it is.
pub(super) fn pinned<T: Send>(
    cpus: &[usize],
    work: impl FnOnce() -> T + Send,
) -> Result<T, String> {
    thread::scope(|scope| {
        let worker = scope.spawn(|| pin(cpus).map(|()| work()));
        worker.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}
