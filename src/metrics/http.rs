//! Answers for the metrics over HTTP, on one thread of its own and within bounds
//! of its own: whatever comes here, the service goes on.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net;
use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use super::exposition::{Exposition, Format};
use super::page::PAGE;

/// Connections at the same time; more are closed at once.
const CONNECTIONS_MAX: usize = 32;

/// How long the head of a request may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may take in all. It has one request.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest head of a request, in bytes, and what is read at a time.
const HEADER_LEN_MAX: usize = 8 << 10;

/// Between two connections that are accepted. It bounds what a flood costs, and
/// is not noticed by those who ask once in a second.
const ACCEPT_INTERVAL: Duration = Duration::from_millis(2);

/// To answer takes the processor for this part of the time, at most.
const ANSWERING_SHARE: u32 = 5;

/// How long to wait when accepting fails, as it does without descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The thread that answers. Dropped, it ends.
pub(crate) struct Http {
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Http {
    /// Answers on the listener with what the exposition has to tell.
    pub(crate) fn start(listener: net::TcpListener, exposition: Exposition) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let listener = {
            let _context = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || {
                let tasks = LocalSet::new();
                let answers = Rc::new(Answers {
                    exposition,
                    connections: Cell::new(0),
                    busy: Cell::default(),
                });
                tasks.spawn_local(accept_all(listener, answers));
                // It ends when its sender is dropped.
                let _ = tasks.block_on(&runtime, stopped);
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // After a panic there is nothing left to wait for.
            let _ = thread.join();
        }
    }
}

/// What all connections share.
struct Answers {
    exposition: Exposition,
    connections: Cell<usize>,
    /// The time that answering took since the last connection was accepted.
    busy: Cell<Duration>,
}

async fn accept_all(listener: TcpListener, answers: Rc<Answers>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Some(place) = Place::take(&answers) {
                    spawn_local(serve(stream, place));
                }
                let pause = answers.busy.take() * (ANSWERING_SHARE - 1);
                sleep(pause.max(ACCEPT_INTERVAL)).await;
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// One of the connections that there may be.
struct Place(Rc<Answers>);

impl Place {
    fn take(answers: &Rc<Answers>) -> Option<Self> {
        let connections = answers.connections.get();
        (connections < CONNECTIONS_MAX).then(|| {
            answers.connections.set(connections + 1);
            Self(Rc::clone(answers))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
    }
}

/// Answers one request.
async fn serve(stream: TcpStream, place: Place) {
    let answers = &place.0;
    let service = service_fn(|request: Request<Incoming>| {
        let begun = Instant::now();
        let response = answers.answer(&request);
        answers.busy.set(answers.busy.get() + begun.elapsed());
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_header_size(HEADER_LEN_MAX)
        .max_buf_size(HEADER_LEN_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // It fails when the peer is late or gone, or speaks no HTTP, and hyper has
    // told it so.
    let _ = timeout(CONNECTION_TIMEOUT, connection).await;
}

impl Answers {
    fn answer(&self, request: &Request<Incoming>) -> Response<String> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let sentence = "Nothing can be changed here; ask with GET.\n";
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, sentence);
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allowed);
            return response;
        }
        match request.uri().path() {
            "/metrics" => self.metrics(wanted(request)),
            "/" => page(),
            _ => plain(
                StatusCode::NOT_FOUND,
                "There is nothing here; / has a page to look at, and /metrics what Prometheus \
                 reads.\n",
            ),
        }
    }

    fn metrics(&self, format: Format) -> Response<String> {
        match self.exposition.text(format) {
            Ok(text) => respond(StatusCode::OK, format.content_type(), text),
            // A String takes all that is written to it.
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        }
    }
}

/// OpenMetrics for who names it, as Prometheus does.
fn wanted(request: &Request<Incoming>) -> Format {
    let accepted = request.headers().get_all(header::ACCEPT);
    let mut ranges = accepted
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    match ranges.any(is_openmetrics) {
        true => Format::OpenMetrics,
        false => Format::Prometheus,
    }
}

/// Whether a part of an Accept header is that, and not to say that it is unwanted.
fn is_openmetrics(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let is_named = parts
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
    let quality = parts.find_map(|part| part.strip_prefix("q="));
    is_named && quality.is_none_or(|quality| quality.parse() != Ok(0.0))
}

fn page() -> Response<String> {
    let mut response = respond(StatusCode::OK, "text/html; charset=utf-8", PAGE.to_owned());
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
             connect-src 'self'; img-src data:",
        ),
    );
    response
}

fn plain(status: StatusCode, sentence: &str) -> Response<String> {
    respond(status, "text/plain; charset=utf-8", sentence.to_owned())
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}
