//! How long a load may take, whatever the server does.

use std::time::Duration;

use super::load::{Length, Load};

/// How long a server may leave requests unanswered before it counts as one that has
/// stopped.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that anything waits without a look at the clock and at the stop flag.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// How long the replies to what was sent may take once no more is sent, however steadily
/// they come.
pub(super) const DRAIN_MAX: Duration = Duration::from_secs(10);

/// The same once the load was told to stop.
pub(super) const DRAIN_STOPPED_MAX: Duration = Duration::from_secs(1);

/// How long one connection may take to be made.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long it may take to make so many connections.
pub(super) fn connect_max(connections: usize) -> Duration {
    Duration::from_secs(10) + Duration::from_millis(connections as u64)
}

/// How long it may take to set every key.
pub(super) fn fill_max(load: &Load) -> Duration {
    let keys = u64::from(load.workload.keys);
    let mib = keys.saturating_mul(load.workload.value_sizes.longest() as u64) >> 20;
    Duration::from_secs(10) + Duration::from_millis(keys) + Duration::from_secs(mib)
}

/// How long the measuring may take.
pub(super) fn length_max(load: &Load) -> Duration {
    match load.length {
        Length::Time(time) => time,
        Length::Requests(count) => {
            let at_least = count as f64 / 100.0;
            let in_open_loop = load.rate.map_or(0.0, |rate| 2.0 * count as f64 / rate);
            let seconds = 60.0 + at_least.max(in_open_loop);
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
        }
    }
}

impl Load {
    /// The longest that [`run`](super::run) takes with this load, whatever the server does:
    ///
    /// - to connect, 10 s and 1 s for each 1,000 connections;
    /// - if it sets every key, 10 s and 1 s for each 1,000 keys and for each MiB of values;
    /// - the warm-up and the time that is measured, which for a number of requests is 1 min
    ///   and the longer of 1 s for each 100 and twice the time that an open loop takes to
    ///   send them;
    /// - 10 s for the last replies.
    pub fn time_max(&self) -> Duration {
        let filling = match self.fills() {
            true => fill_max(self),
            false => Duration::ZERO,
        };
        [
            connect_max(self.connections),
            filling,
            self.warmup,
            length_max(self),
            DRAIN_MAX,
        ]
        .into_iter()
        .fold(Duration::ZERO, Duration::saturating_add)
    }

    pub(super) fn fills(&self) -> bool {
        (self.fill || self.verify) && self.protocol.has_entries()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;
    use crate::bench::protocol::Protocol;
    use crate::bench::workload::{ValueSizes, Workload};

    fn load(length: Length) -> Load {
        Load {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            protocol: Protocol::Speicher,
            workload: Workload {
                keys: 20_000,
                value_sizes: ValueSizes::one(1 << 10),
                ..Workload::default()
            },
            connections: 2000,
            pipeline: 1,
            threads: 1,
            rate: None,
            length,
            warmup: Duration::from_secs(3),
            fill: false,
            verify: false,
            server_pid: None,
        }
    }

    #[test]
    fn a_run_has_a_limit() {
        let timed = load(Length::Time(Duration::from_secs(7)));
        assert_eq!(timed.time_max(), Duration::from_secs(12 + 3 + 7 + 10));
        let fills = Load {
            fill: true,
            ..timed
        };
        let filling = 10 + 20 + 19;
        assert_eq!(
            fills.time_max(),
            Duration::from_secs(12 + filling + 3 + 7 + 10)
        );
        let counted = load(Length::Requests(1000));
        assert_eq!(counted.time_max(), Duration::from_secs(12 + 3 + 70 + 10));
        let slow = Load {
            rate: Some(0.5),
            ..counted
        };
        assert_eq!(slow.time_max(), Duration::from_secs(12 + 3 + 4060 + 10));
        let endless = load(Length::Time(Duration::MAX));
        assert_eq!(endless.time_max(), Duration::MAX);
    }
}
