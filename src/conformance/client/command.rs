//! The client under test, as a process that is told what to call.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use super::super::process::shell_command;
use crate::child::{Child, Launch};

/// How long the command is told to wait for a server at most.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest line that a client may print, in bytes.
const LINE_LEN_MAX: u64 = 16 << 20;

/// How long a client that prints no more may take to end.
const END_TIMEOUT: Duration = Duration::from_millis(200);

/// What a shell exits with that can't find a command, or can't run it.
const NOT_FOUND: [Option<i32>; 2] = [Some(127), Some(126)];

/// The lines that may wait to be looked at: one for each call is normal.
const LINES_MAX: usize = 64;

/// A running command. Dropped, it is killed.
pub(super) struct ClientCommand {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl ClientCommand {
    /// Starts the command; the error is a sentence.
    pub(super) fn start(command: &str, port: u16) -> Result<Self, String> {
        let timeout = CLIENT_TIMEOUT.as_secs_f64().to_string();
        let command = shell_command(&command.replace("{timeout}", &timeout), port);
        let started = Launch::new(command).and_then(Launch::start_piped);
        let (child, stdin, stdout) =
            started.map_err(|error| format!("sh can't be started: {error}"))?;
        let (sender, lines) = mpsc::sync_channel(LINES_MAX);
        thread::spawn(move || send_lines(stdout, &sender));
        Ok(Self {
            child,
            stdin,
            lines,
        })
    }

    /// Tells the client what to call. One that has ended shows in its answer.
    pub(super) fn call(&mut self, call: &str) {
        let _ = writeln!(self.stdin, "{call}");
    }

    /// The line that the client has printed, if there is one; the error says
    /// that it has ended.
    pub(super) fn answer(&mut self) -> Result<Option<String>, String> {
        match self.lines.try_recv() {
            Ok(line) => Ok(Some(line.trim_end().to_owned())),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(self.end()),
        }
    }

    /// Whether the shell could not run the command.
    pub(super) fn was_not_found(&mut self) -> bool {
        let status = self.child.exit_status();
        status.is_some_and(|status| NOT_FOUND.contains(&status.code()))
    }

    /// How a client ended that prints no more, as a sentence.
    fn end(&mut self) -> String {
        // A process ends a little later than its output.
        let status = self.child.wait(Instant::now() + END_TIMEOUT);
        let end = match status {
            Some(status) => format!("the client ended ({status})"),
            None => "the client closed its standard output".to_owned(),
        };
        match self.child.final_output().as_str() {
            "" => end,
            lines => format!("{end}; its standard error ends with:\n{lines}"),
        }
    }
}

/// Sends what the client prints, line by line, until it or the receiver ends.
fn send_lines(stdout: ChildStdout, sender: &SyncSender<String>) {
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    while let Ok(1..) = reader
        .by_ref()
        .take(LINE_LEN_MAX)
        .read_until(b'\n', &mut line)
    {
        let text = String::from_utf8_lossy(&line).into_owned();
        line.clear();
        if sender.send(text).is_err() {
            return;
        }
    }
}
