//! One thread of the generator with its share of the connections.
//!
//! Each of its loops looks at the clock and at the stop flag after a bounded piece of
//! work, so that no server keeps it from its end.

mod connect;
mod open_loop;

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hdrhistogram::Histogram;
use mio::event::Event;
use mio::{Events, Poll, Token};

use super::connection::Connection;
use super::decoder::Failure;
use super::limits::{DRAIN_MAX, DRAIN_STOPPED_MAX, LOOK_INTERVAL, REPLY_TIMEOUT};
use super::reply::{check, count};
use super::run::{PROGRESS_INTERVAL, Run};
use super::timer::Timer;
use super::window::Window;
use crate::bench::measurement::{ErrorKind, Tally};
use crate::bench::process::ThreadUse;
use crate::bench::schedule::Schedule;
use crate::bench::workload::Operations;

/// What one read takes, in bytes: much, and still within the cache.
const SCRATCH_LEN: usize = 256 << 10;

/// A request due within this time is waited for without sleeping: to be woken
/// takes longer. In nanoseconds.
const SPIN_NS: u64 = 10_000;

const TIMER: Token = Token(usize::MAX);

pub(super) struct Driver<'a> {
    run: &'a Run<'a>,
    poll: Poll,
    connections: Vec<Option<Connection>>,
    /// How many of them have not ended.
    live: usize,
    operations: Operations,
    schedule_seed: u64,
    /// Open loop: the connection that had the last turn.
    turn: usize,
    timer: Timer,
    scratch: Vec<u8>,
    tally: Tally,
    /// Latencies since progress was last told.
    recent: Histogram<u64>,
    unanswered: usize,
    /// Requests that may still be sent, if they are counted.
    left: Option<u64>,
    /// When a reply came, or a request was sent while none was unanswered.
    progress_ns: u64,
    /// Open loop: until when every connection was full.
    full_until_ns: u64,
}

impl<'a> Driver<'a> {
    pub(super) fn connected(&self) -> usize {
        self.connections.len()
    }

    /// Runs to the end, and returns the connections with what was counted.
    pub(super) fn run(mut self, window: Window) -> (Tally, Vec<Connection>) {
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
        let connections = self.connections.into_iter().flatten().collect();
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

    fn is_stopped(&self) -> bool {
        self.run.stop.load(Ordering::Relaxed)
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

    fn has_room(&self) -> bool {
        self.unanswered < self.run.load.pipeline * self.live
    }

    /// Closed loop: sends the next requests of a connection that has no
    /// unanswered ones.
    fn burst(&mut self, index: usize, window: &Window) {
        // What a server answers before it was sent must not add up.
        if self.connections[index]
            .as_ref()
            .is_some_and(Connection::has_unsent)
        {
            self.flush(index);
        }
        let Some(connection) = self.connections[index]
            .as_mut()
            .filter(|one| !one.has_unsent())
        else {
            return;
        };
        let now_ns = window.now_ns();
        let mut count = self.run.load.pipeline as u64;
        if let Some(left) = self.left.as_mut().filter(|_| now_ns >= window.begin_ns) {
            count = count.min(*left);
            *left -= count;
        }
        for _ in 0..count {
            push(self.run, &mut self.operations, connection, now_ns);
        }
        self.begin_waiting(count as usize, now_ns);
        self.flush(index);
    }

    fn begin_waiting(&mut self, count: usize, now_ns: u64) {
        if self.unanswered == 0 {
            self.progress_ns = now_ns;
        }
        self.unanswered += count;
    }

    fn ready(&mut self, event: &Event, window: &Window, is_closed_loop: bool) {
        let index = event.token().0;
        if event.token() == TIMER {
            return;
        }
        if event.is_readable() || event.is_read_closed() {
            let ends = event.is_read_closed() || event.is_error();
            self.receive(index, window, ends);
        }
        let is_answered = match self.connections.get(index) {
            Some(Some(connection)) => connection.in_flight.is_empty(),
            _ => return,
        };
        if is_closed_loop && is_answered {
            self.burst(index, window);
        } else if event.is_writable() {
            self.flush(index);
        }
    }

    fn receive(&mut self, index: usize, window: &Window, ends: bool) {
        let was_full = !self.has_room();
        let (run, tally, recent) = (self.run, &mut self.tally, &mut self.recent);
        let (mut now_ns, mut answered) = (0, 0);
        let Some(connection) = &mut self.connections[index] else {
            return;
        };
        let mut bytes = 0;
        let has_more = connection.receive(
            &mut self.scratch,
            ends,
            &mut bytes,
            |request, outcome, value| {
                if now_ns == 0 {
                    now_ns = window.now_ns();
                }
                answered += 1;
                if check(run, tally, request, outcome, value) {
                    count(tally, recent, window, request, outcome, now_ns);
                }
            },
        );
        self.unanswered -= answered;
        tally.replies += answered as u64;
        if answered > 0 {
            self.progress_ns = now_ns;
            if was_full {
                self.full_until_ns = now_ns;
            }
        }
        tally.bytes_received += bytes;
        self.go_on(index, has_more);
    }

    fn flush(&mut self, index: usize) {
        let Some(connection) = &mut self.connections[index] else {
            return;
        };
        let takes_more = connection.flush(&mut self.tally.bytes_sent);
        self.go_on(index, takes_more);
    }

    /// After a turn of a connection: closes it, or sees to it that its next comes.
    fn go_on(&mut self, index: usize, has_more: Result<bool, Failure>) {
        let Some(connection) = &mut self.connections[index] else {
            return;
        };
        let outcome = has_more.and_then(|has_more| match has_more {
            true => Ok(connection.ask_again(self.poll.registry(), Token(index))?),
            false => Ok(()),
        });
        if let Err(failure) = outcome {
            self.close(index, failure);
        }
    }

    fn close(&mut self, index: usize, failure: Failure) {
        let Some(connection) = self.connections[index].take() else {
            return;
        };
        let (kind, sentence) = match failure {
            Failure::Closed(sentence) => (ErrorKind::Closed, sentence),
            Failure::Malformed(sentence) => (ErrorKind::Malformed, sentence),
        };
        let lost = connection.in_flight.len();
        self.unanswered -= lost;
        self.live -= 1;
        let errors = &mut self.tally.errors;
        errors.add(kind, 1, || sentence);
        errors.add(ErrorKind::Lost, lost as u64, || {
            "the connection ended before they came".to_owned()
        });
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

    /// Adds the recent latencies to all of the thread, and to those that are told.
    fn publish(&mut self) {
        self.tally.latencies += &self.recent;
        if let Some(shared) = &self.run.recent {
            *shared.lock().unwrap_or_else(PoisonError::into_inner) += &self.recent;
        }
        self.recent.reset();
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Puts the next request of the workload behind those of a connection.
fn push(run: &Run<'_>, operations: &mut Operations, connection: &mut Connection, at_ns: u64) {
    let operation = operations.next();
    if let Some(written) = run.written.filter(|_| !operation.is_get) {
        written.insert(operation.key, operation.salt);
    }
    connection.push(run.load.protocol, operation, run.values, at_ns);
}
