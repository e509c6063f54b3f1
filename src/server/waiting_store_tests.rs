//! Claims about the models with a store that lets them wait, as one behind a
//! network or a disk does.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Config, Model, Shutdown, epoll, tokio};
use crate::protocol::frame::{self, read_frame};
use crate::store::shards::Shards;
use crate::store::{Batch, Executor, StoreLost};

const TIMEOUT: Duration = Duration::from_secs(20);

/// What a [`GatedStore`] does with batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Closed,
    Open,
    Lost,
}

/// Executes nothing until its gate opens.
#[derive(Clone)]
struct GatedStore(Arc<Gated>);

struct Gated {
    shards: Shards,
    state: Mutex<State>,
}

struct State {
    gate: Gate,
    waiting: Vec<Waker>,
}

impl GatedStore {
    fn new() -> Self {
        Self(Arc::new(Gated {
            shards: Shards::default(),
            state: Mutex::new(State {
                gate: Gate::Closed,
                waiting: Vec::new(),
            }),
        }))
    }

    fn set(&self, gate: Gate) {
        let mut state = self.state();
        state.gate = gate;
        state.waiting.drain(..).for_each(Waker::wake);
    }

    fn wait_until_asked(&self) {
        let begun = Instant::now();
        while self.state().waiting.is_empty() {
            assert!(begun.elapsed() < TIMEOUT, "no batch comes");
            thread::yield_now();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no panic")
    }
}

impl Executor for GatedStore {
    fn poll_execute(
        &mut self,
        batch: &mut Batch,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), StoreLost>> {
        let mut state = self.state();
        match state.gate {
            Gate::Closed => {
                state.waiting.push(cx.waker().clone());
                Poll::Pending
            }
            Gate::Open => {
                self.0.shards.execute(batch);
                Poll::Ready(Ok(()))
            }
            Gate::Lost => Poll::Ready(Err(StoreLost)),
        }
    }
}

struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
    thread: JoinHandle<io::Result<()>>,
}

impl Server {
    fn start(model: Model, store: &GatedStore, config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shutdown = Shutdown::new();
        let (store, asked) = (store.clone(), shutdown.clone());
        let thread = thread::spawn(move || match model {
            Model::Tokio => tokio::serve_from(&store, listener, &config, &asked, || ()),
            _ => epoll::serve_from(&store, listener, &config, &asked, || ()),
        });
        Self {
            address,
            shutdown,
            thread,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a socket");
        stream
    }

    fn stop(self) {
        self.shutdown.trigger();
        self.thread.join().expect("no panic").expect("it stops");
    }
}

fn send(mut peer: &TcpStream, payloads: &[&str]) {
    let mut bytes = Vec::new();
    for payload in payloads {
        bytes.extend_from_slice(&frame::header(payload.len()).expect("short"));
        bytes.extend_from_slice(payload.as_bytes());
    }
    peer.write_all(&bytes).expect("the server reads");
}

fn reply(mut peer: &TcpStream) -> String {
    let payload = read_frame(&mut peer, 1 << 20).expect("a frame");
    String::from_utf8(payload.expect("a reply")).expect("UTF-8")
}

const SET: &str = r#"{"command":"SET","key":"k","value":1}"#;
const GET: &str = r#"{"command":"GET","key":"k"}"#;

fn for_each_model(claim: impl Fn(Model)) {
    for model in [Model::Tokio, Model::Epoll] {
        claim(model);
    }
}

#[test]
fn replies_come_in_order_when_the_store_answers_and_no_deadline_counts_until_then() {
    for_each_model(|model| {
        let store = GatedStore::new();
        let config = Config {
            idle_timeout: Some(Duration::from_millis(100)),
            frame_timeout: Duration::from_millis(100),
            ..Config::default()
        };
        let server = Server::start(model, &store, config);
        let peer = server.connect();
        send(&peer, &[GET, SET, "no request", GET]);
        // The beginning of a frame, which is not late while the store is.
        (&peer).write_all(&[0, 0]).expect("the server reads");
        store.wait_until_asked();
        thread::sleep(Duration::from_millis(300));
        store.set(Gate::Open);
        assert_eq!(reply(&peer), r#"{"status_code":404,"value":null}"#);
        assert_eq!(reply(&peer), r#"{"status_code":200}"#);
        assert!(reply(&peer).starts_with(r#"{"status_code":400"#));
        assert_eq!(reply(&peer), r#"{"status_code":200,"value":1}"#);
        server.stop();
    });
}

#[test]
fn who_takes_the_place_of_a_peer_that_waited_gets_its_own_replies() {
    for_each_model(|model| {
        let store = GatedStore::new();
        let server = Server::start(model, &store, Config::default());
        let gone: Vec<_> = (0..8).map(|_| server.connect()).collect();
        for peer in &gone {
            send(peer, &[SET, SET]);
        }
        store.wait_until_asked();
        drop(gone);
        let peers: Vec<_> = (0..8).map(|_| server.connect()).collect();
        for peer in &peers {
            send(peer, &[GET]);
        }
        store.set(Gate::Open);
        for peer in &peers {
            assert!(reply(peer).starts_with(r#"{"status_code":"#));
        }
        for peer in &peers {
            send(peer, &[SET, GET]);
            assert_eq!(reply(peer), r#"{"status_code":200}"#);
            assert_eq!(reply(peer), r#"{"status_code":200,"value":1}"#);
        }
        server.stop();
    });
}

#[test]
fn a_stop_waits_for_a_store_that_answers_and_not_for_ever_for_one_that_does_not() {
    for_each_model(|model| {
        for answers in [true, false] {
            let store = GatedStore::new();
            let server = Server::start(model, &store, Config::default());
            let mut peer = server.connect();
            send(&peer, &[SET]);
            store.wait_until_asked();
            let begun = Instant::now();
            server.shutdown.trigger();
            if answers {
                // Longer than a connection with nothing to do lives on.
                thread::sleep(Duration::from_millis(100));
                store.set(Gate::Open);
                assert_eq!(reply(&peer), r#"{"status_code":200}"#);
            }
            server.stop();
            assert!(begun.elapsed() < Duration::from_secs(2));
            let mut rest = Vec::new();
            // Reset or closed: with no status for what nobody knows.
            let _ = peer.read_to_end(&mut rest);
            assert_eq!(rest, b"");
        }
    });
}

#[test]
fn a_store_that_is_lost_closes_the_connection_without_a_status() {
    for_each_model(|model| {
        let store = GatedStore::new();
        let server = Server::start(model, &store, Config::default());
        let mut peer = server.connect();
        send(&peer, &[SET, GET]);
        store.wait_until_asked();
        store.set(Gate::Lost);
        let mut rest = Vec::new();
        let _ = peer.read_to_end(&mut rest);
        assert_eq!(rest, b"");
        server.stop();
    });
}
