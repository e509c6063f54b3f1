//! Slots, and how they move from one node to another.

use super::Cluster;
use super::resp::Reply;
use super::standing::SLOTS;

/// How long a node may take to give keys to another.
const MIGRATE_TIMEOUT_MS: &str = "5000";

/// A slot on its way, by the indices of the nodes.
#[derive(Clone, Copy)]
pub(super) struct Move {
    from: usize,
    to: usize,
}

/// The slot of a key: its hash tag counts alone, if it has one.
pub fn slot_of(key: &[u8]) -> u16 {
    crc16(hash_tag(key).unwrap_or(key)) % SLOTS
}

/// What is between the first `{` and the first `}` after it, unless that is nothing.
fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let begin = key.iter().position(|byte| *byte == b'{')? + 1;
    let len = key[begin..].iter().position(|byte| *byte == b'}')?;
    (len > 0).then(|| &key[begin..begin + len])
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => crc << 1 ^ 0x1021,
        })
    })
}

impl Cluster {
    /// Moves a slot with all its keys.
    pub fn move_slot(&self, slot: u16, to: usize) {
        self.begin_move(slot, to);
        while self.move_keys(slot, 100) > 0 {}
        self.finish_move(slot);
    }

    /// From now on, the slot's owner answers ASK for keys that it does not have.
    pub fn begin_move(&self, slot: u16, to: usize) {
        let from = self.primary_of_slot(slot);
        assert_ne!(from, to, "slot {slot} is there already");
        self.set_slot(to, slot, &["IMPORTING", self.id(from)]);
        self.set_slot(from, slot, &["MIGRATING", self.id(to)]);
        self.moves().insert(slot, Move { from, to });
    }

    /// Moves at most so many keys of a slot whose move has begun; how many it were.
    pub fn move_keys(&self, slot: u16, count: usize) -> usize {
        let Move { from, to } = self.move_of(slot);
        let source = &self.nodes()[from];
        let count = count.to_string();
        let reply = source.ask(&["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), &count]);
        let keys = reply.items().iter().map(|key| match key {
            Reply::Bulk(key) => &key[..],
            other => panic!("a key should have come instead of {other:?}"),
        });
        let port = self.nodes()[to].port().to_string();
        let head = ["MIGRATE", "127.0.0.1", &port, "", "0", MIGRATE_TIMEOUT_MS];
        let mut words: Vec<&[u8]> = head.map(str::as_bytes).to_vec();
        if let Some(password) = source.password() {
            words.extend([b"AUTH", password.as_bytes()]);
        }
        words.push(b"KEYS");
        words.extend(keys);
        if reply.items().is_empty() {
            return 0;
        }
        source.ask(&words);
        reply.items().len()
    }

    /// Makes the target the owner of a slot whose keys have all been moved.
    ///
    /// The target comes first: the other way round, nobody would own the slot in between.
    /// Replicas hear of it later; see [`wait_until_ok`](Self::wait_until_ok).
    pub fn finish_move(&self, slot: u16) {
        let Move { from, to } = self.move_of(slot);
        let others = self.primaries().into_iter();
        let others = others.filter(|index| *index != from && *index != to);
        for index in [to, from].into_iter().chain(others) {
            self.set_slot(index, slot, &["NODE", self.id(to)]);
        }
        self.moves().remove(&slot);
    }

    fn set_slot(&self, index: usize, slot: u16, state: &[&str]) {
        let slot = slot.to_string();
        let mut words = vec!["CLUSTER", "SETSLOT", &slot];
        words.extend(state);
        self.nodes()[index].ask(&words);
    }

    fn move_of(&self, slot: u16) -> Move {
        let moves = self.moves();
        let begun = moves.get(&slot).copied();
        begun.unwrap_or_else(|| panic!("no move of slot {slot} has begun"))
    }
}
