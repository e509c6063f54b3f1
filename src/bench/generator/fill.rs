//! Sets every key once, before anything is measured.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Load, REPLY_TIMEOUT};
use crate::bench::protocol::{Outcome, Scan};
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
    let failed = |cause: String| {
        format!(
            "can't set the keys on {} ({cause}); does it speak {}?",
            load.address, load.protocol
        )
    };
    let io_failed = |error: std::io::Error| failed(error.to_string());
    let connect = || {
        let stream = TcpStream::connect_timeout(&load.address, REPLY_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
        Ok(stream)
    };
    let mut stream: TcpStream = connect().map_err(|error: std::io::Error| {
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
        stream.write_all(&burst).map_err(io_failed)?;
        read_replies(&mut stream, load, count).map_err(failed)?;
    }
    Ok(())
}

fn read_replies(stream: &mut TcpStream, load: &Load, count: usize) -> Result<(), String> {
    let mut bytes = Vec::new();
    let mut room = [0; 16 << 10];
    let mut left = count;
    while left > 0 {
        match stream.read(&mut room) {
            Ok(0) => return Err("it closed the connection".to_owned()),
            Ok(n) => bytes.extend_from_slice(&room[..n]),
            Err(error) => return Err(error.to_string()),
        }
        let mut rest = &bytes[..];
        loop {
            match load.protocol.scan(rest).map_err(|wrong| wrong.0)? {
                Scan::Reply {
                    len,
                    outcome: Outcome::Done,
                    ..
                } if len <= rest.len() => {
                    rest = &rest[len..];
                    left = left.checked_sub(1).ok_or("it sent too many replies")?;
                }
                Scan::Reply { len, .. } if len <= rest.len() => {
                    let reply = String::from_utf8_lossy(&rest[..len.min(200)]);
                    return Err(format!("it answered {:?}", reply.trim_start()));
                }
                _ => break,
            }
        }
        let done = bytes.len() - rest.len();
        bytes.drain(..done);
    }
    Ok(())
}
