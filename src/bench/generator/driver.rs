//! One thread of the generator with its share of the connections.
//!
//! Each of its loops looks at the clock and at the stop flag after a bounded piece of
//! work, so that no server keeps it from its end.

mod connect;
mod open_loop;
mod phases;

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use hdrhistogram::Histogram;
use mio::event::Event;
use mio::{Poll, Token};

use super::connection::Connection;
use super::decoder::Failure;
use super::reply::{check, count};
use super::run::Run;
use super::timer::Timer;
use super::window::Window;
use crate::bench::measurement::{ErrorKind, Tally};
use crate::bench::workload::Operations;

/// What one read takes, in bytes: much, and still within the cache.
const SCRATCH_LEN: usize = 256 << 10;

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

    fn is_stopped(&self) -> bool {
        self.run.stop.load(Ordering::Relaxed)
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
        let has_more =
            connection.receive(&mut self.scratch, ends, &mut bytes, |request, answer| {
                if now_ns == 0 {
                    now_ns = window.now_ns();
                }
                answered += 1;
                let is_good = check(run, tally, request, &answer);
                if is_good {
                    count(tally, recent, window, request, answer.outcome, now_ns);
                }
                is_good
            });
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

    /// After an event of a connection: closes it, or has it come again if there is more.
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
            Failure::Refused(sentence) => (ErrorKind::Unavailable, sentence),
            Failure::Malformed(sentence) => (ErrorKind::Malformed, sentence),
        };
        self.tally.served += usize::from(connection.is_served);
        let lost = connection.in_flight.len();
        self.unanswered -= lost;
        self.live -= 1;
        let errors = &mut self.tally.errors;
        errors.add(kind, 1, || sentence);
        errors.add(ErrorKind::Lost, lost as u64, || {
            "the connection ended before they came".to_owned()
        });
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

/// Puts the next request of the workload behind those of a connection.
fn push(run: &Run<'_>, operations: &mut Operations, connection: &mut Connection, at_ns: u64) {
    let operation = operations.next();
    if let Some(written) = run.written.filter(|_| !operation.is_get) {
        written.insert(operation.key, operation.salt);
    }
    connection.push(operation, run.values, at_ns);
}
