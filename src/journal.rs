//! Changes on disk, so that entries outlive the process.
//!
//! A [`Journal`] is a directory with records, one for each group of changes
//! that were written together. Who reads the records in their order has the
//! entries again. When the records are much longer than the entries are, the
//! entries are written once more, among the changes that come meanwhile, and
//! what was before is removed.
//!
//! The `fjall` crate keeps the records. What it does not promise is added here:
//! a directory is told from others and locked, opened as a copy first, so that
//! nothing in it changes if it turns out to be damaged, and it notes how far it
//! was synced, so that records which are gone are missed.

mod copy;
mod directory;
mod engine;
mod entries;
mod error;
mod reader;
mod record;
mod replay;
mod room;
mod torn;

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

pub use entries::{Entries, entries};
pub use error::OpenError;
pub(crate) use record::RecordWriter;
pub use replay::Progress;

use crate::protocol::{KeyRef, Reply, Request, StatusCode};
use crate::store::Change;
use directory::{Directory, Synced};
use engine::Engine;
use room::Room;

/// What acknowledged means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// The change is on the disk.
    #[default]
    Always,
    /// The operating system has the change, and the disk within this time.
    Every(Duration),
}

/// A directory that keeps changes; this process has it alone.
#[derive(Debug)]
pub struct Journal {
    directory: Directory,
    engine: State,
    room: Room,
    synced: Synced,
    /// The number of the last record.
    last: u64,
    /// The number of the last record that is on the disk.
    synced_to: u64,
    /// Bytes of the records that count.
    len: u64,
    /// While the entries are written once more.
    rewrite: Option<Rewrite>,
}

#[derive(Debug)]
enum State {
    Open(Engine),
    /// It could not write, and was closed then. What it has is known.
    Closed {
        at: Instant,
        error: String,
    },
    /// A sync has failed: what was written may be on the disk or not, and to
    /// read it back would not tell, because the system has it in memory.
    Lost(String),
}

#[derive(Clone, Copy, Debug)]
struct Rewrite {
    /// The number of its first record.
    first: u64,
    /// Bytes of the records from there on.
    len: u64,
}

/// Why changes are not in the journal, nor will be.
#[derive(Clone, Debug)]
pub(crate) enum WriteError {
    /// The disk is full, or refuses to write. Later ones may be written.
    NotWritten(String),
    /// None is written any more until the directory is opened again.
    Lost(String),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NotWritten(error) | Self::Lost(error)) = self;
        f.write_str(error)
    }
}

/// How long an engine that could not write stays closed.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Fails if [`Journal::open`] would, for a reason that is found without a look at
/// the changes. Makes nothing.
pub fn check(dir: &Path) -> Result<(), OpenError> {
    match Directory::could_be_made(dir)? {
        true => Ok(()),
        false => Directory::lock(dir).map(drop),
    }
}

