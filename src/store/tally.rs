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
    /// The last kind, and how many have been of it since another was. Most
    /// batches need no more.
    kind: usize,
    count: u32,
    /// A bit for each of the other kinds that there are.
    other_kinds: u32,
    /// No batch has more requests than 16 bits can count.
    others: [u16; ANSWERS],
}

/// The first place of a command's row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row(usize);

impl Row {
    /// That of what is no request.
    pub(super) const INVALID: Self = Self(4 * STATUSES.len());

    #[inline]
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
    #[inline]
    pub(super) fn add(&mut self, row: Row, reply: &Reply) {
        let status = match reply {
            Reply::Done | Reply::Value(_) => 0,
            Reply::BadRequest(_) => 1,
            Reply::NoValue | Reply::NoKey => 2,
            Reply::Unavailable(_) => 3,
        };
        let kind = row.0 + status;
        if self.count > 0 && self.kind != kind {
            self.others[self.kind] += self.count as u16;
            self.other_kinds |= 1 << self.kind;
            self.count = 0;
        }
        self.kind = kind;
        self.count += 1;
    }

    /// Takes what was counted: kinds, and how many there were of each, once or
    /// more. Returns how many there were in all.
    #[inline]
    pub(crate) fn take(&mut self, mut each: impl FnMut(usize, u64)) -> u64 {
        let mut all = u64::from(std::mem::take(&mut self.count));
        each(self.kind, all);
        while self.other_kinds != 0 {
            let kind = self.other_kinds.trailing_zeros() as usize;
            self.other_kinds &= self.other_kinds - 1;
            let count = u64::from(std::mem::take(&mut self.others[kind]));
            each(kind, count);
            all += count;
        }
        all
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_is_taken_once() {
        let mut tally = Tally::default();
        assert!(tally.is_empty());
        let (set, get) = (Row(0), Row(4));
        for _ in 0..3 {
            tally.add(set, &Reply::Done);
            tally.add(set, &Reply::Done);
            tally.add(get, &Reply::NoValue);
            tally.add(Row::INVALID, &Reply::BadRequest(String::new()));
        }
        assert!(!tally.is_empty());
        let mut answers = [0; ANSWERS];
        assert_eq!(tally.take(|kind, count| answers[kind] += count), 12);
        let counted: Vec<_> = (0..ANSWERS)
            .filter(|kind| answers[*kind] > 0)
            .map(|kind| (COMMANDS[kind / 4], STATUSES[kind % 4], answers[kind]))
            .collect();
        let expected = [("set", "200", 6), ("get", "404", 3), ("invalid", "400", 3)];
        assert_eq!(counted, expected);
        assert!(tally.is_empty());
        assert_eq!(tally.take(|_, count| assert_eq!(count, 0)), 0);
    }
}
