//! When a load is measured.

use std::time::{Duration, Instant};

use super::limits::length_max;
use super::load::{Length, Load};
use crate::bench::measurement::Tally;

/// When a load begins, is measured and ends; the same for all threads.
#[derive(Clone, Copy)]
pub(super) struct Window {
    epoch: Instant,
    pub(super) begin_ns: u64,
    /// `u64::MAX` when requests are counted.
    pub(super) end_ns: u64,
    /// When it is over in any case, if requests are counted too.
    pub(super) limit_ns: u64,
    /// Whether a reply belongs to the window by when it came: so it is in a
    /// closed loop that runs for a time. Else it does by when its request was
    /// sent or due, and counts whenever it comes: the slowest come last.
    pub(super) is_by_reply: bool,
}

impl Window {
    pub(super) fn from_now(load: &Load) -> Self {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let begin_ns = nanoseconds(load.warmup);
        Self {
            epoch: Instant::now(),
            begin_ns,
            end_ns: match load.length {
                Length::Time(time) => begin_ns.saturating_add(nanoseconds(time)),
                Length::Requests(_) => u64::MAX,
            },
            limit_ns: begin_ns.saturating_add(nanoseconds(length_max(load))),
            is_by_reply: load.rate.is_none() && matches!(load.length, Length::Time(_)),
        }
    }

    pub(super) fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    pub(super) fn until_begin(&self) -> Duration {
        Duration::from_nanos(self.begin_ns.saturating_sub(self.now_ns()))
    }

    /// `None` when requests are counted.
    pub(super) fn until_end(&self) -> Option<Duration> {
        let left = self.end_ns.saturating_sub(self.now_ns());
        (self.end_ns < u64::MAX).then(|| Duration::from_nanos(left))
    }

    /// How long was measured, in seconds.
    pub(super) fn seconds(&self, load: &Load, tally: &Tally) -> f64 {
        let planned = match load.length {
            Length::Time(time) => time.as_nanos() as u64,
            Length::Requests(_) => u64::MAX,
        };
        // Where requests are counted, to the last reply; else to when the last
        // thread sent no more, which it may have done early.
        let ended_ns = match load.length {
            Length::Time(_) => tally.ended_ns,
            Length::Requests(_) => tally.last_reply_ns,
        };
        let measured = planned.min(ended_ns.saturating_sub(self.begin_ns));
        measured.max(1) as f64 / 1e9
    }
}
