//! How many requests were answered in which way.

use crate::protocol::{Reply, Request};

/// The commands, and what is no request, as [`Tally`] tells them apart.
pub(crate) const COMMANDS: [&str; 5] = ["set", "get", "delete", "reset", "invalid"];

/// The statuses that a reply may have.
pub(crate) const STATUSES: [&str; 4] = ["200", "400", "404", "503"];

/// How many kinds of answers there are: each command with each status.
pub(crate) const ANSWERS: usize = COMMANDS.len() * STATUSES.len();

/// The answers of a batch since they were last taken, by their kind: a place
/// in a table that has a row for each command and a column for each status.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// No batch has more requests than 16 bits can count.
    counts: [u16; ANSWERS],
    /// A bit for each kind that there is, so that nobody has to look at all.
    kinds: u32,
}

/// The first place of a command's row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row(usize);

impl Row {
    /// That of what is no request.
    pub(super) const INVALID: Self = Self(4 * STATUSES.len());

    pub(super) fn of<K>(request: &Request<K>) -> Self {
        let command = match request {
            Request::Set { .. } => 0,
            Request::Get { .. } => 1,
            Request::Delete { .. } => 2,
            Request::Reset => 3,
        };
        Self(command * STATUSES.len())
    }
}

impl Tally {
    /// Counts one answer.
    pub(super) fn add(&mut self, row: Row, reply: &Reply) {
        let status = match reply {
            Reply::Done | Reply::Value(_) => 0,
            Reply::BadRequest(_) => 1,
            Reply::NoValue | Reply::NoKey => 2,
            Reply::Unavailable(_) => 3,
        };
        let kind = row.0 + status;
        self.counts[kind] += 1;
        self.kinds |= 1 << kind;
    }

    /// Takes what was counted: kinds, and how many there were of each.
    pub(crate) fn take(&mut self, mut each: impl FnMut(usize, u64)) {
        while self.kinds != 0 {
            let kind = self.kinds.trailing_zeros() as usize;
            self.kinds &= self.kinds - 1;
            each(kind, u64::from(std::mem::take(&mut self.counts[kind])));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kinds == 0
    }
}
