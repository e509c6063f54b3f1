//! Changes that wait for replicas. A node does nothing else for a connection that
//! waits (WAIT), so what comes meanwhile goes out together, with one wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Pipeline, Value};
use tokio::sync::{Mutex as Turns, OwnedMutexGuard, oneshot};

use super::errors::SendError;
use super::link::Link;

/// A connection to a node for that.
#[derive(Debug)]
pub(super) struct WaitingLink {
    link: Link,
    wait: Wait,
    queue: Mutex<Vec<Job>>,
    /// Whose turn it is to send all that is in the queue.
    turns: Arc<Turns<()>>,
}

/// How many replicas are waited for, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub(super) replicas: u32,
    pub(super) timeout: Duration,
}

/// What a node has answered, and whether so many replicas have all of it.
pub(super) type Waited = Result<(Vec<Value>, bool), SendError>;

#[derive(Debug)]
struct Job {
    commands: Arc<Pipeline>,
    waited: oneshot::Sender<Waited>,
}

impl Wait {
    /// Adds the command to those that it is for.
    pub(super) fn add_to(self, commands: &mut Pipeline) {
        let millis = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        // 0 would be for ever.
        commands.cmd("WAIT").arg(self.replicas).arg(millis.max(1));
    }

    /// Takes its answer from the end of all, and says whether it is enough.
    pub(super) fn take_from(self, answers: &mut Vec<Value>) -> bool {
        match answers.pop() {
            Some(Value::Int(count)) => count >= i64::from(self.replicas),
            _ => false,
        }
    }
}

impl WaitingLink {
    pub(super) fn new(link: Link, wait: Wait) -> Self {
        Self {
            link,
            wait,
            queue: Mutex::default(),
            turns: Arc::default(),
        }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    pub(super) fn wait(&self) -> Wait {
        self.wait
    }

    /// Sends the commands, with those of others that came at the same time.
    pub(super) async fn send(self: &Arc<Self>, commands: Arc<Pipeline>) -> Waited {
        let (waited, mut answer) = oneshot::channel();
        self.queue().push(Job { commands, waited });
        let turn = Arc::clone(&self.turns).lock_owned().await;
        if let Ok(waited) = answer.try_recv() {
            return waited;
        }
        // A task of its own, because whoever is first may be given up while the
        // others wait.
        tokio::spawn(Arc::clone(self).send_all(turn));
        answer.await.unwrap_or(Err(SendError::Unknown))
    }

    async fn send_all(self: Arc<Self>, turn: OwnedMutexGuard<()>) {
        let jobs = std::mem::take(&mut *self.queue());
        let mut all = Pipeline::with_capacity(jobs.len() + 1);
        for command in jobs.iter().flat_map(|job| job.commands.cmd_iter()) {
            all.add_command(command.clone());
        }
        self.wait.add_to(&mut all);
        let sent = self.link.send(&all, Duration::ZERO).await;
        let sent = sent.map(|mut answers| {
            let is_enough = self.wait.take_from(&mut answers);
            (answers.into_iter(), is_enough)
        });
        match sent {
            Ok((mut answers, is_enough)) => {
                for Job { commands, waited } in jobs {
                    let own = answers.by_ref().take(commands.len()).collect();
                    // Nobody may be there any more.
                    let _ = waited.send(Ok((own, is_enough)));
                }
            }
            Err(error) => {
                for job in jobs {
                    let _ = job.waited.send(Err(error));
                }
            }
        }
        drop(turn);
    }

    fn queue(&self) -> MutexGuard<'_, Vec<Job>> {
        // Each change is one addition, or takes all.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
