//! Process groups that end with this program.
//!
//! A Ctrl-C on the terminal does not reach a process group of its own: this
//! program has to end the groups, and keeps a list of them for that.

use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A process group, by the process that leads it. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Group(Pid);

impl Group {
    /// The group that the child of that id leads.
    pub(super) fn led_by(child: u32) -> Self {
        // Linux numbers processes with positive 32-bit integers.
        let pid = Pid::from_raw(child as i32);
        running().push(pid);
        Self(pid)
    }

    /// Sends a signal to every process of the group.
    pub(super) fn signal(&self, signal: Signal) {
        // Fails when none is left.
        let _ = killpg(self.0, signal);
    }

    pub(super) fn signal_leader(&self, signal: Signal) {
        // Fails when it has ended.
        let _ = kill(self.0, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        running().retain(|pid| *pid != self.0);
    }
}

/// Kills every process that this program has started and that still runs. For a
/// handler of signals, before it ends the program.
pub fn kill_all() {
    for pid in running().drain(..) {
        let _ = killpg(pid, Signal::SIGKILL);
    }
}

fn running() -> MutexGuard<'static, Vec<Pid>> {
    // Groups are added and removed whole.
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}
