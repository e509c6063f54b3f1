//! One thread of the generator with its share of the connections.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hdrhistogram::Histogram;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::connection::{Connection, Failure};
use super::load::{LATE_AFTER, Length, Load, REPLY_TIMEOUT};
use super::reply::{check, count};
use super::run::{PROGRESS_INTERVAL, Run};
use super::timer::Timer;
use super::window::Window;
use crate::bench::measurement::{ErrorKind, Tally, latencies};
use crate::bench::process::ThreadUse;
use crate::bench::schedule::Schedule;
use crate::bench::workload::Operations;

/// What one read takes, in bytes: much, and still within the cache.
const SCRATCH_LEN: usize = 256 << 10;

/// A request due within this time is waited for without sleeping: to be woken
/// takes longer. In nanoseconds.
const SPIN_NS: u64 = 10_000;

/// The longest that a thread sleeps without a look at the clock.
const NAP: Duration = Duration::from_millis(50);

/// How long it waits for the replies to what it has sent, however steadily they
/// come.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// The same once it was told to stop.
const DRAIN_STOPPED_MAX: Duration = Duration::from_secs(1);

/// How long one connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

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

/// What `index` gets of a total that is shared out.
fn share(total: usize, parts: usize, index: usize) -> usize {
    total / parts + usize::from(index < total % parts)
}

