//! What clients sent and were told, and whether what is found after a crash can be so.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// Each key of a client has a number.
pub type Entries = HashMap<u32, Stamp>;

/// Which change a value comes from. No two values are alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stamp {
    pub round: u32,
    /// Among the client's changes of the round.
    pub number: u32,
    /// How much of the value fills it up.
    pub len: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    Set { key: u32, len: u32 },
    Delete { key: u32 },
    Reset,
}

/// What one client sent, and which part of it was acknowledged.
#[derive(Default)]
pub struct Record {
    /// With the moment before it was sent.
    pub sent: Vec<(Change, Instant)>,
    /// The moments after each was acknowledged, in the order in which they were sent.
    pub acknowledged: Vec<Instant>,
}

/// What happened until a crash.
pub struct Round {
    pub number: u32,
    pub records: Vec<Record>,
    /// The last change of each client that another has seen.
    pub seen: Vec<Option<(u32, Stamp)>>,
    /// A moment after the last change.
    pub ended: Instant,
}

/// What a crash may take.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    Nothing,
    /// What was acknowledged in the last so many milliseconds.
    Last(Duration),
}

pub fn key_name(client: usize, key: u32) -> String {
    format!("{client}-{key}")
}

pub fn text_of(client: usize, key: u32, stamp: Stamp) -> String {
    let Stamp { round, number, len } = stamp;
    let letter = char::from(b'a' + (number % 26) as u8);
    let fill = letter.to_string().repeat(len as usize);
    format!("\"{client} {key} {round} {number} {fill}\"")
}

/// The number of the key and where the value comes from; panics if it was never sent as it is.
pub fn entry_of(name: &str, value: &str) -> (u32, Stamp) {
    let stamped = || {
        let (client, key) = name.split_once('-')?;
        let mut words = value.trim_matches('"').split(' ').skip(2);
        let mut word = || words.next()?.parse().ok();
        let (round, number) = (word()?, word()?);
        let len = words.next()?.len() as u32;
        let (client, key) = (client.parse().ok()?, key.parse().ok()?);
        Some((client, key, Stamp { round, number, len }))
    };
    match stamped() {
        Some((client, key, stamp)) if text_of(client, key, stamp) == value => (key, stamp),
        _ => panic!("{name} has a value that was never sent: {value}"),
    }
}

impl Round {
    /// All keys that may be there, of each client.
    pub fn keys(&self, before: &[Entries]) -> Vec<Vec<u32>> {
        let keys = |(record, before): (&Record, &Entries)| {
            let changed = record.sent.iter().filter_map(|(change, _)| key_of(*change));
            let keys: BTreeSet<u32> = before.keys().copied().chain(changed).collect();
            keys.into_iter().collect()
        };
        self.records.iter().zip(before).map(keys).collect()
    }

    pub fn acknowledged(&self) -> usize {
        let acknowledged = self.records.iter().map(|record| record.acknowledged.len());
        acknowledged.sum()
    }

    /// Whether the entries are what there was before and all that was changed up to some moment,
    /// which is no earlier than the crash may take; if not, why.
    pub fn check(&self, before: &[Entries], found: &[Entries], loss: Loss) -> Result<(), String> {
        let reset = self.reset();
        let mut problems = Vec::new();
        for is_reset in [false, true] {
            if is_reset && reset.is_none() {
                continue;
            }
            let check = || {
                let ends = self.ends(before, found, loss, reset.filter(|_| is_reset))?;
                self.check_moment(&ends)
            };
            match check() {
                Ok(()) => return Ok(()),
                Err(problem) => problems.push(format!("reset: {is_reset}: {problem}")),
            }
        }
        Err(problems.join("\n"))
    }

    /// Where the first client has its reset.
    fn reset(&self) -> Option<usize> {
        let is_reset = |(change, _): &(Change, Instant)| *change == Change::Reset;
        self.records[0].sent.iter().position(is_reset)
    }

    /// After how many of its changes each client's entries are as they were found.
    fn ends(
        &self,
        before: &[Entries],
        found: &[Entries],
        loss: Loss,
        reset: Option<usize>,
    ) -> Result<Vec<BTreeSet<usize>>, String> {
        let of_client = |client: usize| {
            let least = self.least(client, loss);
            let trace = |reset_at| {
                let trace = Trace {
                    round: self.number,
                    sent: &self.records[client].sent,
                    before: &before[client],
                    found: &found[client],
                };
                trace.ends(reset_at)
            };
            let mut ends = match reset {
                None => trace(None),
                Some(reset) if client == 0 => {
                    let mut ends = trace(None);
                    ends.retain(|end| *end > reset);
                    ends
                }
                Some(reset) => {
                    let (first, last) = self.bounds_of_reset(client, reset);
                    let ends = (first..=last).flat_map(|place| trace(Some(place)));
                    ends.collect()
                }
            };
            if reset.is_none() && client == 0 {
                ends.retain(|end| self.reset().is_none_or(|reset| *end <= reset));
            }
            let earlier = ends.last().copied();
            ends.retain(|end| *end >= least);
            if ends.is_empty() {
                return Err(self.shown(client, least, earlier, &before[client], &found[client]));
            }
            Ok(ends)
        };
        (0..self.records.len()).map(of_client).collect()
    }

