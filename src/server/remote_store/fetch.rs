//! Long values, one at a time for each connection.

use redis::Value as Answer;

use super::super::offload::Offload;
use super::cluster::Cluster;
use super::command::{Command, LongValue, Outcome, value_reply};
use super::errors::odd;
use crate::protocol::Reply;
use crate::store::StoreLost;

impl Cluster {
    /// The reply to a GET of a long value. Asks for its length first, so that
    /// it finds room for it among what others wait for.
    pub(super) async fn fetch(
        &self,
        value: LongValue,
        offload: &Offload,
    ) -> Result<Reply, StoreLost> {
        let len = match self.execute_one(value.measure()).await? {
            Outcome::Measured(len) => len,
            outcome => return Ok(reply(outcome)),
        };
        match self.execute_one(value.fetch(len)).await? {
            Outcome::Fetched(text) => {
                let read = || value_reply(Answer::BulkString(text));
                offload.execute(read).await
            }
            outcome => Ok(reply(outcome)),
        }
    }

    async fn execute_one(&self, command: Command) -> Result<Outcome, StoreLost> {
        let outcomes = self.execute(vec![command]).await?;
        outcomes.into_iter().next().ok_or(StoreLost)
    }
}

/// That of a node that refuses, or has the value no longer.
fn reply(outcome: Outcome) -> Reply {
    match outcome {
        Outcome::Replied(reply) => reply,
        Outcome::Long | Outcome::Measured(_) | Outcome::Fetched(_) => odd(),
    }
}
