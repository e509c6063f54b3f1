//! Makes the connections of a driver.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Poll, Token};

use super::super::connection::Connection;
use super::super::limits::{CONNECT_TIMEOUT, connect_max};
use super::super::load::{Length, Load};
use super::super::run::Run;
use super::super::timer::Timer;
use super::{Driver, SCRATCH_LEN, TIMER};
use crate::bench::measurement::{ErrorKind, Tally, latencies};
use crate::bench::workload::Operations;

impl<'a> Driver<'a> {
    pub(in super::super) fn connect(run: &'a Run<'a>, index: usize) -> Result<Self, String> {
        let load = run.load;
        let failed = |error: std::io::Error| format!("can't wait for sockets: {error}");
        let poll = Poll::new().map_err(failed)?;
        let mut tally = Tally::new();
        let mut connections = Vec::new();
        let wanted = share(load.connections, load.threads, index);
        let time_max = connect_max(load.connections);
        let deadline = Instant::now() + time_max;
        for made in 0..wanted {
            if run.stop.load(Ordering::Relaxed) {
                break;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let missing = (wanted - made) as u64;
                tally.errors.add(ErrorKind::Connect, missing, || {
                    format!(
                        "they were not made within {:.1} s, which is 10 s and 1 s for each 1,000",
                        time_max.as_secs_f64()
                    )
                });
                break;
            }
            match open(load, &poll, connections.len(), left.min(CONNECT_TIMEOUT)) {
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
}

/// What `index` gets of a total that is shared out.
fn share(total: usize, parts: usize, index: usize) -> usize {
    total / parts + usize::from(index < total % parts)
}

fn open(load: &Load, poll: &Poll, index: usize, timeout: Duration) -> std::io::Result<Connection> {
    let stream = std::net::TcpStream::connect_timeout(&load.address, timeout)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let stream = TcpStream::from_std(stream);
    Connection::register(stream, load, poll.registry(), Token(index))
}
