//! What a reply counts for.

use hdrhistogram::Histogram;

use super::connection::InFlight;
use super::decoder::Answer;
use super::run::Run;
use super::window::Window;
use crate::bench::measurement::{ErrorKind, Tally};
use crate::bench::protocol::{Outcome, Protocol};

/// Whether the reply is one to that request; counts what is wrong otherwise.
pub(super) fn check(
    run: &Run<'_>,
    tally: &mut Tally,
    request: InFlight,
    answer: &Answer<'_>,
) -> bool {
    let key = request.key;
    let wrong = match (answer.outcome, request.is_get) {
        (Outcome::Done, false) => return true,
        (Outcome::Value, true) | (Outcome::Echoed, _) => match run.written {
            None => return true,
            Some(written) => match run.values.recognise(key, answer.value) {
                Some(salt) if written.contains(key, salt) => return true,
                Some(_) if run.load.protocol == Protocol::Echo => return true,
                _ => ErrorKind::WrongValue,
            },
        },
        (Outcome::Missing, true) => match run.written {
            None => return true,
            Some(_) => ErrorKind::Missing,
        },
        (Outcome::BadRequest, _) => ErrorKind::BadRequest,
        (Outcome::Unavailable, _) => ErrorKind::Unavailable,
        _ => ErrorKind::Malformed,
    };
    tally.errors.add(wrong, 1, || {
        let command = if request.is_get { "GET" } else { "SET" };
        let asked = format!("the {command} of key:{key:010}");
        match wrong {
            // Who refuses says why, and often what to do.
            ErrorKind::BadRequest | ErrorKind::Unavailable => {
                format!("{} to {asked}", run.load.protocol.sentence(answer.bytes))
            }
            _ => asked,
        }
    });
    false
}

/// Counts a good reply, if it belongs to what is measured.
pub(super) fn count(
    tally: &mut Tally,
    recent: &mut Histogram<u64>,
    window: &Window,
    request: InFlight,
    outcome: Outcome,
    now_ns: u64,
) {
    let at_ns = match window.is_by_reply {
        true => now_ns,
        false => request.at_ns,
    };
    if at_ns < window.begin_ns || at_ns >= window.end_ns {
        return;
    }
    tally.operations += 1;
    tally.misses += u64::from(outcome == Outcome::Missing);
    tally.last_reply_ns = tally.last_reply_ns.max(now_ns);
    recent.saturating_record(now_ns.saturating_sub(request.at_ns));
}
