//! What is tried: a server that runs, or a command that starts one.

use std::fmt;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::memory_option::{MemoryOption, with_memory};
use super::process::Process;
use super::stop::Stop;

/// How long to try to reach a server that should be there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A server under test.
#[derive(Clone, Debug)]
pub enum Subject {
    /// One that runs at `host:port`.
    Running(String),
    /// A shell command that starts one on the port in place of `{port}`. It is
    /// started for each group of cases, and for each case that needs a process
    /// of its own. A [`MemoryOption`] has the place of `{memory}`, or is added.
    Spawned(String),
}

/// Why no server could be tried, as a sentence.
#[derive(Debug)]
pub struct Unreachable(pub(crate) String);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

/// A server that can be asked.
pub(crate) enum Server {
    Running(SocketAddr),
    Spawned(Process),
}

impl Subject {
    /// A server to ask; the wait for one that is started ends when the flag is raised.
    pub(crate) fn server(&self, stop: &Stop) -> Result<Server, Unreachable> {
        match self {
            Self::Running(text) => reach(text).map(Server::Running).map_err(Unreachable),
            Self::Spawned(_) => self.process(None, stop).map(Server::Spawned),
        }
    }

    /// A process of its own for one case, with a ceiling if the option is there; only
    /// of a spawned subject.
    pub(crate) fn process(
        &self,
        ceiling: Option<&MemoryOption>,
        stop: &Stop,
    ) -> Result<Process, Unreachable> {
        match self {
            Self::Running(_) => Err(Unreachable("it was not started by the kit".to_owned())),
            Self::Spawned(command) => {
                Process::start(&with_memory(command, ceiling), stop).map_err(Unreachable)
            }
        }
    }

    /// The begin of a command that tries this subject again, with the option if it has one.
    pub(crate) fn command(&self, ceiling: Option<&MemoryOption>) -> String {
        match (self, ceiling) {
            (Self::Running(address), _) => format!("speicher conform {address} --yes"),
            (Self::Spawned(command), None) => {
                format!("speicher conform --spawn {}", quoted(command))
            }
            (Self::Spawned(command), Some(option)) => format!(
                "speicher conform --spawn {} --memory-option {}",
                quoted(command),
                quoted(option.text())
            ),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(text) | Self::Spawned(text) => f.write_str(text),
        }
    }
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Running(address) => *address,
            Self::Spawned(process) => process.address(),
        }
    }
}

/// The text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The first address of `host:port` that accepts a connection.
fn reach(text: &str) -> Result<SocketAddr, String> {
    let addresses = text.to_socket_addrs().map_err(|error| {
        format!("{text:?} is no host and port that are known, as in localhost:14567: {error}")
    })?;
    let mut outcome = Err(format!("{text:?} has no address"));
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(_) => return Ok(address),
            Err(error) => {
                outcome = Err(format!(
                    "can't connect to {address} ({error}); is the server running there?"
                ));
            }
        }
    }
    outcome
}
