//! Servers that are started for a measurement, and stopped after it.

use std::collections::VecDeque;
use std::io::{PipeReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};

use super::generator::pin;
use super::process::rss_bytes;
use crate::process_group::Group;

pub use crate::process_group::kill_all;

/// How long a server may take until it accepts connections.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// How long a server may take to end after SIGTERM, before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// How often a server is started when it ends at once: another process may
/// have taken its port.
const ATTEMPTS: usize = 3;

/// How long to wait for the last that a server printed.
const PRINTED_PATIENCE: Duration = Duration::from_millis(200);

/// The end of what a server printed that is kept, in bytes.
const PRINTED_LEN: usize = 2000;

/// A command line that starts a server, with places for what is known only
/// then: `{port}`, `{connections}` (the most that it will have to serve) and
/// `{cores}` (those that it may use).
#[derive(Clone, Debug)]
pub struct CommandLine(Vec<String>);

impl CommandLine {
    /// Splits a line as a shell does. Fails with a sentence when it can't be
    /// split, or has no `{port}`.
    pub fn parse(line: &str) -> Result<Self, String> {
        let words: Option<Vec<String>> = shlex::split(line);
        let words = words.filter(|words| !words.is_empty());
        let words = words.ok_or_else(|| {
            format!("the command {line:?} is empty, or a quote in it is not closed")
        })?;
        if !words.iter().any(|word| word.contains("{port}")) {
            return Err(format!(
                "the command {line:?} does not say {{port}}; the server has to listen on the \
                 port that it is told"
            ));
        }
        Ok(Self(words))
    }

    /// Words that need no splitting.
    pub(super) fn of_words<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Self {
        Self(words.into_iter().map(Into::into).collect())
    }

    /// As it is shown: the program without its folder.
    pub fn shown(&self) -> String {
        let mut words = self.0.clone();
        if let Some(name) = words[0].rsplit('/').next() {
            words[0] = name.to_owned();
        }
        let quoted = words.iter().map(|word| match word.as_str() {
            // The braces are ours, and need no quotes.
            plain if plain.contains('{') => plain.to_owned(),
            other => shlex::try_quote(other).map_or(other.to_owned(), |quoted| quoted.into()),
        });
        quoted.collect::<Vec<_>>().join(" ")
    }

    fn filled_in(&self, port: u16, budget: &Budget) -> Vec<String> {
        let filled = self.0.iter().map(|word| {
            word.replace("{port}", &port.to_string())
                .replace("{connections}", &budget.connections.to_string())
                .replace("{cores}", &budget.cores().to_string())
        });
        filled.collect()
    }
}

/// What a server may use.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Connections that it will have to serve.
    pub connections: usize,
    /// The CPUs that it runs on; any, if there are none.
    pub cpus: Vec<usize>,
}

impl Budget {
    fn cores(&self) -> usize {
        match self.cpus.len() {
            0 => thread::available_parallelism().map_or(1, usize::from),
            count => count,
        }
    }
}

/// Fails with a sentence when what a process uses can't be read: there is no
/// such process, or no right to ask.
pub fn check_pid(pid: u32) -> Result<(), String> {
    match rss_bytes(pid) {
        Some(_) => Ok(()),
        None => Err(format!(
            "what process {pid} uses can't be read; give --pid a process that runs here, or leave \
             it out"
        )),
    }
}

/// A server in a process group of its own, on a free port of 127.0.0.1.
/// Dropped, it is stopped, with all that it has started.
#[derive(Debug)]
pub struct Server {
    child: Child,
    group: Group,
    /// Where it listens.
    pub address: SocketAddr,
    printed: Arc<Mutex<VecDeque<u8>>>,
    /// Disconnected once everything that it printed is there.
    all_is_printed: Receiver<()>,
}

