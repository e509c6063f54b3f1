//! One event loop per core. Each owns its connections from first byte to last
//! and polls the store itself: no request changes threads.

use std::collections::BTreeSet;
use std::io::{self, IoSlice, Read, Write};
use std::net::{self, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::accept::accept;
use super::config::Config;
use super::connection_limit::{ConnectionLimit, Permit};
use super::end::End;
use super::limits::DRAIN_INTERVAL;
use super::local_store::LocalStore;
use super::log::ConnectionLog;
use super::nonblocking::{Driven, Socket, drive};
use super::refusal::{Reason, Refuser};
use super::session::{Scratch, Session};
use super::shutdown::Shutdown;
use super::socket;
use crate::store::Executor;

/// Serves with the epoll model; see [`serve`](super::serve).
pub(super) fn serve(
    listener: TcpListener,
    config: &Config,
    shutdown: &Shutdown,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let store = LocalStore::start(shutdown)?;
    serve_from(&store, listener, config, shutdown, ready)?;
    store.finish()
}

/// Serves with whatever store stands behind `store`, a clone of it for each
/// connection.
pub(super) fn serve_from<E: Executor + Clone + Send + 'static>(
    store: &E,
    listener: TcpListener,
    config: &Config,
    shutdown: &Shutdown,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let limit = ConnectionLimit::new(config.connections_max);
    let refuser = Refuser::start()?;
    let cores = thread::available_parallelism()?.get();
    let loops = (0..cores)
        .map(|_| start_loop(store, config, shutdown))
        .collect::<io::Result<Vec<_>>>()
        .inspect_err(|_| shutdown.trigger())?;

    // In turn: left to the kernel, they would all land on one loop.
    let mut turns = loops.iter().cycle();
    let accepted = accept(listener, config, shutdown, ready, |stream| {
        match (limit.acquire(), turns.next()) {
            (Some(permit), Some(next)) => next.hand_over(stream, permit),
            _ => refuser.refuse(stream, Reason::too_many(config)),
        }
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
    incoming: Sender<(net::TcpStream, Permit)>,
    waker: Arc<LoopWaker>,
    thread: thread::JoinHandle<()>,
}

impl EventLoop {
    fn hand_over(&self, stream: net::TcpStream, permit: Permit) {
        // A loop that has panicked takes nobody, and the server stops.
        let _ = self.incoming.send((stream, permit));
        self.waker.wake_by_ref();
    }
}

/// Ends a loop's wait for events, for whoever has something for it: the accept
/// loop, a store, the stop.
struct LoopWaker(mio::Waker);

impl Wake for LoopWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // It fails when the loop is gone.
        let _ = self.0.wake();
    }
}

fn start_loop<E: Executor + Clone + Send + 'static>(
    store: &E,
    config: &Config,
    shutdown: &Shutdown,
) -> io::Result<EventLoop> {
    let poll = Poll::new()?;
    let waker = Arc::new(LoopWaker(mio::Waker::new(poll.registry(), WAKER)?));
    shutdown.on_trigger({
        let waker = Arc::clone(&waker);
        move || waker.wake_by_ref()
    });
    let (incoming, queue) = channel();
    let runner = Runner {
        poll,
        queue,
        store: store.clone(),
        store_waker: Arc::clone(&waker).into(),
        config: config.clone(),
        shutdown: shutdown.clone(),
        connections: Vec::new(),
        vacant: Vec::new(),
        deadlines: BTreeSet::new(),
        unfinished: Vec::new(),
        waiting: Vec::new(),
        next_drain: Instant::now(),
        scratch: Scratch::default(),
    };
    let shutdown = shutdown.clone();
    let thread = thread::Builder::new()
        .name("loop".to_owned())
        .spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| runner.run()));
            if !matches!(outcome, Ok(Ok(()))) {
                shutdown.trigger();
                panic!("the event loop ended early: {outcome:?}");
            }
        })?;
    Ok(EventLoop {
        incoming,
        waker,
        thread,
    })
}

const WAKER: Token = Token(usize::MAX);

