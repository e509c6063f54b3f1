//! Commands of other people that this program starts: the servers that the lab
//! measures, the servers and clients that the conformance kit tries.
//!
//! A [`Launch`] prepares a command, and a [`Child`] is the running process. It
//! leads a process group of its own, so that what a wrapper script started ends
//! with it; what it prints is read all the time, and the end of that is kept for
//! error sentences; when it is dropped, the whole group is killed.
//!
//! How a command line becomes a command is up to the caller. The lab splits it
//! into words, pins it to cores and tries again when somebody took its port
//! (`bench::server`); the kit runs it in a shell and can start it again on the
//! same port (`conformance::process`). Both write the port for `{port}`, by
//! [`port::with_port`]. For users, docs/conformance.md says it under "Commands that
//! are started".

mod group;
mod output;
pub(crate) mod port;
pub(crate) mod usage;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use group::Group;
use output::FinalOutput;

pub use group::kill_all;

/// How long a server may take until it accepts connections.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a process may take to end after SIGTERM, before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(100);

/// How often to look at what nobody notifies us of: an end, a listener.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// A command that is ready to be started.
pub(crate) struct Launch {
    command: Command,
    output: FinalOutput,
}

impl Launch {
    /// Gives the command no input, and keeps the end of what it prints.
    ///
    /// Fails when the system has no pipe or no thread left.
    pub(crate) fn new(mut command: Command) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        command
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let output = FinalOutput::of(reader)?;
        Ok(Self { command, output })
    }

    /// Starts the command, with the CPU affinity of the calling thread.
    pub(crate) fn start(mut self) -> io::Result<Child> {
        let process = self.command.process_group(0).spawn()?;
        // Our copy of the pipe's writing end, without which reading it would never end.
        drop(self.command);
        Ok(Child {
            group: Group::led_by(process.id()),
            process,
            output: self.output,
        })
    }

    /// Starts the command with pipes for its input and output; only the end of
    /// its standard error is kept.
    pub(crate) fn start_piped(mut self) -> io::Result<(Child, ChildStdin, ChildStdout)> {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = self.start()?;
        let stdin = child.process.stdin.take().expect("it is piped");
        let stdout = child.process.stdout.take().expect("it is piped");
        Ok((child, stdin, stdout))
    }
}

/// A process that leads its own process group. Dropped, the group is killed.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    group: Group,
    output: FinalOutput,
}

/// Why a server could not be started, as a sentence.
#[derive(Debug)]
pub(crate) enum StartError {
    /// It ended before it accepted connections: perhaps another process has
    /// taken its port.
    Ended(String),
    /// Another attempt would fare no better.
    Failed(String),
}

impl From<StartError> for String {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Ended(sentence) | StartError::Failed(sentence) => sentence,
        }
    }
}

