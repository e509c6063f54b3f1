//! The entries of a directory, for who wants them and no changes.

use std::ops::ControlFlow;
use std::path::Path;

use super::error::OpenError;
use super::replay::Progress;
use crate::store::{Garbage, Position, Store};

/// Bytes of entries that are looked at together.
const SCAN_LEN: usize = 1 << 20;

/// What a journal comes to, in memory.
#[derive(Debug)]
pub struct Entries(Store);

/// Reads all changes in the directory, and keeps what they come to. Nothing in the directory
/// changes. `progress` hears now and then how far it is, and says whether to go on; if not,
/// this fails with [`OpenError::Stopped`].
pub fn entries(
    dir: &Path,
    mut progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Entries, OpenError> {
    let mut store = Store::journaled();
    let is_stopped = std::cell::Cell::new(false);
    super::read(
        dir,
        |change| {
            if is_stopped.get() {
                return Err(OpenError::Stopped);
            }
            // There is no peer that a free would hold up.
            super::make(change, |request| {
                store.apply(request, &mut Garbage::default())
            })
        },
        |told| is_stopped.set(progress(told).is_break()),
    )?;
    match is_stopped.get() {
        true => Err(OpenError::Stopped),
        false => Ok(Entries(store)),
    }
}

impl Entries {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.size().entries
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `each` with the key and the JSON text of the value of each entry, in no order,
    /// until it fails.
    pub fn for_each<E>(&self, mut each: impl FnMut(&str, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut next = Some(Position::default());
        while let Some(position) = next {
            let found = self.0.scan(position, SCAN_LEN);
            for entry in &found.entries {
                each(entry.key(), entry.value())?;
            }
            next = found.next;
        }
        Ok(())
    }
}
