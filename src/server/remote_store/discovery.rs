//! Finding the nodes of a store and who has what, at first and again and again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::{AsyncConnectionConfig, Client, Cmd, RedisError, Value};
use tokio::time::{Instant, sleep, timeout};

use super::super::counts::Counts;
use super::address::{Kind, NodeAddress};
use super::cluster::Cluster;
use super::config::RemoteStoreConfig;
use super::errors::{knows_no_cluster, remedy, told};
use super::topology::Topology;
use crate::server::log::Log;

/// How long the owners of slots are believed if nothing speaks against it.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// How often they are asked for at most.
const REFRESH_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// While something is amiss, they are asked for again after this part of the
/// time for which it has been: little is asked of a cluster that stays so, and
/// what is mended is soon known.
const REFRESH_PART: u32 = 20;

/// How long one node may take to say who has what, before another is asked.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// Asks who has what, again and again, until the cluster is dropped.
fn keep_fresh(cluster: &Arc<Cluster>) {
    let weak = Arc::downgrade(cluster);
    let changed = Arc::clone(&cluster.changed);
    tokio::spawn(async move {
        let mut settled_at = Instant::now();
        while let Some(cluster) = weak.upgrade() {
            cluster.refresh().await;
            let interval = match cluster.view().is_settled() {
                true => {
                    settled_at = Instant::now();
                    REFRESH_INTERVAL
                }
                false => (settled_at.elapsed() / REFRESH_PART)
                    .clamp(REFRESH_INTERVAL_MIN, REFRESH_INTERVAL),
            };
            drop(cluster);
            sleep(REFRESH_INTERVAL_MIN).await;
            let _ = timeout(interval - REFRESH_INTERVAL_MIN, changed.notified()).await;
        }
    });
}

impl Cluster {
    /// Finds the nodes and connects to them. Fails if there is no store at any
    /// of the addresses, or not of the kind that the configuration says.
    pub(super) async fn connect(
        config: RemoteStoreConfig,
        log: &Log,
        counts: &Arc<Counts>,
    ) -> io::Result<Arc<Self>> {
        let topology = first_topology(&config).await.map_err(io::Error::other)?;
        let cluster = Self::new(config, log, counts, topology).map_err(io::Error::other)?;
        let cluster = Arc::new(cluster);
        join_all(cluster.view().nodes.iter().map(|node| node.tried())).await;
        if cluster.config.address.kind() == Kind::Cluster {
            keep_fresh(&cluster);
        }
        Ok(cluster)
    }

    /// Asks who has what. If nobody answers, what was known is kept, and this
    /// says so. Of a server alone it is always known.
    pub(super) async fn refresh(&self) -> bool {
        if self.config.address.kind() == Kind::Server {
            return true;
        }
        let view = self.view();
        let (mut up, down): (Vec<_>, Vec<_>) = view.nodes.iter().partition(|node| node.is_up());
        if !up.is_empty() {
            // Always the same, for each knows of changes at another time.
            let first = self.first_asked % up.len();
            up.rotate_left(first);
        }
        for node in up {
            let slots = slots_command();
            let Ok(Ok(answer)) = timeout(ASK_TIMEOUT, node.ask(&slots)).await else {
                continue;
            };
            if let Some(topology) = Topology::read(&answer, &node.address) {
                return self.adopt(topology).is_ok();
            }
        }
        let others = view.topology.replicas.iter().cloned();
        let others = others.chain(self.config.address.seeds());
        let down = down.into_iter().map(|node| node.address.clone());
        for address in others.chain(down) {
            let answer = ask_once(&self.config, &address).await.ok();
            if let Some(topology) = answer.and_then(|it| Topology::read(&it, &address)) {
                return self.adopt(topology).is_ok();
            }
        }
        false
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
        .set_connection_timeout(Some(config.timeout.min(ASK_TIMEOUT)))
        .set_response_timeout(Some(config.timeout.min(ASK_TIMEOUT)));
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
            Ok(Value::ServerError(error)) if !knows_no_cluster(&error) => {
                failures.push((address, error.into()));
            }
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
