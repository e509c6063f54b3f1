//! The client under test, as a process that is told what to call.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

use super::super::process::{Group, Printed, shell_line};
use super::CLIENT_TIMEOUT;

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
            for line in BufReader::new(stdout).split(b'\n') {
                let Ok(line) = line else { return };
                let line = String::from_utf8_lossy(&line).into_owned();
                if sender.send(line).is_err() {
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
                let how = match self.child.wait() {
                    Ok(status) => status.to_string(),
                    Err(error) => error.to_string(),
                };
                let printed = self.errors.behind_a_sentence(true);
                Err(format!("the client ended ({how}){printed}"))
            }
        }
    }
}

impl Drop for ClientCommand {
    fn drop(&mut self) {
        self.group.kill();
        let _ = self.child.wait();
    }
}
