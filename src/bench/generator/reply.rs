//! What a reply counts for.

use hdrhistogram::Histogram;

use super::Run;
use super::connection::InFlight;
use super::window::Window;
use crate::bench::measurement::{ErrorKind, Tally};
use crate::bench::protocol::{Outcome, Protocol};

/// Whether the reply is one to that request; counts what is wrong otherwise.
pub(super) fn check(
    run: &Run<'_>,
    tally: &mut Tally,
    request: InFlight,
    outcome: Outcome,
    value: &[u8],
) -> bool {
    let key = request.key;
    let wrong = match (outcome, request.is_get) {
        (Outcome::Done, false) => return true,
        (Outcome::Value, true) | (Outcome::Echoed, _) => match run.written {
            None => return true,
            Some(written) => match run.values.recognise(key, value) {
                Some(salt) if written.contains(key, salt) => return true,
                Some(_) if run.load.protocol == Protocol::Echo => return true,
                _ => ErrorKind::WrongValue,
            },
        },
        (Outcome::Missing, true) => {
            tally.misses += 1;
            match run.written {
                None => return true,
                Some(_) => ErrorKind::Missing,
            }
        }
        (Outcome::BadRequest, _) => ErrorKind::BadRequest,
        (Outcome::Unavailable, _) => ErrorKind::Unavailable,
        _ => ErrorKind::Malformed,
    };
    tally.errors.add(wrong, 1, || {
        let command = if request.is_get { "GET" } else { "SET" };
        format!("the {command} of key:{key:010}")
    });
    false
}

/// Counts a good reply, if it belongs to what is measured.
pub(super) fn count(
    run: &Run<'_>,
    tally: &mut Tally,
    moment: &mut Histogram<u64>,
    window: &Window,
    request: InFlight,
    now_ns: u64,
) {
    // A closed loop counts what comes within the window. What an open loop
    // was to send in it counts whenever it is answered: the slowest come last.
    let is_timed = window.end_ns < u64::MAX && run.load.rate.is_none();
    let at_ns = if is_timed { now_ns } else { request.at_ns };
    if at_ns < window.begin_ns || at_ns >= window.end_ns {
        return;
    }
    tally.operations += 1;
    tally.last_reply_ns = tally.last_reply_ns.max(now_ns);
    moment.saturating_record(now_ns.saturating_sub(request.at_ns));
}