impl Child {
    /// The process id, which is also that of its group.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits up to 20 s until the process accepts connections at the address.
    ///
    /// Fails when the process ends, when the time is up, and when
    /// `is_interrupted` says so. `name` is what error sentences call it; they
    /// carry the end of what it printed.
    pub(crate) fn wait_until_accepting(
        &mut self,
        address: SocketAddr,
        name: &str,
        is_interrupted: impl Fn() -> bool,
    ) -> Result<(), StartError> {
        let begun = Instant::now();
        loop {
            let attempt = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT);
            // The order matters: a process that has ended left its port free, and
            // whoever took it may have accepted.
            if let Some(status) = self.exit_status() {
                let sentence = format!("`{name}` ended before it accepted connections ({status})");
                return Err(StartError::Ended(self.with_output(sentence)));
            }
            if attempt.is_ok() {
                return Ok(());
            }
            if is_interrupted() {
                return Err(StartError::Failed("interrupted".to_owned()));
            }
            if begun.elapsed() > START_TIMEOUT {
                let sentence = format!(
                    "`{name}` accepts no connections on {address} after {} s; it has to listen on \
                     the port in place of {{port}}",
                    START_TIMEOUT.as_secs()
                );
                return Err(StartError::Failed(self.with_output(sentence)));
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// How the process ended, if it has.
    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Waits until the process ends, at most until the deadline.
    pub(crate) fn wait(&mut self, deadline: Instant) -> Option<ExitStatus> {
        loop {
            let status = self.exit_status();
            if status.is_some() || Instant::now() > deadline {
                return status;
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Sends a signal to the process, but not to what it has started. A process
    /// that has ended gets none.
    pub(crate) fn signal(&self, signal: Signal) {
        self.group.signal_leader(signal);
    }

    /// Sends SIGTERM to the group, waits up to 3 s until the process ends, and
    /// kills what is left of the group.
    pub(crate) fn stop(&mut self) {
        self.group.signal(Signal::SIGTERM);
        self.wait(Instant::now() + STOP_TIMEOUT);
        self.kill();
    }

    fn kill(&mut self) {
        // A wrapper may have ended without what it started.
        self.group.signal(Signal::SIGKILL);
        let _ = self.process.wait();
    }

    /// The end of what the process printed, an indented line each; empty when
    /// it printed nothing. Of a process that has ended, the last line is there.
    pub(crate) fn final_output(&mut self) -> String {
        let has_ended = self.exit_status().is_some();
        self.output.lines(has_ended)
    }

    /// Resident memory in bytes; `None` where the system does not tell.
    pub(crate) fn rss_bytes(&self) -> Option<u64> {
        usage::rss_bytes(self.pid())
    }

    /// The most resident memory that it has had, in bytes; `None` where the system does
    /// not tell.
    pub(crate) fn peak_rss_bytes(&self) -> Option<u64> {
        usage::peak_rss_bytes(self.pid())
    }

    /// Open descriptors; `None` where the system does not tell.
    pub(crate) fn descriptors(&self) -> Option<usize> {
        usage::descriptors(self.pid())
    }

    /// Forgets what the process has printed so far.
    pub(crate) fn forget_output(&self) {
        self.output.forget();
    }

    /// The sentence, followed by the end of what the process printed.
    pub(crate) fn with_output(&mut self, sentence: String) -> String {
        match self.final_output().as_str() {
            "" => sentence + "; it printed nothing",
            lines => format!("{sentence}; it printed:\n{lines}"),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::port::free_port;
    use super::*;

    fn shell(line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        command
    }

    fn started(line: &str) -> Child {
        let launch = Launch::new(shell(line)).expect("a pipe");
        launch.start().expect("there is a shell")
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn the_end_of_a_server_comes_before_whoever_took_its_port() {
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = other.local_addr().expect("it is bound");
        let mut child = started("echo first; echo the port is taken >&2; exit 3");
        child.wait(soon()).expect("it ends");
        let error = child.wait_until_accepting(address, "server", || false);
        let Err(StartError::Ended(sentence)) = error else {
            panic!("{error:?}");
        };
        assert_eq!(
            sentence,
            "`server` ended before it accepted connections (exit status: 3); it printed:\n    \
             first\n    the port is taken"
        );
    }

    #[test]
    fn an_interrupted_wait_ends_before_the_timeout() {
        let address = (Ipv4Addr::LOCALHOST, free_port().expect("a port")).into();
        let mut child = started("exec sleep 60");
        let error = child.wait_until_accepting(address, "server", || true);
        assert!(matches!(error, Err(StartError::Failed(_))), "{error:?}");
    }

    /// Not even a process that ignores SIGTERM, and not what a wrapper left.
    #[test]
    fn nothing_of_a_stopped_group_is_left() {
        let mut child = started("trap '' TERM; sleep 60 & echo $!; wait; wait; sleep 60");
        let other = loop {
            if let Ok(pid) = child.final_output().trim().parse::<u32>() {
                break pid;
            }
            assert!(child.exit_status().is_none(), "it prints a process id");
            thread::sleep(POLL_INTERVAL);
        };
        child.stop();
        assert!(child.exit_status().is_some(), "the leader has ended");
        let deadline = soon();
        while usage::rss_bytes(other).is_some() {
            assert!(Instant::now() < deadline, "{other} is still running");
            thread::sleep(POLL_INTERVAL);
        }
    }
}