/// What one loop's thread owns.
struct Runner<E> {
    poll: Poll,
    queue: Receiver<(net::TcpStream, Permit)>,
    store: E,
    /// What a store wakes that has kept somebody waiting.
    store_waker: Waker,
    config: Config,
    shutdown: Shutdown,
    /// A connection's index is its token.
    connections: Vec<Option<Connection<E>>>,
    vacant: Vec<usize>,
    /// Of connections that have one. An entry may be earlier than the
    /// connection's deadline is by now, never later.
    deadlines: BTreeSet<(Instant, usize)>,
    /// Connections whose drive ended with more to do.
    unfinished: Vec<usize>,
    /// Connections whose batches the store has.
    waiting: Vec<usize>,
    /// When draining connections are driven again, once the server has to stop.
    next_drain: Instant,
    scratch: Scratch,
}

struct Connection<E> {
    socket: EdgeSocket,
    session: Session,
    store: E,
    /// Which of the loop's lists it is in, if it is not the socket that it
    /// waits for.
    listed: Option<Listed>,
    /// Its entry in the loop's `deadlines`.
    deadline: Option<Instant>,
    log: ConnectionLog,
    _permit: Permit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    Unfinished,
    Waiting,
}

impl<E: Executor + Clone> Runner<E> {
    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for index in std::mem::take(&mut self.unfinished) {
                self.resume(index, Listed::Unfinished);
            }
            for event in &events {
                match event.token() {
                    WAKER => self.resume_waiting(),
                    _ => self.ready(event),
                }
            }
            let nobody_comes = self.take_incoming();
            if self.shutdown.is_triggered() {
                self.drain();
                if nobody_comes && self.vacant.len() == self.connections.len() {
                    return Ok(());
                }
            } else {
                self.end_late();
            }
        }
    }

    /// How long the loop may wait for events.
    fn timeout(&self) -> Option<Duration> {
        if !self.unfinished.is_empty() {
            Some(Duration::ZERO)
        } else if self.shutdown.is_triggered() {
            Some(self.next_drain.saturating_duration_since(Instant::now()))
        } else {
            let (deadline, _) = self.deadlines.first()?;
            Some(deadline.saturating_duration_since(Instant::now()))
        }
    }

    /// Takes the connections that were handed over; whether none can come any
    /// more.
    fn take_incoming(&mut self) -> bool {
        loop {
            match self.queue.try_recv() {
                Ok((stream, permit)) => {
                    // A socket that can't be set up is closed, and its permit
                    // is free again.
                    let _ = self.register(stream, permit);
                }
                Err(error) => return error == TryRecvError::Disconnected,
            }
        }
    }

    fn register(&mut self, stream: net::TcpStream, permit: Permit) -> io::Result<()> {
        socket::prepare(&stream)?;
        stream.set_nonblocking(true)?;
        let log = ConnectionLog::begin(&stream, self.config.verbose);
        let mut stream = TcpStream::from_std(stream);
        let index = self.vacant.pop().unwrap_or(self.connections.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self
            .poll
            .registry()
            .register(&mut stream, Token(index), interest);
        if index == self.connections.len() {
            self.connections.push(None);
        }
        if registered.is_err() {
            self.vacant.push(index);
            return registered;
        }
        self.connections[index] = Some(Connection {
            socket: EdgeSocket {
                stream,
                is_drained: false,
                input_ends: false,
            },
            session: Session::new(&self.config),
            store: self.store.clone(),
            listed: None,
            deadline: None,
            log,
            _permit: permit,
        });
        self.watch_deadline(index);
        Ok(())
    }

    fn ready(&mut self, event: &Event) {
        let index = event.token().0;
        if let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) {
            // The end of the input has no edge of its own if it comes with the
            // last bytes.
            connection.socket.input_ends |= event.is_read_closed();
            connection.socket.is_drained = false;
            // One that is listed is driven with the others of its list.
            if connection.listed.is_none() {
                self.drive(index);
            }
        }
    }

    /// A store has woken the loop, for one or more of those that wait for it.
    fn resume_waiting(&mut self) {
        for index in std::mem::take(&mut self.waiting) {
            self.resume(index, Listed::Waiting);
        }
    }

    /// Drives a connection that was listed, if it is still there.
    fn resume(&mut self, index: usize, list: Listed) {
        if let Some(connection) = &mut self.connections[index]
            && connection.listed == Some(list)
        {
            connection.listed = None;
            self.drive(index);
        }
    }

    /// Drives a connection, and closes it if that is its end.
    fn drive(&mut self, index: usize) {
        match self.driven(index) {
            Ok(Driven::SocketNotReady) => self.watch_deadline(index),
            Ok(Driven::StoreNotReady) => self.list(index, Listed::Waiting),
            Ok(Driven::Again) => self.list(index, Listed::Unfinished),
            Err(end) => self.close(index, &end),
        }
    }

    fn driven(&mut self, index: usize) -> Result<Driven, End> {
        let Some(connection) = &mut self.connections[index] else {
            return Ok(Driven::SocketNotReady);
        };
        let Connection {
            socket,
            session,
            store,
            ..
        } = connection;
        let scratch = &mut self.scratch;
        let mut cx = Context::from_waker(&self.store_waker);
        // A panic closes this one connection.
        catch_unwind(AssertUnwindSafe(|| {
            drive(session, socket, scratch, |batch| {
                store.poll_execute(batch, &mut cx)
            })
        }))
        .unwrap_or(Err(End::Panicked))
    }

    fn list(&mut self, index: usize, list: Listed) {
        if let Some(connection) = &mut self.connections[index] {
            connection.listed = Some(list);
            match list {
                Listed::Unfinished => self.unfinished.push(index),
                Listed::Waiting => self.waiting.push(index),
            }
        }
    }

    /// Enters the connection's deadline, if none as early is entered.
    fn watch_deadline(&mut self, index: usize) {
        let Some(connection) = &mut self.connections[index] else {
            return;
        };
        let Some(deadline) = connection.session.deadline() else {
            return;
        };
        if connection.deadline.is_none_or(|entered| deadline < entered) {
            if let Some(entered) = connection.deadline.replace(deadline) {
                self.deadlines.remove(&(entered, index));
            }
            self.deadlines.insert((deadline, index));
        }
    }

    /// Closes the connections whose deadlines are past.
    fn end_late(&mut self) {
        let now = Instant::now();
        while let Some((entered, index)) = self.deadlines.first().copied() {
            if entered > now {
                return;
            }
            self.deadlines.pop_first();
            if let Some(connection) = &mut self.connections[index] {
                connection.deadline = None;
                let unconfirmed = connection.socket.unconfirmed_len();
                match connection.session.late(unconfirmed) {
                    Some(end) => self.close(index, &end),
                    None => self.watch_deadline(index),
                }
            }
        }
    }

    /// Drives every connection after the server was asked to stop.
    fn drain(&mut self) {
        let now = Instant::now();
        if now < self.next_drain {
            return;
        }
        self.next_drain = now + DRAIN_INTERVAL;
        let since_stop = self.shutdown.elapsed();
        for index in 0..self.connections.len() {
            let Some(connection) = &mut self.connections[index] else {
                continue;
            };
            connection.socket.is_drained = false;
            connection.session.drain(since_stop);
            if connection.listed == Some(Listed::Unfinished) {
                continue;
            }
            self.drive(index);
            if let Some(connection) = &mut self.connections[index]
                && connection.listed != Some(Listed::Unfinished)
            {
                let unconfirmed = connection.socket.unconfirmed_len();
                if let Some(end) = connection.session.drained(since_stop, unconfirmed) {
                    self.close(index, &end);
                }
            }
        }
    }

    fn close(&mut self, index: usize, end: &End) {
        if let Some(mut connection) = self.connections[index].take() {
            if let Some(entered) = connection.deadline {
                self.deadlines.remove(&(entered, index));
            }
            connection.log.end(end);
            // It fails when the peer has gone.
            let _ = connection.socket.end_output();
            self.vacant.push(index);
        }
    }
}

/// A socket that is registered for edges: after a read that did not fill its
/// room the next one waits for an event, without asking the kernel again.
struct EdgeSocket {
    stream: TcpStream,
    is_drained: bool,
    input_ends: bool,
}

impl Read for EdgeSocket {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.is_drained {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = self.stream.read(room)?;
        self.is_drained = n < room.len() && !self.input_ends;
        Ok(n)
    }
}

impl Write for EdgeSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for EdgeSocket {
    fn end_output(&mut self) -> io::Result<()> {
        self.stream.shutdown(net::Shutdown::Write)
    }

    fn unconfirmed_len(&self) -> usize {
        socket::unconfirmed_len(&self.stream)
    }
}
