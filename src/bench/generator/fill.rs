//! Sets every key once, before anything is measured.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::blocking::Blocking;
use super::decoder::{Answer, Failure};
use super::limits::fill_max;
use super::load::Load;
use crate::bench::protocol::Outcome;
use crate::bench::workload::{Operations, Values, Written};

/// The most that is sent before its replies are read, in bytes and requests:
/// the replies fit into the sockets' buffers.
const BURST_LEN: usize = 64 << 10;
const BURST_COUNT: usize = 500;

pub(super) fn fill(
    load: &Load,
    values: &Values,
    written: Option<&Written>,
    stop: &AtomicBool,
) -> Result<(), String> {
    let time_max = fill_max(load);
    let deadline = Instant::now() + time_max;
    let refused = |cause: String| match Instant::now() < deadline {
        true => format!(
            "can't set the keys on {} ({cause}); does it speak {}?",
            load.address, load.protocol
        ),
        false => format!(
            "{} did not set {} keys within {} s, which is 10 s and 1 s for each 1,000 keys and \
             each MiB of values; ask for fewer --keys",
            load.address,
            load.workload.keys,
            time_max.as_secs()
        ),
    };
    let mut server = Blocking::connect(load, stop, deadline).map_err(|error| {
        format!(
            "can't connect to {} ({error}); is a server running there? `speicher serve` starts one",
            load.address
        )
    })?;
    // Sizes and salts as the load itself draws them, of a thread that it does
    // not have.
    let mut operations = Operations::new(&load.workload, load.threads);
    let mut keys = 0..load.workload.keys;
    let mut burst = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        burst.clear();
        let mut count = 0;
        while count < BURST_COUNT && burst.len() < BURST_LEN {
            let Some(key) = keys.next() else {
                break;
            };
            let mut operation = operations.next();
            (operation.key, operation.is_get) = (key, false);
            if let Some(written) = written {
                written.insert(key, operation.salt);
            }
            load.protocol.push(&mut burst, operation, values);
            count += 1;
        }
        if count == 0 {
            break;
        }
        let sent = server.send(&burst);
        sent.and_then(|()| server.receive(count, |answer| is_done(load, answer)))
            .map_err(refused)?;
    }
    Ok(())
}

fn is_done(load: &Load, answer: Answer<'_>) -> Result<(), Failure> {
    if answer.outcome == Outcome::Done {
        return Ok(());
    }
    let said = load.protocol.sentence(answer.bytes);
    Err(Failure::Malformed(format!("it answered {said}")))
}
