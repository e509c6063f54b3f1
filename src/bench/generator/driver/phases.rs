//! A driver's run, from its first request to the last reply.

use std::time::Duration;

use mio::Events;

use super::super::connection::Connection;
use super::super::limits::{DRAIN_MAX, DRAIN_STOPPED_MAX, LOOK_INTERVAL, REPLY_TIMEOUT};
use super::super::run::PROGRESS_INTERVAL;
use super::super::window::Window;
use super::Driver;
use crate::bench::measurement::{ErrorKind, Tally};
use crate::bench::process::ThreadUse;
use crate::bench::schedule::Schedule;

/// A request due within this time is waited for without sleeping: to be woken
/// takes longer. In nanoseconds.
const SPIN_NS: u64 = 10_000;

impl Driver<'_> {
    /// Runs to the end, and returns the connections with what was counted.
    pub(in super::super) fn run(mut self, window: Window) -> (Tally, Vec<Connection>) {
        let rate = self
            .run
            .load
            .rate
            .map(|rate| rate / self.run.load.threads as f64);
        let mut schedule = rate.map(|rate| Schedule::new(rate, 0, self.schedule_seed));
        let mut events = Events::with_capacity(1024);
        // Without a warm-up the first requests count.
        let mut used = (window.begin_ns == 0).then(|| (ThreadUse::now(), 0));
        let mut told_ns = 0;
        if schedule.is_none() {
            for index in 0..self.connections.len() {
                if self.is_time_up(&window) {
                    break;
                }
                self.burst(index, &window);
            }
        }
        loop {
            let now_ns = window.now_ns();
            if used.is_none() && now_ns >= window.begin_ns {
                used = Some((ThreadUse::now(), now_ns));
                (self.tally.bytes_sent, self.tally.bytes_received) = (0, 0);
            }
            if self.run.recent.is_some()
                && now_ns - told_ns > PROGRESS_INTERVAL.as_nanos() as u64 / 2
            {
                self.publish();
                told_ns = now_ns;
            }
            // Before the end is looked for: what was due until then is to leave.
            if let Some(schedule) = &mut schedule {
                self.send_due(schedule, &window, now_ns);
                if now_ns >= window.begin_ns {
                    schedule.skip_to(window.begin_ns);
                }
            }
            if self.is_over(&window, now_ns) {
                break;
            }
            let due_ns = schedule.as_ref().map(Schedule::due_ns);
            self.wait(&mut events, &window, due_ns);
            for event in &events {
                if self.is_time_up(&window) {
                    break;
                }
                self.ready(event, &window, schedule.is_none());
            }
        }
        self.tally.ended_ns = window.now_ns();
        self.note_missing(&window);
        if let Some((before, since_ns)) = used {
            self.tally.used = ThreadUse::now().since(&before);
            self.tally.elapsed = Duration::from_nanos(self.tally.ended_ns - since_ns);
        }
        if let (Some(schedule), Some(rate)) = (&schedule, rate) {
            self.count_unsent(schedule, rate, &window);
        }
        let counted = (self.tally.bytes_sent, self.tally.bytes_received);
        self.drain(&mut events, &window);
        if window.is_by_reply {
            (self.tally.bytes_sent, self.tally.bytes_received) = counted;
        }
        self.publish();
        let connections: Vec<_> = self.connections.into_iter().flatten().collect();
        self.tally.served += connections.iter().filter(|one| one.is_served).count();
        (self.tally, connections)
    }

    fn is_over(&mut self, window: &Window, now_ns: u64) -> bool {
        let all_sent = self.left == Some(0);
        self.is_time_up(window) || all_sent || self.live == 0 || self.is_stalled(now_ns)
    }

    /// Whether nothing is to be sent or measured any more.
    fn is_time_up(&self, window: &Window) -> bool {
        self.is_stopped() || window.now_ns() >= window.limit_ns
    }

    /// Whether the server has stopped answering. If so, the tally tells when.
    fn is_stalled(&mut self, now_ns: u64) -> bool {
        let silent_ns = now_ns.saturating_sub(self.progress_ns);
        if self.unanswered == 0 || silent_ns < REPLY_TIMEOUT.as_nanos() as u64 {
            return false;
        }
        self.tally.stopped_answering = Some(format!(
            "{} stopped answering: the last reply came {:.1} s after the start, and nothing for \
             {:.1} s since",
            self.run.load.address,
            self.progress_ns as f64 / 1e9,
            silent_ns as f64 / 1e9
        ));
        true
    }

    /// Says so if requests that were counted on could not be sent in time.
    fn note_missing(&mut self, window: &Window) {
        let Some(left @ 1..) = self.left else {
            return;
        };
        if window.now_ns() >= window.limit_ns {
            let (address, seconds) = (self.run.load.address, window.limit_ns / 1_000_000_000);
            self.tally.stopped_answering.get_or_insert_with(|| {
                format!(
                    "{address} was too slow: {left} requests had not been sent after {seconds} s, \
                     the longest that --requests waits; ask for fewer, or for a --duration"
                )
            });
        }
    }

    /// Waits for events, at most until the next request is due and can leave.
    fn wait(&mut self, events: &mut Events, window: &Window, due_ns: Option<u64>) {
        let now_ns = window.now_ns();
        let until_ns = match due_ns {
            Some(due_ns) if self.has_room() => due_ns,
            _ => u64::MAX,
        };
        let spins = until_ns <= now_ns.saturating_add(SPIN_NS);
        let naps = until_ns - now_ns.min(until_ns) > LOOK_INTERVAL.as_nanos() as u64;
        let timeout = if spins || !naps && self.timer.arm(now_ns, until_ns).is_err() {
            Duration::ZERO
        } else {
            let end = Duration::from_nanos(window.end_ns.saturating_sub(now_ns));
            LOOK_INTERVAL.min(end).max(Duration::from_millis(1))
        };
        // Interrupted or not: the clock is looked at next.
        if self.poll.poll(events, Some(timeout)).is_err() {
            events.clear();
        }
    }

    /// Waits for the replies that are still to come, within bounds.
    fn drain(&mut self, events: &mut Events, window: &Window) {
        let mut until_ns = window.now_ns() + nanoseconds(DRAIN_MAX);
        while self.unanswered > 0 {
            // At first those that came last, of which some may not have been seen; to see
            // one twice does no harm.
            for event in events.iter() {
                let now_ns = window.now_ns();
                until_ns = until_ns.min(self.drain_end_ns(now_ns));
                if now_ns >= until_ns {
                    break;
                }
                self.ready(event, window, false);
            }
            let now_ns = window.now_ns();
            until_ns = until_ns.min(self.drain_end_ns(now_ns));
            let is_stalled = self.is_stalled(now_ns);
            if is_stalled || now_ns >= until_ns {
                let lost = self.unanswered as u64;
                self.tally
                    .errors
                    .add(ErrorKind::Lost, lost, || match is_stalled {
                        true => format!("no reply came for {} s", REPLY_TIMEOUT.as_secs()),
                        false => "they had not come when the wait for them was over".to_owned(),
                    });
                return;
            }
            if self.poll.poll(events, Some(LOOK_INTERVAL)).is_err() {
                events.clear();
            }
        }
    }

    /// When to wait no more, as far as the stop flag says it.
    fn drain_end_ns(&self, now_ns: u64) -> u64 {
        match self.is_stopped() {
            true => now_ns + nanoseconds(DRAIN_STOPPED_MAX),
            false => u64::MAX,
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
