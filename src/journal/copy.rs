//! A copy of an engine's files, to be opened instead of them.
//!
//! To open an engine is to change it: it cuts its journals where it can't read
//! on, and removes what nobody refers to. Of a directory that is damaged, that
//! would be the rest.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use tempfile::TempDir;

/// Folders whose files the engine writes once and only removes later.
const UNCHANGING: [&str; 2] = ["tables", "blobs"];

/// Copies the engine to the temporary folder. Of files that never change it has
/// links.
pub(super) fn copy(engine: &Path) -> io::Result<TempDir> {
    let copy = tempfile::Builder::new().prefix("speicher-").tempdir()?;
    copy_dir(engine, copy.path(), false)?;
    Ok(copy)
}

fn copy_dir(from: &Path, to: &Path, is_unchanging: bool) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            fs::create_dir(&to)?;
            let name = entry.file_name();
            copy_dir(&from, &to, UNCHANGING.iter().any(|folder| name == *folder))?;
        } else if is_unchanging {
            std::os::unix::fs::symlink(&from, &to)?;
        } else {
            copy_file(&from, &to)?;
        }
    }
    Ok(())
}

/// Leaves out what is zero: the engine's journals have room for what is to come.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    const BLOCK_LEN: usize = 256 << 10;

    let (mut from, mut to) = (File::open(from)?, File::create_new(to)?);
    let mut block = vec![0; BLOCK_LEN];
    loop {
        let len = from.read(&mut block)?;
        if len == 0 {
            break;
        }
        match block[..len].iter().all(|byte| *byte == 0) {
            true => to.seek(SeekFrom::Current(len as i64)).map(drop)?,
            false => to.write_all(&block[..len])?,
        }
    }
    let end = to.stream_position()?;
    to.set_len(end)
}
