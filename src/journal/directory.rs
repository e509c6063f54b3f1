//! A journal's directory: whose it is, who has it, and how far it was synced.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::engine::Engine;
use super::error::OpenError;

/// What the file that names the directory's owner says, and the version of all
/// that is in the directory.
const OWNER: &str = "a journal of speicher, version ";
const VERSION: u32 = 1;

const OWNER_FILE: &str = "speicher";

/// The same, until it is written.
const OWNER_NEW_FILE: &str = "speicher.new";
const LOCK_FILE: &str = "lock";
const SYNCED_FILE: &str = "synced";
const SYNCED_NEW_FILE: &str = "synced.new";
const ENGINE_DIR: &str = "engine";

/// Where the engine is made, until it is complete.
const ENGINE_NEW_DIR: &str = "engine.new";

/// A directory that this process has locked.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Locked until it is closed.
    lock: File,
}

impl Directory {
    /// Locks a directory that is a journal.
    pub(super) fn lock(path: &Path) -> Result<Self, OpenError> {
        let io = |error| OpenError::io(path, &error);
        let path = &fs::canonicalize(path).map_err(io)?;
        check_owner(path)?;
        // Of an existing file nothing but the lock is changed.
        let lock = OpenOptions::new().read(true).open(path.join(LOCK_FILE));
        let lock = match lock {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                private(OpenOptions::new().create(true), &path.join(LOCK_FILE))
            }
            lock => lock,
        };
        let lock = lock.map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked(path.clone())),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        Ok(Self {
            path: path.clone(),
            lock,
        })
    }

    /// Locks a directory that is a journal, or is made one: it is absent, or
    /// empty.
    pub(super) fn lock_or_make(path: &Path) -> Result<Self, OpenError> {
        let io = |error| OpenError::io(path, &error);
        make_dirs(path).map_err(io)?;
        if Self::could_be_made(path)? {
            // Who made it may not have come to this. Nor may it be allowed.
            if let Some(parent) = fs::canonicalize(path).map_err(io)?.parent() {
                let _ = sync_dir(parent);
            }
            write_owner(path).map_err(io)?;
        }
        let directory = Self::lock(path)?;
        if directory.is_unmade() {
            directory
                .make()
                .map_err(|error| OpenError::engine(path, &error))?;
        }
        Ok(directory)
    }

    /// Whether it is absent or empty.
    pub(super) fn could_be_made(path: &Path) -> Result<bool, OpenError> {
        match fs::read_dir(path) {
            // A first start that was cut off may have left that.
            Ok(mut names) => {
                Ok(names.all(|entry| entry.is_ok_and(|entry| entry.file_name() == OWNER_NEW_FILE)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(OpenError::NotADirectory(path.to_owned()))
            }
            Err(error) => Err(OpenError::io(path, &error)),
        }
    }

    /// Whether it has no engine yet, because an attempt to make it was cut off:
    /// it comes last, after a note that nothing was synced.
    fn is_unmade(&self) -> bool {
        let is_noted = self.path.join(SYNCED_FILE).exists();
        let is_empty = !is_noted || matches!(self.read_synced(), Ok((0, _)));
        is_empty && !self.engine().exists()
    }

    /// Makes the engine in it. What an attempt that did not come to its end has
    /// left is removed: it has no entries.
    fn make(&self) -> fjall::Result<()> {
        let new = self.path.join(ENGINE_NEW_DIR);
        if new.exists() {
            fs::remove_dir_all(&new)?;
        }
        Engine::make(&new)?;
        let synced_new = self.path.join(SYNCED_NEW_FILE);
        let synced = Synced::make(&synced_new)?;
        synced.note(0, None)?;
        synced.0.sync_all()?;
        fs::rename(&synced_new, self.path.join(SYNCED_FILE))?;
        sync_dir(&self.path)?;
        fs::rename(&new, self.engine())?;
        sync_dir(&self.path)?;
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the engine is.
    pub(super) fn engine(&self) -> PathBuf {
        self.path.join(ENGINE_DIR)
    }

    /// What was noted of how far it was synced.
    pub(super) fn synced(&self) -> Result<Synced, OpenError> {
        let path = self.path.join(SYNCED_FILE);
        let file = OpenOptions::new().read(true).write(true).open(&path);
        match file {
            Ok(file) => Ok(Synced(file)),
            Err(error) => Err(OpenError::io(&path, &error)),
        }
    }

    /// How far it was synced, and where it ends if it was cut there.
    pub(super) fn read_synced(&self) -> Result<(u64, Option<u64>), OpenError> {
        let path = self.path.join(SYNCED_FILE);
        let damaged =
            |what: &str| OpenError::damaged(&self.path, format!("the file {SYNCED_FILE} {what}"));
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged("is not there"));
            }
            file => file.map_err(|error| OpenError::io(&path, &error))?,
        };
        match Synced(file).read() {
            Ok(Some(noted)) => Ok(noted),
            Ok(None) => Err(damaged("does not say how far the journal was synced")),
            Err(error) => Err(OpenError::io(&path, &error)),
        }
    }

    /// Whether it is where it was: nobody has moved or removed it.
    pub(super) fn is_there(&self) -> bool {
        let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let there = fs::metadata(self.path.join(LOCK_FILE)).map(id);
        there.ok() == self.lock.metadata().map(id).ok()
    }
}

