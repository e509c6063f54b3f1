//! A look at all entries of a store, a few at a time, while others change it.

use super::table::{SEGMENTS, TABLES, Table};
use crate::protocol::Entry;

/// How far a scan has come. Entries that are there all the time are found once;
/// those that come or go meanwhile may be found or not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Position {
    table: usize,
    segment: usize,
    /// The first tag that it has not looked at.
    tag: u32,
}

/// The entries that a scan has found since a position.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) entries: Vec<Entry>,
    /// Where to go on; `None` at the end of the store.
    pub(crate) next: Option<Position>,
    len: usize,
    len_max: usize,
}

impl Found {
    /// Looks from there on, for entries of so many bytes together; the last may
    /// exceed it.
    pub(super) fn begin(from: Position, len_max: usize) -> Self {
        Self {
            entries: Vec::new(),
            next: Some(from),
            len: 0,
            len_max,
        }
    }

    /// The table to look into next.
    pub(super) fn table(&self) -> Option<usize> {
        Some(self.next.filter(|_| self.len < self.len_max)?.table)
    }

    /// Looks into that table.
    pub(super) fn look_into(&mut self, table: &Table) {
        let Some(mut at) = self.next else {
            return;
        };
        while at.segment < SEGMENTS {
            // Entries of the same tag are found together.
            let mut last = None;
            for (tag, entry) in table.entries_from(at.segment, at.tag) {
                if self.len >= self.len_max && last != Some(tag) {
                    at.tag = tag;
                    self.next = Some(at);
                    return;
                }
                self.len += entry.len();
                self.entries.push(entry);
                last = Some(tag);
            }
            at = Position {
                segment: at.segment + 1,
                tag: 0,
                ..at
            };
        }
        let table = at.table + 1;
        self.next = (table < TABLES).then_some(Position {
            table,
            segment: 0,
            tag: 0,
        });
    }
}
