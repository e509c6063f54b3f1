//! The thread that reads lines and sends entries.

use std::sync::Arc;

use speicher::client::RequestHalf;
use speicher::lines::Line;

use super::input::Input;
use super::window::{Burst, End, Window};

/// Entries are sent together up to so many bytes.
const BURST_LEN: usize = 32 << 10;

/// More room than this is not kept for frames.
const KEPT_LEN_MAX: usize = 1 << 20;

/// Reads lines, and sends what the window admits.
pub(super) struct Sender {
    input: Input,
    skip: u64,
    requests: RequestHalf,
    window: Arc<Window>,
    burst: Burst,
    frames: Vec<u8>,
}

impl Sender {
    /// One that leaves out the first `skip` lines.
    pub(super) fn new(input: Input, skip: u64, requests: RequestHalf, window: Arc<Window>) -> Self {
        Self {
            input,
            skip,
            requests,
            window,
            burst: Burst::default(),
            frames: Vec::with_capacity(2 * BURST_LEN),
        }
    }

    /// Sends everything.
    pub(super) fn run(mut self) {
        let end = self.send_all().err().unwrap_or(End::AllSent);
        self.window.finish(end);
    }

    fn send_all(&mut self) -> Result<(), End> {
        loop {
            self.send_lines()?;
            // What is here is not kept while nothing comes.
            self.flush()?;
            if self.input.is_ended() {
                return Ok(());
            }
            if let Some((number, reason)) = self.input.bad_beginning() {
                return Err(End::BadLine(number, reason));
            }
            self.input.read().map_err(End::Input)?;
        }
    }

    /// Sends the lines that have been read, and leaves some to be sent with the next.
    fn send_lines(&mut self) -> Result<(), End> {
        while let Some((number, line)) = self.input.line() {
            let line_len = line.len() as u64;
            let entry = match number > self.skip {
                true => Line::parse(line),
                false => Ok(None),
            };
            let pushed = entry.and_then(|entry| {
                let Some(entry) = entry else { return Ok(false) };
                entry.push_set(&mut self.frames).map(|()| true)
            });
            match pushed {
                Ok(true) => {
                    if self.burst.entries == 0 {
                        self.burst.first_line = number;
                    }
                    self.burst.entries += 1;
                    self.burst.lines_len += line_len;
                }
                // The lines of a burst are consecutive.
                Ok(false) => self.flush_with(line_len)?,
                Err(reason) => {
                    self.flush()?;
                    return Err(End::BadLine(number, reason));
                }
            }
            if self.frames.len() >= BURST_LEN {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Sends what there is, and counts these bytes of lines without entries with the next.
    fn flush_with(&mut self, lines_len: u64) -> Result<(), End> {
        if self.burst.entries > 0 {
            self.flush()?;
        }
        self.burst.lines_len += lines_len;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), End> {
        if self.burst.entries == 0 {
            return Ok(());
        }
        let burst = Burst {
            len: self.frames.len(),
            ..std::mem::take(&mut self.burst)
        };
        if !self.window.admit(burst) || self.requests.send(&self.frames).is_err() {
            return Err(End::Closed);
        }
        self.frames.clear();
        self.frames.shrink_to(KEPT_LEN_MAX);
        Ok(())
    }
}

/// Also after a panic nobody waits for more.
impl Drop for Sender {
    fn drop(&mut self) {
        self.window.finish(End::Closed);
    }
}
