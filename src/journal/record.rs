//! What a record is: changes one after another, as bytes.
//!
//! A change is a byte that says which, the length of the key, for a SET that of
//! the value, both as big-endian u32, and the texts. The engine has a checksum
//! over it, so nothing here guards against damage; what can't be read is an
//! error all the same.

use byteorder::{BigEndian, ByteOrder};

use crate::store::Change;

const SET: u8 = 1;
const DELETE: u8 = 2;
const RESET: u8 = 3;

/// A record that is being written.
#[derive(Debug, Default)]
pub(crate) struct RecordWriter(Vec<u8>);

/// More room than this is not kept.
const KEPT_LEN_MAX: usize = 1 << 20;

impl RecordWriter {
    /// Appends a change.
    ///
    /// # Panics
    ///
    /// If a text is 4 GiB long, which no frame can carry.
    pub(crate) fn push(&mut self, change: Change<'_>) {
        match change {
            Change::Set { key, value } => {
                self.0.reserve(9 + key.len() + value.len());
                self.0.push(SET);
                self.push_len(key);
                self.push_len(value);
                self.0.extend_from_slice(key.as_bytes());
                self.0.extend_from_slice(value.as_bytes());
            }
            Change::Delete { key } => {
                self.0.push(DELETE);
                self.push_len(key);
                self.0.extend_from_slice(key.as_bytes());
            }
            Change::Reset => self.0.push(RESET),
        }
    }

    fn push_len(&mut self, text: &str) {
        let len = u32::try_from(text.len()).expect("shorter than a frame");
        self.0.extend_from_slice(&len.to_be_bytes());
    }

    /// The record so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Begins another.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(KEPT_LEN_MAX);
    }
}

/// The changes in a record. `None` for what is no change ends it.
pub(super) fn changes(mut record: &[u8]) -> impl Iterator<Item = Option<Change<'_>>> {
    std::iter::from_fn(move || {
        if record.is_empty() {
            return None;
        }
        let change = next(&mut record);
        if change.is_none() {
            record = &[];
        }
        Some(change)
    })
}

fn next<'a>(record: &mut &'a [u8]) -> Option<Change<'a>> {
    let (kind, rest) = record.split_first()?;
    *record = rest;
    Some(match *kind {
        SET => {
            let (key_len, value_len) = (len(record)?, len(record)?);
            Change::Set {
                key: text(record, key_len)?,
                value: text(record, value_len)?,
            }
        }
        DELETE => {
            let key_len = len(record)?;
            Change::Delete {
                key: text(record, key_len)?,
            }
        }
        RESET => Change::Reset,
        _ => return None,
    })
}

fn len(record: &mut &[u8]) -> Option<usize> {
    let (len, rest) = record.split_at_checked(4)?;
    *record = rest;
    Some(BigEndian::read_u32(len) as usize)
}

fn text<'a>(record: &mut &'a [u8], len: usize) -> Option<&'a str> {
    let (text, rest) = record.split_at_checked(len)?;
    *record = rest;
    str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGES: [Change<'_>; 4] = [
        Change::Set {
            key: "schl\u{fc}ssel",
            value: "[1, 2]",
        },
        Change::Reset,
        Change::Delete { key: "k" },
        Change::Set {
            key: "k",
            value: "null",
        },
    ];

    #[test]
    fn changes_come_back_as_they_were() {
        let mut record = RecordWriter::default();
        CHANGES.iter().for_each(|change| record.push(*change));
        let read: Option<Vec<_>> = changes(record.bytes()).collect();
        assert_eq!(read.as_deref(), Some(&CHANGES[..]));
    }

    #[test]
    fn a_record_that_is_cut_has_fewer_changes_or_is_none() {
        let mut record = RecordWriter::default();
        CHANGES.iter().for_each(|change| record.push(*change));
        for end in 0..record.bytes().len() {
            let read: Vec<_> = changes(&record.bytes()[..end]).collect();
            let whole = read.iter().flatten().count();
            assert!(whole < CHANGES.len());
            assert!(read.iter().flatten().eq(&CHANGES[..whole]));
        }
    }
}
