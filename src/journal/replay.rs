//! Reads all changes of a directory, and whether they are all that there should
//! be, without changing it.

use std::sync::mpsc::Receiver;

use super::copy::copy;
use super::directory::Directory;
use super::error::OpenError;
use super::reader::{self, Read};
use super::record;
use super::torn::Tear;
use crate::store::Change;

/// How far the reading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that were read.
    pub len: u64,
    /// About all that there are.
    pub total: u64,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Replayed {
    /// The number of the last record.
    pub(super) last: u64,
    /// Bytes of records.
    pub(super) len: u64,
    /// Where the engine's journal has to be cut before it is opened.
    pub(super) tear: Option<Tear>,
}

/// Calls `change` with each change, in order, and `progress` after each record.
pub(super) fn replay(
    directory: &Directory,
    change: impl FnMut(Change<'_>) -> Result<(), OpenError>,
    progress: impl FnMut(Progress),
) -> Result<Replayed, OpenError> {
    let path = directory.path();
    let (synced, cut) = directory.read_synced()?;
    let copied = || {
        copy(&directory.engine()).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                OpenError::damaged(path, format!("a part of it is not there ({error})"))
            }
            _ => OpenError::Io {
                path: path.to_owned(),
                error: format!(
                    "to try it, it was copied to {}, which failed ({error}; TMPDIR says where else)",
                    std::env::temp_dir().display()
                ),
            },
        })
    };
    let mut copy = copied()?;
    let io = |error| OpenError::io(path, &error);
    let mut records = reader::read(copy.path().to_owned()).map_err(io)?;
    let mut opened = next(&records);
    let mut tear = None;
    if let Read::Failed(fjall::Error::JournalRecovery(_)) = opened {
        let found = Tear::find(&directory.engine()).map_err(io)?;
        copy = copied()?;
        found.cut(copy.path()).map_err(io)?;
        records = reader::read(copy.path().to_owned()).map_err(io)?;
        opened = next(&records);
        tear = Some(found);
    }
    let replayed = Replayed {
        tear,
        ..read_all(directory, opened, &records, cut, change, progress)?
    };
    if replayed.last < synced {
        return Err(OpenError::damaged(
            path,
            format!(
                "its last record has number {}, and number {synced} was on the disk",
                replayed.last
            ),
        ));
    }
    Ok(replayed)
}

/// What is read next. Who says no more has panicked, or could not even do that.
fn next(records: &Receiver<Read>) -> Read {
    records.recv().unwrap_or(Read::Panicked)
}

fn read_all(
    directory: &Directory,
    opened: Read,
    records: &Receiver<Read>,
    cut: Option<u64>,
    mut change: impl FnMut(Change<'_>) -> Result<(), OpenError>,
    mut progress: impl FnMut(Progress),
) -> Result<Replayed, OpenError> {
    let damaged = |what: String| OpenError::damaged(directory.path(), what);
    let failed = |read: Read| match read {
        Read::Failed(error) => engine_error(directory, &error),
        _ => damaged("the engine can't read it".to_owned()),
    };
    let (first, total) = match opened {
        Read::Opened { first, len } => (first, len),
        other => return Err(failed(other)),
    };
    let mut replayed = Replayed {
        last: first.saturating_sub(1),
        len: 0,
        tear: None,
    };
    loop {
        let some = match next(records) {
            Read::Records(some) => some,
            Read::End => return Ok(replayed),
            other => return Err(failed(other)),
        };
        for (number, record) in some {
            if cut.is_some_and(|cut| number > cut) {
                return Ok(replayed);
            }
            if number != replayed.last + 1 {
                return Err(damaged(format!(
                    "record {} is followed by record {number}",
                    replayed.last
                )));
            }
            for each in record::changes(&record) {
                change(each.ok_or_else(|| damaged(format!("record {number} has no sense")))?)?;
            }
            replayed.last = number;
            replayed.len += record.len() as u64;
            progress(Progress {
                len: replayed.len,
                total: total.max(replayed.len),
            });
        }
    }
}

fn engine_error(directory: &Directory, error: &fjall::Error) -> OpenError {
    match OpenError::engine(directory.path(), error) {
        // It does not say which file it is about.
        OpenError::Io { path, error } => OpenError::damaged(&path, error),
        error => error,
    }
}
