//! An open loop: requests leave when a schedule says so.

use super::super::load::LATE_AFTER;
use super::super::window::Window;
use super::{Driver, push};
use crate::bench::schedule::Schedule;

/// The most requests that are sent before the clock is looked at again.
const SENDS_MAX: usize = 4096;

impl Driver<'_> {
    /// Sends what is due, in turn over the connections that have room, but no
    /// more than [`SENDS_MAX`] before the next look at the clock.
    pub(super) fn send_due(&mut self, schedule: &mut Schedule, window: &Window, now_ns: u64) {
        let mut dirty = Vec::new();
        let mut count = 0;
        while count < SENDS_MAX
            && schedule.due_ns() <= now_ns.min(window.end_ns)
            && self.left != Some(0)
        {
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
            count += 1;
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
    pub(super) fn count_unsent(&mut self, schedule: &Schedule, rate: f64, window: &Window) {
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
}
