//! Lines for the operator, on standard error.

use std::fmt;
use std::io::Write;

/// Writes one line; a closed standard error is no reason to stop serving.
pub(super) fn line(message: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "speicher: {message}");
}
