//! Servers that are started for a measurement, and stopped after it.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::pin::pinned;
use crate::child::port::{free_port, require_port, with_port};
use crate::child::usage::rss_bytes;
use crate::child::{Child, Launch, StartError};

pub use crate::child::kill_all;
pub use crate::child::port::has_port;

/// How often a server is started when it ends at once: another process may
/// have taken its port.
const ATTEMPTS: usize = 3;

/// A command line that starts a server, with places for what is known only
/// then: `{port}`, `{connections}` (the most that it will have to serve) and
/// `{cores}` (how many it may use).
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
        require_port(line)?;
        Ok(Self(words))
    }

    /// Words that need no splitting.
    pub(super) fn of_words<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Self {
        Self(words.into_iter().map(Into::into).collect())
    }

    /// The same words after a program's name, which is not split.
    pub(super) fn of_program(mut self, program: &str) -> Self {
        self.0.insert(0, program.to_owned());
        self
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
            with_port(word, port)
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

/// A server on a free port of 127.0.0.1. Dropped, it is stopped, with all that
/// it has started.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts the server and waits up to 20 s until it accepts connections.
    ///
    /// Fails with a sentence that has the end of what the server printed, and
    /// soon after `stop` is raised.
    pub fn start(
        command: &CommandLine,
        budget: &Budget,
        stop: &AtomicBool,
    ) -> Result<Self, String> {
        for _ in 1..ATTEMPTS {
            match Self::attempt(command, budget, stop) {
                Err(StartError::Ended(_)) => {}
                outcome => return Ok(outcome?),
            }
        }
        Ok(Self::attempt(command, budget, stop)?)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    fn attempt(
        command: &CommandLine,
        budget: &Budget,
        stop: &AtomicBool,
    ) -> Result<Self, StartError> {
        let shown = command.shown();
        let failed = |error: std::io::Error| {
            StartError::Failed(format!(
                "can't start `{shown}` ({error}); is it installed, and on the path?"
            ))
        };
        let port = free_port().map_err(failed)?;
        let words = command.filled_in(port, budget);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        let launch = Launch::new(command).map_err(failed)?;
        // A process inherits the CPUs of the thread that starts it.
        let started = pinned(&budget.cpus, || launch.start());
        let mut server = Self {
            child: started.map_err(StartError::Failed)?.map_err(failed)?,
            address: (Ipv4Addr::LOCALHOST, port).into(),
        };
        let is_interrupted = || stop.load(Ordering::Relaxed);
        server
            .child
            .wait_until_accepting(server.address, &shown, is_interrupted)?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.stop();
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
