//! Which node has which keys.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use crc::{CRC_16_XMODEM, Crc};
use redis::Value;

use super::address::NodeAddress;

/// The slots that a cluster divides its keys among.
pub(super) const SLOTS: u16 = 16_384;

/// The owners of all slots, as one node has told them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topology {
    /// Primaries that own slots.
    pub(super) primaries: Vec<NodeAddress>,
    /// Others, that can be asked how it goes on when all primaries are gone.
    pub(super) replicas: Vec<NodeAddress>,
    /// For each slot the index of its primary, or [`NOBODY`].
    owners: Box<[u16]>,
    is_complete: bool,
}

const NOBODY: u16 = u16::MAX;

impl Topology {
    /// One node that has all keys.
    pub(super) fn of_one(node: NodeAddress) -> Self {
        Self {
            primaries: vec![node],
            replicas: Vec::new(),
            owners: vec![0; usize::from(SLOTS)].into(),
            is_complete: true,
        }
    }

    /// Reads the answer to `CLUSTER SLOTS` that came from `from`. `None` if it
    /// makes no sense, or gives no slot an owner.
    pub(super) fn read(answer: &Value, from: &NodeAddress) -> Option<Self> {
        let mut topology = Self {
            primaries: Vec::new(),
            replicas: Vec::new(),
            owners: vec![NOBODY; usize::from(SLOTS)].into(),
            is_complete: false,
        };
        for range in items(answer)? {
            let [start, end, primary, replicas @ ..] = items(range)? else {
                return None;
            };
            let primary = node(primary, from)?;
            let replicas = replicas.iter().filter_map(|it| node(it, from));
            topology.add(slot(start)?..=slot(end)?, primary, replicas);
        }
        topology.is_complete = !topology.owners.contains(&NOBODY);
        (!topology.primaries.is_empty()).then_some(topology)
    }

    fn add(
        &mut self,
        slots: RangeInclusive<u16>,
        primary: NodeAddress,
        replicas: impl Iterator<Item = NodeAddress>,
    ) {
        let known = self.primaries.iter().position(|it| *it == primary);
        let index = known.unwrap_or_else(|| {
            self.primaries.push(primary);
            self.replicas.extend(replicas);
            self.primaries.len() - 1
        });
        for slot in slots {
            // There are no more primaries than slots.
            self.owners[usize::from(slot)] = index as u16;
        }
    }

    /// The index among the primaries of the one that has this slot.
    pub(super) fn owner(&self, slot: u16) -> Option<usize> {
        let owner = self.owners[usize::from(slot)];
        (owner != NOBODY).then_some(usize::from(owner))
    }

    /// Whether every slot has an owner.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }
}

/// Whether the node that has said this, its answer to `CLUSTER NODES`, gives
/// keys to one that has no slots.
pub(super) fn moves_to_empty_node(nodes: &str) -> bool {
    // id address flags primary ping pong epoch link, and slots: 0-5460, or
    // [7->-id] for one that goes to that node.
    let lines = nodes.lines().map(|line| line.split(' '));
    let mut myself = None;
    let mut owners = HashSet::new();
    for mut fields in lines {
        let id = fields.next().unwrap_or_default();
        if fields.nth(1).is_some_and(|flags| flags.contains("myself")) {
            myself = Some(fields.clone());
        }
        if fields.skip(5).any(|slot| !slot.starts_with('[')) {
            owners.insert(id);
        }
    }
    let mut slots = myself.into_iter().flatten();
    slots.any(|slot| {
        let target = slot.trim_end_matches(']').split_once("->-");
        target.is_some_and(|(_, id)| !owners.contains(id))
    })
}

