//! One event loop: which of its connections is driven when.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::edge_socket::EdgeSocket;
use super::incoming::{Incoming, Owner};
use super::loop_waker::{LoopWaker, WAKER};
use crate::server::config::Config;
use crate::server::connection_limit::Permit;
use crate::server::counts::{OpenConnection, ThreadCounts};
use crate::server::end::End;
use crate::server::limits::DRAIN_INTERVAL;
use crate::server::log::ConnectionLog;
use crate::server::nonblocking::{DRIVE_TIME_LONG, Driven, Socket, drive};
use crate::server::session::{Scratch, Session};
use crate::server::shutdown::Shutdown;
use crate::server::socket;
use crate::store::Executor;

/// What a loop waits for.
pub(super) struct Inbox {
    pub(super) poll: Poll,
    pub(super) queue: Receiver<Incoming>,
    /// Ends the wait.
    pub(super) waker: Arc<LoopWaker>,
}

/// What one loop's thread owns.
pub(super) struct Runner<E> {
    /// Which of the loops it is.
    number: usize,
    inbox: Inbox,
    /// The inbox's, for a store that has kept somebody waiting.
    waker: Waker,
    store: E,
    config: Config,
    shutdown: Shutdown,
    /// A connection's index is its token.
    connections: Vec<Option<Connection<E>>>,
    vacant: Vec<usize>,
    /// Of connections that have one. An entry may be earlier than the
    /// connection's deadline is by now, never later.
    deadlines: BTreeSet<(Instant, usize)>,
    /// Connections whose drive ended with more to do, or that took long when
    /// they were last driven.
    unfinished: VecDeque<usize>,
    /// When the last drive ended, or the last wait, or late connections were last
    /// looked for.
    now: Instant,
    /// Connections whose batches the store has.
    waiting: Vec<usize>,
    /// Connections that were evicted and drain, and since when.
    evicted: Vec<(usize, Instant)>,
    /// When draining connections are driven again.
    next_drain: Instant,
    scratch: Scratch,
    counts: ThreadCounts,
}

struct Connection<E> {
    socket: EdgeSocket,
    session: Session,
    store: E,
    /// Which of the loop's lists it is in, if it is not the socket that it
    /// waits for.
    listed: Option<Listed>,
    /// Its last drive took [`DRIVE_TIME_LONG`].
    took_long: bool,
    /// Its entry in the loop's `deadlines`.
    deadline: Option<Instant>,
    log: ConnectionLog,
    open: OpenConnection,
    permit: Permit<Owner>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    Unfinished,
    Waiting,
}

impl<E: Executor + Clone> Runner<E> {
    /// A loop without connections; they come through the inbox.
    pub(super) fn new(
        number: usize,
        inbox: Inbox,
        store: E,
        config: &Config,
        shutdown: &Shutdown,
        counts: ThreadCounts,
    ) -> Self {
        Self {
            number,
            waker: Arc::clone(&inbox.waker).into(),
            inbox,
            store,
            config: config.clone(),
            shutdown: shutdown.clone(),
            connections: Vec::new(),
            vacant: Vec::new(),
            deadlines: BTreeSet::new(),
            unfinished: VecDeque::new(),
            now: Instant::now(),
            waiting: Vec::new(),
            evicted: Vec::new(),
            next_drain: Instant::now(),
            scratch: Scratch::default(),
            counts,
        }
    }

