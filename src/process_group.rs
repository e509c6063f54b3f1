//! Process groups that end with this program.
//!
//! What a command of somebody else starts is in a group of its own, so that all
//! of it can be ended, wrapper scripts included. A Ctrl-C on the terminal
//! therefore reaches only this program, which has to pass it on: that is what
//! the list of groups is for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A group of processes. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Group(Pid);

impl Group {
    /// The group that the child of that id leads.
    pub(crate) fn led_by(child: u32) -> Self {
        // Linux numbers processes with positive 32-bit integers.
        let pid = Pid::from_raw(child as i32);
        running().push(pid);
        Self(pid)
    }

    /// The process that leads it.
    pub(crate) fn leader(&self) -> Pid {
        self.0
    }

    /// Kills what is left of it.
    pub(crate) fn kill(&self) {
        // Fails when nothing is left.
        let _ = killpg(self.0, Signal::SIGKILL);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
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
