//! Servers to test, and peers that send them raw bytes.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown as Side, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use speicher::protocol::frame::{self, read_frame};
use speicher::server::{Config, Model, Shutdown, serve};

/// A line for each model: its tests' name, the condition under which it is
/// built, and the option that makes room for more connections.
macro_rules! with_models {
    ($then:ident!($($arguments:tt)*)) => {
        $then! {
            ($($arguments)*)
            Threads, threads, all(), "--workers";
            Tokio, tokio, feature = "tokio", "--connections-max";
            Epoll, epoll, feature = "epoll", "--connections-max";
        }
    };
}

/// Turns each named claim, a function of a [`Model`], into one test per model.
macro_rules! every_model {
    ($($claim:ident),+ $(,)?) => {
        $(
            mod $claim {
                with_models!(test_models!(super::$claim));
            }
        )+
    };
}

macro_rules! test_models {
    (($claim:path) $($model:ident, $test:ident, $condition:meta, $option:literal;)+) => {
        $(
            #[cfg($condition)]
            #[test]
            fn $test() {
                $claim(speicher::server::Model::$model);
            }
        )+
    };
}

macro_rules! define_room_option {
    (() $($model:ident, $test:ident, $condition:meta, $option:literal;)+) => {
        /// The option that makes room for more connections.
        pub fn room_option(model: Model) -> &'static str {
            match model {
                $(Model::$model => $option,)+
            }
        }

        // Does not compile if `Model::ALL` lacks a model.
        const _: [Model; Model::ALL.len()] = [$(Model::$model),+];
    };
}

with_models!(define_room_option!());

/// How long anything may take before a test gives up on it.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// A server in this process, on a port of its own. Dropped, it stops.
pub struct Server {
    pub address: SocketAddr,
    pub shutdown: Shutdown,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Server {
    pub fn start(model: Model) -> Self {
        Self::with(config(model))
    }

    pub fn with(config: Config) -> Self {
        Self::on("127.0.0.1:0", config)
    }

    pub fn on(address: &str, config: Config) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shutdown = Shutdown::new();
        let thread = thread::spawn({
            let shutdown = shutdown.clone();
            move || serve(listener, &config, &shutdown, || ())
        });
        Self {
            address,
            shutdown,
            thread: Some(thread),
        }
    }

    pub fn connect(&self) -> Peer {
        Peer::connect(self.address)
    }

    /// Asks the server to stop and waits until it has.
    pub fn stop(mut self) -> io::Result<()> {
        self.shutdown.trigger();
        self.join()
    }

    /// Waits until the server has stopped.
    pub fn join(&mut self) -> io::Result<()> {
        let thread = self.thread.take().expect("not joined before");
        thread.join().expect("serve does not panic")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.trigger();
        if let Some(thread) = self.thread.take() {
            let outcome = thread.join();
            if !thread::panicking() {
                outcome.expect("serve does not panic").expect("it stops");
            }
        }
    }
}

/// Few workers, so that a test's server starts quickly.
pub fn config(model: Model) -> Config {
    Config {
        model,
        workers: 8,
        ..Config::default()
    }
}

/// A server that serves so many connections at the same time.
pub fn room_for(model: Model, connections: usize) -> Config {
    Config {
        workers: connections,
        connections_max: connections,
        ..config(model)
    }
}

/// A server of the test's own: what it does with a connection is the claim's.
#[cfg(any(feature = "bench", feature = "conformance"))]
pub fn serve_each(handle: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, handle) = (stream.expect("a connection"), handle.clone());
            stream.set_nodelay(true).expect("a socket");
            thread::spawn(move || handle(stream));
        }
    });
    address
}