    /// How many of its changes have to be there.
    fn least(&self, client: usize, loss: Loss) -> usize {
        let record = &self.records[client];
        match loss {
            Loss::Nothing => {
                let seen = self.seen[client].map_or(0, |(key, stamp)| {
                    let sent = record.sent[stamp.number as usize].0;
                    let len = stamp.len;
                    assert_eq!(
                        sent,
                        Change::Set { key, len },
                        "a value that was never sent"
                    );
                    stamp.number as usize + 1
                });
                seen.max(record.acknowledged.len())
            }
            Loss::Last(time) => {
                let is_safe = |moment: &&Instant| **moment + time < self.ended;
                record.acknowledged.iter().take_while(is_safe).count()
            }
        }
    }

    /// How many of the client's changes were at least, and at most, before the reset.
    fn bounds_of_reset(&self, client: usize, reset: usize) -> (usize, usize) {
        let of_reset = &self.records[0];
        let (begun, ended) = (of_reset.sent[reset].1, of_reset.acknowledged.get(reset));
        let sent = &self.records[client].sent;
        let is_before = |(_, moment): &&(Change, Instant)| ended.is_none_or(|end| moment <= end);
        let last = sent.iter().take_while(is_before).count();
        (self.acknowledged_before(client, begun), last)
    }

    fn acknowledged_before(&self, client: usize, moment: Instant) -> usize {
        let acknowledged = &self.records[client].acknowledged;
        acknowledged.partition_point(|end| *end < moment)
    }

    /// Whether all clients' entries may be of the same moment: what was acknowledged before
    /// something was sent that is there, is there.
    fn check_moment(&self, ends: &[BTreeSet<usize>]) -> Result<(), String> {
        let first = |ends: &BTreeSet<usize>| *ends.first().expect("it is not empty");
        let mut chosen: Vec<usize> = ends.iter().map(first).collect();
        loop {
            let before = chosen.clone();
            for (other, record) in self.records.iter().enumerate() {
                let Some(last) = chosen[other].checked_sub(1) else {
                    continue;
                };
                let moment = record.sent[last].1;
                for client in 0..chosen.len() {
                    let least = self.acknowledged_before(client, moment).max(chosen[client]);
                    let Some(end) = ends[client].range(least..).next() else {
                        return Err(format!(
                            "client {other}'s change {last} is there, and not all of the \
                             {least} of client {client} that were acknowledged before",
                        ));
                    };
                    chosen[client] = *end;
                }
            }
            if chosen == before {
                return Ok(());
            }
        }
    }

    fn shown(
        &self,
        client: usize,
        least: usize,
        earlier: Option<usize>,
        before: &Entries,
        found: &Entries,
    ) -> String {
        let record = &self.records[client];
        let (sent, acknowledged) = (record.sent.len(), record.acknowledged.len());
        let mut expected = before.clone();
        for (number, (change, _)) in record.sent[..least].iter().enumerate() {
            apply(&mut expected, *change, self.number, number);
        }
        let keys: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
        let differences: BTreeMap<_, _> = keys
            .into_iter()
            .map(|key| (key, (expected.get(key), found.get(key))))
            .filter(|(_, (expected, found))| expected != found)
            .take(5)
            .collect();
        format!(
            "client {client} sent {sent} changes in round {}, of which {acknowledged} were \
             acknowledged, {least} have to be there, and {earlier:?} are; key: (after those \
             that have to be there, found): {differences:?}",
            self.number
        )
    }
}

/// The changes of one client, against what was found.
struct Trace<'a> {
    round: u32,
    sent: &'a [(Change, Instant)],
    before: &'a Entries,
    found: &'a Entries,
}

impl Trace<'_> {
    /// After how many changes the entries are as they were found, if another has reset after so
    /// many.
    fn ends(&self, reset_at: Option<usize>) -> BTreeSet<usize> {
        let mut entries = self.before.clone();
        let keys: BTreeSet<_> = entries.keys().chain(self.found.keys()).collect();
        let is_wrong = |entries: &Entries, key: &u32| entries.get(key) != self.found.get(key);
        let wrong = keys.into_iter().filter(|key| is_wrong(&entries, key));
        let mut wrong = wrong.count();
        let mut ends = BTreeSet::new();
        for number in 0..=self.sent.len() {
            if reset_at == Some(number) {
                entries.clear();
                wrong = self.found.len();
            }
            if wrong == 0 && reset_at.is_none_or(|place| number >= place) {
                ends.insert(number);
            }
            let Some((change, _)) = self.sent.get(number) else {
                break;
            };
            match key_of(*change) {
                Some(key) => {
                    wrong -= usize::from(is_wrong(&entries, &key));
                    apply(&mut entries, *change, self.round, number);
                    wrong += usize::from(is_wrong(&entries, &key));
                }
                None => {
                    entries.clear();
                    wrong = self.found.len();
                }
            }
        }
        ends
    }
}

fn key_of(change: Change) -> Option<u32> {
    match change {
        Change::Set { key, .. } | Change::Delete { key } => Some(key),
        Change::Reset => None,
    }
}

fn apply(entries: &mut Entries, change: Change, round: u32, number: usize) {
    let number = number as u32;
    match change {
        Change::Set { key, len } => {
            entries.insert(key, Stamp { round, number, len });
        }
        Change::Delete { key } => {
            entries.remove(&key);
        }
        Change::Reset => entries.clear(),
    }
}
