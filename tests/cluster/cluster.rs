//! Nodes that form a cluster.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::folder::Folder;
use super::moves::Move;
use super::standing::{SLOTS, Standing, asked, check, epochs, shards};
use super::{Node, poll};

/// After how long without an answer a node counts as failed. A replica takes over one or two
/// seconds later.
pub const NODE_TIMEOUT_MS: u32 = 1000;

/// A cluster on loopback. Dropped, its nodes are killed.
///
/// Nodes are known by their index, which they keep whatever becomes of them.
pub struct Cluster {
    nodes: Vec<Node>,
    ids: Vec<String>,
    moves: Mutex<BTreeMap<u16, Move>>,
}

impl Cluster {
    /// Starts a cluster and waits until all nodes agree on it.
    ///
    /// The primaries come first, in the order of their slots. After them, the first replica of
    /// each, then the second of each.
    pub fn start(primaries: usize, replicas_of_each: usize) -> Self {
        Self::start_with(primaries, replicas_of_each, &[])
    }

    /// As [`start`](Self::start), with more options for all nodes.
    pub fn start_with(primaries: usize, replicas_of_each: usize, options: &[&str]) -> Self {
        let nodes = start_nodes(primaries * (1 + replicas_of_each), options);
        let id = |node: &Node| node.ask(&["CLUSTER", "MYID"]).text().to_owned();
        let cluster = Self {
            ids: nodes.iter().map(id).collect(),
            nodes,
            moves: Mutex::default(),
        };
        cluster.share_out_slots(primaries);
        cluster.introduce();
        for index in primaries..cluster.nodes.len() {
            cluster.replicate(index, index % primaries);
        }
        cluster.wait_until_ok();
        cluster
    }

    fn share_out_slots(&self, primaries: usize) {
        let begin = |index: usize| index * usize::from(SLOTS) / primaries;
        for (index, node) in self.nodes[..primaries].iter().enumerate() {
            let (first, last) = (begin(index), begin(index + 1) - 1);
            let (first, last) = (first.to_string(), last.to_string());
            node.ask(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
        }
    }

    /// Makes every node known to every other at once: gossip alone would take seconds.
    fn introduce(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            // Else they would all begin with the same, and have to find others.
            node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
        }
        for (index, node) in self.nodes.iter().enumerate() {
            for other in &self.nodes[..index] {
                let (port, bus) = (other.port().to_string(), other.second_port().to_string());
                node.ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
            }
        }
    }

