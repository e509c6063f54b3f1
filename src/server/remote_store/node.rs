//! One node of the store, and what is on its way to it.

use std::sync::Arc;
use std::time::Duration;

use redis::{Arg, Cmd, Pipeline, RedisResult, Value};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::super::counts::Counts;
use super::address::NodeAddress;
use super::command::{Command, Outcome, SHORT_VALUE_LEN};
use super::config::RemoteStoreConfig;
use super::errors::{Complaint, Redirection, SendError, is_out_of_date};
use super::link::{Keeper, Link};
use super::reach::Reach;
use super::round::{Settled, settle};
use super::waiting::{Wait, WaitingLink};
use crate::memory::reserve;
use crate::server::log::Log;
use crate::store::StoreLost;

/// Bytes that may be on their way to a node and back, counted before they are
/// sent. What has no room waits, and its client is not read from meanwhile.
const ROOM_LEN: usize = 64 << 20;

/// What room is counted in, in bytes.
const ROOM_UNIT: usize = 1 << 10;

/// A command that takes more than this, in bytes, is long.
const LONG_LEN: usize = 2 * SHORT_VALUE_LEN;

/// How often a long value is in memory while it is sent or received, at most.
const COPIES: usize = 4;

/// A long value may take a second more for so many bytes.
const SECOND_LEN: usize = 1 << 20;

/// WAIT ends before the node is given up for not answering.
const WAIT_PART: u32 = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) address: NodeAddress,
    links: Links,
    room: Semaphore,
    timeout: Duration,
    reach: Arc<Reach>,
    /// Told when the owners of slots may have changed.
    changed: Arc<Notify>,
    counts: Arc<Counts>,
}

/// The connections to a node. What goes over one of them is answered in order,
/// so what takes long has others. A client's connection waits for one round
/// before the next, so it can use them all and is answered in its order.
#[derive(Debug)]
struct Links {
    quick: Link,
    /// For rounds with a long value, and for looking at all keys.
    long: Link,
    /// For changes that wait for replicas, if any do.
    waiting: Option<Arc<WaitingLink>>,
}

impl Links {
    fn all(&self) -> impl Iterator<Item = &Link> {
        let waiting = self.waiting.as_ref().map(|waiting| waiting.link());
        [&self.quick, &self.long].into_iter().chain(waiting)
    }
}

