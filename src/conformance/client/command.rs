//! The client under test, as a process that is told what to call.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use super::super::process::{Group, Printed, shell_line};
use super::CLIENT_TIMEOUT;
use super::script::LOOK_INTERVAL;

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
    group: Group,
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    errors: Printed,
}

impl ClientCommand {
    /// Starts the command; the error is a sentence.
    pub(super) fn start(command: &str, port: u16) -> Result<Self, String> {
        let timeout = CLIENT_TIMEOUT.as_secs_f64().to_string();
        let line = shell_line(&command.replace("{timeout}", &timeout), port);
        let mut child = Command::new("sh")
            .args(["-c", &line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("sh can't be started: {error}"))?;
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        let mut errors = Printed::default();
        errors.read(child.stderr.take());
        let (sender, lines) = mpsc::sync_channel(LINES_MAX);
        thread::spawn(move || {
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
        });
        Ok(Self {
            group: Group::led_by(child.id()),
            child,
            stdin,
            lines,
            errors,
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
            Err(TryRecvError::Disconnected) => {
                let how = match self.ended() {
                    Some(status) => format!("the client ended ({status})"),
                    None => "the client closed its standard output".to_owned(),
                };
                Err(how + &self.errors.behind_a_sentence(true))
            }
        }
    }

    /// Whether the shell could not run the command.
    pub(super) fn was_not_found(&mut self) -> bool {
        let status = self.child.try_wait().ok().flatten();
        status.is_some_and(|status| NOT_FOUND.contains(&status.code()))
    }

    /// How it ended, which shows a little later than its last line.
    fn ended(&mut self) -> Option<ExitStatus> {
        let begun = Instant::now();
        loop {
            let status = self.child.try_wait().ok().flatten();
            if status.is_some() || begun.elapsed() > END_TIMEOUT {
                return status;
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }
}

impl Drop for ClientCommand {
    fn drop(&mut self) {
        self.group.kill();
        let _ = self.child.wait();
    }
}
