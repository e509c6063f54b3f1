//! The baseline: a blocking accept loop, a fixed pool of workers that each
//! serve one connection at a time, and one thread that owns the store.

mod admission;
mod connection;
mod interruptible;
mod parse_limit;
mod store_thread;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::accept::accept;
use super::config::Config;
use super::counts::Counts;
use super::limits::DRAIN_MAX;
use super::log::ConnectionLog;
use super::shutdown::Shutdown;
use crate::store::broken_error;
use admission::Admission;
use interruptible::Interruptible;
use store_thread::StoreThread;

/// Serves with the threads model; see [`serve`](super::serve).
pub(super) fn serve(
    listener: TcpListener,
    config: &Config,
    shutdown: &Shutdown,
    counts: &Arc<Counts>,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let store = Arc::new(StoreThread::start(config, shutdown)?);
    let serve_one = worker(
        Arc::clone(&store),
        config.clone(),
        shutdown.clone(),
        Arc::clone(counts),
    );
    let admission = Admission::new(config, counts, serve_one)?;
    counts.set_store_size(StoreThread::size(&store));
    counts.set_workers(Admission::worker_counts(&admission));
    let queue_timeout = thread::Builder::new()
        .name("queue-timeout".to_owned())
        .spawn({
            let admission = Arc::clone(&admission);
            move || admission.attend_waiting()
        })?;
    shutdown.on_trigger({
        let admission = Arc::clone(&admission);
        move || admission.stop()
    });

    let accepted = accept(
        listener,
        config,
        shutdown,
        counts,
        ready,
        |stream| admission.admit(stream),
        || admission.make_room(),
    );
    admission.drain(DRAIN_MAX);
    // It has nothing left to wait for.
    let _ = queue_timeout.join();
    #[cfg(feature = "data")]
    store.finish()?;
    accepted?;
    if store.is_broken() {
        return Err(broken_error());
    }
    Ok(())
}

/// What each worker does with a connection, which has waited for it since then.
fn worker(
    store: Arc<StoreThread>,
    config: Config,
    shutdown: Shutdown,
    counts: Arc<Counts>,
) -> impl Fn(&Interruptible, Option<Instant>) + Send + Sync {
    move |socket, waiting_since| {
        let log = ConnectionLog::begin(&config.log, socket.stream(), config.verbose);
        let mut counts = counts.of_thread();
        let open = counts.begin_connection();
        counts.waited_for_worker(waiting_since);
        let end = connection::serve(socket, store.handle(), &config, &shutdown, &mut counts);
        open.end(&end);
        log.end(&end);
    }
}