/// The options of `serve` for this model; if it has workers, so many.
pub fn with_workers(model: Model, workers: &'static str) -> Vec<&'static str> {
    let mut options = vec!["--model", model.name()];
    if model == Model::Threads {
        options.extend(["--workers", workers]);
    }
    options
}

/// A connection that speaks bytes, and gives up after [`TIMEOUT`].
pub struct Peer(pub TcpStream);

impl Peer {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a socket");
        stream.set_write_timeout(Some(TIMEOUT)).expect("a socket");
        Self(stream)
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the server reads");
    }

    /// Sends the bytes in pieces of these lengths, and then the rest.
    pub fn send_in_pieces(&mut self, bytes: &[u8], lens: &[usize]) {
        let mut rest = bytes;
        for len in lens {
            let (now, later) = rest.split_at((*len).min(rest.len()));
            self.send(now);
            rest = later;
        }
        self.send(rest);
    }

    /// Sends the payload in a frame and returns the reply.
    pub fn ask(&mut self, payload: impl AsRef<[u8]>) -> Value {
        self.send(&framed(payload));
        self.reply()
    }

    pub fn status(&mut self, payload: impl AsRef<[u8]>) -> u64 {
        status_of(&self.ask(payload))
    }

    pub fn set(&mut self, key: &str, json: &str) -> u64 {
        self.status(set(key, json))
    }

    /// The reply's payload to a GET of the key, as text.
    pub fn get_text(&mut self, key: &str) -> String {
        self.send(&framed(get(key)));
        String::from_utf8(self.payload()).expect("UTF-8")
    }

    pub fn reply(&mut self) -> Value {
        serde_json::from_slice(&self.payload()).expect("a reply is JSON")
    }

    /// The next reply, or `None` if the server closes the connection instead.
    #[cfg(feature = "cluster")]
    pub fn try_reply(&mut self) -> Option<Value> {
        match read_frame(&mut self.0, frame::FRAME_LEN_MAX) {
            Ok(payload) => Some(serde_json::from_slice(&payload?).expect("a reply is JSON")),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                None
            }
        }
    }

    pub fn payload(&mut self) -> Vec<u8> {
        read_frame(&mut self.0, frame::FRAME_LEN_MAX)
            .expect("a whole frame")
            .expect("a reply before the end")
    }

    /// No more replies come, and the server has closed the connection.
    pub fn assert_closed(&mut self) {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => assert_eq!(rest, b"", "nothing after the last reply"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }

    pub fn close_sending_side(&mut self) {
        self.0.shutdown(Side::Write).expect("it is connected");
    }
}

/// A peer with more replies than both sockets have room for.
pub fn peer_that_does_not_read(server: &Process) -> Peer {
    let mut peer = server.connect();
    let value = format!("\"{}\"", "v".repeat(10_000_000));
    assert_eq!(peer.set("k", &value), 200);
    peer.send(&framed(get("k")).repeat(10));
    let mut first = [0];
    peer.0.read_exact(&mut first).expect("replies have begun");
    peer
}

