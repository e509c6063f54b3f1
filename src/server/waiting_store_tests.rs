//! Claims about the models with a store that lets them wait, as one behind a
//! network or a disk does.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Config, Counts, Model, Shutdown, epoll, tokio};
use crate::protocol::Reply;
use crate::protocol::frame::{framed, read_frame};
use crate::store::shards::Shards;
use crate::store::{Batch, Executor, Garbage, StoreLost};

const TIMEOUT: Duration = Duration::from_secs(20);

/// When a [`GatedStore`] executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Executes {
    /// As one behind a disk: before its gate opens, where nobody may see it.
    First,
    /// As one behind a network: elsewhere, and what it hears it answers with
    /// when its gate has opened.
    Elsewhere,
    /// When its gate has opened.
    Last,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Closed,
    Open,
    Lost,
}

/// Has connections wait until its gate opens.
#[derive(Clone)]
struct GatedStore {
    gated: Arc<Gated>,
    executes: Executes,
    /// Of this connection: its batch is known.
    is_asked: bool,
    /// Of this connection: what was heard from elsewhere.
    replies: VecDeque<Reply>,
}

struct Gated {
    shards: Shards,
    state: Mutex<State>,
}

struct State {
    gate: Gate,
    waiting: Vec<Waker>,
}

impl GatedStore {
    fn new(executes: Executes) -> Self {
        let gated = Gated {
            shards: Shards::default(),
            state: Mutex::new(State {
                gate: Gate::Closed,
                waiting: Vec::new(),
            }),
        };
        Self {
            gated: Arc::new(gated),
            executes,
            is_asked: false,
            replies: VecDeque::new(),
        }
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
        self.gated.state.lock().expect("no panic")
    }
}

impl Executor for GatedStore {
    fn poll_execute(
        &mut self,
        batch: &mut Batch,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), StoreLost>> {
        let gated = Arc::clone(&self.gated);
        let shards = &gated.shards;
        if !std::mem::replace(&mut self.is_asked, true) {
            match self.executes {
                Executes::First => shards.execute(batch),
                Executes::Elsewhere => {
                    let mut garbage = Garbage::default();
                    let heard = batch.requests().map(|it| shards.apply(it, &mut garbage));
                    self.replies.extend(heard);
                }
                Executes::Last => {}
            }
        }
        let mut state = gated.state.lock().expect("no panic");
        match state.gate {
            Gate::Closed => {
                state.waiting.push(cx.waker().clone());
                return Poll::Pending;
            }
            Gate::Open => {}
            Gate::Lost => return Poll::Ready(Err(StoreLost)),
        }
        match self.executes {
            Executes::First => {}
            Executes::Elsewhere => {
                batch.answer_each(|_, _| self.replies.pop_front().expect("one for each"));
            }
            Executes::Last => shards.execute(batch),
        }
        drop(batch.take_garbage());
        // What has no room yet is asked again as another batch.
        self.is_asked = !self.replies.is_empty();
        Poll::Ready(Ok(()))
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
        let counts = Counts::new(true);
        let thread = thread::spawn(move || match model {
            Model::Tokio => tokio::serve_from(&store, listener, &config, &asked, &counts, || ()),
            _ => epoll::serve_from(&store, listener, &config, &asked, &counts, || ()),
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
    let bytes: Vec<u8> = payloads
        .iter()
        .flat_map(|payload| framed(payload.as_bytes()))
        .collect();
    peer.write_all(&bytes).expect("the server reads");
}

fn reply(mut peer: &TcpStream) -> String {
    let payload = read_frame(&mut peer, 1 << 20).expect("a frame");
    String::from_utf8(payload.expect("a reply")).expect("UTF-8")
}

fn assert_silent(peer: &TcpStream) {
    peer.set_nonblocking(true).expect("a socket");
    let error = peer.peek(&mut [0]).expect_err("nothing has come");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    peer.set_nonblocking(false).expect("a socket");
}

const SET: &str = r#"{"command":"SET","key":"k","value":1}"#;
const GET: &str = r#"{"command":"GET","key":"k"}"#;

fn for_each_model(claim: impl Fn(Model, GatedStore)) {
    for model in [Model::Tokio, Model::Epoll] {
        for executes in [Executes::First, Executes::Elsewhere, Executes::Last] {
            claim(model, GatedStore::new(executes));
        }
    }
}

#[test]
fn replies_come_in_order_when_the_store_answers_and_no_deadline_counts_until_then() {
    for_each_model(|model, store| {
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
        // Woken for nothing, it is asked again, and nobody hears of that.
        store.set(Gate::Closed);
        store.wait_until_asked();
        assert_silent(&peer);
        store.set(Gate::Open);
        assert_eq!(reply(&peer), r#"{"status_code":404,"value":null}"#);
        assert_eq!(reply(&peer), r#"{"status_code":200}"#);
        assert!(reply(&peer).starts_with(r#"{"status_code":400"#));
        assert_eq!(reply(&peer), r#"{"status_code":200,"value":1}"#);
        server.stop();
    });
}

#[test]
fn a_connection_whose_batch_the_store_has_is_not_evicted() {
    for_each_model(|model, store| {
        let config = Config {
            connections_max: 1,
            idle_eviction: Some(Duration::from_millis(20)),
            ..Config::default()
        };
        let server = Server::start(model, &store, config);
        let peer = server.connect();
        send(&peer, &[SET]);
        store.wait_until_asked();
        thread::sleep(Duration::from_millis(60));
        assert!(reply(&server.connect()).starts_with(r#"{"status_code":503"#));
        store.set(Gate::Open);
        assert_eq!(reply(&peer), r#"{"status_code":200}"#);
        server.stop();
    });
}

#[test]
fn peers_get_their_own_replies_though_others_left_while_they_waited() {
    for_each_model(|model, store| {
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
    for answers in [true, false] {
        for_each_model(|model, store| {
            let server = Server::start(model, &store, Config::default());
            let mut peer = server.connect();
            send(&peer, &[SET]);
            store.wait_until_asked();
            let begun = Instant::now();
            server.shutdown.trigger();
            if answers {
                // Longer than a connection with nothing to do lives on.
                thread::sleep(Duration::from_millis(100));
                assert_silent(&peer);
                store.set(Gate::Open);
                assert_eq!(reply(&peer), r#"{"status_code":200}"#);
            }
            server.stop();
            assert!(begun.elapsed() < Duration::from_secs(2));
            let mut rest = Vec::new();
            // Reset or closed: with no status for what nobody knows.
            let _ = peer.read_to_end(&mut rest);
            assert_eq!(rest, b"");
        });
    }
}

#[test]
fn a_store_that_is_lost_closes_the_connection_without_a_status() {
    for_each_model(|model, store| {
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
