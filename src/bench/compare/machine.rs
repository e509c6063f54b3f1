//! What the figures were measured on.

use std::fs;
use std::thread;

use serde::Serialize;

/// The machine, as its kernel describes it.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// CPUs that this process may use.
    pub cores: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// The kernel's release.
    pub kernel: String,
    /// The distribution.
    pub system: String,
    /// Whether the kernel says that it runs under a hypervisor.
    pub is_virtual: bool,
    /// Processes that wanted to run in the last minute, before it began: more
    /// than a little says that the machine had other work.
    pub load_before: f64,
}

impl Machine {
    /// The one that this runs on; "unknown" where the kernel does not tell.
    pub fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let system = after(&read("/etc/os-release"), "PRETTY_NAME=");
        Self {
            processor: after(&cpuinfo, "model name"),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory_bytes("MemTotal:").unwrap_or(0),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            system: system.trim_matches('"').to_owned(),
            is_virtual: after(&cpuinfo, "flags").contains("hypervisor"),
            load_before: read("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or(0.0),
        }
    }
}

/// Memory in bytes that processes may still take; `None` where the kernel does not tell.
pub(super) fn available_bytes() -> Option<u64> {
    memory_bytes("MemAvailable:")
}

fn memory_bytes(name: &str) -> Option<u64> {
    let kib = after(&fs::read_to_string("/proc/meminfo").ok()?, name);
    let kib: u64 = kib.split(' ').next()?.parse().ok()?;
    Some(kib << 10)
}

/// What follows the name on the first line that begins with it.
fn after(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map_or("unknown", |rest| {
        rest.trim_start_matches([' ', '\t', ':']).trim()
    })
    .to_owned()
}