fn items(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

fn slot(value: &Value) -> Option<u16> {
    match value {
        Value::Int(slot) => u16::try_from(*slot).ok().filter(|slot| *slot < SLOTS),
        _ => None,
    }
}

fn node(value: &Value, from: &NodeAddress) -> Option<NodeAddress> {
    let [host, Value::Int(port), ..] = items(value)? else {
        return None;
    };
    let host = match host {
        Value::BulkString(host) => str::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        _ => "",
    };
    let port = u16::try_from(*port).ok()?;
    Some(NodeAddress::told_by(from, host, port))
}

/// The slot of a key: of what stands between the first brace and the next
/// closing one, if anything does, and else of all of it.
pub(super) fn slot_of(key: &[u8]) -> u16 {
    static CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

    CRC.checksum(hash_tag(key).unwrap_or(key)) % SLOTS
}

fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|byte| *byte == b'{')?;
    let rest = &key[open + 1..];
    let close = rest.iter().position(|byte| *byte == b'}')?;
    Some(&rest[..close]).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn address(host: &str, port: u16) -> NodeAddress {
        let host = host.to_owned();
        NodeAddress { host, port }
    }

    #[test]
    fn slots_are_those_of_the_published_checksum_and_hash_tags() {
        assert_eq!(slot_of(b"123456789"), 0x31c3);
        assert_eq!(slot_of(b"a{123456789}b{c}"), 0x31c3);
        assert_eq!(slot_of(b"{}123456789"), CRC_OF_EMPTY_TAG);
        assert_eq!(slot_of(b"{user1000}.x"), slot_of(b"user1000"));
        assert_eq!(slot_of(b"foo{{bar}}zap"), slot_of(b"{bar"));
    }

    /// An empty tag is none, so all of the key counts.
    const CRC_OF_EMPTY_TAG: u16 = Crc::<u16>::new(&CRC_16_XMODEM).checksum(b"{}123456789") % SLOTS;

    #[test]
    fn a_node_that_does_not_know_its_host_is_where_the_answer_came_from() {
        let node = |host: Value, port| Value::Array(vec![host, Value::Int(port)]);
        let range = |from, to, nodes: Vec<Value>| {
            Value::Array([vec![Value::Int(from), Value::Int(to)], nodes].concat())
        };
        let answer = Value::Array(vec![
            range(0, 9, vec![node(Value::Nil, 1), node(text("b"), 2)]),
            range(10, 10, vec![node(text("c"), 3)]),
            range(12, 16_383, vec![node(text(""), 1), node(text("b"), 2)]),
        ]);
        let topology = Topology::read(&answer, &address("a", 9)).expect("it makes sense");
        assert_eq!(topology.primaries, [address("a", 1), address("c", 3)]);
        assert_eq!(topology.replicas, [address("b", 2)]);
        let owners = [0, 9, 10, 11, 12, 16_383].map(|slot| topology.owner(slot));
        assert_eq!(owners, [Some(0), Some(0), Some(1), None, Some(0), Some(0)]);
        assert!(!topology.is_complete());
    }

    #[test]
    fn keys_on_the_way_to_a_node_without_slots_are_seen() {
        let nodes = |slots: &str, target_slots: &str| {
            format!(
                "aa 127.0.0.1:1@2 myself,master - 0 0 1 connected 0-9 {slots}\n\
                 bb 127.0.0.1:3@4 master - 0 0 2 connected{target_slots}\n\
                 cc 127.0.0.1:5@6 slave aa 0 0 1 connected\n"
            )
        };
        for (slots, target_slots, is_seen) in [
            ("11", "", false),
            ("[3->-bb]", "", true),
            ("[3->-bb]", " 10-99", false),
            ("[3->-bb]", " [3-<-aa]", true),
            ("[3-<-bb]", "", false),
        ] {
            let answer = nodes(slots, target_slots);
            assert_eq!(moves_to_empty_node(&answer), is_seen, "{answer}");
        }
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_none() {
        let nonsense = [
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![Value::Array(vec![Value::Int(0)])]),
            Value::Array(vec![Value::Array(vec![
                Value::Int(0),
                Value::Int(16_384),
                Value::Array(vec![text("a"), Value::Int(1)]),
            ])]),
        ];
        for answer in nonsense {
            assert_eq!(Topology::read(&answer, &address("a", 9)), None);
        }
    }
}
