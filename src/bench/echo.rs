//! The floor under each way of doing I/O: a server that returns what comes,
//! unread. What it costs is what the kernel costs, and nothing can be faster
//! that moves bytes in the same way.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::server::Model;

/// How an echo moves bytes: as the model of the same name does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EchoModel {
    /// Blocking, a thread for each connection.
    #[default]
    Threads,
    /// An event loop for each core.
    Epoll,
}

impl EchoModel {
    /// Every echo, in the order of the models.
    pub const ALL: [Self; 2] = [Self::Threads, Self::Epoll];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Threads => Model::Threads.name(),
            Self::Epoll => Model::Epoll.name(),
        }
    }
}

impl fmt::Display for EchoModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EchoModel {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut echoes = Self::ALL.into_iter();
        echoes.find(|echo| echo.name() == name).ok_or_else(|| {
            format!(
                "there is no echo {name:?}; choose one of {}",
                Self::ALL.map(Self::name).join(", ")
            )
        })
    }
}

/// Bytes that are read before they are returned.
const BUFFER_LEN: usize = 64 << 10;

/// The stack of a thread that echoes, in bytes: room for the buffer.
const STACK_LEN: usize = 256 << 10;

/// How long to rest after a connection that could not be accepted.
const REST: Duration = Duration::from_millis(5);

/// Echoes what comes on the listener's connections until the process ends.
///
/// A connection that can't be accepted or have its thread is dropped. Fails
/// when the event loops can't be had.
pub fn serve(listener: &TcpListener, model: EchoModel) -> io::Result<()> {
    match model {
        EchoModel::Threads => serve_with_threads(listener),
        EchoModel::Epoll => serve_with_loops(listener),
    }
}

fn serve_with_threads(listener: &TcpListener) -> io::Result<()> {
    for stream in listener.incoming() {
        let Some(mut stream) = accepted(stream) else {
            continue;
        };
        // Without a thread it is dropped, and the others stay.
        let _ = thread::Builder::new().stack_size(STACK_LEN).spawn(move || {
            let mut buffer = [0; BUFFER_LEN];
            while let Ok(n @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..n]).is_err() {
                    break;
                }
            }
        });
    }
    Ok(())
}

/// The stream, ready to be used. `None` when it is over already, or there was
/// no descriptor for it.
fn accepted(stream: io::Result<std::net::TcpStream>) -> Option<std::net::TcpStream> {
    let ready = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    if ready.is_err() {
        // The next may fail in the same way, at once.
        thread::sleep(REST);
    }
    ready.ok()
}

fn serve_with_loops(listener: &TcpListener) -> io::Result<()> {
    let loops = (0..thread::available_parallelism()?.get())
        .map(|_| start_loop())
        .collect::<io::Result<Vec<_>>>()?;
    // In turn, as the epoll model hands them out.
    for (stream, (incoming, waker)) in listener.incoming().zip(loops.iter().cycle()) {
        let Some(stream) = accepted(stream) else {
            continue;
        };
        if stream.set_nonblocking(true).is_err() {
            continue;
        }
        incoming
            .send(TcpStream::from_std(stream))
            .map_err(|_| io::Error::other("an event loop has ended"))?;
        waker.wake()?;
    }
    Ok(())
}

const WAKER: Token = Token(usize::MAX);

fn start_loop() -> io::Result<(Sender<TcpStream>, Arc<Waker>)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let (sender, incoming) = channel();
    thread::spawn(move || run_loop(poll, &incoming));
    Ok((sender, waker))
}

fn run_loop(mut poll: Poll, incoming: &Receiver<TcpStream>) {
    let mut events = Events::with_capacity(1024);
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut vacant = Vec::new();
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        if poll.poll(&mut events, None).is_err() {
            continue;
        }
        for event in &events {
            let index = event.token().0;
            let Some(slot) = connections.get_mut(index) else {
                continue;
            };
            let ends = event.is_read_closed();
            if slot
                .as_mut()
                .is_some_and(|connection| connection.echo(&mut buffer, ends).is_err())
            {
                *slot = None;
                vacant.push(index);
            }
        }
        for mut stream in incoming.try_iter() {
            let index = vacant.pop().unwrap_or(connections.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registered = poll
                .registry()
                .register(&mut stream, Token(index), interest);
            let connection = registered.is_ok().then(|| Connection {
                stream,
                pending: Vec::new(),
            });
            if connection.is_none() {
                vacant.push(index);
            }
            match connections.get_mut(index) {
                Some(slot) => *slot = connection,
                None => connections.push(connection),
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    /// What was read and the socket has not taken; nothing is read meanwhile.
    pending: Vec<u8>,
}

impl Connection {
    /// Echoes what is there. Fails when the connection is over.
    fn echo(&mut self, buffer: &mut [u8], ends: bool) -> io::Result<()> {
        loop {
            if !self.pending.is_empty() {
                let n = write(&mut self.stream, &self.pending)?;
                self.pending.drain(..n);
                if !self.pending.is_empty() {
                    return Ok(());
                }
            }
            let n = match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let written = write(&mut self.stream, &buffer[..n])?;
            self.pending.extend_from_slice(&buffer[written..n]);
            if n < buffer.len() && self.pending.is_empty() && !ends {
                return Ok(());
            }
        }
    }
}

/// Writes what the socket takes; how much that is.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(n) => written += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}
