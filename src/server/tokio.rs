//! A task per connection on tokio's runtime, over the same sessions and the
//! same store as the epoll model.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, Read, Write};
use std::net::{self, TcpListener};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::thread;
use std::time::{Duration, Instant};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::net::TcpStream;
use ::tokio::runtime::{self, Runtime};
use ::tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use ::tokio::task::yield_now;
use ::tokio::time::{Sleep, sleep, sleep_until};

use super::accept::accept;
use super::config::{Config, StoreConfig};
use super::connection_limit::{ConnectionLimit, Permit};
use super::counts::{Counts, ThreadCounts};
use super::end::End;
use super::limits::{DRAIN_INTERVAL, DRAIN_MAX};
use super::local_store::LocalStore;
use super::log::ConnectionLog;
use super::nonblocking::{DRIVE_TIME_LONG, Driven, Socket, drive};
use super::refusal::{Reason, Refuser};
#[cfg(feature = "cluster")]
use super::remote_store::RemoteStore;
use super::session::{Scratch, Session};
use super::shutdown::Shutdown;
use super::socket;
use crate::store::Executor;

/// Serves with the tokio model; see [`serve`](super::serve).
pub(super) fn serve(
    listener: TcpListener,
    config: &Config,
    shutdown: &Shutdown,
    counts: &Arc<Counts>,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let runtime = start_runtime()?;
    match &config.store {
        StoreConfig::Memory => {
            let store = LocalStore::start(config, shutdown)?;
            counts.set_store_size(store.size());
            serve_on(runtime, &store, listener, config, shutdown, counts, ready)?;
            store.finish()
        }
        #[cfg(feature = "cluster")]
        StoreConfig::Remote(remote) => {
            let store = runtime.block_on(RemoteStore::connect(remote, &config.log, counts))?;
            serve_on(runtime, &store, listener, config, shutdown, counts, ready)
        }
    }
}

fn start_runtime() -> io::Result<Runtime> {
    runtime::Builder::new_multi_thread()
        .enable_io()
        .enable_time()
        // Sockets are looked at between so many drives of busy tasks; with the
        // default of 61, quiet connections wait long beside them.
        .event_interval(7)
        .build()
}

/// Serves with whatever store stands behind `store`, a clone of it for each
/// connection.
#[cfg(all(test, feature = "epoll"))]
pub(super) fn serve_from<E: Executor + Clone + Send + 'static>(
    store: &E,
    listener: TcpListener,
    config: &Config,
    shutdown: &Shutdown,
    counts: &Arc<Counts>,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let runtime = start_runtime()?;
    serve_on(runtime, store, listener, config, shutdown, counts, ready)
}

/// Serves on a runtime, which ends with it.
fn serve_on<E: Executor + Clone + Send + 'static>(
    runtime: Runtime,
    store: &E,
    listener: TcpListener,
    config: &Config,
    shutdown: &Shutdown,
    counts: &Arc<Counts>,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let limit = ConnectionLimit::new(config);
    let refuser = Refuser::start(&config.log, counts)?;
    let long_drives = Arc::new(Semaphore::new(runtime.metrics().num_workers()));
    let (stop, stopped) = watch::channel(());
    shutdown.on_trigger(move || {
        // With nobody connected nobody listens.
        let _ = stop.send(());
    });

    let admit = |stream| {
        let Some(permit) = limit.acquire(Waker::wake) else {
            return refuser.refuse(stream, Reason::too_many(config));
        };
        let log = ConnectionLog::begin(&config.log, &stream, config.verbose);
        let connection = Connection {
            session: Session::new(config),
            store: store.clone(),
            shutdown: shutdown.clone(),
            long_drives: LongDrives::new(&long_drives),
            took_long: false,
            counts: Arc::clone(counts),
            permit,
        };
        let open = counts.begin_connection();
        let stopped = stopped.clone();
        runtime.spawn(async move {
            let end = connection.serve(stream, stopped).await;
            open.end(&end);
            log.end(&end);
        });
    };
    let accepted = accept(listener, config, shutdown, counts, ready, admit, || {
        limit.make_room(Waker::wake)
    });
    while limit.open() > 0 && shutdown.elapsed() < DRAIN_MAX {
        thread::sleep(DRAIN_INTERVAL);
    }
    config.log.note_cut_off(limit.open());
    runtime.shutdown_timeout(Duration::from_millis(100));
    accepted
}

