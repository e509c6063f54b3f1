//! What becomes of the commands that a store which is elsewhere is sent.
//!
//! A round trip takes much longer than a lock, so all threads share these.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::histogram::{Distribution, Times};
use super::named::{count, named};

/// Why a command was not executed, or not known to be.
pub(crate) const REMOTE_ERRORS: [&str; 6] = [
    "unreachable",
    "busy",
    "no_memory",
    "unknown",
    "refused",
    "redirected",
];

#[derive(Debug, Default)]
pub(super) struct RemoteCounts {
    errors: [AtomicU64; REMOTE_ERRORS.len()],
    round_trips: Mutex<Times>,
}

/// What [`RemoteCounts`] have counted.
#[derive(Clone, Debug, Default)]
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "nobody asks"))]
pub(crate) struct RemoteSums {
    pub(crate) errors: Vec<(&'static str, u64)>,
    pub(crate) round_trips: Distribution,
}

impl RemoteCounts {
    pub(super) fn fail(&self, kind: &str, commands: usize) {
        count(&REMOTE_ERRORS, &self.errors, kind, commands as u64);
    }

    pub(super) fn observe_round_trip(&self, time: Duration) {
        // A panic within leaves numbers.
        let times = self.round_trips.lock();
        times
            .unwrap_or_else(PoisonError::into_inner)
            .observe_time(time, 1);
    }

    #[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "nobody asks"))]
    pub(super) fn sums(&self) -> RemoteSums {
        let mut round_trips = Distribution::default();
        let times = self.round_trips.lock();
        times
            .unwrap_or_else(PoisonError::into_inner)
            .add_to(&mut round_trips);
        RemoteSums {
            errors: named(&REMOTE_ERRORS, &self.errors),
            round_trips,
        }
    }
}
