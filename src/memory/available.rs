//! How much memory the process may use.

use std::fs;
use std::path::Path;

/// Where control groups are, version 2.
const GROUPS: &str = "/sys/fs/cgroup";

/// The bytes that the process may use: the limit of its control group (version 2)
/// or of one that contains it, else all memory of the machine. `None` where nobody
/// says so, which is on any system but Linux.
pub fn available() -> Option<usize> {
    let machine = machine(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let own = fs::read_to_string("/proc/self/cgroup").ok();
    let group = own.as_deref().and_then(group_of);
    let limit = group.and_then(|group| limit(Path::new(GROUPS), group));
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

/// The group of version 2 in /proc/self/cgroup.
fn group_of(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::/"))
}

/// The lowest limit of a group and those that contain it.
fn limit(root: &Path, group: &str) -> Option<usize> {
    let folder = root.join(group);
    let folders = folder.ancestors().take_while(|it| it.starts_with(root));
    let limits = folders.filter_map(|folder| {
        let max = fs::read_to_string(folder.join("memory.max")).ok()?;
        // Else it is the word max.
        max.trim().parse().ok()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_limit_of_all_groups_around_counts() {
        let name = format!("speicher-groups-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let inner = root.join("a/b");
        fs::create_dir_all(&inner).expect("a folder");
        let limits = || {
            limit(
                &root,
                group_of("1:memory:/x\n0::/a/b\n").expect("version 2"),
            )
        };
        assert_eq!(limits(), None);
        fs::write(inner.join("memory.max"), "max\n").expect("a file");
        assert_eq!(limits(), None);
        fs::write(root.join("memory.max"), "4096\n").expect("a file");
        assert_eq!(limits(), Some(4096));
        fs::write(root.join("a/memory.max"), "1024\n").expect("a file");
        fs::write(inner.join("memory.max"), "2048\n").expect("a file");
        assert_eq!(limits(), Some(1024));
        fs::remove_dir_all(&root).expect("a folder");
    }

    #[test]
    fn the_machines_memory_is_what_the_kernel_says() {
        assert_eq!(
            machine("MemTotal:       16 kB\nMemFree: 1 kB\n"),
            Some(16 << 10)
        );
        assert_eq!(machine("MemFree: 1 kB\n"), None);
    }
}