/// What a connection's task has besides the socket.
struct Connection<E> {
    session: Session,
    store: E,
    shutdown: Shutdown,
    long_drives: LongDrives,
    /// Its last drive took [`DRIVE_TIME_LONG`].
    took_long: bool,
    counts: Arc<Counts>,
    permit: Permit<Waker>,
}

impl<E: Executor> Connection<E> {
    async fn serve(mut self, stream: net::TcpStream, mut stopped: watch::Receiver<()>) -> End {
        let prepare = || {
            socket::prepare(&stream)?;
            stream.set_nonblocking(true)
        };
        let mut stream = match prepare().and_then(|()| TcpStream::from_std(stream)) {
            Ok(stream) => stream,
            Err(error) => return End::Io(error),
        };
        // Of a task there is but one.
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        self.permit.set_owner(waker);
        let end = match self.run(&mut stream, &mut stopped).await {
            Some(end) => end,
            None => self.drain(&mut stream).await,
        };
        // It fails when the peer has gone.
        let _ =
            poll_fn(|cx| Poll::Ready(PollSocket::new(&mut stream, cx.waker()).end_output())).await;
        end
    }

    /// Drives the session until the connection ends; `None` when it is evicted or
    /// the server stops before.
    async fn run(
        &mut self,
        stream: &mut TcpStream,
        stopped: &mut watch::Receiver<()>,
    ) -> Option<End> {
        let mut stopped = pin!(stopped.changed());
        let mut timer = Timer::default();
        poll_fn(|cx| {
            if stopped.as_mut().poll(cx).is_ready() || self.permit.silence().is_evicted() {
                return Poll::Ready(None);
            }
            let _permit = match self.took_long {
                true => Some(ready!(self.long_drives.poll_acquire(cx))),
                false => None,
            };
            match self.drive(stream, cx) {
                Ok(Driven::SocketNotReady | Driven::StoreNotReady) => {}
                Ok(Driven::Again) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(end) => return Poll::Ready(Some(end)),
            }
            loop {
                if timer.poll(self.session.deadline(), cx).is_pending() {
                    return Poll::Pending;
                }
                if let Some(end) = self.session.late(socket::unconfirmed_len(stream)) {
                    return Poll::Ready(Some(end));
                }
            }
        })
        .await
    }

