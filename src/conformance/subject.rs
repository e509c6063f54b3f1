//! What is tried: a server that runs, or a command that starts one.

use std::fmt;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

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
    /// of its own.
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
            Self::Spawned(_) => self.process(stop).map(Server::Spawned),
        }
    }

    /// A process of its own for one case; only of a spawned subject.
    pub(crate) fn process(&self, stop: &Stop) -> Result<Process, Unreachable> {
        match self {
            Self::Running(_) => Err(Unreachable("it was not started by the kit".to_owned())),
            Self::Spawned(command) => Process::start(command, stop).map_err(Unreachable),
        }
    }

    /// The begin of a command that tries this subject again.
    pub(crate) fn command(&self) -> String {
        match self {
            Self::Running(address) => format!("speicher conform {address} --yes"),
            Self::Spawned(command) => {
                format!(
                    "speicher conform --spawn '{}'",
                    command.replace('\'', r"'\''")
                )
            }
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
