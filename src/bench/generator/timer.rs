//! A timer that wakes a poll at a given time, to the microsecond.

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// The time-outs of a poll are whole milliseconds; a descriptor that becomes
/// readable is not bound to them.
pub(super) struct Timer {
    descriptor: TimerFd,
    armed_for_ns: u64,
}

impl Timer {
    pub(super) fn register(registry: &Registry, token: Token) -> std::io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let descriptor = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let raw = descriptor.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&raw), token, Interest::READABLE)?;
        Ok(Self {
            descriptor,
            armed_for_ns: 0,
        })
    }

    /// Wakes the poll at `due_ns`, which lies after `now_ns` of the same
    /// clock.
    pub(super) fn arm(&mut self, now_ns: u64, due_ns: u64) -> std::io::Result<()> {
        if self.armed_for_ns == due_ns {
            return Ok(());
        }
        let time = TimeSpec::from_duration(Duration::from_nanos(due_ns - now_ns));
        self.descriptor
            .set(Expiration::OneShot(time), TimerSetTimeFlags::empty())?;
        self.armed_for_ns = due_ns;
        Ok(())
    }
}
