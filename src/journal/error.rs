//! Why a directory can't be used as a journal, in sentences with a remedy.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a directory can't be opened as a journal. It is as it was then.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it.
    Locked(PathBuf),
    /// There is something that is no directory.
    NotADirectory(PathBuf),
    /// It has other things in it than a journal.
    Foreign(PathBuf),
    /// A newer program has written it.
    Newer {
        /// The directory.
        dir: PathBuf,
        /// Its version.
        version: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// It has not all that it had, or has something else.
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// What was found.
        what: String,
    },
    /// The operating system refuses something.
    Io {
        /// What it is about.
        path: PathBuf,
        /// What it says.
        error: String,
    },
    /// Whoever takes the changes has no room for more of them.
    Full,
    /// Whoever takes the changes wants no more.
    Stopped,
}

impl OpenError {
    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            error: error.to_string(),
        }
    }

    pub(super) fn damaged(dir: &Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            dir: dir.to_owned(),
            what: what.into(),
        }
    }

    /// What the engine says about the directory.
    pub(super) fn engine(dir: &Path, error: &fjall::Error) -> Self {
        match (io_of(error), error) {
            (Some(error), _) if error.kind() != io::ErrorKind::UnexpectedEof => {
                Self::io(dir, error)
            }
            (_, fjall::Error::Locked) => Self::Locked(dir.to_owned()),
            _ => Self::damaged(dir, format!("the engine says {error:?}")),
        }
    }
}

/// What the operating system said, if the engine has only passed it on.
pub(super) fn io_of(error: &fjall::Error) -> Option<&io::Error> {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => Some(error),
        _ => None,
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked(dir) => write!(
                f,
                "another process uses the directory {}; stop it, or choose another --data",
                dir.display()
            ),
            Self::NotADirectory(path) => write!(
                f,
                "{} is no directory; choose another --data",
                path.display()
            ),
            Self::Foreign(dir) => write!(
                f,
                "the directory {} is neither empty nor a journal of speicher; choose another --data",
                dir.display()
            ),
            Self::Newer {
                dir,
                version,
                known,
            } => write!(
                f,
                "the journal in {} has version {version}, and this program knows {known}; use the \
                 program that has written it, or a newer one",
                dir.display()
            ),
            Self::Damaged { dir, what } => write!(
                f,
                "the journal in {} is damaged: {what}; nothing in it was changed; put a backup in \
                 its place, or begin with an empty directory",
                dir.display()
            ),
            Self::Io { path, error } => write!(
                f,
                "can't use {}: {error}; see to its owner, its permissions and its disk, or choose \
                 another --data",
                path.display()
            ),
            Self::Full => f.write_str(
                "the journal has more entries than fit into memory; start with more --memory-max",
            ),
            Self::Stopped => f.write_str("it was asked to stop before all entries were loaded"),
        }
    }
}

impl std::error::Error for OpenError {}
