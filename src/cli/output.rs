//! What a command prints and exits with, whichever it is.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use super::printable::lines;

/// Nothing is there: what grep exits with when it finds nothing.
pub(super) const EXIT_ABSENT: u8 = 1;

/// The command line is wrong, or the command could not be carried out.
const EXIT_ERROR: u8 = 2;

/// Prints the text on standard output.
pub(super) fn show(text: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}") {
        // Whoever reads may have seen enough, as `head` does.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            report_error(format_args!("can't write to standard output: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Prints the line that says that a server is ready. Where that can't be done the server goes on;
/// it fails with a sentence about that.
pub(super) fn announce(line: impl fmt::Display) -> Result<(), String> {
    writeln!(std::io::stdout(), "{line}").map_err(|error| {
        format!(
            "the server runs, but can't write to standard output: {error}; it would say: {line}"
        )
    })
}

/// Prints the error on standard error. Nothing in it steers a terminal, whoever has
/// written part of it.
pub(super) fn report_error(message: impl fmt::Display) -> ExitCode {
    // With standard error closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "speicher: {}", lines(message));
    ExitCode::from(EXIT_ERROR)
}
