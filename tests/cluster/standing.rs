//! What a node says of itself and of its cluster.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::Node;
use super::resp::Reply;

/// How many slots a cluster has.
pub const SLOTS: u16 = 16384;

/// A node's line about itself in CLUSTER NODES. Others may not have heard of it yet.
pub struct Standing {
    /// The id of its primary, if it is a replica.
    pub primary: Option<String>,
    /// Of two nodes that claim a slot, it belongs to that of the later epoch.
    pub epoch: u64,
    pub slots: Vec<RangeInclusive<u16>>,
}

impl Standing {
    pub fn of(node: &Node) -> Result<Self, String> {
        let reply = asked(node, &["CLUSTER", "NODES"])?;
        let lines = reply.text().lines();
        // id address flags primary ping pong epoch link slot...
        let mut lines = lines.map(|line| line.split(' ').collect::<Vec<_>>());
        let fields = lines.find(|fields| fields.len() >= 8 && fields[2].contains("myself"));
        let fields = fields.expect("a node knows itself");
        Ok(Self {
            primary: (fields[3] != "-").then(|| fields[3].to_owned()),
            epoch: fields[6].parse().expect("an epoch is a number"),
            slots: match fields[2].contains("master") {
                true => fields[8..].iter().filter_map(|word| range(word)).collect(),
                false => Vec::new(),
            },
        })
    }

    pub fn owns(&self, slot: u16) -> bool {
        self.slots.iter().any(|range| range.contains(&slot))
    }
}

/// `7`, `0-5460`, and nothing for a slot that is being moved: `[7->-ID]`.
fn range(word: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

/// Slots, and the ports of who serves them, in the order of CLUSTER SLOTS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    pub first: u16,
    pub last: u16,
    pub primary: u16,
    pub replicas: Vec<u16>,
}

/// What a node would tell a client, in an order that does not depend on the node.
pub fn shards(node: &Node) -> Result<Vec<Shard>, String> {
    let reply = asked(node, &["CLUSTER", "SLOTS"])?;
    let mut shards: Vec<Shard> = reply.items().iter().map(shard).collect();
    shards.sort();
    Ok(shards)
}

fn shard(reply: &Reply) -> Shard {
    let [first, last, nodes @ ..] = reply.items() else {
        panic!("a range of slots should have come instead of {reply:?}");
    };
    let number = |reply: &Reply| reply.integer() as u16;
    let mut ports = nodes.iter().map(|node| number(&node.items()[1]));
    let primary = ports.next().expect("slots have a primary");
    let mut replicas: Vec<u16> = ports.collect();
    replicas.sort();
    Shard {
        first: number(first),
        last: number(last),
        primary,
        replicas,
    }
}

/// The epochs of all primaries, as the node has heard. Before others have heard of a new one, they
/// may take the same, and one of the two loses the slots that it has just got.
pub fn epochs(node: &Node) -> Result<BTreeMap<String, String>, String> {
    let reply = asked(node, &["CLUSTER", "NODES"])?;
    let lines = reply.text().lines().map(|line| line.split(' ').collect());
    let primaries = lines.filter(|fields: &Vec<_>| fields.len() >= 8 && fields[3] == "-");
    Ok(primaries
        .map(|fields| (fields[0].into(), fields[6].into()))
        .collect())
}

/// Fails unless the cluster works as far as the node knows, and a replica has its primary's entries.
pub fn check(node: &Node, standing: &Standing) -> Result<(), String> {
    let has = |words: &[&str], line: &str| {
        let reply = asked(node, words)?;
        match reply.text().lines().any(|other| other == line) {
            true => Ok(()),
            false => Err(format!("{} does not say {line}", node.name())),
        }
    };
    has(&["CLUSTER", "INFO"], "cluster_state:ok")?;
    match standing.primary {
        Some(_) => has(&["INFO", "replication"], "master_link_status:up"),
        None => Ok(()),
    }
}

/// The reply to a question that a node may fail to answer for a while.
pub fn asked(node: &Node, words: &[&str]) -> Result<Reply, String> {
    match node.command(words) {
        Ok(Reply::Error(error)) => Err(format!("{} says {error}", node.name())),
        Ok(reply) => Ok(reply),
        Err(error) => Err(format!("{} does not answer: {error}", node.name())),
    }
}
