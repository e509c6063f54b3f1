//! All nodes of a store, and which of them has what.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join_all;
use redis::{AsyncConnectionConfig, Client, Cmd, RedisError, Value};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::super::log;
use super::address::{Kind, NodeAddress};
use super::command::{Command, Outcome};
use super::config::RemoteStoreConfig;
use super::errors::{remedy, slots_move, told, unowned};
use super::node::Node;
use super::round::Settled;
use super::topology::Topology;
use crate::store::StoreLost;

/// How long the owners of slots are believed if nothing speaks against it.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// How often they are asked for while something is amiss, and at most.
const REFRESH_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Before commands are sent after a redirection, from the second on; doubled
/// each time.
const REDIRECTION_PAUSE: Duration = Duration::from_millis(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) config: RemoteStoreConfig,
    view: RwLock<Arc<View>>,
    /// All that are connected to: those of the view, and those that others have
    /// redirected to.
    nodes: Mutex<HashMap<NodeAddress, Arc<Node>>>,
    /// Told when the view may be out of date.
    changed: Arc<Notify>,
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
    /// Finds the nodes and connects to them. Fails if there is no store at any
    /// of the addresses, or not of the kind that the configuration says.
    pub(super) async fn connect(config: RemoteStoreConfig) -> io::Result<Arc<Self>> {
        let topology = first_topology(&config).await.map_err(io::Error::other)?;
        let cluster = Self {
            config,
            view: RwLock::new(Arc::new(View {
                topology: topology.clone(),
                nodes: Vec::new(),
            })),
            nodes: Mutex::default(),
            changed: Arc::default(),
        };
        cluster.adopt(topology);
        join_all(cluster.view().nodes.iter().map(|node| node.tried())).await;
        let cluster = Arc::new(cluster);
        if cluster.config.address.kind() == Kind::Cluster {
            let weak = Arc::downgrade(&cluster);
            let changed = Arc::clone(&cluster.changed);
            tokio::spawn(async move {
                while let Some(cluster) = weak.upgrade() {
                    cluster.refresh().await;
                    let interval = match cluster.is_settled() {
                        true => REFRESH_INTERVAL,
                        false => REFRESH_INTERVAL_MIN,
                    };
                    drop(cluster);
                    sleep(REFRESH_INTERVAL_MIN).await;
                    let _ = timeout(interval - REFRESH_INTERVAL_MIN, changed.notified()).await;
                }
            });
        }
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
            if begun.elapsed() > self.config.timeout {
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
        Ok(outcomes.into_iter().flatten().collect())
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
        if !without_node.is_empty() {
            self.changed.notify_one();
        }
        (groups, without_node)
    }

    /// Who has what, as far as is known.
    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether all is as it should be.
    fn is_settled(&self) -> bool {
        let view = self.view();
        view.topology.is_complete() && view.nodes.iter().all(|node| node.is_up())
    }

    /// As [`refresh`](Self::refresh), where there is anything to ask.
    pub(super) async fn refresh_if_cluster(&self) {
        if self.config.address.kind() == Kind::Cluster {
            self.refresh().await;
        }
    }

    /// Asks who has what. If nobody answers, what was known is kept.
    async fn refresh(&self) {
        let view = self.view();
        let (up, down): (Vec<_>, Vec<_>) = view.nodes.iter().partition(|node| node.is_up());
        for node in up {
            let answer = node.ask(&slots_command()).await.ok();
            if let Some(topology) = answer.and_then(|it| Topology::read(&it, &node.address)) {
                return self.adopt(topology);
            }
        }
        let others = view.topology.replicas.iter().cloned();
        let others = others.chain(self.config.address.seeds());
        let down = down.into_iter().map(|node| node.address.clone());
        for address in others.chain(down) {
            let answer = ask_once(&self.config, &address).await.ok();
            if let Some(topology) = answer.and_then(|it| Topology::read(&it, &address)) {
                return self.adopt(topology);
            }
        }
    }

    /// Believes it, and connects to its primaries and no others.
    fn adopt(&self, topology: Topology) {
        let nodes: Result<Vec<_>, _> = topology.primaries.iter().map(|it| self.node(it)).collect();
        let Ok(nodes) = nodes else {
            // An address that nobody can connect to.
            return;
        };
        self.nodes()
            .retain(|address, _| topology.primaries.contains(address));
        log_changes(&self.view().topology, &topology);
        let view = Arc::new(View { topology, nodes });
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
    }

    fn node(&self, address: &NodeAddress) -> Result<Arc<Node>, RedisError> {
        match self.nodes().entry(address.clone()) {
            Entry::Occupied(node) => Ok(Arc::clone(node.get())),
            Entry::Vacant(vacant) => {
                let node = Node::open(address.clone(), &self.config, &self.changed)?;
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
    fn owner(&self, slot: u16) -> Option<&Arc<Node>> {
        self.topology.owner(slot).map(|owner| &self.nodes[owner])
    }
}

/// So that whoever has read that a node can't be reached reads how it went on.
fn log_changes(before: &Topology, now: &Topology) {
    for (these, others, what) in [
        (before, now, "has no slots any more"),
        (now, before, "has slots now"),
    ] {
        let missing = |node: &&NodeAddress| !others.primaries.contains(node);
        for node in these.primaries.iter().filter(missing) {
            log::line(format_args!("the store's node {node} {what}"));
        }
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
        .map(async |(node, commands)| node.exchange(commands).await);
    join_all(exchanges).await
}

async fn sleep_if(pause: Duration) {
    if !pause.is_zero() {
        sleep(pause).await;
    }
}

fn slots_command() -> Cmd {
    let mut command = redis::cmd("CLUSTER");
    command.arg("SLOTS");
    command
}

/// Asks a node that there is no connection to who has what.
async fn ask_once(config: &RemoteStoreConfig, node: &NodeAddress) -> Result<Value, RedisError> {
    let client = Client::open(config.address.connection_info(node))?;
    let timeouts = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(config.timeout.min(Duration::from_secs(1))))
        .set_response_timeout(Some(config.timeout));
    client
        .get_multiplexed_async_connection_with_config(&timeouts)
        .await?
        .send_packed_command(&slots_command())
        .await
}

/// Asks the addresses that were configured, in their order. Fails with a
/// sentence.
async fn first_topology(config: &RemoteStoreConfig) -> Result<Topology, String> {
    let mut failures = Vec::new();
    for address in config.address.seeds() {
        match ask_once(config, &address).await {
            Ok(answer) => return read_first(config, &answer, &address),
            Err(error) => failures.push((address, error)),
        }
    }
    let told: Vec<_> = failures
        .iter()
        .map(|(address, error)| format!("{address} ({})", told(error)))
        .collect();
    let remedy = failures
        .last()
        .map_or("", |(_, error)| remedy(error, config.address.is_tls()));
    Err(format!(
        "can't use the store at {}: {remedy}",
        told.join(", ")
    ))
}

fn read_first(
    config: &RemoteStoreConfig,
    answer: &Value,
    from: &NodeAddress,
) -> Result<Topology, String> {
    let is_cluster = matches!(answer, Value::Array(_));
    match config.address.kind() {
        Kind::Server if is_cluster => Err(format!(
            "{from} is a node of a cluster; say --store redis-cluster://{from}"
        )),
        Kind::Server => Ok(Topology::of_one(from.clone())),
        Kind::Cluster if !is_cluster => Err(format!(
            "{from} is no node of a cluster; say --store redis://{from}"
        )),
        Kind::Cluster => Topology::read(answer, from).ok_or_else(|| {
            format!("no node of the cluster at {from} has slots; assign them (CLUSTER ADDSLOTS)")
        }),
    }
}
