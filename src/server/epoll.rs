//! One event loop per core. Each owns its connections from first byte to last
//! and takes the locks of the store's shards itself: no request changes threads.

use std::collections::BTreeSet;
use std::io::{self, IoSlice, Read, Write};
use std::net::{self, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};

use super::census::{Census, Place};
use super::end::End;
use super::limits::LAST_LOOK_INTERVAL;
use super::log::ConnectionLog;
use super::refusal::{Reason, Refuser};
use super::session::{Scratch, Session, Socket, Turn};
use super::{Config, Shutdown, accept, socket};
use crate::store::shards::Shards;

/// Serves with the epoll model; see [`serve`](super::serve).
pub(super) fn serve(
    listener: TcpListener,
    config: &Config,
    shutdown: &Shutdown,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let store = Arc::new(Shards::default());
    let census = Census::new(config.connections_max);
    let refuser = Refuser::start()?;
    let cores = thread::available_parallelism()?.get();
    let loops = (0..cores)
        .map(|_| start_loop(&store, config, shutdown))
        .collect::<io::Result<Vec<_>>>()
        .inspect_err(|_| shutdown.trigger())?;

    // In turn: left to the kernel, they would all land on one loop.
    let mut turns = loops.iter().cycle();
    let accepted = accept(listener, config, shutdown, ready, |stream| {
        match (census.enter(), turns.next()) {
            (Some(place), Some(next)) => next.hand_over(stream, place),
            _ => refuser.refuse(stream, Reason::too_many(config)),
        }
    });
    // The loops end only when they are told, also if it never began.
    shutdown.trigger();
    for EventLoop {
        thread, newcomers, ..
    } in loops
    {
        // Without a sender the loop knows that nobody else comes.
        drop(newcomers);
        // A panic outside of a connection's turn is one of ours.
        if thread.join().is_err() {
            return Err(io::Error::other(
                "an event loop panicked; report the panic above",
            ));
        }
    }
    accepted?;
    store.check()
}

/// A running loop, as the accept loop sees it.
struct EventLoop {
    newcomers: Sender<(net::TcpStream, Place)>,
    waker: Arc<Waker>,
    thread: thread::JoinHandle<()>,
}

impl EventLoop {
    fn hand_over(&self, stream: net::TcpStream, place: Place) {
        // A loop that has panicked takes nobody, and the server stops.
        let _ = self.newcomers.send((stream, place));
        let _ = self.waker.wake();
    }
}

fn start_loop(store: &Arc<Shards>, config: &Config, shutdown: &Shutdown) -> io::Result<EventLoop> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    shutdown.on_trigger({
        let waker = Arc::clone(&waker);
        move || drop(waker.wake())
    });
    let (newcomers, queue) = channel();
    let runner = Runner {
        poll,
        queue,
        store: Arc::clone(store),
        config: config.clone(),
        shutdown: shutdown.clone(),
        connections: Vec::new(),
        vacant: Vec::new(),
        deadlines: BTreeSet::new(),
        unfinished: Vec::new(),
        next_look: Instant::now(),
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
        newcomers,
        waker,
        thread,
    })
}

const WAKER: Token = Token(usize::MAX);

/// What one loop's thread owns.
struct Runner {
    poll: Poll,
    queue: Receiver<(net::TcpStream, Place)>,
    store: Arc<Shards>,
    config: Config,
    shutdown: Shutdown,
    /// A connection's index is its token.
    connections: Vec<Option<Connection>>,
    vacant: Vec<usize>,
    /// Of connections that have one. An entry may be earlier than the
    /// connection's deadline is by now, never later.
    deadlines: BTreeSet<(Instant, usize)>,
    /// Connections whose turn ended with more to do.
    unfinished: Vec<usize>,
    /// When the next of the last looks is due, once the server has to stop.
    next_look: Instant,
    scratch: Scratch,
}