/// Fails unless the directory is a journal of this version.
fn check_owner(path: &Path) -> Result<(), OpenError> {
    let file = path.join(OWNER_FILE);
    let told = match fs::read(&file) {
        Ok(told) => told,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::Foreign(path.to_owned()));
        }
        Err(error) => return Err(OpenError::io(&file, &error)),
    };
    let version = str::from_utf8(&told).ok().and_then(|told| {
        told.strip_prefix(OWNER)?
            .strip_suffix('\n')?
            .parse::<u32>()
            .ok()
    });
    match version {
        Some(VERSION) => Ok(()),
        Some(version) if version > VERSION => Err(OpenError::Newer {
            dir: path.to_owned(),
            version,
            known: VERSION,
        }),
        _ => Err(OpenError::Foreign(path.to_owned())),
    }
}

/// At once or not at all: a directory with a part of it would be foreign.
fn write_owner(path: &Path) -> io::Result<()> {
    let new = path.join(OWNER_NEW_FILE);
    let mut file = private(OpenOptions::new().create(true).truncate(true), &new)?;
    writeln!(file, "{OWNER}{VERSION}")?;
    file.sync_all()?;
    fs::rename(&new, path.join(OWNER_FILE))?;
    sync_dir(path)
}

fn private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.write(true).mode(0o600).open(path)
}

/// Makes the directory and those above it, and their names durable.
fn make_dirs(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    make_dirs(parent)?;
    DirBuilder::new().mode(0o700).create(path)?;
    sync_dir(parent)
}

/// Makes the names in the directory as durable as what they name.
fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The file that says how far the journal was synced. It is written after each
/// sync, and not synced itself: it may be behind, but never ahead.
#[derive(Debug)]
pub(super) struct Synced(File);

/// What makes three numbers of one kind of file.
const CHECK: u64 = 0x5370_6569_6368_6572;

impl Synced {
    fn make(path: &Path) -> io::Result<Self> {
        private(OpenOptions::new().create(true).truncate(true), path).map(Self)
    }

    /// Notes the number of the last record that is on the disk, and that of the
    /// last that counts, if there may be others behind it.
    pub(super) fn note(&self, synced: u64, cut: Option<u64>) -> io::Result<()> {
        let cut = cut.unwrap_or(u64::MAX);
        let mut bytes = [0; 24];
        for (place, number) in [synced, cut, synced ^ cut ^ CHECK].into_iter().enumerate() {
            bytes[8 * place..][..8].copy_from_slice(&number.to_be_bytes());
        }
        self.0.write_all_at(&bytes, 0)
    }

    fn read(&self) -> io::Result<Option<(u64, Option<u64>)>> {
        let mut bytes = [0; 24];
        if self.0.metadata()?.len() != bytes.len() as u64 {
            return Ok(None);
        }
        self.0.read_exact_at(&mut bytes, 0)?;
        let number = |place: usize| {
            let bytes = bytes[8 * place..][..8].try_into();
            u64::from_be_bytes(bytes.expect("eight bytes"))
        };
        let (synced, cut) = (number(0), number(1));
        let is_whole = number(2) == synced ^ cut ^ CHECK;
        Ok(is_whole.then_some((synced, Some(cut).filter(|cut| *cut != u64::MAX))))
    }
}
