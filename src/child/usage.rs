//! What a process uses, as Linux tells it in /proc. Elsewhere all is unknown.

use std::fs;

/// The resident memory of a process in bytes; `None` when there is no such
/// process, or no right to ask.
pub(crate) fn rss_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(status_field(&status, "VmRSS:")? << 10)
}

/// The most resident memory that a process has had in bytes; `None` when there is no
/// such process, or no right to ask.
pub(crate) fn peak_rss_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(status_field(&status, "VmHWM:")? << 10)
}

/// The number of descriptors that a process has open; `None` when there is no
/// such process, or no right to ask.
pub(crate) fn descriptors(pid: u32) -> Option<usize> {
    let folder = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    Some(folder.count())
}

/// The number behind a name, colon included, in the text of a `status` file.
pub(crate) fn status_field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_names() {
        let status = "Name:\tx\nnonvoluntary_ctxt_switches:\t9\nVmRSS:\t  2048 kB\n";
        assert_eq!(status_field(status, "VmRSS:"), Some(2048));
        assert_eq!(status_field(status, "voluntary_ctxt_switches:"), None);
        assert_eq!(status_field(status, "Name:"), None);
    }

    #[test]
    fn this_process_has_memory_and_descriptors_and_a_missing_one_has_none() {
        let pid = std::process::id();
        assert!(rss_bytes(pid).is_some_and(|bytes| bytes > 100_000));
        assert!(peak_rss_bytes(pid) >= rss_bytes(pid), "it was the most");
        assert!(descriptors(pid).is_some_and(|count| count >= 3));
        assert_eq!((rss_bytes(u32::MAX), descriptors(u32::MAX)), (None, None));
    }
}