impl Node {
    /// Begins to connect to it.
    pub(super) fn open(
        address: NodeAddress,
        config: &RemoteStoreConfig,
        log: &Log,
        changed: &Arc<Notify>,
        counts: &Arc<Counts>,
    ) -> RedisResult<Arc<Self>> {
        let client = redis::Client::open(config.address.connection_info(&address))?;
        let reach = Arc::new(Reach::new(log, address.to_string()));
        let open = || {
            Link::open(Keeper {
                client: client.clone(),
                timeout: config.timeout,
                reach: Arc::clone(&reach),
                changed: Arc::clone(changed),
                counts: Arc::clone(counts),
            })
        };
        let wait = Wait {
            replicas: config.replicas,
            timeout: config.timeout / WAIT_PART,
        };
        let wait = Some(wait).filter(|wait| wait.replicas > 0);
        Ok(Arc::new(Self {
            links: Links {
                quick: open(),
                long: open(),
                waiting: wait.map(|wait| Arc::new(WaitingLink::new(open(), wait))),
            },
            address,
            room: Semaphore::new(ROOM_LEN / ROOM_UNIT),
            timeout: config.timeout,
            reach,
            changed: Arc::clone(changed),
            counts: Arc::clone(counts),
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
        self.ask_over(&self.links.quick, command).await
    }

    /// As [`ask`](Self::ask), where the answer may take long.
    pub(super) async fn ask_long(&self, command: &Cmd) -> Result<Value, SendError> {
        self.ask_over(&self.links.long, command).await
    }

    async fn ask_over(&self, link: &Link, command: &Cmd) -> Result<Value, SendError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(command.clone());
        let mut answers = link.send(&pipeline, Duration::ZERO).await?;
        if let Some(complaint) = answers.first().and_then(Complaint::of) {
            let name = match command.args_iter().next() {
                Some(Arg::Simple(name)) => String::from_utf8_lossy(name),
                _ => Default::default(),
            };
            self.reach.note_refusal(&name, &complaint);
        }
        answers.pop().ok_or(SendError::Unknown)
    }

    /// Sends the commands together and sorts out the answers. Fails when nobody
    /// knows what was executed.
    pub(super) async fn exchange(&self, mut commands: Vec<Command>) -> Result<Settled, StoreLost> {
        let sent = self.send(&mut commands).await;
        match sent {
            Ok(answers) => {
                self.count_refusals(&answers);
                let is_out_of_date = |answer: &Value| match answer {
                    Value::ServerError(error) => is_out_of_date(error),
                    _ => false,
                };
                if answers.iter().any(is_out_of_date) {
                    self.changed.notify_one();
                }
                for (command, answer) in commands.iter().zip(&answers) {
                    if let Some(complaint) = Complaint::of(answer) {
                        let name = command.verb.name();
                        self.reach.note_refusal(name, &complaint);
                    }
                }
                let sent = commands.len();
                let settled = settle(commands, answers, &self.address);
                if settled.is_err() {
                    self.counts.fail_remotely(SendError::Unknown.name(), sent);
                }
                settled
            }
            Err(error) => {
                self.counts.fail_remotely(error.name(), commands.len());
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

    fn count_refusals(&self, answers: &[Value]) {
        let is_refusal = |answer: &&Value| matches!(answer, Value::ServerError(_));
        for answer in answers.iter().filter(is_refusal) {
            let name = match Redirection::of(answer, &self.address) {
                Some(_) => "redirected",
                None => "refused",
            };
            self.counts.fail_remotely(name, 1);
        }
    }

    /// The answers to the commands. Takes those out of `commands` while they
    /// are on their way, and puts them back if some have to be sent again.
    async fn send(&self, commands: &mut [Command]) -> Result<Vec<Value>, SendError> {
        let len = commands.iter().map(|command| command.len).sum();
        let _room = self.take_room(len).await?;
        let is_long = commands.iter().any(|command| command.len > LONG_LEN);
        if is_long && !reserve::has_room(len.saturating_mul(COPIES)) {
            return Err(SendError::NoMemory);
        }
        let changes = commands.iter().any(|command| command.verb.changes());
        let waiting = self.links.waiting.as_ref().filter(|_| changes);
        let mut sent = Pipeline::with_capacity(commands.len() + 1);
        for command in commands.iter_mut() {
            if is_ask(command) {
                sent.cmd("ASKING");
            }
            sent.add_command(command.take_cmd());
        }
        let (sent, mut answers, is_enough) = match waiting {
            Some(waiting) if !is_long => {
                let sent = Arc::new(sent);
                let (answers, is_enough) = waiting.send(Arc::clone(&sent)).await?;
                (sent, answers, is_enough)
            }
            _ => {
                let wait = waiting.map(|waiting| waiting.wait());
                self.send_alone(sent, wait, is_long.then_some(len)).await?
            }
        };
        if commands.iter().any(is_ask) {
            let mut answered = answers.into_iter();
            let of_command = |command: &Command| answered.nth(usize::from(is_ask(command)));
            answers = commands.iter().filter_map(of_command).collect();
        }
        if !is_enough && commands.iter().zip(&answers).any(has_changed) {
            return Err(SendError::Unknown);
        }
        if answers
            .iter()
            .any(|it| Redirection::of(it, &self.address).is_some())
        {
            let mut sent = sent.cmd_iter();
            for command in commands.iter_mut() {
                let cmd = sent.nth(usize::from(is_ask(command)));
                command.cmd = cmd.cloned().unwrap_or_default();
            }
        }
        Ok(answers)
    }

    /// Sends them over a connection on which nothing waits for replicas, but
    /// for what is long. Returns the commands too, and whether replicas have
    /// what was changed.
    async fn send_alone(
        &self,
        mut commands: Pipeline,
        wait: Option<Wait>,
        long_len: Option<usize>,
    ) -> Result<(Arc<Pipeline>, Vec<Value>, bool), SendError> {
        let link = match long_len {
            Some(_) => &self.links.long,
            None => &self.links.quick,
        };
        let longer = Duration::from_secs((long_len.unwrap_or_default() / SECOND_LEN) as u64);
        if let Some(wait) = wait {
            wait.add_to(&mut commands);
        }
        let mut answers = link.send(&commands, longer).await?;
        let is_enough = wait.is_none_or(|wait| wait.take_from(&mut answers));
        Ok((Arc::new(commands), answers, is_enough))
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

/// Whether the node has something now that it did not have before.
fn has_changed((command, answer): (&Command, &Value)) -> bool {
    command.verb.changes() && !matches!(answer, Value::ServerError(_) | Value::Int(0))
}
