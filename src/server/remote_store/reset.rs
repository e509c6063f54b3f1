//! RST, on every primary. What it removes it removes entry by entry, so others
//! may see a part of it.

use std::sync::Arc;

use futures_util::future::join_all;
use redis::Value;

use super::address::Kind;
use super::cluster::{Cluster, View};
use super::command::{Command, Outcome};
use super::config::ResetScope;
use super::errors::{SendError, odd, refused, slots_move, unowned};
use super::node::Node;
use super::topology::moves_to_empty_node;
use crate::protocol::Reply;
use crate::store::StoreLost;

/// Keys that a node is asked to look at for one answer.
const SCAN_COUNT: usize = 1_000;

/// All keys are looked for as often. A node may give keys away that it was not
/// yet asked for to one that was: they are found the second time.
const PASSES: usize = 2;

/// How often they are at most, because slots have got other owners meanwhile.
const PASSES_MAX: usize = 10;

/// How a part of a reset ended before its end.
enum Stopped {
    /// Nothing was removed.
    Before(Reply),
    /// Some is removed and some is not.
    Within,
}

impl Cluster {
    /// Removes every entry. Fails when some may be left. Those that come while
    /// it is under way wait, and the next is for all of them.
    pub(super) async fn reset(&self) -> Result<Reply, StoreLost> {
        self.resets.run(self.remove_all()).await
    }

    async fn remove_all(&self) -> Result<Reply, StoreLost> {
        // A node that is not known would keep its entries.
        let is_known = self.refresh().await;
        let mut view = self.view();
        if !is_known || !view.is_settled() {
            return Ok(unowned());
        }
        if let Err(reply) = self.check_moves(&view).await {
            return Ok(reply);
        }
        let mut removed = false;
        let mut passes = 0;
        for _ in 0..PASSES_MAX {
            match self.reset_nodes(&view).await {
                Ok(some) => removed |= some,
                Err(Stopped::Before(reply)) if !removed => return Ok(reply),
                Err(_) => return Err(StoreLost),
            }
            if !self.refresh().await {
                return Err(StoreLost);
            }
            let now = self.view();
            passes = match now.topology == view.topology {
                true => passes + 1,
                false => 0,
            };
            view = now;
            if passes == PASSES || self.config.address.kind() == Kind::Server {
                let checked = self.check_moves(&view).await;
                return checked.map(|()| Reply::Done).map_err(|_| StoreLost);
            }
        }
        Err(StoreLost)
    }

    /// Fails while keys go to a node that nobody sees, because it has no slots yet.
    async fn check_moves(&self, view: &View) -> Result<(), Reply> {
        if self.config.address.kind() == Kind::Server {
            return Ok(());
        }
        let mut command = redis::cmd("CLUSTER");
        command.arg("NODES");
        for answer in join_all(view.nodes.iter().map(|node| node.ask(&command))).await {
            let nodes = match answer {
                Ok(Value::VerbatimString { text, .. }) => text,
                Ok(Value::BulkString(text)) => String::from_utf8(text).map_err(|_| odd())?,
                Ok(Value::ServerError(error)) => return Err(refused(&error)),
                Ok(_) => return Err(odd()),
                Err(error) => return Err(error.reply().unwrap_or_else(slots_move)),
            };
            if moves_to_empty_node(&nodes) {
                return Err(slots_move());
            }
        }
        Ok(())
    }

    /// Looks for all keys once; whether any was removed.
    async fn reset_nodes(&self, view: &View) -> Result<bool, Stopped> {
        let parts = join_all(view.nodes.iter().map(|node| self.reset_node(node))).await;
        let removed = parts
            .iter()
            .any(|part| matches!(part, Ok(true) | Err(Stopped::Within)));
        for part in parts {
            match part {
                Ok(_) => {}
                Err(_) if removed => return Err(Stopped::Within),
                Err(stopped) => return Err(stopped),
            }
        }
        Ok(removed)
    }

    async fn reset_node(&self, node: &Arc<Node>) -> Result<bool, Stopped> {
        match self.config.reset {
            ResetScope::Flush => flush(node).await,
            ResetScope::Prefix => self.remove_keys(node).await,
        }
    }

    async fn remove_keys(&self, node: &Arc<Node>) -> Result<bool, Stopped> {
        let pattern = pattern(&self.config.prefix);
        let mut removed = false;
        let mut cursor = b"0".to_vec();
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(&*cursor).arg("MATCH").arg(&*pattern);
            scan.arg("COUNT").arg(SCAN_COUNT);
            let answer = node
                .ask_long(&scan)
                .await
                .map_err(|error| stopped(removed, error))?;
            let (next, keys) = read_scan(answer).map_err(|reply| match removed {
                true => Stopped::Within,
                false => Stopped::Before(reply),
            })?;
            let commands: Vec<_> = keys.iter().enumerate().map(Command::delete).collect();
            let outcomes = self.execute(commands).await;
            let outcomes = outcomes.map_err(|StoreLost| Stopped::Within)?;
            let is_removed = |outcome: &Outcome| matches!(outcome, Outcome::Replied(Reply::Done));
            removed |= outcomes.iter().any(is_removed);
            for outcome in outcomes {
                match outcome {
                    Outcome::Replied(Reply::Done | Reply::NoKey) => {}
                    Outcome::Replied(reply) if !removed => return Err(Stopped::Before(reply)),
                    _ => return Err(Stopped::Within),
                }
            }
            if next == b"0" {
                return Ok(removed);
            }
            cursor = next;
        }
    }
}

async fn flush(node: &Node) -> Result<bool, Stopped> {
    let settled = node.exchange(vec![Command::flush()]).await;
    let settled = settled.map_err(|StoreLost| Stopped::Within)?;
    match settled.outcomes.into_iter().next() {
        Some((_, Outcome::Replied(Reply::Done))) => Ok(true),
        Some((_, Outcome::Replied(reply))) => Err(Stopped::Before(reply)),
        _ => Err(Stopped::Within),
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
