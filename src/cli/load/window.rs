//! What the thread that sends and the one that reads replies know of each other.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use speicher::lines::BadLine;

/// Bytes of requests that may wait for their replies; a burst may exceed it. So much is on its
/// way on a line of 100 Mbit/s to the other side of the earth and back.
const UNANSWERED_LEN_MAX: usize = 4 << 20;

/// The entries of consecutive lines, sent together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Burst {
    /// The number of the line of the first, from 1.
    pub(super) first_line: u64,
    pub(super) entries: u64,
    /// Bytes of the frames.
    pub(super) len: usize,
    /// Bytes of the lines.
    pub(super) lines_len: u64,
}

/// Why no more is sent.
#[derive(Debug)]
pub(super) enum End {
    /// All lines are sent.
    AllSent,
    /// The line of this number is no entry.
    BadLine(u64, BadLine),
    /// The input can't be read.
    Input(String),
    /// The window was closed, or what was sent did not arrive: the other thread knows why.
    Closed,
}

/// What the thread that reads replies has to do.
#[derive(Debug)]
pub(super) enum Next {
    /// Read the replies to this burst.
    Replies(Burst),
    /// Nothing was sent for a while.
    Nothing,
    /// Nothing is sent any more.
    End(End),
}

/// Admits bursts as long as not too many bytes wait for their replies.
#[derive(Debug, Default)]
pub(super) struct Window {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Those whose replies nobody has begun to read.
    bursts: VecDeque<Burst>,
    unanswered: usize,
    is_closed: bool,
    end: Option<End>,
}

impl Window {
    /// Waits for room. Whether the burst is to be sent; if so, its replies will be read.
    pub(super) fn admit(&self, burst: Burst) -> bool {
        let state = self.state();
        let is_full = |state: &mut State| {
            let is_over = state.unanswered + burst.len > UNANSWERED_LEN_MAX;
            !state.is_closed && state.unanswered > 0 && is_over
        };
        let state = self.changed.wait_while(state, is_full);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if state.is_closed {
            return false;
        }
        state.unanswered += burst.len;
        state.bursts.push_back(burst);
        self.changed.notify_all();
        true
    }

    /// Nothing more comes; the first reason counts.
    pub(super) fn finish(&self, end: End) {
        self.state().end.get_or_insert(end);
        self.changed.notify_all();
    }

    /// Waits for so long for something to do.
    pub(super) fn next(&self, patience: Duration) -> Next {
        let has_nothing =
            |state: &mut State| state.bursts.is_empty() && state.end.is_none() && !state.is_closed;
        let waited = self
            .changed
            .wait_timeout_while(self.state(), patience, has_nothing);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(burst) = state.bursts.pop_front() {
            return Next::Replies(burst);
        }
        match state.end.take() {
            Some(end) => Next::End(end),
            // Who sends may wait for input, for as long as that likes.
            None if state.is_closed => Next::End(End::Closed),
            None => Next::Nothing,
        }
    }

    /// All replies to the burst have come.
    pub(super) fn answered(&self, burst: Burst) {
        self.state().unanswered -= burst.len;
        self.changed.notify_all();
    }

    /// Admits no more. Those that were admitted are still to be answered.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No change of it is ever half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