    /// Serves its connections until the stop, and until nobody comes any more.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            match self.inbox.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            self.now = Instant::now();
            let begun = self.now;
            for event in &events {
                match event.token() {
                    WAKER => {
                        self.inbox.waker.heard();
                        self.resume_waiting();
                    }
                    _ => self.ready(event),
                }
            }
            self.resume_unfinished(self.now - begun);
            let nobody_comes = self.take_incoming();
            if self.shutdown.is_triggered() {
                self.drain();
                if nobody_comes && self.vacant.len() == self.connections.len() {
                    return Ok(());
                }
            } else {
                self.drain_evicted();
                self.end_late();
            }
            self.counts.drove(begun, self.now);
        }
    }

    /// How long the loop may wait for events.
    fn timeout(&self) -> Option<Duration> {
        if !self.unfinished.is_empty() {
            Some(Duration::ZERO)
        } else if self.shutdown.is_triggered() {
            Some(self.next_drain.saturating_duration_since(Instant::now()))
        } else {
            let deadline = self.deadlines.first().map(|(deadline, _)| *deadline);
            let drain = (!self.evicted.is_empty()).then_some(self.next_drain);
            let until = deadline.into_iter().chain(drain).min()?;
            Some(until.saturating_duration_since(Instant::now()))
        }
    }

    /// Takes what the accept loop has sent; whether no connection can come any
    /// more.
    fn take_incoming(&mut self) -> bool {
        loop {
            match self.inbox.queue.try_recv() {
                Ok(Incoming::Eviction(index)) => self.evicted.push((index, self.now)),
                Ok(Incoming::Connection(stream, permit)) => {
                    // A socket that can't be set up is closed, and its permit
                    // is free again.
                    let _ = self.register(stream, permit);
                }
                Err(error) => return error == TryRecvError::Disconnected,
            }
        }
    }

    fn register(&mut self, stream: net::TcpStream, permit: Permit<Owner>) -> io::Result<()> {
        socket::prepare(&stream)?;
        stream.set_nonblocking(true)?;
        let log = ConnectionLog::begin(&self.config.log, &stream, self.config.verbose);
        let mut stream = TcpStream::from_std(stream);
        let index = self.vacant.pop().unwrap_or(self.connections.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self
            .inbox
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
        permit.set_owner(Owner {
            number: self.number as u32,
            token: index as u32,
        });
        self.connections[index] = Some(Connection {
            socket: EdgeSocket::new(stream),
            session: Session::new(&self.config),
            store: self.store.clone(),
            listed: None,
            took_long: false,
            deadline: None,
            log,
            open: self.counts.begin_connection(),
            permit,
        });
        self.note_silence(index);
        self.watch_deadline(index);
        Ok(())
    }

    fn ready(&mut self, event: &Event) {
        let index = event.token().0;
        if let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) {
            connection.socket.ready(event);
            // One that is listed is driven with the others of its list.
            if connection.listed.is_none() {
                if connection.took_long {
                    self.list(index, Listed::Unfinished);
                } else {
                    self.drive(index);
                }
            }
        }
    }

    /// A store has woken the loop, for one or more of those that wait for it.
    fn resume_waiting(&mut self) {
        for index in std::mem::take(&mut self.waiting) {
            self.resume(index, Listed::Waiting);
        }
    }

    /// Drives those that are unfinished for as long as the others took, but at
    /// least one: so they get half of the loop's time when it is short, and
    /// those that ask for little need not wait for all of them.
    fn resume_unfinished(&mut self, others_took: Duration) {
        let until = self.now + others_took.max(DRIVE_TIME_LONG);
        while let Some(index) = self.unfinished.pop_front() {
            self.resume(index, Listed::Unfinished);
            if self.now >= until {
                return;
            }
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
        let driven = self.driven(index);
        self.note_silence(index);
        match driven {
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
        let (scratch, counts) = (&mut self.scratch, &mut self.counts);
        let mut cx = Context::from_waker(&self.waker);
        // A panic closes this one connection.
        let driven = catch_unwind(AssertUnwindSafe(|| {
            drive(session, socket, scratch, counts, |batch| {
                store.poll_execute(batch, &mut cx)
            })
        }));
        let begun = std::mem::replace(&mut self.now, Instant::now());
        connection.took_long = self.now - begun > DRIVE_TIME_LONG;
        driven.unwrap_or(Err(End::Panicked))
    }

    fn note_silence(&mut self, index: usize) {
        if let Some(connection) = &mut self.connections[index] {
            let silence = connection.permit.silence();
            silence.note(&mut connection.session, || self.now);
        }
    }

    fn list(&mut self, index: usize, list: Listed) {
        if let Some(connection) = &mut self.connections[index] {
            connection.listed = Some(list);
            match list {
                Listed::Unfinished => self.unfinished.push_back(index),
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
        self.now = Instant::now();
        while let Some((entered, index)) = self.deadlines.first().copied() {
            if entered > self.now {
                return;
            }
            self.deadlines.pop_first();
            if let Some(connection) = &mut self.connections[index] {
                connection.deadline = None;
                if connection.listed == Some(Listed::Unfinished) {
                    // What has arrived may not be read yet. Its next drive
                    // enters a deadline again.
                    continue;
                }
                let unconfirmed = connection.socket.unconfirmed_len();
                match connection.session.late(unconfirmed) {
                    Some(end) => self.close(index, &end),
                    None => self.watch_deadline(index),
                }
            }
        }
    }

    /// Drives every connection after the server was asked to stop, and closes
    /// those that have drained or had their time.
    fn drain(&mut self) {
        let now = Instant::now();
        if now < self.next_drain {
            return;
        }
        self.next_drain = now + DRAIN_INTERVAL;
        let since_stop = self.shutdown.elapsed();
        for index in 0..self.connections.len() {
            if let Err(end) = self.drain_one(index, since_stop) {
                self.close(index, &end);
            }
        }
    }

    /// Drives the connections that were evicted, and closes those that have
    /// drained or had their time.
    fn drain_evicted(&mut self) {
        if self.evicted.is_empty() || self.now < self.next_drain {
            return;
        }
        self.next_drain = self.now + DRAIN_INTERVAL;
        let mut evicted = std::mem::take(&mut self.evicted);
        evicted.retain(|(index, since)| {
            let connection = self.connections[*index].as_ref();
            // It may have ended, and its index be another's.
            let is_there = connection.is_some_and(|it| it.permit.silence().is_evicted());
            let since = self.now.saturating_duration_since(*since);
            match is_there.then(|| self.drain_one(*index, since)) {
                Some(Ok(())) => true,
                Some(Err(end)) => {
                    self.close(*index, &end.of_evicted());
                    false
                }
                None => false,
            }
        });
        self.evicted = evicted;
    }

    fn drain_one(&mut self, index: usize, since_stop: Duration) -> Result<(), End> {
        let Some(connection) = &mut self.connections[index] else {
            return Ok(());
        };
        connection.session.drain(since_stop)?;
        connection.socket.read_anyway();
        if connection.listed.is_none() {
            self.drive(index);
        }
        match &mut self.connections[index] {
            Some(connection) if connection.listed.is_none() => {
                let unconfirmed = connection.socket.unconfirmed_len();
                connection.session.drained(unconfirmed)
            }
            _ => Ok(()),
        }
    }

    fn close(&mut self, index: usize, end: &End) {
        if let Some(mut connection) = self.connections[index].take() {
            if let Some(entered) = connection.deadline {
                self.deadlines.remove(&(entered, index));
            }
            connection.open.end(end);
            connection.log.end(end);
            // It fails when the peer has gone.
            let _ = connection.socket.end_output();
            self.vacant.push(index);
        }
    }
}
