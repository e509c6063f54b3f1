//! The end of what a process prints, for the sentence that says how it failed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The last lines that are kept, and the bytes that each may have.
const LINES_MAX: usize = 12;
const LINE_LEN_MAX: u64 = 500;

/// How long to wait for the last line of a process that has ended. A process
/// that it left behind may hold the pipe open for ever.
const LAST_LINE_TIMEOUT: Duration = Duration::from_millis(200);

/// The last 12 lines of a stream, of at most 500 bytes each. A thread reads the
/// stream to its end, so that the process never waits for a reader.
#[derive(Debug)]
pub(super) struct FinalOutput {
    lines: Arc<Mutex<VecDeque<String>>>,
    /// Disconnected when the stream has ended.
    end: Receiver<Infallible>,
}

impl FinalOutput {
    pub(super) fn of(stream: impl Read + Send + 'static) -> io::Result<Self> {
        let lines = Arc::default();
        let (open, end) = channel();
        let kept = Arc::clone(&lines);
        let read = move || {
            let _open = open;
            keep_last_lines(stream, &kept);
        };
        thread::Builder::new().spawn(read)?;
        Ok(Self { lines, end })
    }

    /// The lines, each indented by four spaces; after the end of the process,
    /// with the last one.
    pub(super) fn lines(&self, has_ended: bool) -> String {
        if has_ended {
            let _: Result<Infallible, RecvTimeoutError> = self.end.recv_timeout(LAST_LINE_TIMEOUT);
        }
        let lines = lock(&self.lines);
        let indented: Vec<_> = lines.iter().map(|line| format!("    {line}")).collect();
        indented.join("\n")
    }

    pub(super) fn forget(&self) {
        lock(&self.lines).clear();
    }
}

fn keep_last_lines(stream: impl Read, lines: &Mutex<VecDeque<String>>) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while let Ok(1..) = reader
        .by_ref()
        .take(LINE_LEN_MAX)
        .read_until(b'\n', &mut line)
    {
        let text = printable(&String::from_utf8_lossy(&line));
        line.clear();
        let mut lines = lock(lines);
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(text);
    }
}

/// The line without what could steer a terminal.
fn printable(line: &str) -> String {
    let spaced = line.trim_end().replace('\t', " ");
    spaced.chars().filter(|c| !c.is_control()).collect()
}

fn lock(lines: &Mutex<VecDeque<String>>) -> MutexGuard<'_, VecDeque<String>> {
    // Lines are added and removed whole.
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(printed: &[u8]) -> String {
        let output = FinalOutput::of(io::Cursor::new(printed.to_vec())).expect("a thread");
        output.lines(true)
    }

    #[test]
    fn the_last_lines_are_kept_and_long_ones_are_cut() {
        let printed: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let lines = kept(printed.as_bytes());
        assert_eq!(lines.lines().count(), LINES_MAX);
        assert!(lines.starts_with("    line 88\n"), "{lines}");
        assert!(lines.ends_with("\n    line 99"), "{lines}");

        let endless = kept(&[b'x'; 100_000]);
        assert_eq!(endless.lines().count(), LINES_MAX);
        let longest = endless.lines().map(str::len).max();
        assert_eq!(longest, Some(LINE_LEN_MAX as usize + 4));
    }

    #[test]
    fn what_is_kept_cannot_steer_a_terminal() {
        assert_eq!(kept(b"\x1b[2Ja\tb\r\x07c\xff\r\n"), "    [2Ja bc\u{fffd}");
        assert_eq!(kept(b""), "");
    }
}
