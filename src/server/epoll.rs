//! One event loop per core. Each owns its connections from first byte to last
//! and polls the store itself: no request changes threads.

mod edge_socket;
mod incoming;
mod loop_waker;
mod runner;

use std::io;
use std::net::{self, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::task::Wake;
use std::thread;

use mio::Poll;

use super::accept::accept;
use super::config::Config;
use super::connection_limit::{ConnectionLimit, Permit};
use super::counts::Counts;
use super::local_store::LocalStore;
use super::refusal::{Reason, Refuser};
use super::shutdown::{Shutdown, StopCause};
use crate::store::Executor;
use incoming::{Incoming, Owner};
use loop_waker::LoopWaker;
use runner::{Inbox, Runner};

/// Serves with the epoll model; see [`serve`](super::serve).
pub(super) fn serve(
    listener: TcpListener,
    config: &Config,
    shutdown: &Shutdown,
    counts: &Arc<Counts>,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let store = LocalStore::start(config, shutdown)?;
    counts.set_store_size(store.size());
    serve_from(&store, listener, config, shutdown, counts, ready)?;
    store.finish()
}

/// Serves with whatever store stands behind `store`, a clone of it for each
/// connection.
pub(super) fn serve_from<E: Executor + Clone + Send + 'static>(
    store: &E,
    listener: TcpListener,
    config: &Config,
    shutdown: &Shutdown,
    counts: &Arc<Counts>,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let limit = ConnectionLimit::new(config);
    let refuser = Refuser::start(&config.log, counts)?;
    let cores = thread::available_parallelism()?.get();
    let loops = (0..cores)
        .map(|number| start_loop(number, store, config, shutdown, counts))
        .collect::<io::Result<Vec<_>>>()
        .inspect_err(|_| shutdown.trigger())?;

    // In turn: left to the kernel, they would all land on one loop.
    let mut turns = loops.iter().cycle();
    let evict = |owner: Owner| loops[owner.number as usize].evict(owner.token as usize);
    let admit = |stream| match (limit.acquire(evict), turns.next()) {
        (Some(permit), Some(next)) => next.hand_over(stream, permit),
        _ => refuser.refuse(stream, Reason::too_many(config)),
    };
    let accepted = accept(listener, config, shutdown, counts, ready, admit, || {
        limit.make_room(evict)
    });
    // The loops end only when they are told, also if it never began.
    shutdown.trigger();
    for EventLoop {
        thread, incoming, ..
    } in loops
    {
        // Without a sender the loop knows that nobody else comes.
        drop(incoming);
        // A panic outside of a connection's drive is one of ours.
        if thread.join().is_err() {
            return Err(io::Error::other(
                "an event loop panicked; report the panic above",
            ));
        }
    }
    accepted
}

/// A running loop, as the accept loop sees it.
struct EventLoop {
    incoming: Sender<Incoming>,
    waker: Arc<LoopWaker>,
    thread: thread::JoinHandle<()>,
}

impl EventLoop {
    fn hand_over(&self, stream: net::TcpStream, permit: Permit<Owner>) {
        self.send(Incoming::Connection(stream, permit));
    }

    fn evict(&self, token: usize) {
        self.send(Incoming::Eviction(token));
    }

    fn send(&self, incoming: Incoming) {
        // A loop that has panicked takes nobody, and the server stops.
        let _ = self.incoming.send(incoming);
        self.waker.wake_by_ref();
    }
}

fn start_loop<E: Executor + Clone + Send + 'static>(
    number: usize,
    store: &E,
    config: &Config,
    shutdown: &Shutdown,
    counts: &Arc<Counts>,
) -> io::Result<EventLoop> {
    let poll = Poll::new()?;
    let waker = Arc::new(LoopWaker::new(&poll)?);
    shutdown.on_trigger({
        let waker = Arc::clone(&waker);
        move || waker.wake_by_ref()
    });
    let (incoming, queue) = channel();
    let inbox = Inbox {
        poll,
        queue,
        waker: Arc::clone(&waker),
    };
    let counts = counts.of_thread();
    let runner = Runner::new(number, inbox, store.clone(), config, shutdown, counts);
    let shutdown = shutdown.clone();
    let thread = thread::Builder::new()
        .name("loop".to_owned())
        .spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| runner.run()));
            if !matches!(outcome, Ok(Ok(()))) {
                shutdown.trigger_because(StopCause::LoopLost);
                panic!("the event loop ended early: {outcome:?}");
            }
        })?;
    Ok(EventLoop {
        incoming,
        waker,
        thread,
    })
}
