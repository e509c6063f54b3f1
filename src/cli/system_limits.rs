//! What the system allows a process, against what a configuration may need.

use std::fs;

use speicher::memory::{self, Size};
use speicher::server::{Config, Model};
use speicher::system_limits::{of_group, of_process};

/// Descriptors that are needed besides those of connections: of those that were
/// refused and are kept until they have read why, and of the server itself.
const OTHER_DESCRIPTORS: usize = 256 + 44;

/// Threads that are needed besides the workers.
const OTHER_THREADS: usize = 16;

/// A sentence, with a remedy, for each limit of the system that the server may
/// come up against before its own.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let all = [
        descriptors_warning(config),
        threads_warning(config),
        memory_warning(),
    ];
    all.into_iter().flatten().collect()
}

/// About the ceiling that was set.
fn memory_warning() -> Option<String> {
    let (max, available) = (memory::usage().max?, memory::available()?);
    (max > available).then(|| {
        format!(
            "the process may use {}, so it ends before it comes to the ceiling of {}; lower \
             --memory-max",
            Size(available),
            Size(max)
        )
    })
}

fn descriptors_warning(config: &Config) -> Option<String> {
    let (option, connections) = match config.model {
        // As many as are served may wait.
        Model::Threads => ("--workers", 2 * config.workers),
        Model::Tokio | Model::Epoll => ("--connections-max", config.connections_max),
    };
    let needed = connections + OTHER_DESCRIPTORS;
    let allowed = of_process("Max open files")?;
    (allowed < needed).then(|| {
        format!(
            "only {allowed} files may be open, and {connections} connections need up to {needed}; \
             raise the limit (ulimit -n {needed}, or LimitNOFILE={needed} in a unit of systemd), \
             or lower {option}"
        )
    })
}

fn threads_warning(config: &Config) -> Option<String> {
    if config.model != Model::Threads {
        return None;
    }
    let needed = config.workers + OTHER_THREADS;
    let of_user = of_process("Max processes").filter(|_| !is_root());
    let of_group = of_group("pids.max");
    let (allowed, remedy) = match (of_user, of_group) {
        (Some(user), Some(group)) if group < user => (group, GROUP_REMEDY),
        (Some(user), _) => (user, "ulimit -u"),
        (None, Some(group)) => (group, GROUP_REMEDY),
        (None, None) => return None,
    };
    (allowed < needed).then(|| {
        format!(
            "only {allowed} threads may run, and the workers and the rest are {needed}; raise the \
             limit ({remedy}), or lower --workers"
        )
    })
}

const GROUP_REMEDY: &str = "pids.max of the control group, TasksMax= in a unit of systemd";

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    // The second is the one that counts.
    ids.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}
