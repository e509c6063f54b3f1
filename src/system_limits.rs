//! What the system allows this process, as Linux tells; elsewhere nobody says so.

use std::fs;
use std::path::Path;

/// Where control groups are, version 2.
const GROUPS: &str = "/sys/fs/cgroup";

/// The lowest that this process' control group (version 2) and those that contain
/// it have in a file, such as `memory.max`, in bytes, or `pids.max`. `None` if none
/// of them has a limit.
pub fn of_group(file: &str) -> Option<usize> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    lowest(Path::new(GROUPS), group_of(&groups)?, file)
}

/// The soft limit of this process with a name of `/proc/self/limits`, such as `Max
/// open files`. `None` if it is unlimited.
pub fn of_process(name: &str) -> Option<usize> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The group of version 2 in /proc/self/cgroup.
fn group_of(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::/"))
}

fn lowest(root: &Path, group: &str, file: &str) -> Option<usize> {
    let folder = root.join(group);
    let folders = folder.ancestors().take_while(|it| it.starts_with(root));
    let limits = folders.filter_map(|folder| {
        let limit = fs::read_to_string(folder.join(file)).ok()?;
        // Else it is the word max.
        limit.trim().parse().ok()
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
            lowest(
                &root,
                group_of("1:memory:/x\n0::/a/b\n").expect("version 2"),
                "memory.max",
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
}
