//! Records in the `fjall` crate: a log is one of its keyspaces, with numbers as
//! keys and records as values.
//!
//! The numbers only grow, so what the engine sorts is sorted already: a table
//! that it has written once stays as it is, and is removed with its whole log.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Slice};

/// The keyspace that says which log is the first that counts.
const META: &str = "meta";
const BASE: &str = "base";

/// What the engine may have in its cache. Records are read once and in order.
const CACHE_LEN: u64 = 1 << 20;

/// Journals of its own that the engine keeps until all in them is in tables.
const JOURNALS_LEN_MAX: u64 = 128 << 20;

/// Tables are written by one thread: the other cores are for who is served.
const THREADS: usize = 1;

/// An open engine.
pub(super) struct Engine {
    database: Database,
    meta: Keyspace,
    base: Base,
    /// Those that count, with their numbers, and never none.
    logs: Vec<(u64, Keyspace)>,
    memtable_len: u64,
    path: PathBuf,
}

/// Where the records that count begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base {
    log: u64,
    /// The number of the first record.
    pub(super) first: u64,
}

impl Engine {
    /// Makes an engine without records in a directory that is absent.
    pub(super) fn make(path: &Path) -> fjall::Result<()> {
        let database = builder(path).open()?;
        let meta = database.keyspace(META, || options(1 << 20))?;
        database.keyspace(&log_name(0), || options(1 << 20))?;
        meta.insert(BASE, Base { log: 0, first: 1 }.encode())?;
        sync_names(path)?;
        database.persist(PersistMode::SyncAll)
    }

    /// Opens an engine that is there. It collects so many bytes before it makes
    /// a table of them.
    pub(super) fn open(path: &Path, memtable_len: u64) -> fjall::Result<Self> {
        Self::open_with(path, builder(path).worker_threads(THREADS), memtable_len)
    }

    /// Opens an engine only to read what it has: it makes no tables.
    pub(super) fn open_to_read(path: &Path) -> fjall::Result<Self> {
        Self::open_with(path, builder(path).worker_threads_unchecked(0), 1 << 20)
    }

    fn open_with(
        path: &Path,
        builder: fjall::DatabaseBuilder<Database>,
        memtable_len: u64,
    ) -> fjall::Result<Self> {
        let database = builder.open()?;
        let missing = || fjall::Error::Unrecoverable;
        if !database.keyspace_exists(META) {
            return Err(missing());
        }
        let meta = database.keyspace(META, KeyspaceCreateOptions::default)?;
        let base = meta.get(BASE)?.and_then(|base| Base::decode(&base));
        let base = base.ok_or_else(missing)?;
        let mut numbers: Vec<u64> = database
            .list_keyspace_names()
            .iter()
            .filter_map(|name| name.strip_prefix(LOG)?.parse().ok())
            .collect();
        numbers.sort_unstable();
        let mut logs = Vec::new();
        for number in numbers {
            let log = database.keyspace(&log_name(number), KeyspaceCreateOptions::default)?;
            match number < base.log {
                // It was about to be removed.
                true => database.delete_keyspace(log)?,
                false => logs.push((number, log)),
            }
        }
        if logs.first().is_none_or(|(number, _)| *number != base.log) {
            return Err(missing());
        }
        Ok(Self {
            database,
            meta,
            base,
            logs,
            memtable_len,
            path: path.to_owned(),
        })
    }

    /// Where the records that count begin.
    pub(super) fn base(&self) -> Base {
        self.base
    }

    /// The records that count, with their numbers, in order.
    pub(super) fn records(&self) -> impl Iterator<Item = fjall::Result<(u64, Slice)>> {
        self.logs.iter().flat_map(|(_, log)| {
            log.iter().map(|record| {
                let (number, record) = record.into_inner()?;
                Ok((decode_number(&number)?, record))
            })
        })
    }

    /// About how many bytes there are to read.
    pub(super) fn len(&self) -> u64 {
        let tables: u64 = self.logs.iter().map(|(_, log)| log.disk_space()).sum();
        tables + self.database.write_buffer_size()
    }

    /// The number of the last record; one less than the first, if there is none.
    pub(super) fn last(&self) -> fjall::Result<u64> {
        for (_, log) in self.logs.iter().rev() {
            if let Some(last) = log.last_key_value() {
                return decode_number(&last.key()?);
            }
        }
        Ok(self.base.first - 1)
    }

    /// Writes one record, which reaches the operating system.
    pub(super) fn append(&self, number: u64, record: &[u8]) -> fjall::Result<()> {
        let (_, log) = self.logs.last().ok_or(fjall::Error::Unrecoverable)?;
        log.insert(number.to_be_bytes(), record)?;
        self.database.persist(PersistMode::Buffer)
    }

    /// Has the disk have all that was written.
    pub(super) fn sync(&self) -> fjall::Result<()> {
        self.database.persist(PersistMode::SyncData)
    }

    /// Removes the records with higher numbers than this.
    pub(super) fn remove_after(&self, last: u64) -> fjall::Result<()> {
        for (_, log) in &self.logs {
            for record in log.range(last.saturating_add(1).to_be_bytes()..) {
                log.remove(record.key()?)?;
            }
        }
        Ok(())
    }

    /// Begins another log: what is appended is in it.
    pub(super) fn begin_log(&mut self) -> fjall::Result<()> {
        let number = self
            .logs
            .last()
            .map_or(self.base.log, |(number, _)| number + 1);
        let log = self
            .database
            .keyspace(&log_name(number), || options(self.memtable_len))?;
        sync_names(&self.path)?;
        self.logs.push((number, log));
        Ok(())
    }

    /// Removes all logs but the last, whose first record has this number.
    pub(super) fn remove_older_logs(&mut self, first: u64) -> fjall::Result<()> {
        let Some((log, _)) = self.logs.last() else {
            return Err(fjall::Error::Unrecoverable);
        };
        let base = Base { log: *log, first };
        self.meta.insert(BASE, base.encode())?;
        // What is removed can't be brought back, so this is on the disk before.
        self.database.persist(PersistMode::SyncAll)?;
        self.base = base;
        let last = self.logs.len() - 1;
        for (_, log) in self.logs.drain(..last) {
            self.database.delete_keyspace(log)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("base", &self.base)
            .field("logs", &self.logs.len())
            .finish_non_exhaustive()
    }
}

const LOG: &str = "log-";

fn log_name(number: u64) -> String {
    format!("{LOG}{number}")
}

/// The engine syncs what is in a keyspace's folder, and not the name of the
/// folder.
fn sync_names(engine: &Path) -> fjall::Result<()> {
    let keyspaces = File::open(engine.join("keyspaces"))?;
    Ok(keyspaces.sync_all()?)
}

fn builder(path: &Path) -> fjall::DatabaseBuilder<Database> {
    Database::builder(path)
        .cache_size(CACHE_LEN)
        .max_journaling_size(JOURNALS_LEN_MAX)
}

fn options(memtable_len: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .manual_journal_persist(true)
        .max_memtable_size(memtable_len)
}

fn decode_number(bytes: &[u8]) -> fjall::Result<u64> {
    let bytes = bytes.try_into();
    let bytes = bytes.map_err(|_| fjall::Error::Unrecoverable)?;
    Ok(u64::from_be_bytes(bytes))
}

impl Base {
    fn encode(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.log.to_be_bytes());
        bytes[8..].copy_from_slice(&self.first.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (log, first) = bytes.split_at_checked(8)?;
        Some(Self {
            log: decode_number(log).ok()?,
            first: decode_number(first).ok()?,
        })
    }
}
