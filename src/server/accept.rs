//! The accept loop, the same for every model: it never waits for a peer, does
//! not spin when descriptors run out, and wakes when the server has to stop.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::config::Config;
use super::counts::Counts;
use super::log::{Event, Log};
use super::refusal::{self, Reason};
use super::shutdown::Shutdown;
use super::socket;

/// Hands connections to `admit` until the shutdown is triggered, and then
/// those that were in the queue by that time: whoever connected before the
/// stop is answered. Calls `ready` when it is about to begin, and `evict` to have
/// a silent connection give its descriptor to one that waits.
///
/// Fails only before it has accepted anything.
pub(super) fn accept(
    listener: TcpListener,
    config: &Config,
    shutdown: &Shutdown,
    counts: &Arc<Counts>,
    ready: impl FnOnce(),
    mut admit: impl FnMut(TcpStream),
    mut evict: impl FnMut(),
) -> io::Result<()> {
    /// The longest that accepting goes on after the stop.
    const DRAIN_TIME_MAX: Duration = Duration::from_millis(100);
    /// How soon a descriptor that is about to be free is tried again.
    const RETRY_INTERVAL: Duration = Duration::from_millis(2);

    let address = listener.local_addr()?;
    let reserve = Arc::new(ReserveDescriptor::new(counts, &config.log)?);
    shutdown.on_trigger({
        let reserve = Arc::clone(&reserve);
        move || wake_accept(address, &reserve)
    });
    let note_stop = || {
        if let Some(cause) = shutdown.cause() {
            config.log.note_stop(cause);
        }
    };
    ready();
    let mut admit = |stream| {
        counts.accept();
        admit(stream);
    };
    let mut backoff = Backoff::default();
    while !shutdown.is_triggered() {
        match listener.accept() {
            Ok((stream, _)) => {
                backoff.end();
                // Before the connection that has woken this loop is refused.
                note_stop();
                admit(stream);
            }
            Err(error) => {
                if backoff.is_eviction_due(&error, &listener) {
                    evict();
                }
                backoff.wait(&error, &listener, config, shutdown, &reserve);
            }
        }
    }
    note_stop();
    // An open socket can be made nonblocking; if not, the queue goes unserved.
    if listener.set_nonblocking(true).is_err() {
        return Ok(());
    }
    let draining_since = Instant::now();
    while draining_since.elapsed() < DRAIN_TIME_MAX {
        match listener.accept() {
            Ok((stream, _)) => admit(stream),
            Err(error) if is_about_the_peer(&error) => {}
            Err(error) if socket::is_out_of_descriptors(&error) => {
                match refuse_next(&listener, &reserve, Reason::Stopping) {
                    // The connection that wakes this loop may have taken the
                    // reserve descriptor, which is free again soon.
                    Err(error) if socket::is_out_of_descriptors(&error) => {
                        thread::sleep(RETRY_INTERVAL)
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    _ => {}
                }
            }
            Err(_) => break,
        }
    }
    Ok(())
}

/// A descriptor held back for when there is none left: for the connection
/// that wakes the accept loop, and to tell those that can't be served, which
/// are counted and logged.
struct ReserveDescriptor {
    file: Mutex<Option<File>>,
    counts: Arc<Counts>,
    log: Log,
}

impl ReserveDescriptor {
    fn new(counts: &Arc<Counts>, log: &Log) -> io::Result<Self> {
        Ok(Self {
            file: Mutex::new(Some(Self::open()?)),
            counts: Arc::clone(counts),
            log: log.clone(),
        })
    }

    fn open() -> io::Result<File> {
        File::open("/dev/null")
    }

    fn release(&self) {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Takes a descriptor back, if there is one.
    fn retake(&self) {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Self::open().ok();
    }
}

/// What the accept loop does while accepting fails.
#[derive(Default)]
struct Backoff {
    since: Option<Instant>,
    /// For the connection that waits now.
    evicted_at: Option<Instant>,
}

/// Whether an accept failed for a reason that concerns one peer, or none.
fn is_about_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
    )
}

impl Backoff {
    fn end(&mut self) {
        self.since = None;
        self.evicted_at = None;
    }

    /// Whether somebody waits for a descriptor, and nobody is about to give up
    /// theirs: an evicted connection drains within 20 ms, or takes long.
    fn is_eviction_due(&mut self, error: &io::Error, listener: &TcpListener) -> bool {
        const INTERVAL: Duration = Duration::from_millis(100);

        let is_due = socket::is_out_of_descriptors(error)
            && self.evicted_at.is_none_or(|at| at.elapsed() >= INTERVAL)
            // Without descriptors an accept fails also when nobody waits.
            && socket::is_awaited(listener);
        if is_due {
            self.evicted_at = Some(Instant::now());
        }
        is_due
    }

    /// Waits a little, so that the loop does not spin; those who have waited
    /// for too long are refused (S4).
    fn wait(
        &mut self,
        error: &io::Error,
        listener: &TcpListener,
        config: &Config,
        shutdown: &Shutdown,
        reserve: &ReserveDescriptor,
    ) {
        /// Short enough that service resumes within 100 ms.
        const INTERVAL: Duration = Duration::from_millis(20);

        if is_about_the_peer(error) {
            return;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        let is_out_of_descriptors = socket::is_out_of_descriptors(error);
        let remedy = match is_out_of_descriptors {
            true => {
                "; raise the limit on open files (ulimit -n), or lower the number of connections"
            }
            false => "",
        };
        config.log.write(Event::accept_failed(error, remedy));
        if is_out_of_descriptors && since.elapsed() > config.queue_timeout {
            refuse_all(listener, reserve);
        }
        shutdown.sleep(INTERVAL);
    }
}

/// Refuses the connections in the listener's queue, one at a time on the
/// reserve descriptor.
fn refuse_all(listener: &TcpListener, reserve: &ReserveDescriptor) {
    /// The most at a time, so that the loop looks at its other duties.
    const REFUSALS_MAX: usize = 64;

    if listener.set_nonblocking(true).is_err() {
        return;
    }
    for _ in 0..REFUSALS_MAX {
        if refuse_next(listener, reserve, Reason::NoDescriptors).is_err() {
            break;
        }
    }
    // The loop's wait is the blocking accept; if this fails, which it can't
    // for an open socket, the loop waits in its backoff instead.
    let _ = listener.set_nonblocking(false);
}

/// Refuses the next connection in the queue of a nonblocking listener.
fn refuse_next(
    listener: &TcpListener,
    reserve: &ReserveDescriptor,
    reason: Reason,
) -> io::Result<()> {
    reserve.release();
    let accepted = listener.accept();
    if let Ok((stream, _)) = &accepted {
        reserve.counts.accept();
        refusal::refuse(stream, reason, &reserve.counts, &reserve.log);
    }
    let outcome = accepted.map(drop);
    reserve.retake();
    outcome
}

/// Connects to the listener, so that a blocked accept returns.
fn wake_accept(address: SocketAddr, reserve: &ReserveDescriptor) {
    const TIMEOUT: Duration = Duration::from_millis(100);
    const TRIES: usize = 5;

    let mut reachable = address;
    if address.ip().is_unspecified() {
        reachable.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    for _ in 0..TRIES {
        if TcpStream::connect_timeout(&reachable, TIMEOUT).is_ok() {
            return;
        }
        // Most likely no descriptor is left; while accepting backs off it wakes
        // by itself.
        reserve.release();
    }
}