/// Calls `change` with each change in the directory, in order, and `progress` now
/// and then. Nothing in the directory changes.
pub fn read(
    dir: &Path,
    change: impl FnMut(Change<'_>) -> Result<(), OpenError>,
    progress: impl FnMut(Progress),
) -> Result<(), OpenError> {
    let directory = Directory::lock(dir)?;
    replay::replay(&directory, change, progress).map(drop)
}

/// Makes a change in a store; `apply` executes the request that does. Fails if
/// there is no memory for it.
pub(crate) fn make(
    change: Change<'_>,
    apply: impl FnOnce(Request<KeyRef<'_>>) -> Reply,
) -> Result<(), OpenError> {
    let request = change.request().ok_or(OpenError::Full)?;
    match apply(request).status_code() {
        StatusCode::Unavailable => Err(OpenError::Full),
        _ => Ok(()),
    }
}

impl Journal {
    /// Opens the directory, or makes it, and calls `change` with each change in
    /// it, in order, and `progress` now and then.
    ///
    /// Fails with a sentence, and leaves the directory as it is, if it has not
    /// all that was synced, or if `change` fails.
    pub fn open(
        dir: &Path,
        change: impl FnMut(Change<'_>) -> Result<(), OpenError>,
        progress: impl FnMut(Progress),
    ) -> Result<Self, OpenError> {
        let directory = Directory::lock_or_make(dir)?;
        let replayed = replay::replay(&directory, change, progress)?;
        if let Some(tear) = &replayed.tear {
            let cut = tear.cut(&directory.engine());
            cut.map_err(|error| OpenError::io(dir, &error))?;
        }
        let room = Room::of(directory.path()).map_err(|error| OpenError::io(dir, &error))?;
        let engine = Engine::open(&directory.engine(), room.memtable_len())
            .map_err(|error| OpenError::engine(dir, &error))?;
        let mut journal = Self {
            synced: directory.synced()?,
            directory,
            engine: State::Open(engine),
            room,
            last: replayed.last,
            synced_to: 0,
            len: replayed.len,
            rewrite: None,
        };
        journal.settle().map_err(|error| OpenError::Io {
            path: dir.to_owned(),
            error: error.to_string(),
        })?;
        Ok(journal)
    }

    /// Appends a record, which reaches the operating system.
    pub(crate) fn append(&mut self, record: &[u8]) -> Result<(), WriteError> {
        let len = record.len() as u64;
        self.reopen()?;
        self.check_room(len)?;
        let State::Open(engine) = &mut self.engine else {
            unreachable!("it is open, or could not be opened again");
        };
        if let Err(error) = engine.append(self.last + 1, record) {
            return Err(self.close(&error));
        }
        self.last += 1;
        self.len += len;
        if let Some(rewrite) = &mut self.rewrite {
            rewrite.len += len;
        }
        Ok(())
    }

    /// Has the disk have all records.
    pub(crate) fn sync(&mut self) -> Result<(), WriteError> {
        if self.synced_to == self.last {
            return Ok(());
        }
        let State::Open(engine) = &self.engine else {
            return self.reopen();
        };
        if let Err(error) = engine.sync() {
            return Err(self.lose(words(&error)));
        }
        self.synced_to = self.last;
        // If it is not noted, less is missed that should be there.
        let _ = self.synced.note(self.last, None);
        Ok(())
    }

    /// Forgets the last record, which [`sync`](Self::sync) has failed for: the
    /// next who opens the directory will not find it.
    pub(crate) fn forget_last(&mut self) {
        self.last -= 1;
        self.note_cut();
    }

    /// Whether the entries should be written once more, if they take so many
    /// bytes.
    pub(crate) fn is_long(&self, entries_len: u64) -> bool {
        self.len > 4 * self.room.memtable_len() + 2 * entries_len
    }

    /// Whether it is worth asking for how long the entries are.
    pub(crate) fn may_be_long(&self) -> bool {
        self.is_long(0)
    }

    /// Begins to write the entries once more: what is appended from now on makes
    /// what was before superfluous, when it is complete.
    ///
    /// The entries take so many bytes, for which there has to be room.
    pub(crate) fn begin_rewrite(&mut self, entries_len: u64) -> Result<(), WriteError> {
        self.reopen()?;
        self.check_room(entries_len)?;
        if let State::Open(engine) = &mut self.engine
            && let Err(error) = engine.begin_log()
        {
            return Err(self.close(&error));
        }
        self.rewrite = Some(Rewrite {
            first: self.last + 1,
            len: 0,
        });
        Ok(())
    }

    /// Leaves what was before.
    pub(crate) fn give_up_rewrite(&mut self) {
        self.rewrite = None;
    }

    /// All entries have been written once more: removes what was before.
    pub(crate) fn end_rewrite(&mut self) -> Result<(), WriteError> {
        let Some(rewrite) = self.rewrite else {
            return Ok(());
        };
        self.sync()?;
        if let State::Open(engine) = &mut self.engine
            && let Err(error) = engine.remove_older_logs(rewrite.first)
        {
            return Err(self.close(&error));
        }
        self.rewrite = None;
        self.len = rewrite.len;
        Ok(())
    }

    /// Fails if the record would find no room, or nobody would find it.
    fn check_room(&mut self, len: u64) -> Result<(), WriteError> {
        if self.room.is_outdated() {
            let path = self.directory.path();
            if !self.directory.is_there() {
                let gone = format!("the directory {} is not there any more", path.display());
                return Err(self.lose(gone));
            }
            if let Err(error) = self.room.look(path) {
                return Err(WriteError::NotWritten(error.to_string()));
            }
        }
        // What is known may be outdated, and room may have been made.
        let path = self.directory.path();
        if self.room.take(len) || (self.room.look(path).is_ok() && self.room.take(len)) {
            return Ok(());
        }
        Err(WriteError::NotWritten(
            "too little room is left on the disk".to_owned(),
        ))
    }

    /// Closes the engine after an error of its own.
    fn close(&mut self, error: &fjall::Error) -> WriteError {
        // It takes no more after an error in one of its threads, and does not say
        // which. Without room, it is that.
        let is_without_room = self.room.look(self.directory.path()).is_ok() && !self.room.take(0);
        if matches!(error, fjall::Error::Poisoned) && !is_without_room {
            return self.lose("the engine can't write its tables".to_owned());
        }
        // What it could not write it may write while it is closed.
        self.note_cut();
        let error = words(error);
        self.engine = State::Closed {
            at: Instant::now(),
            error: error.clone(),
        };
        WriteError::NotWritten(error)
    }

    /// Notes that what may come after the last record does not count.
    fn note_cut(&self) {
        let _ = self.synced.note(self.synced_to, Some(self.last));
    }

    fn lose(&mut self, error: String) -> WriteError {
        self.engine = State::Lost(error.clone());
        WriteError::Lost(error)
    }

    /// Opens the engine again after it was closed for a while.
    fn reopen(&mut self) -> Result<(), WriteError> {
        match &self.engine {
            State::Open(_) => return Ok(()),
            State::Lost(error) => return Err(WriteError::Lost(error.clone())),
            State::Closed { at, error } if at.elapsed() < RETRY_INTERVAL => {
                return Err(WriteError::NotWritten(error.clone()));
            }
            State::Closed { .. } => {}
        }
        match Engine::open(&self.directory.engine(), self.room.memtable_len()) {
            Ok(engine) => {
                self.engine = State::Open(engine);
                self.rewrite = None;
                self.settle()
            }
            Err(error) => Err(self.close(&error)),
        }
    }

    /// Removes records that were not acknowledged, and has the disk have the
    /// others.
    fn settle(&mut self) -> Result<(), WriteError> {
        let State::Open(engine) = &self.engine else {
            return Ok(());
        };
        let removed = engine.last().and_then(|last| match last > self.last {
            true => engine.remove_after(self.last).map(|()| last),
            false => Ok(last),
        });
        match removed {
            Ok(last) if last < self.last => {
                return Err(self.lose(format!("record {} is gone", self.last)));
            }
            Ok(_) => {}
            Err(error) => return Err(self.close(&error)),
        }
        if let Err(error) = engine.sync() {
            return Err(self.lose(words(&error)));
        }
        self.synced_to = self.last;
        let noted = self.synced.note(self.last, None);
        noted.map_err(|error| WriteError::NotWritten(error.to_string()))
    }
}

fn words(error: &fjall::Error) -> String {
    error::io_of(error).map_or_else(|| format!("{error:?}"), ToString::to_string)
}
