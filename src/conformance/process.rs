//! A server that the kit has started.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use super::stop::Stop;
use crate::child::port::{free_port, with_port};
use crate::child::{Child, Launch};

/// A server on a port of 127.0.0.1. Dropped, it is killed, with all that it has
/// started.
pub(crate) struct Process {
    command: String,
    port: u16,
    /// Ends the wait for a server that starts.
    stop: Stop,
    pub(crate) child: Child,
}

impl Process {
    /// Runs the command in a shell, with a free port in place of `{port}`, and
    /// waits up to 20 s until a connection is accepted there, or the flag is raised.
    ///
    /// Fails with a sentence that has the end of what the command printed.
    pub(crate) fn start(command: &str, stop: &Stop) -> Result<Self, String> {
        let port = free_port().map_err(|error| format!("there is no free port: {error}"))?;
        Self::start_on(command, port, stop)
    }

    fn start_on(command: &str, port: u16, stop: &Stop) -> Result<Self, String> {
        let launch = Launch::new(shell_command(command, port));
        let started = launch.and_then(Launch::start);
        let mut process = Self {
            command: command.to_owned(),
            port,
            stop: stop.clone(),
            child: started.map_err(|error| format!("sh can't be started: {error}"))?,
        };
        let address = process.address();
        process
            .child
            .wait_until_accepting(address, command, || stop.is_raised())?;
        Ok(process)
    }

    /// Stops the server and starts it again on the same port.
    pub(crate) fn restart(&mut self) -> Result<(), String> {
        self.child.stop();
        *self = Self::start_on(&self.command, self.port, &self.stop)?;
        Ok(())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

/// The command in a shell, with its port. A single command takes the shell's
/// place, so that signals reach the server; `env` lets it begin with variables.
pub(crate) fn shell_command(line: &str, port: u16) -> Command {
    let line = with_port(line, port);
    let line = match line.contains(['&', '|', ';', '\n']) {
        true => line,
        false => format!("exec env {line}"),
    };
    let mut command = Command::new("sh");
    command.args(["-c", &line]);
    command
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn only_a_single_command_takes_the_place_of_the_shell() {
        for (line, expected) in [
            ("A=b serve {port}", "exec env A=b serve 7"),
            ("cd x && exec serve {port}", "cd x && exec serve 7"),
            ("serve {port} | tee log", "serve 7 | tee log"),
        ] {
            let command = shell_command(line, 7);
            let words: Vec<_> = command.get_args().collect();
            assert_eq!(words, [OsStr::new("-c"), OsStr::new(expected)]);
        }
    }
}
