//! Whether a history of calls that overlapped could have come from one store
//! that executes them one after another.
//!
//! The search is that of Wing and Gong, with Lowe's memory of states that were
//! already tried: of the calls that began before any other had ended, each may
//! have been the first.

use std::collections::HashSet;

/// The keys of a history. RST touches all of them, so that histories can't be
/// taken apart by key.
pub(crate) const KEYS: usize = 3;

/// The most calls of a history: each has a bit.
pub(crate) const CALLS_MAX: usize = 64;

/// A call, and what was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Set(usize, u32),
    /// What was found.
    Get(usize, Option<u32>),
    /// Whether something was removed.
    Delete(usize, bool),
    Reset,
}

/// A call with the moments before it was sent and after it was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timed {
    pub(crate) call: Call,
    pub(crate) begun: u64,
    pub(crate) ended: u64,
}

type State = [Option<u32>; KEYS];

/// Whether there is an order of the calls that explains every answer. The
/// store is empty before.
pub(crate) fn is_linearizable(history: &[Timed]) -> bool {
    debug_assert!(history.len() <= CALLS_MAX);
    let all = u64::MAX.checked_shr(64 - history.len() as u32).unwrap_or(0);
    search(history, all, [None; KEYS], &mut HashSet::new())
}

fn search(history: &[Timed], left: u64, state: State, tried: &mut HashSet<(u64, State)>) -> bool {
    if left == 0 {
        return true;
    }
    if !tried.insert((left, state)) {
        return false;
    }
    let calls = || (0..history.len()).filter(|index| left >> index & 1 == 1);
    let first_end = calls().map(|index| history[index].ended).min();
    calls()
        .filter(|&index| Some(history[index].begun) <= first_end)
        .any(|index| {
            let next = execute(history[index].call, state);
            next.is_some_and(|next| search(history, left & !(1 << index), next, tried))
        })
}

/// The state after the call; `None` when the answer does not fit.
fn execute(call: Call, mut state: State) -> Option<State> {
    match call {
        Call::Set(key, value) => state[key] = Some(value),
        Call::Get(key, found) if state[key] == found => {}
        Call::Delete(key, removed) if state[key].is_some() == removed => state[key] = None,
        Call::Reset => state = [None; KEYS],
        Call::Get(..) | Call::Delete(..) => return None,
    }
    Some(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(calls: &[(Call, u64, u64)]) -> Vec<Timed> {
        let timed = |&(call, begun, ended)| Timed { call, begun, ended };
        calls.iter().map(timed).collect()
    }

    #[test]
    fn calls_that_overlap_may_have_been_in_either_order() {
        for found in [None, Some(1)] {
            let calls = [(Call::Set(0, 1), 0, 10), (Call::Get(0, found), 5, 8)];
            assert!(is_linearizable(&history(&calls)));
        }
        assert!(is_linearizable(&[]));
    }

    #[test]
    fn what_was_acknowledged_before_has_to_be_seen() {
        let calls = [(Call::Set(0, 1), 0, 1), (Call::Get(0, None), 2, 3)];
        assert!(!is_linearizable(&history(&calls)));
    }

    #[test]
    fn two_readers_have_to_agree_on_the_order() {
        let calls = [
            (Call::Set(0, 1), 0, 100),
            (Call::Get(0, Some(1)), 10, 20),
            (Call::Get(0, None), 30, 40),
        ];
        assert!(!is_linearizable(&history(&calls)));
    }

    #[test]
    fn a_reset_removes_every_key_at_once() {
        let calls = [
            (Call::Set(0, 1), 0, 1),
            (Call::Set(1, 2), 2, 3),
            (Call::Reset, 4, 100),
            (Call::Get(0, None), 10, 20),
            (Call::Get(1, Some(2)), 30, 40),
        ];
        assert!(!is_linearizable(&history(&calls)));
        let mut calls = calls.to_vec();
        calls[4].0 = Call::Get(1, None);
        assert!(is_linearizable(&history(&calls)));
    }

    #[test]
    fn a_delete_says_whether_there_was_something() {
        let twice = [
            (Call::Set(2, 1), 0, 1),
            (Call::Delete(2, true), 2, 9),
            (Call::Delete(2, true), 3, 8),
        ];
        assert!(!is_linearizable(&history(&twice)));
    }
}
