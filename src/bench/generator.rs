//! Sends a workload to a server and measures what comes back.
//!
//! A *closed* loop sends on each connection as many requests as the pipeline
//! is deep, waits for all their replies, and sends the next: a slow server is
//! asked less. An *open* loop sends when a schedule says so, and latency counts
//! from that time: what a slow server makes others wait is seen.

mod assault;
mod attackers;
mod blocking;
mod connection;
mod decoder;
mod driver;
mod event;
mod fill;
mod idle;
mod limits;
mod load;
mod reply;
mod run;
mod timer;
mod window;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::measurement::{Measurement, Tally, latencies};
use super::others::OthersMeter;
use super::process::ServerMeter;
use super::workload::{Values, Written};
use connection::Connection;
use driver::Driver;
use limits::CONNECT_TIMEOUT;
use run::{PROGRESS_INTERVAL, Run};
use window::Window;

pub use assault::Spent;
pub(super) use assault::{Assault, Manner};
pub(super) use attackers::{attack, prepare};
pub(super) use idle::{Idle, newcomer};
pub use limits::REPLY_TIMEOUT;
pub use load::{CONNECTIONS_MAX, LATE_AFTER, Length, Load, PIPELINE_MAX};

/// What can be told while it runs.
pub enum Progress<'a> {
    /// Every key is being set.
    Filling,
    /// It runs, and is not measured yet.
    WarmingUp,
    /// It is measured.
    Measuring {
        /// Since the measuring began.
        elapsed: Duration,
        /// How much of it is done, from 0 to 1.
        share: f64,
        /// Since progress was last told.
        interval: Duration,
        /// The latencies of the interval in nanoseconds, one for each reply.
        latencies: &'a Histogram<u64>,
    },
}

