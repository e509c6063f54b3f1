//! One node of the store, and what is on its way to it.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::address::NodeAddress;
use super::command::{Command, Outcome, SHORT_VALUE_LEN};
use super::config::RemoteStoreConfig;
use super::errors::{SendError, is_out_of_date};
use super::link::{Keeper, Link};
use super::round::{Settled, settle};
use crate::store::StoreLost;

/// Bytes that may be on their way to a node and back, counted before they are
/// sent. What has no room waits, and its client is not read from meanwhile.
const ROOM_LEN: usize = 64 << 20;

/// What room is counted in, in bytes.
const ROOM_UNIT: usize = 1 << 10;

/// A command that takes more than this, in bytes, is long.
const LONG_LEN: usize = 2 * SHORT_VALUE_LEN;

/// WAIT ends before the node is given up for not answering.
const WAIT_PART: u32 = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) address: NodeAddress,
    links: Links,
    room: Semaphore,
    timeout: Duration,
    replicas: u32,
    /// Told when the owners of slots may have changed.
    changed: Arc<Notify>,
}

/// The connections to a node. What goes over one of them is answered in order,
/// so what takes long has others. A client's connection waits for one round
/// before the next, so it can use them all and is answered in its order.
#[derive(Debug)]
struct Links {
    quick: Link,
    /// For rounds with a long value.
    long: Link,
    /// For changes that wait for replicas, if any do.
    waiting: Option<Link>,
}

impl Links {
    fn all(&self) -> impl Iterator<Item = &Link> {
        [&self.quick, &self.long].into_iter().chain(&self.waiting)
    }
}

impl Node {
    /// Begins to connect to it.
    pub(super) fn open(
        address: NodeAddress,
        config: &RemoteStoreConfig,
        changed: &Arc<Notify>,
    ) -> RedisResult<Arc<Self>> {
        let client = redis::Client::open(config.address.connection_info(&address))?;
        let open = |logs_as| {
            Link::open(Keeper {
                client: client.clone(),
                timeout: config.timeout,
                logs_as,
                changed: Arc::clone(changed),
            })
        };
        Ok(Arc::new(Self {
            links: Links {
                quick: open(Some(address.to_string())),
                long: open(None),
                waiting: (config.replicas > 0).then(|| open(None)),
            },
            address,
            room: Semaphore::new(ROOM_LEN / ROOM_UNIT),
            timeout: config.timeout,
            replicas: config.replicas,
            changed: Arc::clone(changed),
        }))
    }

    /// Whether it can be reached, over every connection.
    pub(super) fn is_up(&self) -> bool {
        self.links.all().all(Link::is_up)
    }

    /// Waits until the first attempts to connect have come to an end.
    pub(super) async fn tried(&self) {
        for link in self.links.all() {
            link.tried().await;
        }
    }

    /// Has it answer one command that is no request of a client.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, SendError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(command.clone());
        let mut answers = self.links.quick.send(&pipeline, 1).await?;
        answers.pop().ok_or(SendError::Unknown)
    }

    /// Sends the commands together and sorts out the answers. Fails when nobody
    /// knows what was executed.
    pub(super) async fn exchange(&self, mut commands: Vec<Command>) -> Result<Settled, StoreLost> {
        let sent = self.send(&mut commands).await;
        match sent {
            Ok(answers) => {
                let is_out_of_date = |answer: &Value| match answer {
                    Value::ServerError(error) => is_out_of_date(error),
                    _ => false,
                };
                if answers.iter().any(is_out_of_date) {
                    self.changed.notify_one();
                }
                settle(commands, answers, &self.address)
            }
            Err(error) => {
                let refuse = |command: Command| {
                    let reply = error.reply().ok_or(StoreLost)?;
                    Ok((command.index, Outcome::Replied(reply)))
                };
                Ok(Settled {
                    outcomes: commands.into_iter().map(refuse).collect::<Result<_, _>>()?,
                    again: Vec::new(),
                })
            }
        }
    }

    /// The answers to the commands. Takes those out of `commands` while they
    /// are on their way, and puts them back if they are still needed.
    async fn send(&self, commands: &mut [Command]) -> Result<Vec<Value>, SendError> {
        let len = commands.iter().map(|command| command.len).sum();
        let _room = self.take_room(len).await?;
        let waits = self.waits_for_replicas(commands);
        let asks = commands.iter().any(is_ask);
        let mut pipeline = Pipeline::with_capacity(commands.len() + 1);
        for command in commands.iter_mut() {
            if is_ask(command) {
                pipeline.cmd("ASKING");
            }
            pipeline.add_command(command.take_cmd());
        }
        if waits {
            let millis = (self.timeout / WAIT_PART).as_millis();
            let millis = u64::try_from(millis).unwrap_or(u64::MAX).max(1);
            pipeline.cmd("WAIT").arg(self.replicas).arg(millis);
        }
        let mut answers = self
            .link_for(commands)
            .send(&pipeline, pipeline.len())
            .await?;
        let waited = if waits { answers.pop() } else { None };
        if asks {
            let mut answered = answers.into_iter();
            let of_command = |command: &Command| answered.nth(usize::from(is_ask(command)));
            answers = commands.iter().filter_map(of_command).collect();
        }
        if waits && !self.has_enough_replicas(waited, commands, &answers) {
            return Err(SendError::Unknown);
        }
        if answers.iter().any(is_unfinished) {
            let mut sent = pipeline.cmd_iter();
            for command in commands.iter_mut() {
                let cmd = sent.nth(usize::from(is_ask(command)));
                command.cmd = cmd.cloned().unwrap_or_default();
            }
        }
        Ok(answers)
    }

    fn link_for(&self, commands: &[Command]) -> &Link {
        if commands.iter().any(|command| command.len > LONG_LEN) {
            return &self.links.long;
        }
        match &self.links.waiting {
            Some(waiting) if self.waits_for_replicas(commands) => waiting,
            _ => &self.links.quick,
        }
    }

    fn waits_for_replicas(&self, commands: &[Command]) -> bool {
        self.replicas > 0 && commands.iter().any(|it| it.verb.changes())
    }

    /// Whether the replicas have what the commands have changed, as WAIT was
    /// answered.
    fn has_enough_replicas(
        &self,
        waited: Option<Value>,
        commands: &[Command],
        answers: &[Value],
    ) -> bool {
        let is_enough = match waited {
            Some(Value::Int(count)) => count >= i64::from(self.replicas),
            _ => false,
        };
        let has_changed = |(command, answer): (&Command, &Value)| {
            command.verb.changes() && !matches!(answer, Value::ServerError(_) | Value::Int(0))
        };
        is_enough || !commands.iter().zip(answers).any(has_changed)
    }

    async fn take_room(&self, len: usize) -> Result<SemaphorePermit<'_>, SendError> {
        let units = len.min(ROOM_LEN).div_ceil(ROOM_UNIT);
        // No more than ROOM_LEN of them.
        let units = units as u32;
        if let Ok(room) = self.room.try_acquire_many(units) {
            return Ok(room);
        }
        match timeout(self.timeout, self.room.acquire_many(units)).await {
            Ok(Ok(room)) => Ok(room),
            _ => Err(SendError::Busy),
        }
    }
}

fn is_ask(command: &Command) -> bool {
    command.redirection.as_ref().is_some_and(|it| it.is_ask)
}

/// Whether the command that was answered so may have to be sent again, or
/// another of its key.
fn is_unfinished(answer: &Value) -> bool {
    match answer {
        Value::ServerError(_) => true,
        Value::BulkString(text) => text.len() == SHORT_VALUE_LEN,
        _ => false,
    }
}
