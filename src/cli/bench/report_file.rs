//! The files that reports are written to.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// A file for a report. What an earlier run left there stays until the report is finished: it is
/// written beside it, under a name that ends in `.partial`, and then renamed.
pub(in crate::cli) struct ReportFile {
    path: PathBuf,
    /// Where it is written first; `None` of a pipe or a device, which can't be renamed to.
    partial: Option<PathBuf>,
}

impl ReportFile {
    /// The file of that name. Fails with a sentence when it could not be written later, which
    /// should be known before the work.
    pub(in crate::cli) fn new(name: &str) -> Result<Self, String> {
        // A link goes on to lead to the file. One like /dev/stdout leads to an open file, which has
        // to stay the one that it is.
        let leads_to_open = name.starts_with("/dev/") || name.starts_with("/proc/");
        let path = match fs::canonicalize(name) {
            Ok(path) if !leads_to_open => path,
            _ => PathBuf::from(name),
        };
        let is_special = leads_to_open
            || fs::metadata(&path).is_ok_and(|found| !found.is_file() && !found.is_dir());
        let mut partial = path.clone().into_os_string();
        partial.push(".partial");
        let file = Self {
            partial: (!is_special).then(|| partial.into()),
            path,
        };
        file.try_to_write()?;
        Ok(file)
    }

    /// Writes the finished report. Fails with a sentence.
    pub(in crate::cli) fn finish(&self, text: &str) -> Result<(), String> {
        self.write(text)?;
        match &self.partial {
            Some(partial) => fs::rename(partial, &self.path).map_err(|error| self.failed(&error)),
            None => Ok(()),
        }
    }

    /// Writes what there is of a report that was not finished, and returns where. Fails with a
    /// sentence.
    pub(in crate::cli) fn give_up(&self, text: &str) -> Result<&Path, String> {
        self.write(text)?;
        Ok(self.place())
    }

    fn place(&self) -> &Path {
        self.partial.as_ref().unwrap_or(&self.path)
    }

    fn write(&self, text: &str) -> Result<(), String> {
        fs::write(self.place(), text).map_err(|error| self.failed(&error))
    }

    /// Leaves nothing behind, and nothing changed.
    fn try_to_write(&self) -> Result<(), String> {
        let failed = |error: &io::Error| self.failed(error);
        if self.path.is_dir() {
            return Err(failed(&io::ErrorKind::IsADirectory.into()));
        }
        let place = self.place();
        let is_new = !place.exists();
        let opened = OpenOptions::new().append(true).create(true).open(place);
        opened.map_err(|error| failed(&error))?;
        match is_new {
            true => fs::remove_file(place).map_err(|error| failed(&error)),
            false => Ok(()),
        }
    }

    fn failed(&self, error: &io::Error) -> String {
        format!("can't write {:?} ({error}); name another file", self.path)
    }
}
