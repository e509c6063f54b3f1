//! One connection to a node, shared by many clients' connections and opened
//! again whenever it is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, PushInfo, PushKind, RedisError, Value};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::super::counts::Counts;
use super::errors::{SendError, told};
use super::reach::Reach;

/// Between attempts to connect, doubled from the first to the second.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long connecting may take, if the store's timeout is not shorter.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// What writes wait for in the connection before it takes no more, in bytes.
const WRITE_BUFFER_LEN: usize = 64 << 10;

/// See the module. Ends with its last handle.
#[derive(Debug)]
pub(super) struct Link {
    state: watch::Receiver<State>,
    timeout: Duration,
    reach: Arc<Reach>,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Clone, Debug)]
enum State {
    /// Not yet known to be in vain.
    Connecting,
    Up(Up),
    /// It is tried again.
    Down,
}

#[derive(Clone, Debug)]
struct Up {
    connection: MultiplexedConnection,
    lost: Arc<Notify>,
}

/// How a link is kept open.
pub(super) struct Keeper {
    pub(super) client: Client,
    /// How long a node may take to answer.
    pub(super) timeout: Duration,
    /// Of its node.
    pub(super) reach: Arc<Reach>,
    /// Told when the link goes up or down.
    pub(super) changed: Arc<Notify>,
    pub(super) counts: Arc<Counts>,
}

impl Link {
    /// Begins to connect.
    pub(super) fn open(keeper: Keeper) -> Self {
        let (sender, state) = watch::channel(State::Connecting);
        let timeout = keeper.timeout;
        let reach = Arc::clone(&keeper.reach);
        let counts = Arc::clone(&keeper.counts);
        let task = tokio::spawn(keeper.keep_open(sender));
        Self {
            state,
            timeout,
            reach,
            counts,
            task,
        }
    }

    /// Sends the commands and returns the values that they are answered with, if
    /// it gets them within the store's timeout and so much longer.
    pub(super) async fn send(
        &self,
        commands: &Pipeline,
        longer: Duration,
    ) -> Result<Vec<Value>, SendError> {
        let Up {
            mut connection,
            lost,
        } = self.up().await?;
        if !longer.is_zero() {
            connection.set_response_timeout(self.timeout + longer);
        }
        let sent_at = self.counts.now();
        let answered = connection.send_packed_commands(commands, 0, commands.len());
        let answered = answered.await;
        self.counts.returned_from_node(sent_at);
        answered.map_err(|_| {
            // It has failed, or does not answer: whatever else it carries is
            // no better off.
            lost.notify_one();
            self.reach.note_interrupted();
            SendError::Unknown
        })
    }

    /// Whether commands would go out now.
    pub(super) fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), State::Up(_))
    }

    /// Waits for the first attempt to connect, and no other.
    async fn up(&self) -> Result<Up, SendError> {
        let state = self.state.borrow().clone();
        let state = match state {
            State::Connecting => {
                let mut state = self.state.clone();
                let decided = state.wait_for(|state| !matches!(state, State::Connecting));
                match timeout(self.timeout, decided).await {
                    Ok(Ok(state)) => state.clone(),
                    _ => State::Connecting,
                }
            }
            state => state,
        };
        match state {
            State::Up(up) => Ok(up),
            State::Down | State::Connecting => Err(SendError::Unreachable),
        }
    }

    /// Waits until the first attempt to connect has come to an end.
    pub(super) async fn tried(&self) {
        // Its outcome is in the state.
        let _ = self.up().await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Keeper {
    async fn keep_open(self, state: watch::Sender<State>) {
        let mut pause = PAUSE_MIN;
        let mut is_down = false;
        loop {
            match self.connect().await {
                Ok(up) => {
                    let since = Instant::now();
                    let lost = Arc::clone(&up.lost);
                    if std::mem::take(&mut is_down) {
                        self.reach.note_up();
                    }
                    state.send_replace(State::Up(up));
                    self.changed.notify_one();
                    lost.notified().await;
                    state.send_replace(State::Connecting);
                    self.changed.notify_one();
                    if since.elapsed() > PAUSE_MAX {
                        pause = PAUSE_MIN;
                        continue;
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_down, true) {
                        self.reach.note_down(&told(&error));
                    }
                    if !matches!(state.send_replace(State::Down), State::Down) {
                        self.changed.notify_one();
                    }
                }
            }
            sleep(pause).await;
            pause = (2 * pause).min(PAUSE_MAX);
        }
    }

    async fn connect(&self) -> Result<Up, RedisError> {
        let lost = Arc::new(Notify::new());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout.min(CONNECT_MAX)))
            .set_response_timeout(Some(self.timeout))
            .set_write_backpressure_boundary(WRITE_BUFFER_LEN)
            .set_push_sender({
                let lost = Arc::clone(&lost);
                move |push: PushInfo| {
                    if push.kind == PushKind::Disconnection {
                        lost.notify_one();
                    }
                    Ok::<_, ()>(())
                }
            });
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        Ok(Up { connection, lost })
    }
}
