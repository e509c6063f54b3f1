//! A task per connection on tokio's runtime, over the same sessions and the
//! same shards as the epoll model.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, Read, Write};
use std::net::{self, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::net::TcpStream;
use ::tokio::runtime;
use ::tokio::sync::watch;
use ::tokio::time::{Sleep, sleep, sleep_until};

use super::census::{Census, Place};
use super::end::End;
use super::limits::{LAST_LOOK_INTERVAL, STOP_PATIENCE};
use super::log::ConnectionLog;
use super::refusal::{Reason, Refuser};
use super::session::{Scratch, Session, Socket, Turn};
use super::{Config, Shutdown, accept, socket};
use crate::store::shards::Shards;

/// Serves with the tokio model; see [`serve`](super::serve).
pub(super) fn serve(
    listener: TcpListener,
    config: &Config,
    shutdown: &Shutdown,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let runtime = runtime::Builder::new_multi_thread()
        .enable_io()
        .enable_time()
        // Sockets are looked at between so many turns of busy tasks; with the
        // default of 61, quiet connections wait long beside them.
        .event_interval(7)
        .build()?;
    let store = Arc::new(Shards::default());
    let census = Census::new(config.connections_max);
    let refuser = Refuser::start()?;
    let (stop, stopped) = watch::channel(());
    shutdown.on_trigger(move || {
        // With nobody connected nobody listens.
        let _ = stop.send(());
    });

    let accepted = accept(listener, config, shutdown, ready, |stream| {
        let Some(place) = census.enter() else {
            return refuser.refuse(stream, Reason::too_many(config));
        };
        let task = Task {
            store: Arc::clone(&store),
            shutdown: shutdown.clone(),
            stopped: stopped.clone(),
            _place: place,
        };
        let log = ConnectionLog::begin(&stream, config.verbose);
        let session = Session::new(config);
        runtime.spawn(async move {
            let end = task.serve(stream, session).await;
            log.end(&end);
        });
    });
    while census.open() > 0 && shutdown.elapsed() < STOP_PATIENCE {
        thread::sleep(LAST_LOOK_INTERVAL);
    }
    runtime.shutdown_timeout(Duration::from_millis(100));
    accepted?;
    store.check()
}

/// What a connection's task has besides the connection.
struct Task {
    store: Arc<Shards>,
    shutdown: Shutdown,
    stopped: watch::Receiver<()>,
    _place: Place,
}

impl Drop for Task {
    fn drop(&mut self) {
        // tokio keeps a panic to its task; a broken store must not go on.
        if thread::panicking() && self.store.is_broken() {
            self.shutdown.trigger();
        }
    }
}

impl Task {
    async fn serve(mut self, stream: net::TcpStream, mut session: Session) -> End {
        let prepare = || {
            socket::prepare(&stream)?;
            stream.set_nonblocking(true)
        };
        let mut stream = match prepare().and_then(|()| TcpStream::from_std(stream)) {
            Ok(stream) => stream,
            Err(error) => return End::Io(error),
        };
        let end = match self.turns(&mut stream, &mut session).await {
            Some(end) => end,
            None => self.last_looks(&mut stream, &mut session).await,
        };
        // It fails when the peer has gone.
        let _ = poll_fn(|cx| Poll::Ready(PollSocket::new(&mut stream, cx).end_output())).await;
        end
    }

    /// Gives the session its turns until the connection ends; `None` when the
    /// server stops before.
    async fn turns(&mut self, stream: &mut TcpStream, session: &mut Session) -> Option<End> {
        let mut stopped = pin!(self.stopped.changed());
        let mut timer = Timer::default();
        poll_fn(|cx| {
            if stopped.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            match with_scratch(|scratch| {
                let mut socket = PollSocket::new(stream, cx);
                session.turn(&mut socket, &self.store, scratch)
            }) {
                Ok(Turn::NotReady) => {}
                Ok(Turn::Again) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(end) => return Poll::Ready(Some(end)),
            }
            loop {
                if timer.poll(session.deadline(), cx).is_pending() {
                    return Poll::Pending;
                }
                if let Some(end) = session.late(stream) {
                    return Poll::Ready(Some(end));
                }
            }
        })
        .await
    }

    async fn last_looks(&self, stream: &mut TcpStream, session: &mut Session) -> End {
        loop {
            let looked = poll_fn(|cx| {
                let mut socket = PollSocket::new(stream, cx);
                Poll::Ready(with_scratch(|scratch| {
                    session.last_look(&mut socket, &self.store, scratch, &self.shutdown)
                }))
            });
            if let Err(end) = looked.await {
                return end;
            }
            sleep(LAST_LOOK_INTERVAL).await;
        }
    }
}

/// Lends the buffers of the runtime's thread that this runs on.
fn with_scratch<T>(use_it: impl FnOnce(&mut Scratch) -> T) -> T {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    SCRATCH.with_borrow_mut(use_it)
}

/// Sleeps until a deadline that moves; takes no memory while there is none.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready when the deadline is past.
    fn poll(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline else {
            self.0 = None;
            return Poll::Pending;
        };
        let deadline = deadline.into();
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}

/// A socket during one poll of its task: where it would block, it has the
/// task woken when it is ready.
struct PollSocket<'a, 'b> {
    stream: Pin<&'a mut TcpStream>,
    cx: &'a mut Context<'b>,
}

impl<'a, 'b> PollSocket<'a, 'b> {
    fn new(stream: &'a mut TcpStream, cx: &'a mut Context<'b>) -> Self {
        Self {
            stream: Pin::new(stream),
            cx,
        }
    }
}

fn or_would_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl Read for PollSocket<'_, '_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut room = ReadBuf::new(room);
        or_would_block(self.stream.as_mut().poll_read(self.cx, &mut room))?;
        Ok(room.filled().len())
    }
}

impl Write for PollSocket<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        or_would_block(self.stream.as_mut().poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        or_would_block(self.stream.as_mut().poll_write_vectored(self.cx, slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for PollSocket<'_, '_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Socket for PollSocket<'_, '_> {
    fn end_output(&mut self) -> io::Result<()> {
        or_would_block(self.stream.as_mut().poll_shutdown(self.cx))
    }
}
