//! `speicher dump DIR`: writes the entries of a directory as lines of JSON.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write, stderr, stdout};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use argh::FromArgs;
use indicatif::{ProgressBar, ProgressStyle};
use speicher::journal::{self, Entries, OpenError};
use speicher::lines::push_line;

use super::output::report_error;
use super::printable::json_for_terminal;
use super::signals::{EXIT_INTERRUPTED, stop_flag};

/// Lines are written together up to so many bytes, and with the one that exceeds it.
const WRITE_LEN: usize = 64 << 10;

/// Write the entries of a server's data directory as lines of JSON.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "dump",
    example = "{command_name} /var/lib/speicher > entries.jsonl\n\
               {command_name} /var/lib/speicher | speicher load 10.0.0.2:14567",
    note = "The directory is what a server has from --data. Each entry is a line:\n\
            \x20 {{\"key\":\"greeting\",\"value\":\"hello\"}}\n\
            The value's bytes are those that are stored, but a line break between the tokens of\n\
            its JSON, such as one after a comma, becomes a space; in strings JSON has none. On a\n\
            terminal control characters are shown as JSON's escapes. The entries come in no\n\
            order. They have to fit into memory, as in the server.\n\
            \n\
            Nothing in the directory changes. No server may use it meanwhile, and the protocol\n\
            cannot list what a running one has: stop it, or dump a copy of its directory. Such a\n\
            copy is made while it is stopped, or by a snapshot of the file system, which is all\n\
            of the directory at one moment.",
    error_code(0, "all entries are written, or nobody reads on"),
    error_code(2, "not all are written; standard error says why"),
    error_code(130, "interrupted"),
    help_triggers("-h", "--help")
)]
pub(crate) struct Dump {
    /// directory with the entries
    #[argh(positional)]
    dir: PathBuf,
}

impl Dump {
    pub(crate) fn run(self) -> ExitCode {
        match self.dump() {
            Ok(exit_code) => exit_code,
            Err(sentence) => report_error(sentence),
        }
    }

    fn dump(self) -> Result<ExitCode, String> {
        // Also so that a signal leaves nothing in the temporary folder.
        let stop = stop_flag()?;
        let mut output = Output::open(&stop)?;
        let entries = match self.read(&stop) {
            Err(OpenError::Stopped) => return Ok(ExitCode::from(EXIT_INTERRUPTED)),
            read => read.map_err(sentence)?,
        };
        let written = output.write_all(&entries);
        // The process ends: to free all of them would only take time.
        std::mem::forget(entries);
        match written {
            Ok(()) => Ok(ExitCode::SUCCESS),
            // Whoever reads may have seen enough, as `head` does.
            Err(Unwritten::Io(error)) if error.kind() == ErrorKind::BrokenPipe => {
                Ok(ExitCode::SUCCESS)
            }
            Err(Unwritten::Io(error)) => Err(cant_write(&error)),
            Err(Unwritten::Stopped) => Ok(ExitCode::from(EXIT_INTERRUPTED)),
        }
    }

    fn read(&self, stop: &AtomicBool) -> Result<Entries, OpenError> {
        let bar = bar("reading {bar:40} {percent}% {eta} left", true);
        let entries = journal::entries(&self.dir, |progress| {
            bar.set_length(progress.total);
            bar.set_position(progress.len);
            match stop.load(Ordering::Relaxed) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        bar.finish_and_clear();
        entries
    }
}

/// Standard output, without a look for line breaks in what is written.
struct Output<'a> {
    file: File,
    is_terminal: bool,
    lines: Vec<u8>,
    stop: &'a AtomicBool,
}

/// Why not all is written.
enum Unwritten {
    Io(io::Error),
    Stopped,
}

impl<'a> Output<'a> {
    fn open(stop: &'a AtomicBool) -> Result<Self, String> {
        let fd = stdout().as_fd().try_clone_to_owned();
        Ok(Self {
            file: File::from(fd.map_err(|error| cant_write(&error))?),
            is_terminal: stdout().is_terminal(),
            lines: Vec::with_capacity(2 * WRITE_LEN),
            stop,
        })
    }

    fn write_all(&mut self, entries: &Entries) -> Result<(), Unwritten> {
        let bar = bar("writing {bar:40} {percent}% {eta} left", !self.is_terminal);
        bar.set_length(entries.len() as u64);
        let mut count = 0;
        let written = entries.for_each(|key, value| {
            push_line(&mut self.lines, key, value);
            count += 1;
            if self.lines.len() >= WRITE_LEN {
                bar.set_position(count);
                self.flush()?;
            }
            Ok(())
        });
        let written = written.and_then(|()| self.flush());
        bar.finish_and_clear();
        written
    }

    fn flush(&mut self) -> Result<(), Unwritten> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Unwritten::Stopped);
        }
        let written = match self.is_terminal {
            true => {
                let text = String::from_utf8_lossy(&self.lines);
                self.file.write_all(json_for_terminal(&text).as_bytes())
            }
            false => self.file.write_all(&self.lines),
        };
        self.lines.clear();
        self.lines.shrink_to(2 * WRITE_LEN);
        written.map_err(Unwritten::Io)
    }
}

/// A bar on standard error, if that is a terminal and the bar is wanted.
fn bar(template: &str, is_wanted: bool) -> ProgressBar {
    let bar = match is_wanted && stderr().is_terminal() {
        true => ProgressBar::new(0),
        false => ProgressBar::hidden(),
    };
    let style = ProgressStyle::with_template(template).expect("the template is right");
    bar.with_style(style)
}

fn cant_write(error: &io::Error) -> String {
    format!("can't write to standard output: {error}")
}

/// What helps somebody who dumps is not what helps a server.
fn sentence(error: OpenError) -> String {
    const RIGHT: &str = "name the directory that a server has from --data";

    match error {
        OpenError::Locked(dir) => format!(
            "another process, most likely a server, uses the directory {}; stop it, or dump a copy \
             of the directory (speicher dump --help says how to make one)",
            dir.display()
        ),
        OpenError::NotADirectory(path) => format!("{} is no directory; {RIGHT}", path.display()),
        OpenError::Foreign(dir) => {
            format!(
                "the directory {} is no journal of speicher; {RIGHT}",
                dir.display()
            )
        }
        OpenError::Io { path, error } => format!(
            "can't read {}: {error}; {RIGHT}, and see to its permissions and its disk",
            path.display()
        ),
        OpenError::Full => {
            "the directory has more entries than fit into memory; dump it on a machine with more"
                .to_owned()
        }
        error => error.to_string(),
    }
}