pub fn framed(payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = frame::header(payload.len()).expect("short").to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

pub fn set(key: &str, json: &str) -> String {
    format!(r#"{{"command":"SET","key":"{key}","value":{json}}}"#)
}

pub fn get(key: &str) -> String {
    format!(r#"{{"command":"GET","key":"{key}"}}"#)
}

pub fn del(key: &str) -> String {
    format!(r#"{{"command":"DEL","key":"{key}"}}"#)
}

pub const RST: &str = r#"{"command":"RST"}"#;

pub fn status_of(reply: &Value) -> u64 {
    reply["status_code"].as_u64().expect("a status_code")
}

/// Waits until the condition holds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < TIMEOUT, "still not so: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether the server on the port has read all that has arrived, as Linux
/// tells.
pub fn receive_queues_are_empty(port: u16) -> bool {
    let local = format!("0100007F:{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    table.lines().all(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields[1] != local || fields[3] != "01" || fields[4].ends_with(":00000000")
    })
}

/// The program under test, as people start it.
pub fn speicher() -> Command {
    Command::new(env!("CARGO_BIN_EXE_speicher"))
}

/// A program that cargo builds beside the tests.
#[cfg(any(feature = "cluster", feature = "conformance"))]
pub fn example(name: &str) -> String {
    let mut path = std::path::PathBuf::from(env!("CARGO_BIN_EXE_speicher"));
    path.set_file_name("examples");
    path.push(name);
    let hint = "cargo test builds it; before cargo test --test it, run cargo build --examples";
    assert!(path.exists(), "{name} is not there: {hint}");
    path.to_str().expect("UTF-8").to_owned()
}

/// A server in a process of its own. Dropped, it is killed.
///
/// What it says on standard error is shown only if the test fails.
pub struct Process {
    pub child: Child,
    pub ready_line: String,
    stdout: BufReader<ChildStdout>,
    complaints: Arc<Mutex<String>>,
}

impl Process {
    /// `speicher serve --port 0` and the flags.
    pub fn serve(flags: &[&str]) -> Self {
        let mut command = speicher();
        command.args(["serve", "--port", "0"]).args(flags);
        Self::spawn(command)
    }

    /// As [`serve`](Self::serve), under a limit as `ulimit` takes it.
    pub fn serve_under(limit: &str, flags: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!(r#"ulimit {limit}; exec "$0" serve --port 0 "$@""#))
            .arg(env!("CARGO_BIN_EXE_speicher"))
            .args(flags);
        Self::spawn(command)
    }

    /// Starts the command and waits for the line that says it is ready.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program is there");
        let complaints = Arc::<Mutex<String>>::default();
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        thread::spawn({
            let complaints = Arc::clone(&complaints);
            move || {
                for line in stderr.lines().map_while(Result::ok) {
                    *complaints.lock().expect("no panic") += &(line + "\n");
                }
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut ready_line = String::new();
        stdout.read_line(&mut ready_line).expect("a line");
        Self {
            child,
            ready_line: ready_line.trim_end().to_owned(),
            stdout,
            complaints,
        }
    }

    /// Waits until it has said this on standard error; all that it has said there.
    pub fn complaint(&self, words: &str) -> String {
        let said = || self.complaints.lock().expect("no panic").clone();
        wait_until(words, || said().contains(words));
        said()
    }

    /// The next line that it prints on standard output.
    #[cfg(feature = "metrics")]
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Where its second line says that its metrics are.
    #[cfg(feature = "metrics")]
    pub fn metrics_url(&mut self) -> String {
        let line = self.line();
        line.strip_prefix("metrics on ")
            .expect("the second line")
            .to_owned()
    }

    /// Where the ready line says that it listens.
    pub fn address(&self) -> SocketAddr {
        let address = self.ready_line.split(' ').nth(2).expect("an address");
        address.parse().expect("an address")
    }

    pub fn connect(&self) -> Peer {
        Peer::connect(self.address())
    }

    pub fn signal(&self, name: &str) {
        send_signal(name, &self.child.id().to_string());
    }

    /// Waits until the process ends; with what, and what else it printed.
    pub fn wait(&mut self) -> (ExitStatus, String) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(begun.elapsed() < TIMEOUT, "the server does not end");
            thread::sleep(Duration::from_millis(2));
        };
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("UTF-8");
        (status, rest)
    }

    /// The number in a line of `/proc/PID/status`: KiB, or a count.
    pub fn memory_kib(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .expect("the line is there");
        let number = line.split_whitespace().nth(1).expect("a number");
        number.parse().expect("a number")
    }

    /// The processor time it has used so far.
    pub fn cpu_time(&self) -> Duration {
        /// Linux counts in hundredths of a second.
        const TICK: Duration = Duration::from_millis(10);

        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(path).expect("it runs");
        let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
        let fields: Vec<_> = fields.split_whitespace().collect();
        let ticks = |index: usize| fields[index].parse::<u32>().expect("a number");
        TICK * (ticks(11) + ticks(12))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking()
            && let Ok(said) = self.complaints.lock()
        {
            eprint!("{said}");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process, or with a dash before it to a group.
pub fn send_signal(name: &str, target: &str) {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -s {name} -- {target}")])
        .status();
    assert!(status.expect("sh runs").success());
}
