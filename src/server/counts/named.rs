//! Counts that have names, from a list of all that there are. Any thread may count.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts so many more of this name.
pub(super) fn count(names: &[&str], counts: &[AtomicU64], name: &str, by: u64) {
    let place = names.iter().position(|it| *it == name);
    debug_assert!(place.is_some(), "{name} is not in the list");
    if let Some(place) = place {
        counts[place].fetch_add(by, Ordering::Release);
    }
}

/// Each name with its count.
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "nobody asks"))]
pub(super) fn named(names: &[&'static str], counts: &[AtomicU64]) -> Vec<(&'static str, u64)> {
    let counts = counts.iter().map(|count| count.load(Ordering::Acquire));
    names.iter().copied().zip(counts).collect()
}
