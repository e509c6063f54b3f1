//! How much memory the process may use.

use std::fs;

use crate::system_limits;

/// The bytes that the process may use: the limit of its control group (version 2)
/// or of one that contains it, else all memory of the machine. `None` where nobody
/// says so, which is on any system but Linux.
pub fn available() -> Option<usize> {
    let machine = machine(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let limit = system_limits::of_group("memory.max");
    Some(limit.map_or(machine, |limit| limit.min(machine)))
}

/// The `MemTotal` of /proc/meminfo, in bytes.
fn machine(meminfo: &str) -> Option<usize> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_what_the_kernel_says() {
        assert_eq!(
            machine("MemTotal:       16 kB\nMemFree: 1 kB\n"),
            Some(16 << 10)
        );
        assert_eq!(machine("MemFree: 1 kB\n"), None);
    }
}