    fn drive(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Result<Driven, End> {
        let mut socket = PollSocket::new(stream, cx.waker());
        let mut cx = Context::from_waker(cx.waker());
        let begun = Instant::now();
        let (driven, ended) = with_local(&self.counts, |Local { scratch, counts }| {
            let driven = drive(&mut self.session, &mut socket, scratch, counts, |batch| {
                self.store.poll_execute(batch, &mut cx)
            });
            let ended = Instant::now();
            counts.drove(begun, ended);
            (driven, ended)
        });
        self.took_long = ended - begun > DRIVE_TIME_LONG;
        self.permit.silence().note(&mut self.session, || ended);
        driven
    }

    /// Drives the session after the connection was evicted, or the server asked
    /// to stop.
    async fn drain(&mut self, stream: &mut TcpStream) -> End {
        self.long_drives.give_up();
        let evicted_at = self.permit.silence().is_evicted().then(Instant::now);
        let end = self.drain_since(evicted_at, stream).await;
        match evicted_at {
            Some(_) => end.of_evicted(),
            None => end,
        }
    }

    async fn drain_since(&mut self, evicted_at: Option<Instant>, stream: &mut TcpStream) -> End {
        loop {
            let since = evicted_at.map_or_else(|| self.shutdown.elapsed(), |at| at.elapsed());
            if let Err(end) = self.session.drain(since) {
                return end;
            }
            match poll_fn(|cx| Poll::Ready(self.drive(stream, cx))).await {
                Ok(Driven::Again) => {
                    yield_now().await;
                    continue;
                }
                Ok(Driven::StoreNotReady) => {
                    woken_or_after(DRAIN_INTERVAL).await;
                    continue;
                }
                Ok(Driven::SocketNotReady) => {}
                Err(end) => return end,
            }
            let unconfirmed = socket::unconfirmed_len(stream);
            if let Err(end) = self.session.drained(unconfirmed) {
                return end;
            }
            sleep(DRAIN_INTERVAL).await;
        }
    }
}

/// Waits until the task is woken for whatever it was driven to wait for, and at
/// most so long.
async fn woken_or_after(interval: Duration) {
    let mut sleep = pin!(sleep(interval));
    let mut is_first = true;
    poll_fn(|cx| match std::mem::take(&mut is_first) {
        true => sleep.as_mut().poll(cx),
        false => Poll::Ready(()),
    })
    .await;
}

/// One connection's access to the permits for drives that take long. There are
/// as many as the runtime has threads, so that no task waits behind many such
/// drives, and whoever asks for little is soon driven.
struct LongDrives {
    semaphore: Arc<Semaphore>,
    acquiring: Option<Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send>>>,
    acquired: Option<OwnedSemaphorePermit>,
}

impl LongDrives {
    fn new(semaphore: &Arc<Semaphore>) -> Self {
        Self {
            semaphore: Arc::clone(semaphore),
            acquiring: None,
            acquired: None,
        }
    }

    /// Leaves its place to others.
    fn give_up(&mut self) {
        (self.acquiring, self.acquired) = (None, None);
    }

    /// A permit, when those who asked before have had theirs.
    fn poll_acquire(&mut self, cx: &mut Context<'_>) -> Poll<OwnedSemaphorePermit> {
        if let Some(permit) = self.acquired.take() {
            return Poll::Ready(permit);
        }
        let acquiring = self.acquiring.get_or_insert_with(|| {
            let acquire = Arc::clone(&self.semaphore).acquire_owned();
            Box::pin(async { acquire.await.expect("nobody closes it") })
        });
        let permit = ready!(acquiring.as_mut().poll(cx));
        self.acquiring = None;
        // A permit that is passed on wakes its task to run next; others that
        // were ready before it run first.
        self.acquired = Some(permit);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// What a thread of the runtime has for all connections.
struct Local {
    scratch: Scratch,
    counts: ThreadCounts,
}

/// Runs `use_it` with what the runtime's thread has that this runs on. A runtime
/// is one server's, and so are its threads.
fn with_local<T>(counts: &Arc<Counts>, use_it: impl FnOnce(&mut Local) -> T) -> T {
    thread_local! {
        static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) };
    }
    LOCAL.with_borrow_mut(|local| {
        use_it(local.get_or_insert_with(|| Local {
            scratch: Scratch::default(),
            counts: counts.of_thread(),
        }))
    })
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
struct PollSocket<'a> {
    stream: Pin<&'a mut TcpStream>,
    cx: Context<'a>,
}

impl<'a> PollSocket<'a> {
    fn new(stream: &'a mut TcpStream, waker: &'a Waker) -> Self {
        Self {
            stream: Pin::new(stream),
            cx: Context::from_waker(waker),
        }
    }
}

fn or_would_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl Read for PollSocket<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut room = ReadBuf::new(room);
        or_would_block(self.stream.as_mut().poll_read(&mut self.cx, &mut room))?;
        Ok(room.filled().len())
    }
}

impl Write for PollSocket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        or_would_block(self.stream.as_mut().poll_write(&mut self.cx, bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        or_would_block(
            self.stream
                .as_mut()
                .poll_write_vectored(&mut self.cx, slices),
        )
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for PollSocket<'_> {
    fn end_output(&mut self) -> io::Result<()> {
        or_would_block(self.stream.as_mut().poll_shutdown(&mut self.cx))
    }

    fn unconfirmed_len(&self) -> usize {
        socket::unconfirmed_len(&*self.stream)
    }
}
