//! RST, on every primary. What it removes it removes entry by entry, so others
//! may see a part of it.

use std::sync::Arc;

use futures_util::future::join_all;
use redis::Value;

use super::cluster::Cluster;
use super::command::{Command, Outcome};
use super::config::ResetScope;
use super::errors::{SendError, odd, refused, unowned};
use super::node::Node;
use crate::protocol::Reply;
use crate::store::StoreLost;

/// Keys that a node is asked to look at for one answer.
const SCAN_COUNT: usize = 1_000;

/// How often it begins again because slots have got other owners meanwhile.
const PASSES_MAX: usize = 10;

/// How a part of a reset ended before its end.
enum Stopped {
    /// Nothing was removed.
    Before(Reply),
    /// Some is removed and some is not.
    Within,
}

impl Cluster {
    /// Removes every entry. Fails when some may be left.
    pub(super) async fn reset(&self) -> Result<Reply, StoreLost> {
        // A node that is not known would keep its entries.
        self.refresh_if_cluster().await;
        let mut view = self.view();
        if !view.topology.is_complete() || !view.nodes.iter().all(|node| node.is_up()) {
            return Ok(unowned());
        }
        let mut removed = false;
        for _ in 0..PASSES_MAX {
            let parts = join_all(view.nodes.iter().map(|node| self.reset_node(node))).await;
            for part in parts {
                match part {
                    Ok(()) => removed = true,
                    Err(Stopped::Within) => return Err(StoreLost),
                    Err(Stopped::Before(_)) if removed => return Err(StoreLost),
                    Err(Stopped::Before(reply)) => return Ok(reply),
                }
            }
            self.refresh_if_cluster().await;
            let now = self.view();
            if now.topology == view.topology {
                return Ok(Reply::Done);
            }
            view = now;
        }
        Err(StoreLost)
    }

    async fn reset_node(&self, node: &Arc<Node>) -> Result<(), Stopped> {
        match self.config.reset {
            ResetScope::Flush => flush(node).await,
            ResetScope::Prefix => self.remove_keys(node).await,
        }
    }

    async fn remove_keys(&self, node: &Arc<Node>) -> Result<(), Stopped> {
        let pattern = pattern(&self.config.prefix);
        let mut removed = false;
        let mut cursor = b"0".to_vec();
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(&*cursor).arg("MATCH").arg(&*pattern);
            scan.arg("COUNT").arg(SCAN_COUNT);
            let answer = node
                .ask(&scan)
                .await
                .map_err(|error| stopped(removed, error))?;
            let (next, keys) = read_scan(answer).map_err(|reply| match removed {
                true => Stopped::Within,
                false => Stopped::Before(reply),
            })?;
            let commands: Vec<_> = keys.iter().enumerate().map(Command::delete).collect();
            let outcomes = self.execute(commands).await;
            for outcome in outcomes.map_err(|StoreLost| Stopped::Within)? {
                match outcome {
                    Outcome::Replied(Reply::Done | Reply::NoKey) => removed = true,
                    Outcome::Replied(reply) if !removed => return Err(Stopped::Before(reply)),
                    _ => return Err(Stopped::Within),
                }
            }
            if next == b"0" {
                return Ok(());
            }
            cursor = next;
        }
    }
}

async fn flush(node: &Node) -> Result<(), Stopped> {
    let mut flush = redis::cmd("FLUSHALL");
    flush.arg("ASYNC");
    match node.ask(&flush).await {
        Ok(Value::Okay) => Ok(()),
        Ok(Value::ServerError(error)) => Err(Stopped::Before(refused(&error))),
        Ok(_) => Err(Stopped::Within),
        Err(error) => Err(stopped(false, error)),
    }
}

fn stopped(removed: bool, error: SendError) -> Stopped {
    match error.reply() {
        Some(reply) if !removed => Stopped::Before(reply),
        _ => Stopped::Within,
    }
}

/// The cursor to go on from, and keys.
fn read_scan(answer: Value) -> Result<(Vec<u8>, Vec<Vec<u8>>), Reply> {
    if let Value::ServerError(error) = &answer {
        return Err(refused(error));
    }
    redis::from_redis_value(answer).map_err(|_| odd())
}

/// What matches the keys with this prefix, and no others.
fn pattern(prefix: &str) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(prefix.len() + 1);
    for byte in prefix.bytes() {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\' | b'^' | b'-') {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern.push(b'*');
    pattern
}
