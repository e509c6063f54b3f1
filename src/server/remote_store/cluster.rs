//! All nodes of a store, and which of them has what.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join_all;
use redis::RedisError;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::super::counts::Counts;
use super::address::{Kind, NodeAddress};
use super::command::{Command, Outcome};
use super::config::RemoteStoreConfig;
use super::errors::{slots_move, unowned};
use super::joined::Joined;
use super::node::Node;
use super::round::Settled;
use super::topology::Topology;
use crate::protocol::Reply;
use crate::server::log::{Event, Log};
use crate::store::StoreLost;

/// Before commands are sent after a redirection, from the second on; doubled
/// each time.
const REDIRECTION_PAUSE: Duration = Duration::from_millis(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) config: RemoteStoreConfig,
    log: Log,
    counts: Arc<Counts>,
    /// Which of its nodes is asked who has what: another one for each server.
    pub(super) first_asked: usize,
    view: RwLock<Arc<View>>,
    /// All that are connected to: those of the view, and those that others have
    /// redirected to.
    nodes: Mutex<HashMap<NodeAddress, Arc<Node>>>,
    pub(super) resets: Joined<Result<Reply, StoreLost>>,
    /// Told when the view may be out of date.
    pub(super) changed: Arc<Notify>,
}

/// What goes to one node, in order.
type Group = (Arc<Node>, Vec<Command>);

/// Who has what, at one moment.
#[derive(Debug)]
pub(super) struct View {
    pub(super) topology: Topology,
    /// The nodes of its primaries, in their order.
    pub(super) nodes: Vec<Arc<Node>>,
}

impl Cluster {
    /// Begins to connect to its nodes. Fails as [`adopt`](Self::adopt).
    pub(super) fn new(
        config: RemoteStoreConfig,
        log: &Log,
        counts: &Arc<Counts>,
        topology: Topology,
    ) -> Result<Self, RedisError> {
        let cluster = Self {
            config,
            log: log.clone(),
            counts: Arc::clone(counts),
            // Cut off or not, it is random.
            first_asked: RandomState::new().hash_one(()) as usize,
            view: RwLock::new(Arc::new(View {
                topology: topology.clone(),
                nodes: Vec::new(),
            })),
            nodes: Mutex::default(),
            resets: Joined::default(),
            changed: Arc::default(),
        };
        cluster.adopt(topology)?;
        Ok(cluster)
    }

    /// Has the nodes execute the commands, each where its slot is. Returns what
    /// came of them in their order, or fails when nobody knows.
    pub(super) async fn execute(&self, commands: Vec<Command>) -> Result<Vec<Outcome>, StoreLost> {
        let begun = Instant::now();
        let mut pause = Duration::ZERO;
        let mut outcomes = Vec::new();
        outcomes.resize_with(commands.len(), || None);
        let mut open = commands;
        while !open.is_empty() {
            if begun.elapsed() + pause > self.config.timeout {
                for command in open.drain(..) {
                    outcomes[command.index] = Some(Outcome::Replied(slots_move()));
                }
                break;
            }
            sleep_if(pause).await;
            pause = (2 * pause).max(REDIRECTION_PAUSE);
            let (groups, without_node) = self.by_node(open);
            for command in without_node {
                outcomes[command.index] = Some(Outcome::Replied(unowned()));
            }
            open = Vec::new();
            for settled in exchange_all(groups).await {
                let settled = settled?;
                for (index, outcome) in settled.outcomes {
                    outcomes[index] = Some(outcome);
                }
                open.extend(settled.again);
            }
        }
        // Each is settled, or was sent again.
        outcomes.into_iter().collect::<Option<_>>().ok_or(StoreLost)
    }

    /// The commands for each node in their order, and those for none.
    fn by_node(&self, commands: Vec<Command>) -> (Vec<Group>, Vec<Command>) {
        let view = self.view();
        if let [node] = &*view.nodes
            && commands.iter().all(|it| it.redirection.is_none())
            && view.topology.is_complete()
        {
            return (vec![(Arc::clone(node), commands)], Vec::new());
        }
        let mut groups: Vec<Group> = Vec::new();
        let mut without_node = Vec::new();
        for command in commands {
            let node = match &command.redirection {
                // A server alone has no others.
                Some(_) if self.config.address.kind() == Kind::Server => None,
                Some(redirection) => self.node(&redirection.node).ok(),
                None => view.owner(command.slot).cloned(),
            };
            let Some(node) = node else {
                without_node.push(command);
                continue;
            };
            match groups.iter_mut().find(|(it, _)| Arc::ptr_eq(it, &node)) {
                Some((_, group)) => group.push(command),
                None => groups.push((node, vec![command])),
            }
        }
        (groups, without_node)
    }

    /// Who has what, as far as is known.
    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Believes it, and connects to its primaries and no others. Fails if one of
    /// their addresses makes no sense.
    pub(super) fn adopt(&self, topology: Topology) -> Result<(), RedisError> {
        let nodes = topology.primaries.iter().map(|it| self.node(it));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        self.nodes()
            .retain(|address, _| topology.primaries.contains(address));
        self.log_changes(&topology);
        let view = Arc::new(View { topology, nodes });
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
        Ok(())
    }

    /// So that whoever has read that a node can't be reached reads how it went on.
    fn log_changes(&self, now: &Topology) {
        let view = self.view();
        let before = &view.topology;
        for (these, others, has_slots) in [(before, now, false), (now, before, true)] {
            let missing = |node: &&NodeAddress| !others.primaries.contains(node);
            for node in these.primaries.iter().filter(missing) {
                self.log
                    .write(Event::store_slots(&node.to_string(), has_slots));
            }
        }
    }

    fn node(&self, address: &NodeAddress) -> Result<Arc<Node>, RedisError> {
        match self.nodes().entry(address.clone()) {
            Entry::Occupied(node) => Ok(Arc::clone(node.get())),
            Entry::Vacant(vacant) => {
                let (log, counts) = (&self.log, &self.counts);
                let node = Node::open(address.clone(), &self.config, log, &self.changed, counts)?;
                Ok(Arc::clone(vacant.insert(node)))
            }
        }
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<NodeAddress, Arc<Node>>> {
        // Each change is one insertion or removal.
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    /// Whether all is as it should be.
    pub(super) fn is_settled(&self) -> bool {
        self.topology.is_complete() && self.nodes.iter().all(|node| node.is_up())
    }

    fn owner(&self, slot: u16) -> Option<&Arc<Node>> {
        self.topology.owner(slot).map(|owner| &self.nodes[owner])
    }
}

async fn exchange_all(mut groups: Vec<Group>) -> Vec<Result<Settled, StoreLost>> {
    // Most batches are for one node.
    if groups.len() == 1
        && let Some((node, commands)) = groups.pop()
    {
        return vec![node.exchange(commands).await];
    }
    let exchanges = groups
        .into_iter()
        .map(|(node, commands)| async move { node.exchange(commands).await });
    join_all(exchanges).await
}

async fn sleep_if(pause: Duration) {
    if !pause.is_zero() {
        sleep(pause).await;
    }
}
