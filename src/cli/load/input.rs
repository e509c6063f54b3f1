//! Where lines come from.

use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Read, stdin};
use std::os::fd::AsFd;
use std::path::Path;

use speicher::lines::{BadLine, Line};
use speicher::protocol::frame::FRAME_LEN_MAX;

/// The input is read in pieces of at least so many bytes, and a pipe has no more.
const PIECE_LEN: usize = 64 << 10;

/// A file or standard input, cut into lines.
#[derive(Debug)]
pub(super) struct Input {
    file: File,
    name: String,
    /// All of it initialised; `start..end` is what was read and not yet taken.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// There is no end of a line before this.
    searched: usize,
    /// The number of the last line that was taken.
    line: u64,
    is_ended: bool,
}

impl Input {
    /// Opens the file, or else standard input. The error is a sentence.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, String> {
        let (file, name) = match path {
            Some(path) => (File::open(path), path.display().to_string()),
            None => (
                stdin().as_fd().try_clone_to_owned().map(File::from),
                "standard input".to_owned(),
            ),
        };
        let file = file.map_err(|error| format!("can't read {name}: {error}"))?;
        Ok(Self {
            file,
            name,
            buffer: vec![0; 2 * PIECE_LEN],
            start: 0,
            end: 0,
            searched: 0,
            line: 0,
            is_ended: false,
        })
    }

    /// Its length in bytes, if it has one.
    pub(super) fn len(&self) -> Option<u64> {
        let metadata = self.file.metadata().ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    /// Whether somebody types it.
    pub(super) fn is_terminal(&self) -> bool {
        self.file.is_terminal()
    }

    /// The next line of those that have been read, with its number from 1; `None` if more has
    /// to be [read](Self::read) first, or there is none.
    pub(super) fn line(&mut self) -> Option<(u64, &[u8])> {
        let unsearched = &self.buffer[self.searched..self.end];
        let len = match unsearched.iter().position(|byte| *byte == b'\n') {
            Some(index) => self.searched + index + 1 - self.start,
            None if self.is_ended && self.start < self.end => self.end - self.start,
            None => {
                self.searched = self.end;
                return None;
            }
        };
        let line = self.start..self.start + len;
        (self.start, self.searched) = (line.end, line.end);
        self.line += 1;
        Some((self.line, &self.buffer[line]))
    }

    /// Whether all has been read.
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Reads more, however much there is; fails with a sentence.
    pub(super) fn read(&mut self) -> Result<(), String> {
        self.make_room();
        loop {
            match self.file.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.is_ended = true,
                Ok(n) => self.end += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("can't read {}: {error}", self.name)),
            }
            return Ok(());
        }
    }

    /// What is wrong with the line whose end was not read yet, with its number, if that can be
    /// said: so a file of another kind, which may have no lines, is not read to its end.
    pub(super) fn bad_beginning(&self) -> Option<(u64, BadLine)> {
        let begun = &self.buffer[self.start..self.end];
        if begun.len() < PIECE_LEN {
            return None;
        }
        let first = begun.iter().find(|byte| !byte.is_ascii_whitespace());
        let wrong = match first {
            Some(b'{') if begun.len() > FRAME_LEN_MAX => BadLine::TooLong,
            Some(b'{') => return None,
            _ => Line::parse(begun).err().unwrap_or(BadLine::NotAnObject),
        };
        Some((self.line + 1, wrong))
    }

    fn make_room(&mut self) {
        let unread = self.start..self.end;
        if self.start > 0 {
            self.buffer.copy_within(unread.clone(), 0);
            self.searched -= self.start;
            (self.start, self.end) = (0, unread.len());
        }
        if self.buffer.len() - self.end < PIECE_LEN {
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
    }
}
