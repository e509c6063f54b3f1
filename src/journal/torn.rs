//! Where a loss of power has torn the engine's last journal.
//!
//! The system writes pages in any order, so a record that was not synced may
//! have its end on the disk and a hole before. The engine leaves out a last
//! record that has no end, but refuses one that has an end and is wrong. So it
//! is tried with less and less of the journal. Whether all is left that was
//! synced is not told here.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::copy::copy;
use super::reader::{self, Read};

/// How much of a journal the engine reads.
#[derive(Debug)]
pub(super) struct Tear {
    /// The journal's name in the engine's folder.
    name: PathBuf,
    len: u64,
}

impl Tear {
    /// Finds it in copies of the engine. Takes some seconds, as it happens seldom.
    pub(super) fn find(engine: &Path) -> io::Result<Self> {
        let name = last_journal(engine)?;
        let (mut read, mut refused) = (0, fs::metadata(engine.join(&name))?.len());
        while refused - read > 1 {
            let len = read + (refused - read) / 2;
            let copy = copy(engine)?;
            let tear = Self {
                name: name.clone(),
                len,
            };
            tear.cut(copy.path())?;
            // With less it may miss other things, and says something else then.
            match reader::read(copy.path().to_owned())?.recv() {
                Ok(Read::Failed(fjall::Error::JournalRecovery(_))) => refused = len,
                _ => read = len,
            }
        }
        Ok(Self { name, len: read })
    }

    /// Cuts the journal there.
    pub(super) fn cut(&self, engine: &Path) -> io::Result<()> {
        let journal = File::options().write(true).open(engine.join(&self.name))?;
        journal.set_len(self.len)
    }
}

/// That with the highest number.
fn last_journal(engine: &Path) -> io::Result<PathBuf> {
    let mut last = None;
    for entry in fs::read_dir(engine)? {
        let name = PathBuf::from(entry?.file_name());
        let number = || match name.extension()?.to_str()? {
            "jnl" => name.file_stem()?.to_str()?.parse::<u64>().ok(),
            _ => None,
        };
        last = last.max(number().map(|number| (number, name.clone())));
    }
    last.map(|(_, name)| name)
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}
