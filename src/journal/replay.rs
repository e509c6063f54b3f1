//! Reads all changes of a directory, and whether they are all that there should
//! be, without changing it.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};

use super::copy::copy;
use super::directory::Directory;
use super::engine::Engine;
use super::error::OpenError;
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
            std::io::ErrorKind::NotFound => OpenError::Damaged {
                dir: path.to_owned(),
                what: format!("a part of it is not there ({error})"),
            },
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
    // Who reads damaged files panics more often than its author would like.
    let read = without_a_word(|| {
        let mut tear = None;
        let mut engine = Engine::open_to_read(copy.path());
        if let Err(fjall::Error::JournalRecovery(_)) = engine {
            let found =
                Tear::find(&directory.engine()).map_err(|error| OpenError::io(path, &error))?;
            copy = copied()?;
            found
                .cut(copy.path())
                .map_err(|error| OpenError::io(path, &error))?;
            engine = Engine::open_to_read(copy.path());
            tear = Some(found);
        }
        let engine = engine.map_err(|error| engine_error(directory, &error))?;
        let mut replayed = read_all(directory, &engine, cut, change, progress)?;
        replayed.tear = tear;
        Ok(replayed)
    });
    let replayed = read.unwrap_or_else(|_| {
        Err(OpenError::Damaged {
            dir: path.to_owned(),
            what: "the engine can't read it".to_owned(),
        })
    })?;
    if replayed.last < synced {
        return Err(OpenError::Damaged {
            dir: path.to_owned(),
            what: format!(
                "its last record has number {}, and number {synced} was on the disk",
                replayed.last
            ),
        });
    }
    Ok(replayed)
}

fn read_all(
    directory: &Directory,
    engine: &Engine,
    cut: Option<u64>,
    mut change: impl FnMut(Change<'_>) -> Result<(), OpenError>,
    mut progress: impl FnMut(Progress),
) -> Result<Replayed, OpenError> {
    let damaged = |what: String| OpenError::Damaged {
        dir: directory.path().to_owned(),
        what,
    };
    let mut replayed = Replayed {
        last: engine.base().first - 1,
        len: 0,
        tear: None,
    };
    for record in engine.records() {
        let (number, record) = record.map_err(|error| engine_error(directory, &error))?;
        if cut.is_some_and(|cut| number > cut) {
            break;
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
            total: engine.len().max(replayed.len),
        });
    }
    Ok(replayed)
}

fn engine_error(directory: &Directory, error: &fjall::Error) -> OpenError {
    match OpenError::engine(directory.path(), error) {
        // It does not say which file it is about.
        OpenError::Io { path, error } => OpenError::Damaged {
            dir: path,
            what: error,
        },
        error => error,
    }
}

/// Calls it without anything on standard error, should it panic.
fn without_a_word<T>(call: impl FnOnce() -> T) -> std::thread::Result<T> {
    /// The hook is the process's: two who change it would mistake one for another.
    static CHANGED: Mutex<()> = Mutex::new(());

    let _changed = CHANGED.lock().unwrap_or_else(PoisonError::into_inner);
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let outcome = panic::catch_unwind(AssertUnwindSafe(call));
    panic::set_hook(hook);
    outcome
}
