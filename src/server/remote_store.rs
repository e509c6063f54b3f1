//! Entries in a Redis or Valkey server, or in a cluster of them, which any
//! number of servers may share.
//!
//! A batch is executed in rounds: its requests go out together, each to the
//! node that has its key, and its replies are made of the answers. Nothing is
//! sent twice that may have been executed, which is why this routes requests by
//! itself, over the `redis` crate's connections: the cluster client of that
//! crate sends again what it has lost, and promises no order.

mod address;
mod cluster;
mod command;
mod config;
mod discovery;
mod errors;
mod fetch;
mod joined;
mod link;
mod node;
mod reach;
mod reset;
mod round;
mod topology;
mod waiting;

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::num::NonZero;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

pub use address::RemoteAddress;
pub use config::{RemoteStoreConfig, ResetScope};

use super::counts::Counts;
use super::log::Log;
use super::offload::{Offload, Offloaded};
use crate::protocol::{Reply, Request};
use crate::store::{Batch, Executor, StoreLost};
use cluster::Cluster;
use command::{LongValue, Outcome, SHORT_VALUE_LEN};
use round::{Round, drop_excess, longest_value_len};

/// About what one round may read, in bytes: what others wait for meanwhile.
const ROUND_READ_LEN: usize = 1 << 20;

/// Access to the store. Clones are the same store, one for each connection.
pub(super) struct RemoteStore {
    shared: Arc<Shared>,
    stage: Stage,
    /// What is known about the first requests of the batch.
    outcomes: VecDeque<Outcome>,
    /// How long the values may be that it will read: as the longest of the last
    /// round, or half as long as before.
    value_len: usize,
}

struct Shared {
    cluster: Arc<Cluster>,
    offload: Offload,
}

/// What this connection's batch waits for.
enum Stage {
    Idle,
    Parsing(Offloaded<Batch>),
    Executing(BoxFuture<Vec<Outcome>>),
    Fetching(BoxFuture<Reply>),
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, StoreLost>> + Send>>;

impl Clone for RemoteStore {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.shared))
    }
}

impl RemoteStore {
    /// Connects to the store. Fails with a sentence if it is not there, or is
    /// not what the address says.
    pub(super) async fn connect(
        config: &RemoteStoreConfig,
        log: &Log,
        counts: &Arc<Counts>,
    ) -> io::Result<Self> {
        Ok(Self::new(Arc::new(Shared {
            cluster: Cluster::connect(config.clone(), log, counts).await?,
            offload: Offload::start()?,
        })))
    }

    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            stage: Stage::Idle,
            outcomes: VecDeque::new(),
            value_len: SHORT_VALUE_LEN,
        }
    }

    /// Begins what the batch needs next.
    fn begin(&self, batch: &mut Batch) -> Stage {
        if batch.has_long_frame() {
            let mut batch = std::mem::take(batch);
            return Stage::Parsing(self.shared.offload.execute(move || {
                batch.parse();
                batch
            }));
        }
        let cluster = Arc::clone(&self.shared.cluster);
        let reads_max = NonZero::new(ROUND_READ_LEN / self.value_len.max(1));
        let reads_max = reads_max.unwrap_or(NonZero::<usize>::MIN);
        match Round::plan(batch.requests(), &cluster.config.prefix, reads_max) {
            Round::Commands { commands, repeats } => Stage::Executing(Box::pin(async move {
                let mut outcomes = cluster.execute(commands).await?;
                drop_excess(&mut outcomes);
                repeats.settle(&mut outcomes);
                Ok(outcomes)
            })),
            Round::Reset => Stage::Executing(Box::pin(async move {
                let reply = cluster.reset().await?;
                Ok(vec![Outcome::Replied(reply)])
            })),
        }
    }

    /// Begins to fetch the value that the next request asks for.
    fn fetch(&self, batch: &Batch) -> Stage {
        let shared = Arc::clone(&self.shared);
        let Some(Request::Get { key }) = batch.requests().next() else {
            unreachable!("only a read finds a long value");
        };
        let value = LongValue::new(&shared.cluster.config.prefix, key.as_str());
        Stage::Fetching(Box::pin(async move {
            shared.cluster.fetch(value, &shared.offload).await
        }))
    }

    /// Answers what is known, up to the first value that has to be fetched;
    /// whether there was anything.
    fn answer(&mut self, batch: &mut Batch) -> bool {
        let is_known = |outcome: &&Outcome| matches!(outcome, Outcome::Replied(_));
        let known = self.outcomes.iter().take_while(is_known).count();
        let outcomes = &mut self.outcomes;
        batch.answer_next(known, |_, _| match outcomes.pop_front() {
            Some(Outcome::Replied(reply)) => reply,
            _ => unreachable!("as many as were counted"),
        });
        known > 0
    }
}

impl Executor for RemoteStore {
    fn poll_execute(
        &mut self,
        batch: &mut Batch,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), StoreLost>> {
        loop {
            match &mut self.stage {
                Stage::Idle => {
                    if self.answer(batch) || !batch.has_requests() {
                        return Poll::Ready(Ok(()));
                    }
                    self.stage = match self.outcomes.pop_front() {
                        Some(Outcome::Long) => self.fetch(batch),
                        _ => self.begin(batch),
                    };
                }
                Stage::Parsing(parsing) => {
                    *batch = ready!(Pin::new(parsing).poll(cx))?;
                    self.stage = Stage::Idle;
                }
                Stage::Executing(executing) => {
                    let outcomes = ready!(executing.as_mut().poll(cx))?;
                    self.value_len = longest_value_len(&outcomes).max(self.value_len / 2);
                    self.outcomes = outcomes.into();
                    self.stage = Stage::Idle;
                }
                Stage::Fetching(fetching) => {
                    let reply = ready!(fetching.as_mut().poll(cx))?;
                    self.outcomes.push_front(Outcome::Replied(reply));
                    self.stage = Stage::Idle;
                }
            }
        }
    }
}
