//! A server that the kit has started.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use super::answer::without_controls;

pub(crate) use crate::process_group::Group;
pub use crate::process_group::kill_all;

/// How long a server may take until it accepts connections.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// How long one may take to end before it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// How often to look whether something has happened that nobody tells.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// How long to wait for the last lines of a process that has ended.
const LAST_LINES_TIMEOUT: Duration = Duration::from_millis(200);

/// The lines of what the server prints that are kept, and how long each may be.
const LINES_MAX: usize = 12;
const LINE_LEN_MAX: u64 = 500;

/// A process group with a server in it. Dropped, it is killed.
pub(crate) struct Process {
    command: String,
    group: Group,
    child: Child,
    port: u16,
    printed: Printed,
}

impl Process {
    /// Runs the command in a shell, with `{port}` replaced by a free port, and
    /// waits until a connection is accepted there.
    ///
    /// Fails with a sentence, which carries what the command printed.
    pub(crate) fn start(command: &str) -> Result<Self, String> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|any| any.local_addr());
        let port = free
            .map_err(|error| format!("there is no free port: {error}"))?
            .port();
        Self::start_on(command, port)
    }

    fn start_on(command: &str, port: u16) -> Result<Self, String> {
        let mut child = Command::new("sh")
            .args(["-c", &shell_line(command, port)])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("sh can't be started: {error}"))?;
        let mut printed = Printed::default();
        printed.read(child.stdout.take());
        printed.read(child.stderr.take());
        let mut process = Self {
            command: command.to_owned(),
            group: Group::led_by(child.id()),
            child,
            port,
            printed,
        };
        process.wait_until_it_accepts()?;
        Ok(process)
    }

    /// Ends the server and starts it anew on the same port.
    pub(crate) fn restart(&mut self) -> Result<(), String> {
        self.end();
        *self = Self::start_on(&self.command.clone(), self.port)?;
        Ok(())
    }

    fn wait_until_it_accepts(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        while TcpStream::connect(self.address()).is_err() {
            if let Some(status) = self.ended() {
                let (printed, command) = (self.printed(), &self.command);
                return Err(format!(
                    "{command:?} ended ({status}) before it accepted{printed}"
                ));
            }
            if begun.elapsed() > START_TIMEOUT {
                let (port, printed, command) = (self.port, self.printed(), &self.command);
                return Err(format!(
                    "{command:?} accepts nothing on port {port} after {} s; it has to listen on \
                     the port that takes the place of {{port}}{printed}",
                    START_TIMEOUT.as_secs()
                ));
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The end of what the server has printed, to stand behind a sentence.
    pub(crate) fn printed(&mut self) -> String {
        let has_ended = self.ended().is_some();
        self.printed.behind_a_sentence(has_ended)
    }

    /// Forgets what it has printed so far.
    pub(crate) fn forget_printed(&self) {
        self.printed.forget();
    }

    /// Sends the process a signal. One that has ended gets none.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill(self.group.leader(), signal);
    }

    /// Whether it has ended, and how.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until it ends, at most until the deadline.
    pub(crate) fn wait(&mut self, deadline: Instant) -> Option<ExitStatus> {
        loop {
            let ended = self.ended();
            if ended.is_some() || Instant::now() > deadline {
                return ended;
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Asks it to end, and kills what is left of it.
    pub(crate) fn end(&mut self) {
        if self.ended().is_none() {
            self.signal(Signal::SIGTERM);
        }
        self.wait(Instant::now() + END_TIMEOUT);
        // What the command started beside the server goes with it.
        self.group.kill();
        let _ = self.child.wait();
    }

    /// Its resident memory in bytes; `None` where the system does not tell.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib * 1024)
    }

    /// Its open descriptors; `None` where the system does not tell.
    pub(crate) fn descriptors(&self) -> Option<usize> {
        let folder = fs::read_dir(format!("/proc/{}/fd", self.child.id())).ok()?;
        Some(folder.count())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.group.kill();
        let _ = self.child.wait();
    }
}

/// The command with its port. A single command takes the shell's place, so that
/// signals reach the server; `env` lets it begin with variables.
pub(crate) fn shell_line(command: &str, port: u16) -> String {
    let command = command.replace("{port}", &port.to_string());
    match command.contains(['&', '|', ';', '\n']) {
        true => command,
        false => format!("exec env {command}"),
    }
}

/// The last lines that a process prints, read so that it never waits for a
/// reader. The threads that read end with the process.
#[derive(Default)]
pub(crate) struct Printed {
    lines: Arc<Mutex<VecDeque<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Printed {
    pub(crate) fn read(&mut self, stream: Option<impl Read + Send + 'static>) {
        let Some(stream) = stream else { return };
        let lines = Arc::clone(&self.lines);
        self.readers.push(thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while let Ok(1..) = reader
                .by_ref()
                .take(LINE_LEN_MAX)
                .read_until(b'\n', &mut line)
            {
                let text = String::from_utf8_lossy(&line);
                let text = format!("    {}\n", without_controls(text.trim_end()));
                line.clear();
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                lines.push_back(text);
                if lines.len() > LINES_MAX {
                    lines.pop_front();
                }
            }
        }));
    }

    /// Forgets what was printed so far.
    pub(crate) fn forget(&self) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.clear();
    }

    /// The lines, to stand behind a sentence; of a process that has ended, all
    /// that it printed in the end.
    pub(crate) fn behind_a_sentence(&self, has_ended: bool) -> String {
        let begun = Instant::now();
        let is_reading = || self.readers.iter().any(|reader| !reader.is_finished());
        // A process that it left behind may hold its output for ever.
        while has_ended && is_reading() && begun.elapsed() < LAST_LINES_TIMEOUT {
            thread::sleep(LOOK_INTERVAL);
        }
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        match lines.is_empty() {
            true => String::new(),
            false => format!(
                "; it printed:\n{}",
                lines.iter().cloned().collect::<String>()
            ),
        }
    }
}
