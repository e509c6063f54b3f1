//! One server process.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use super::folder::Folder;
use super::resp::{Connection, Reply};
use super::{POLL_INTERVAL, TIMEOUT, program};

/// Where nodes listen. Above are the ports that systems give to connections, one of which could
/// take a killed node's port before it is restarted.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// How many pairs of ports to try, if others take them before the server does.
const ATTEMPTS_MAX: usize = 5;

/// How much of the log is shown when a test fails.
const LOG_LINES_MAX: usize = 8;

/// A server, with a folder for its data. Dropped, it is killed.
///
/// What changes its process takes `&self`, so that a test can do it beside threads that use the
/// node.
pub struct Node {
    folder: Arc<Folder>,
    port: u16,
    second_port: u16,
    options: Vec<String>,
    /// From the options, for our own connections.
    password: Option<String>,
    process: Mutex<Process>,
}

struct Process {
    child: Option<Child>,
    is_paused: bool,
}

impl Node {
    /// Starts a server without cluster mode and waits until it answers.
    ///
    /// The options follow those of every node: `["--maxmemory", "10mb"]`. In an option `{second}`
    /// stands for [`second_port`](Self::second_port): `["--tls-port", "{second}"]`.
    pub fn start(options: &[&str]) -> Self {
        Self::start_in(&Arc::new(Folder::new()), options)
    }

    pub(super) fn start_in(folder: &Arc<Folder>, options: &[&str]) -> Self {
        for _ in 1..ATTEMPTS_MAX {
            let node = Self::with_free_ports(folder, options);
            if node.launch().is_ok() {
                return node;
            }
        }
        let node = Self::with_free_ports(folder, options);
        node.launch().unwrap_or_else(|error| panic!("{error}"));
        node
    }

    fn with_free_ports(folder: &Arc<Folder>, options: &[&str]) -> Self {
        let (port, second_port) = (free_port(), free_port());
        let place = |option: &&str| option.replace("{second}", &second_port.to_string());
        let mut words = options.iter().skip_while(|word| **word != "--requirepass");
        Self {
            folder: Arc::clone(folder),
            port,
            second_port,
            options: options.iter().map(place).collect(),
            password: words.nth(1).map(|word| (*word).to_owned()),
            process: Mutex::new(Process {
                child: None,
                is_paused: false,
            }),
        }
    }

    /// Starts the process and waits until it answers; fails if it ends before.
    fn launch(&self) -> Result<(), String> {
        let program = program().expect("a server program is on the PATH");
        fs::create_dir_all(self.path()).expect("the folder can be written to");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path());
        let log = log.expect("the folder can be written to");
        let child = Command::new(program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(self.path())
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor is free"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("can't start {program}: {error}"));
        let pid = child.id();
        self.folder.watch(pid);
        *self.process() = Process {
            child: Some(child),
            is_paused: false,
        };
        self.wait_until_answering(pid)
    }

    fn wait_until_answering(&self, pid: u32) -> Result<(), String> {
        let begun = Instant::now();
        // Whoever took the port may answer too, so the answer has to name our process.
        let line = format!("process_id:{pid}\r\n");
        loop {
            if let Ok(Reply::Bulk(info)) = self.command(&["INFO", "server"])
                && String::from_utf8_lossy(&info).contains(&line)
            {
                return Ok(());
            }
            if !self.is_running() {
                let log = self.end_of_log();
                return Err(format!("{} ended before it answered:\n{log}", self.name()));
            }
            if begun.elapsed() > TIMEOUT {
                let (seconds, log) = (TIMEOUT.as_secs(), self.end_of_log());
                panic!("{} does not answer after {seconds} s:\n{log}", self.name());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A port for which the node has room beside its first; in a cluster, that of the bus.
    pub fn second_port(&self) -> u16 {
        self.second_port
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Sends a command on a connection of its own. An error that the server answers is a
    /// [`Reply::Error`].
    pub fn command(&self, words: &[impl AsRef<[u8]>]) -> io::Result<Reply> {
        let mut connection = Connection::open(self.port)?;
        if let Some(password) = self.password() {
            connection.ask(&["AUTH", password])?;
        }
        connection.ask(words)
    }

    /// As [`command`](Self::command), for what has to succeed.
    #[track_caller]
    pub fn ask(&self, words: &[impl AsRef<[u8]>]) -> Reply {
        let error = match self.command(words) {
            Ok(Reply::Error(error)) => error,
            Ok(reply) => return reply,
            Err(error) => error.to_string(),
        };
        let words = words
            .iter()
            .map(|word| String::from_utf8_lossy(word.as_ref()));
        let words = words.collect::<Vec<_>>().join(" ");
        panic!("{} fails `{words}`: {error}", self.name())
    }

    /// Kills the process, if it runs.
    pub fn kill(&self) {
        let mut process = self.process();
        if let Some(mut child) = process.child.take() {
            // Fails when it has ended.
            let _ = child.kill();
            self.folder.forget(child.id());
            let _ = child.wait();
        }
    }

    /// Stops the process without ending it: connections stay open, and nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP, true);
    }

    pub fn resume(&self) {
        self.signal(Signal::SIGCONT, false);
    }

    fn signal(&self, signal: Signal, is_paused: bool) {
        let mut process = self.process();
        let child = process.child.as_ref().expect("the node runs");
        let pid = Pid::from_raw(child.id() as i32);
        signal::kill(pid, signal).expect("the node runs");
        process.is_paused = is_paused;
    }

    /// Kills the process if it runs, starts it again on the same port and in the same folder,
    /// and waits until it answers. In a cluster it may take longer until the node has rejoined.
    pub fn restart(&self) {
        self.kill();
        self.launch().unwrap_or_else(|error| panic!("{error}"));
    }

    /// Whether the process is there, paused or not.
    pub fn is_running(&self) -> bool {
        let mut process = self.process();
        let Some(child) = &mut process.child else {
            return false;
        };
        let is_running = matches!(child.try_wait(), Ok(None));
        if !is_running {
            self.folder.forget(child.id());
            process.child = None;
        }
        is_running
    }

    /// Whether the process is there and not paused.
    pub fn is_answering(&self) -> bool {
        self.is_running() && !self.process().is_paused
    }

    /// What failures call it.
    pub(super) fn name(&self) -> String {
        format!("the node on port {}", self.port)
    }

    /// What `--requirepass` says.
    pub(super) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(self.port.to_string())
    }

    fn log_path(&self) -> PathBuf {
        self.path().join("log")
    }

    fn end_of_log(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let first = lines.len().saturating_sub(LOG_LINES_MAX);
        lines[first..].join("\n")
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        // It is changed whole.
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("{}:\n{}", self.name(), self.end_of_log());
        }
    }
}

/// A port of 127.0.0.1 that nobody listens on, and that this process has not had yet.
fn free_port() -> u16 {
    static COUNT: AtomicU16 = AtomicU16::new(0);

    let len = PORTS.end - PORTS.start;
    // Processes that run at the same time begin far from each other.
    let first = (std::process::id().wrapping_mul(997) % u32::from(len)) as u16;
    for _ in PORTS {
        let count = COUNT.fetch_add(1, Ordering::Relaxed) % len;
        let port = PORTS.start + (first + count) % len;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free")
}
