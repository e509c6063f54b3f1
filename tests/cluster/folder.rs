//! The folder of the servers that belong together, and the guard that ends them.
//!
//! A test that Ctrl-C or a time limit kills drops nothing, and the servers are in process groups
//! of their own. Linux can send a child a signal when its parent ends (`PR_SET_PDEATHSIG`), but
//! asking for it takes `unsafe`, and "parent" means the thread: a server that one thread of a
//! test restarts would end with that thread. So a shell reads from a pipe that only this process
//! has the other end of. When the pipe is closed, however that came about, the shell kills
//! whose numbers lie in the folder and removes it.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A server that is being killed may yet write a file, so one removal may not be enough.
const GUARD: &str =
    r#"read -r _; cd "$0/pids" && kill -KILL *; cd /; rm -rf "$0" || { sleep 1; rm -rf "$0"; }"#;

/// A temporary folder. Dropped, it is removed.
pub struct Folder {
    path: PathBuf,
    guard: Child,
}

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);

        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("speicher-nodes-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("pids")).expect("the temporary folder can be written to");
        let guard = Command::new("sh")
            .args(["-c", GUARD])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh runs");
        Self { path, guard }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The process ends with this one.
    pub fn watch(&self, pid: u32) {
        File::create(self.pid_file(pid)).expect("the folder can be written to");
    }

    /// The process is about to be reaped, after which its number may be another's.
    pub fn forget(&self, pid: u32) {
        // It is gone already if the guard has ended before us.
        let _ = fs::remove_file(self.pid_file(pid));
    }

    fn pid_file(&self, pid: u32) -> PathBuf {
        self.path.join("pids").join(pid.to_string())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}
