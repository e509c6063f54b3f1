//! Sizes as people read them.

use std::fmt;

/// A number of bytes, shown in powers of 1024: exact, or with one place behind the
/// point.
#[derive(Clone, Copy, Debug)]
pub struct Size(pub usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(usize, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];

        let len = self.0;
        match UNITS.into_iter().find(|(unit, _)| len >= *unit) {
            Some((unit, name)) if len.is_multiple_of(unit) => write!(f, "{} {name}", len / unit),
            Some((unit, name)) => write!(f, "{:.1} {name}", len as f64 / unit as f64),
            None => write!(f, "{len} bytes"),
        }
    }
}