    fn replicate(&self, replica: usize, primary: usize) {
        let words = ["CLUSTER", "REPLICATE", self.id(primary)];
        // It may not have heard of its primary yet.
        poll("a replica knows its primary", || {
            asked(&self.nodes[replica], &words)
        });
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The addresses of all nodes, as an option of a program takes them.
    pub fn addresses(&self) -> String {
        let addresses: Vec<String> = self.nodes.iter().map(Node::address).collect();
        addresses.join(",")
    }

    /// Has a process of the caller's end with this one, even if this one is killed.
    pub fn watch(&self, pid: u32) {
        self.nodes[0].folder().watch(pid);
    }

    /// The nodes that own slots, of those that answer.
    pub fn primaries(&self) -> Vec<usize> {
        let owns_any = |(index, standing): (usize, Standing)| {
            let is_owner = !standing.slots.is_empty();
            is_owner.then_some(index)
        };
        self.standings().into_iter().filter_map(owns_any).collect()
    }

    /// The replicas of a node, of those that answer.
    pub fn replicas_of(&self, primary: usize) -> Vec<usize> {
        let id = self.id(primary);
        let is_replica = |(index, standing): (usize, Standing)| {
            (standing.primary.as_deref() == Some(id)).then_some(index)
        };
        self.standings()
            .into_iter()
            .filter_map(is_replica)
            .collect()
    }

    /// The owner of the slot. If it does not answer, waits until a replica has taken over.
    pub fn primary_of_slot(&self, slot: u16) -> usize {
        poll("a node that answers owns the slot", || {
            let standings = self.standings().into_iter();
            let owners = standings.filter(|(_, standing)| standing.owns(slot));
            let latest = owners.max_by_key(|(_, standing)| standing.epoch);
            let (index, _) = latest.ok_or_else(|| format!("it is slot {slot}"))?;
            Ok(index)
        })
    }

    pub fn kill(&self, index: usize) {
        self.nodes[index].kill();
    }

    pub fn pause(&self, index: usize) {
        self.nodes[index].pause();
    }

    pub fn resume(&self, index: usize) {
        self.nodes[index].resume();
    }

    /// Starts a killed node again and waits until all that answer agree again; as a replica, it is
    /// in sync then.
    ///
    /// Where several nodes are down, this one may be not enough for the others to agree: restart
    /// all by [`Node::restart`], and then [`wait_until_ok`](Self::wait_until_ok).
    pub fn restart(&self, index: usize) {
        self.nodes[index].restart();
        poll("the restarted node has rejoined", || self.check(false));
    }

    /// Waits until each slot has a primary that answers, all replicas that answer are in sync,
    /// and all nodes that answer agree on that.
    pub fn wait_until_ok(&self) {
        poll("the cluster is in order", || self.check(true));
    }

    /// Fails with what is not as it should be. `whole` is whether each slot needs a primary.
    fn check(&self, whole: bool) -> Result<(), String> {
        let mut agreed = None;
        let mut agreed_epochs = None;
        let mut replicas = Vec::new();
        for node in self.answering() {
            let standing = Standing::of(node)?;
            check(node, &standing)?;
            let shards = shards(node)?;
            let agreed = agreed.get_or_insert_with(|| shards.clone());
            if *agreed != shards {
                let name = node.name();
                return Err(format!("{name} says {shards:?}, another says {agreed:?}"));
            }
            let epochs = epochs(node)?;
            let agreed_epochs = agreed_epochs.get_or_insert_with(|| epochs.clone());
            if *agreed_epochs != epochs {
                let name = node.name();
                return Err(format!(
                    "{name} says {epochs:?}, another says {agreed_epochs:?}"
                ));
            }
            if standing.primary.is_some() {
                replicas.push(node.port());
            }
        }
        let shards = agreed.ok_or("no node answers")?;
        let answers = |port: u16| self.answering().any(|node| node.port() == port);
        let served = shards.iter().filter(|shard| answers(shard.primary));
        let slots: u16 = served.map(|shard| shard.last - shard.first + 1).sum();
        if whole && slots < SLOTS {
            return Err(format!("{slots} slots have a primary that answers"));
        }
        // A replica is listed once its primary has told that it has something of it.
        let is_listed = |port| shards.iter().any(|shard| shard.replicas.contains(port));
        match replicas.iter().find(|port| !is_listed(port)) {
            Some(port) => Err(format!("the replica on port {port} is not in {shards:?}")),
            None => Ok(()),
        }
    }

    fn answering(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_answering())
    }

    /// What each node that answers says of itself.
    fn standings(&self) -> Vec<(usize, Standing)> {
        let nodes = self.nodes.iter().enumerate();
        nodes
            .filter(|(_, node)| node.is_answering())
            .filter_map(|(index, node)| Some((index, Standing::of(node).ok()?)))
            .collect()
    }

    pub(super) fn id(&self, index: usize) -> &str {
        &self.ids[index]
    }

    pub(super) fn moves(&self) -> MutexGuard<'_, BTreeMap<u16, Move>> {
        // Moves are added and removed whole.
        self.moves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start_nodes(count: usize, options: &[&str]) -> Vec<Node> {
    let folder = Arc::new(Folder::new());
    let timeout = NODE_TIMEOUT_MS.to_string();
    let mut all = vec!["--cluster-enabled", "yes", "--cluster-port", "{second}"];
    all.extend(["--cluster-node-timeout", &timeout]);
    all.extend(["--cluster-require-full-coverage", "no"]);
    // A replica takes over no matter how old its entries are, and is in sync as soon as can be.
    all.extend(["--cluster-replica-validity-factor", "0"]);
    all.extend(["--repl-diskless-sync-delay", "0"]);
    all.extend(["--repl-ping-replica-period", "1"]);
    all.extend(options);
    thread::scope(|scope| {
        let start = || Node::start_in(&folder, &all);
        let starts: Vec<_> = (0..count).map(|_| scope.spawn(start)).collect();
        let nodes = starts.into_iter().map(|start| start.join());
        let mut nodes: Vec<Node> = nodes.map(|node| node.expect("the node starts")).collect();
        // For people who read a list of them.
        nodes.sort_by_key(Node::port);
        nodes
    })
}