impl Server {
    /// Starts it and waits until it accepts connections.
    ///
    /// Fails with a sentence that has the end of what the server printed.
    pub fn start(
        command: &CommandLine,
        budget: &Budget,
        stop: &AtomicBool,
    ) -> Result<Self, String> {
        let mut trouble = String::new();
        for _ in 0..ATTEMPTS {
            match Self::start_once(command, budget, stop) {
                Ok(server) => return Ok(server),
                Err(Trouble::Final(sentence)) => return Err(sentence),
                Err(Trouble::Ended(sentence)) => trouble = sentence,
            }
        }
        Err(trouble)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn start_once(
        command: &CommandLine,
        budget: &Budget,
        stop: &AtomicBool,
    ) -> Result<Self, Trouble> {
        let shown = command.shown();
        let trouble = |error: std::io::Error| {
            Trouble::Final(format!(
                "can't start `{shown}` ({error}); is it installed, and on the path?"
            ))
        };
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(trouble)?;
        let words = command.filled_in(address.port(), budget);
        let (reader, writer) = std::io::pipe().map_err(trouble)?;
        let mut child = Command::new(&words[0]);
        child
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(writer.try_clone().map_err(trouble)?)
            .stderr(writer)
            // A Ctrl-C of the terminal is not meant for it: it is stopped.
            .process_group(0);
        // It inherits the CPUs of the thread that starts it.
        let started = thread::scope(|scope| {
            let pinned = scope.spawn(|| pin(&budget.cpus).map(|()| child.spawn()));
            pinned.join().expect("spawning does not panic")
        });
        let started = started.map_err(Trouble::Final)?.map_err(trouble)?;
        // The command holds the pipe's other end as well.
        drop(child);
        let (reading, all_is_printed) = channel();
        let mut server = Self {
            group: Group::led_by(started.id()),
            child: started,
            address,
            printed: Arc::default(),
            all_is_printed,
        };
        let printed = Arc::clone(&server.printed);
        thread::spawn(move || {
            keep_the_end(reader, &printed);
            drop(reading);
        });
        server.wait_until_ready(&shown, stop)?;
        Ok(server)
    }

    fn wait_until_ready(&mut self, shown: &str, stop: &AtomicBool) -> Result<(), Trouble> {
        let begun = Instant::now();
        loop {
            let probe = TcpStream::connect_timeout(&self.address, Duration::from_millis(100));
            // After the probe: one that has ended left its port to somebody
            // else, who may have answered.
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(Trouble::Ended(format!(
                    "`{shown}` ended before it accepted connections ({status}){}",
                    self.last_words()
                )));
            }
            if probe.is_ok() {
                return Ok(());
            }
            if stop.load(Ordering::Relaxed) {
                return Err(Trouble::Final("interrupted".to_owned()));
            }
            if begun.elapsed() > START_PATIENCE {
                return Err(Trouble::Final(format!(
                    "`{shown}` accepts no connections on {} after {} s{}",
                    self.address,
                    START_PATIENCE.as_secs(),
                    self.last_words()
                )));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn last_words(&self) -> String {
        // Nothing is sent: it is either still read, or all there.
        let _: Result<(), RecvTimeoutError> = self.all_is_printed.recv_timeout(PRINTED_PATIENCE);
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(printed.make_contiguous()).into_owned();
        // What is left is shown on a terminal, and must not steer it.
        let is_text = |c: &char| *c == '\n' || !c.is_control();
        let text: String = text.chars().filter(is_text).collect();
        match text.trim() {
            "" => "; it printed nothing".to_owned(),
            text => format!("; it printed: {text}"),
        }
    }
}

enum Trouble {
    /// To try again would be no better.
    Final(String),
    Ended(String),
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = killpg(self.group.leader(), Signal::SIGTERM);
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < STOP_PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
        // A wrapper may have ended without what it started.
        self.group.kill();
        let _ = self.child.wait();
    }
}

fn keep_the_end(mut reader: PipeReader, printed: &Mutex<VecDeque<u8>>) {
    let mut room = [0; 1024];
    while let Ok(n @ 1..) = reader.read(&mut room) {
        let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
        printed.extend(&room[..n]);
        let excess = printed.len().saturating_sub(PRINTED_LEN);
        printed.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_split_as_a_shell_does_and_shown_without_folders() {
        let command = CommandLine::parse("/usr/bin/redis-server --port {port} --save \"\"");
        let command = command.expect("a command");
        let budget = Budget {
            connections: 8,
            cpus: vec![0],
        };
        assert_eq!(
            command.filled_in(7, &budget),
            ["/usr/bin/redis-server", "--port", "7", "--save", ""]
        );
        assert_eq!(command.shown(), "redis-server --port {port} --save ''");
        for wrong in ["", "a 'b {port}", "redis-server --port 7000"] {
            assert!(CommandLine::parse(wrong).is_err(), "{wrong}");
        }
    }
}