/// Runs the load. `stop` ends it early, with what is done so far; `progress`
/// hears about it four times a second. It takes [`Load::time_max`] at most.
///
/// Fails with a sentence when no connection can be made, or the keys can't be
/// set, unless it is stopped meanwhile: then the measurement is an empty one.
/// What goes wrong later is in the [`Measurement`].
pub fn run(
    load: &Load,
    stop: &AtomicBool,
    progress: Option<&mut dyn FnMut(Progress<'_>)>,
) -> Result<Measurement, String> {
    let values = Values::new(&load.workload);
    let written = load.verify.then(|| Written::none(load.workload.keys));
    let mut ignore = |_: Progress<'_>| {};
    let is_live = progress.is_some();
    let progress = progress.unwrap_or(&mut ignore);
    if load.fills() {
        progress(Progress::Filling);
        match fill::fill(load, &values, written.as_ref(), stop) {
            // Who stopped it may have stopped the server too.
            Err(_) if stop.load(Ordering::Relaxed) => {}
            filled => filled?,
        }
    }
    let run = Run {
        load,
        values: &values,
        written: written.as_ref(),
        stop,
        recent: is_live.then(|| Mutex::new(latencies())),
    };
    run.run(progress)
}

/// Sets every key once.
///
/// Fails with a sentence when the server does not take them.
pub(super) fn fill(load: &Load, stop: &AtomicBool) -> Result<(), String> {
    fill::fill(load, &Values::new(&load.workload), None, stop)
}

impl Run<'_> {
    fn run(&self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Measurement, String> {
        let (ready, is_ready) = mpsc::channel();
        let (done, is_done) = mpsc::channel();
        thread::scope(|scope| {
            let mut starts = Vec::new();
            let mut drivers = Vec::new();
            for index in 0..self.load.threads {
                let (start, begin) = mpsc::channel();
                starts.push(start);
                let (ready, done) = (ready.clone(), done.clone());
                drivers.push(scope.spawn(move || {
                    let driver = Driver::connect(self, index);
                    let (driver, told) = match driver {
                        Ok(driver) => {
                            let connected = driver.connected();
                            (Some(driver), Ok(connected))
                        }
                        Err(sentence) => (None, Err(sentence)),
                    };
                    // The other end is gone if another thread has failed.
                    let _ = ready.send(told);
                    let outcome = driver.zip(begin.recv().ok());
                    let outcome = outcome.map(|(driver, window)| driver.run(window));
                    let _ = done.send(());
                    outcome
                }));
            }
            // The drivers have the only ones left: when the last has ended, in
            // whatever way, nobody waits for it.
            drop((ready, done));
            let mut connected = 0;
            for told in is_ready.iter().take(drivers.len()) {
                connected += told?;
            }
            if connected == 0 && !self.stop.load(Ordering::Relaxed) {
                return Err(self.nobody_there());
            }
            let mut meters = Meters {
                server: self.load.server_pid.and_then(ServerMeter::before_load),
                others: self.load.server_pid.map(OthersMeter::of),
            };
            let window = Window::from_now(self.load);
            for start in &starts {
                let _ = start.send(window);
            }
            self.watch(window, &is_done, &mut meters, progress);
            let outcomes: Vec<_> = drivers
                .into_iter()
                .filter_map(|driver| driver.join().expect("a driver does not panic"))
                .collect();
            Ok(self.sum_up(window, outcomes, meters))
        })
    }

    fn nobody_there(&self) -> String {
        let address = self.load.address;
        match std::net::TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(_) => format!("{address} takes no connection; is it at its limit?"),
            Err(error) => format!(
                "can't connect to {address} ({error}); is a server running there? \
                 `speicher serve` starts one"
            ),
        }
    }

    /// Waits until the drivers are done, tells of progress meanwhile, and has
    /// the meters read at the begin and at the end.
    fn watch(
        &self,
        window: Window,
        is_done: &mpsc::Receiver<()>,
        meters: &mut Meters,
        progress: &mut dyn FnMut(Progress<'_>),
    ) {
        let mut running = self.load.threads;
        let wait = |running: &mut usize, timeout| match is_done.recv_timeout(timeout) {
            Ok(()) => *running -= 1,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => *running = 0,
        };
        progress(Progress::WarmingUp);
        while running > 0 && !window.until_begin().is_zero() {
            wait(&mut running, window.until_begin());
        }
        meters.begin();
        let begun = Instant::now();
        let (mut told, mut seen) = (begun, 0);
        while running > 0 {
            let timeout = match window.until_end() {
                Some(left) if !left.is_zero() => left.min(PROGRESS_INTERVAL),
                _ => PROGRESS_INTERVAL,
            };
            wait(&mut running, timeout);
            let is_over = window.until_end().is_some_and(|left| left.is_zero());
            if is_over {
                meters.end();
            }
            if told.elapsed() >= PROGRESS_INTERVAL && running > 0 {
                seen += self.tell(begun.elapsed(), told.elapsed(), seen, progress);
                told = Instant::now();
            }
        }
        meters.end();
    }

    /// Tells of the last interval; returns how many replies came in it.
    fn tell(
        &self,
        elapsed: Duration,
        interval: Duration,
        seen: u64,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> u64 {
        let Some(shared) = &self.recent else {
            return 0;
        };
        let latencies = std::mem::replace(
            &mut *shared.lock().unwrap_or_else(PoisonError::into_inner),
            latencies(),
        );
        let share = match self.load.length {
            Length::Time(time) => elapsed.as_secs_f64() / time.as_secs_f64(),
            Length::Requests(count) => (seen + latencies.len()) as f64 / count as f64,
        };
        progress(Progress::Measuring {
            elapsed,
            share: share.min(1.0),
            interval,
            latencies: &latencies,
        });
        latencies.len()
    }

    fn sum_up(
        &self,
        window: Window,
        outcomes: Vec<(Tally, Vec<Connection>)>,
        meters: Meters,
    ) -> Measurement {
        let mut total = Tally::new();
        let mut connections = Vec::new();
        for (tally, of_thread) in outcomes {
            total.merge(tally);
            connections.push(of_thread);
        }
        let Meters { server, others } = meters;
        let server = server.and_then(|meter| meter.after_load(total.operations, total.replies));
        // Only now: what the server keeps for a connection is not to end before
        // it has been read.
        drop(connections);
        let load = self.load;
        let seconds = window.seconds(load, &total);
        let mut measurement = Measurement::new(total, seconds, load.threads, load.rate, server);
        measurement.others_share = others.and_then(|meter| meter.share());
        measurement.interrupted = self.stop.load(Ordering::Relaxed);
        measurement
    }
}

/// What is read when the measured time begins and when it ends.
struct Meters {
    server: Option<ServerMeter>,
    others: Option<OthersMeter>,
}

impl Meters {
    fn begin(&mut self) {
        if let Some(server) = &mut self.server {
            server.begin();
        }
        if let Some(others) = &mut self.others {
            others.begin();
        }
    }

    fn end(&mut self) {
        if let Some(server) = &mut self.server {
            server.end();
        }
        if let Some(others) = &mut self.others {
            others.end();
        }
    }
}

/// Raises this process's limit of open descriptors as far as it may; servers
/// that it starts inherit it.
pub fn allow_many_descriptors() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Connections that find no descriptor report it.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::protocol::Protocol;
    use crate::bench::workload::{ValueSizes, Workload};

    /// The values that the load is given here are shorter than those it asks
    /// for, which no caller can bring about.
    #[test]
    fn a_driver_that_dies_ends_the_run() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (ended, is_ended) = mpsc::channel::<()>();
        let run = thread::spawn(move || {
            let _ended = ended;
            let workload = Workload {
                value_sizes: ValueSizes::one(1 << 20),
                get_percent: 0,
                ..Workload::default()
            };
            let load = Load {
                address,
                protocol: Protocol::Speicher,
                workload,
                connections: 2,
                pipeline: 1,
                threads: 2,
                rate: None,
                length: Length::Time(Duration::from_secs(1)),
                warmup: Duration::ZERO,
                fill: false,
                verify: false,
                server_pid: None,
            };
            let run = Run {
                load: &load,
                values: &Values::new(&Workload::default()),
                written: None,
                stop: &AtomicBool::new(false),
                recent: None,
            };
            run.run(&mut |_| {}).map(drop)
        });
        let waited = is_ended.recv_timeout(Duration::from_secs(20));
        assert_eq!(waited, Err(RecvTimeoutError::Disconnected), "it hangs");
        assert!(run.join().is_err(), "the driver's panic is not hidden");
    }
}