struct Connection {
    socket: EdgeSocket,
    session: Session,
    /// Whether it is among the loop's `unfinished`.
    is_unfinished: bool,
    /// Its entry in the loop's `deadlines`.
    deadline: Option<Instant>,
    log: ConnectionLog,
    _place: Place,
}

impl Runner {
    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for index in std::mem::take(&mut self.unfinished) {
                self.turn(index);
            }
            for event in &events {
                if event.token() != WAKER {
                    self.ready(event);
                }
            }
            let nobody_comes = self.welcome();
            if self.shutdown.is_triggered() {
                self.last_looks();
                if nobody_comes && self.vacant.len() == self.connections.len() {
                    return Ok(());
                }
            } else {
                self.end_late();
            }
        }
    }

    /// How long the loop may wait for events.
    fn patience(&self) -> Option<Duration> {
        if !self.unfinished.is_empty() {
            Some(Duration::ZERO)
        } else if self.shutdown.is_triggered() {
            Some(self.next_look.saturating_duration_since(Instant::now()))
        } else {
            let (deadline, _) = self.deadlines.first()?;
            Some(deadline.saturating_duration_since(Instant::now()))
        }
    }

    /// Takes in the connections that were handed over; whether none can come
    /// any more.
    fn welcome(&mut self) -> bool {
        loop {
            match self.queue.try_recv() {
                Ok((stream, place)) => {
                    // A socket that can't be set up is closed, and its place
                    // is free again.
                    let _ = self.take_in(stream, place);
                }
                Err(error) => return error == TryRecvError::Disconnected,
            }
        }
    }

    fn take_in(&mut self, stream: net::TcpStream, place: Place) -> io::Result<()> {
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
            is_unfinished: false,
            deadline: None,
            log,
            _place: place,
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
            // One that is unfinished gets its turn with the others.
            if !connection.is_unfinished {
                self.turn(index);
            }
        }
    }

    /// Gives a connection its turn, and closes it if that is its end.
    fn turn(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        let Connection {
            socket,
            session,
            is_unfinished,
            ..
        } = connection;
        *is_unfinished = false;
        let (store, scratch) = (&*self.store, &mut self.scratch);
        // A panic closes this one connection.
        let turn = catch_unwind(AssertUnwindSafe(|| session.turn(socket, store, scratch)));
        match turn {
            Ok(Ok(Turn::NotReady)) => self.watch_deadline(index),
            Ok(Ok(Turn::Again)) => {
                *is_unfinished = true;
                self.unfinished.push(index);
            }
            Ok(Err(end)) => self.close(index, &end),
            Err(_) => self.close(index, &End::Panicked),
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
                match connection.session.late(&connection.socket) {
                    Some(end) => self.close(index, &end),
                    None => self.watch_deadline(index),
                }
            }
        }
    }

    /// Gives every connection a turn after the server was asked to stop.
    fn last_looks(&mut self) {
        let now = Instant::now();
        if now < self.next_look {
            return;
        }
        self.next_look = now + LAST_LOOK_INTERVAL;
        for index in 0..self.connections.len() {
            let Some(connection) = &mut self.connections[index] else {
                continue;
            };
            connection.socket.is_drained = false;
            let Connection {
                socket, session, ..
            } = connection;
            let (store, scratch) = (&*self.store, &mut self.scratch);
            let shutdown = &self.shutdown;
            let looked = catch_unwind(AssertUnwindSafe(|| {
                session.last_look(socket, store, scratch, shutdown)
            }));
            match looked {
                Ok(Ok(())) => {}
                Ok(Err(end)) => self.close(index, &end),
                Err(_) => self.close(index, &End::Panicked),
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
        if self.store.is_broken() {
            self.shutdown.trigger();
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

impl AsFd for EdgeSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Socket for EdgeSocket {
    fn end_output(&mut self) -> io::Result<()> {
        self.stream.shutdown(net::Shutdown::Write)
    }
}