impl<'a> Driver<'a> {
    pub(super) fn connect(run: &'a Run<'a>, index: usize) -> Result<Self, String> {
        let load = run.load;
        let failed = |error: std::io::Error| format!("can't wait for sockets: {error}");
        let poll = Poll::new().map_err(failed)?;
        let mut tally = Tally::new();
        let mut connections = Vec::new();
        for _ in 0..share(load.connections, load.threads, index) {
            if run.stop.load(Ordering::Relaxed) {
                break;
            }
            match open(load, &poll, connections.len()) {
                Ok(connection) => connections.push(Some(connection)),
                Err(error) => tally
                    .errors
                    .add(ErrorKind::Connect, 1, || error.to_string()),
            }
        }
        Ok(Self {
            run,
            timer: Timer::register(poll.registry(), TIMER).map_err(failed)?,
            poll,
            live: connections.len(),
            connections,
            operations: Operations::new(&load.workload, index),
            schedule_seed: load.workload.seed ^ (index as u64) << 48,
            turn: 0,
            scratch: vec![0; SCRATCH_LEN],
            tally,
            recent: latencies(),
            unanswered: 0,
            left: match load.length {
                Length::Time(_) => None,
                Length::Requests(count) => Some(share(count as usize, load.threads, index) as u64),
            },
            progress_ns: 0,
            full_until_ns: 0,
        })
    }

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
                self.ready(event, &window, schedule.is_none());
            }
        }
        self.tally.ended_ns = window.now_ns();
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
        now_ns >= window.end_ns
            || all_sent
            || self.is_stopped()
            || self.live == 0
            || self.is_stalled(now_ns)
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

    /// Waits for events, at most until the next request is due and can leave.
    fn wait(&mut self, events: &mut Events, window: &Window, due_ns: Option<u64>) {
        let now_ns = window.now_ns();
        let until_ns = match due_ns {
            Some(due_ns) if self.has_room() => due_ns,
            _ => u64::MAX,
        };
        let spins = until_ns <= now_ns.saturating_add(SPIN_NS);
        let naps = until_ns - now_ns.min(until_ns) > NAP.as_nanos() as u64;
        let timeout = if spins || !naps && self.timer.arm(now_ns, until_ns).is_err() {
            Duration::ZERO
        } else {
            let end = Duration::from_nanos(window.end_ns.saturating_sub(now_ns));
            NAP.min(end).max(Duration::from_millis(1))
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
        let Some(connection) = &mut self.connections[index] else {
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

    /// Open loop: sends all that is due, in turn over the connections that
    /// have room.
    fn send_due(&mut self, schedule: &mut Schedule, window: &Window, now_ns: u64) {
        let mut dirty = Vec::new();
        while schedule.due_ns() <= now_ns.min(window.end_ns) && self.left != Some(0) {
            let due_ns = schedule.due_ns();
            let Some(index) = self.next_with_room() else {
                break;
            };
            let Some(connection) = &mut self.connections[index] else {
                break;
            };
            push(self.run, &mut self.operations, connection, due_ns);
            if !std::mem::replace(&mut connection.is_dirty, true) {
                dirty.push(index);
            }
            self.begin_waiting(1, now_ns);
            if due_ns >= window.begin_ns {
                if let Some(left) = &mut self.left {
                    *left -= 1;
                }
                self.note_delay(due_ns, now_ns);
            }
            schedule.advance();
        }
        for index in dirty {
            if let Some(connection) = &mut self.connections[index] {
                connection.is_dirty = false;
            }
            self.flush(index);
        }
    }

    fn note_delay(&mut self, due_ns: u64, now_ns: u64) {
        if now_ns - due_ns <= LATE_AFTER.as_nanos() as u64 {
            return;
        }
        if due_ns < self.full_until_ns {
            self.tally.late_connection += 1;
        } else {
            self.tally.late_generator += 1;
        }
    }

    /// The next connection that may have one more unanswered request.
    fn next_with_room(&mut self) -> Option<usize> {
        let (count, pipeline) = (self.connections.len(), self.run.load.pipeline);
        for _ in 0..count {
            self.turn = (self.turn + 1) % count;
            let index = self.turn;
            let connection = self.connections[index].as_ref();
            if connection.is_some_and(|connection| connection.in_flight.len() < pipeline) {
                return Some(index);
            }
        }
        None
    }

    /// Counts the requests that were due and did not leave: as many as are to be
    /// expected after the one that is due next. If no connection is left, they are
    /// all that were still to come.
    fn count_unsent(&mut self, schedule: &Schedule, rate: f64, window: &Window) {
        let is_unconnected = self.live == 0 && !self.is_stopped();
        let end_ns = match is_unconnected {
            true => window.end_ns,
            false => window.end_ns.min(self.tally.ended_ns),
        };
        // What was due in the warm-up does not count.
        let due_ns = schedule.due_ns().max(window.begin_ns);
        if due_ns >= end_ns {
            return;
        }
        let expected = (end_ns - due_ns) as f64 / 1e9 * rate;
        let expected = (expected.round() as u64).saturating_add(1);
        self.tally.unsent = expected.min(self.left.unwrap_or(u64::MAX));
        if is_unconnected {
            self.tally.unsent_unconnected = self.tally.unsent;
        }
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
        let received = connection.receive(
            run.load.protocol,
            &mut self.scratch,
            run.written.is_some(),
            ends,
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
        match received {
            Ok(bytes) => self.tally.bytes_received += bytes as u64,
            Err(failure) => self.close(index, failure),
        }
    }

    fn flush(&mut self, index: usize) {
        let Some(connection) = &mut self.connections[index] else {
            return;
        };
        match connection.flush() {
            Ok(bytes) => self.tally.bytes_sent += bytes as u64,
            Err(failure) => self.close(index, failure),
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
        let nanoseconds = |time: Duration| time.as_nanos() as u64;
        let mut until_ns = window.now_ns() + nanoseconds(DRAIN_MAX);
        while self.unanswered > 0 {
            let now_ns = window.now_ns();
            if self.is_stopped() {
                until_ns = until_ns.min(now_ns + nanoseconds(DRAIN_STOPPED_MAX));
            }
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
            if self.poll.poll(events, Some(NAP)).is_err() {
                events.clear();
            }
            for event in events.iter() {
                self.ready(event, window, false);
            }
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

fn open(load: &Load, poll: &Poll, index: usize) -> std::io::Result<Connection> {
    let stream = std::net::TcpStream::connect_timeout(&load.address, CONNECT_TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let mut stream = TcpStream::from_std(stream);
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry()
        .register(&mut stream, Token(index), interest)?;
    Ok(Connection::new(stream))
}

/// Puts the next request of the workload behind those of a connection.
fn push(run: &Run<'_>, operations: &mut Operations, connection: &mut Connection, at_ns: u64) {
    let operation = operations.next();
    if let Some(written) = run.written.filter(|_| !operation.is_get) {
        written.insert(operation.key, operation.salt);
    }
    connection.push(run.load.protocol, operation, run.values, at_ns);
}
