//! Group commit: one thread writes the changes of all batches that wait, and has
//! them executed when they are in the journal.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::log::{Event, Log};
use super::shutdown::{Shutdown, StopCause};
use crate::journal::{Journal, RecordWriter, Sync, WriteError};
use crate::memory::ceiling;
use crate::store::{Batch, Change, Found, Position, StoreLost};

/// A record takes no more batches when it has so many bytes, or is of so many
/// batches: others wait for it.
const RECORD_LEN_MAX: usize = 1 << 20;
const GROUP_LEN_MAX: usize = 1024;

/// While the entries are written once more, so many bytes of them go into each
/// record. It bounds how much later a change is on the disk for that.
const REWRITE_LEN: usize = 256 << 10;

/// And so long nothing is written where no change comes.
const REWRITE_PAUSE: Duration = Duration::from_millis(1);

/// Who has been told that there is no room to write the entries once more does
/// not ask again for so long.
const REWRITE_RETRY: Duration = Duration::from_secs(10);

/// A batch that has changes, and who waits for it.
pub(super) struct Waiting<W> {
    pub(super) batch: Batch,
    pub(super) waiter: W,
}

/// Batches whose changes are written together.
pub(super) type Group<W> = Vec<Waiting<W>>;

/// Who owns the entries that a journal is of. Executes a batch only when its
/// changes are in the journal, in the order of the journal.
pub(super) trait Owner: Send + 'static {
    /// Gets the batch when it is executed; dropped, it ends the wait.
    type Waiter: Send + 'static;

    /// Answers those SETs for which there is no memory.
    fn refuse(&mut self, group: Group<Self::Waiter>) -> Result<Group<Self::Waiter>, StoreLost>;

    /// Executes the batches, and gives them to their waiters.
    fn execute(&mut self, group: Group<Self::Waiter>) -> Result<(), StoreLost>;

    /// Some entries as they are after all that it was given to execute.
    fn scan(&mut self, from: Position, len_max: usize) -> Result<Found, StoreLost>;

    /// The bytes that the entries take; `None` if that can't be said now.
    fn len(&mut self) -> Option<usize>;
}

#[expect(clippy::large_enum_variant, reason = "nearly all are batches")]
enum Message<W> {
    Execute(Waiting<W>),
    /// To write what came before, and no more.
    Stop,
}

/// A running thread.
pub(super) struct JournalThread<W> {
    handle: JournalHandle<W>,
    outcome: Receiver<Result<(), WriteError>>,
}

/// Access to it.
pub(super) struct JournalHandle<W>(Sender<Message<W>>);

impl<W> Clone for JournalHandle<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<W> JournalHandle<W> {
    /// Has the batch executed when its changes are in the journal.
    pub(super) fn execute(&self, batch: Batch, waiter: W) {
        // It fails when the thread is gone; the waiter is dropped then.
        let _ = self.0.send(Message::Execute(Waiting { batch, waiter }));
    }
}

impl<W: Send + 'static> JournalThread<W> {
    /// Starts the thread. If it panics it triggers `shutdown`.
    pub(super) fn start(
        journal: Journal,
        sync: Sync,
        owner: impl Owner<Waiter = W>,
        log: &Log,
        shutdown: &Shutdown,
    ) -> io::Result<Self> {
        let (sender, queue) = unbounded();
        let (told, outcome) = bounded(1);
        let shutdown = shutdown.clone();
        let mut committer = Committer {
            journal,
            sync,
            owner,
            log: log.clone(),
            record: RecordWriter::default(),
            unsynced_since: None,
            rewriting: None,
            rewrite_after: Instant::now(),
            refusing: None,
            is_lost: false,
        };
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                let run = AssertUnwindSafe(|| {
                    let outcome = committer.run(&queue);
                    // Closes the journal, before anybody is told that it has ended.
                    drop(committer);
                    outcome
                });
                match catch_unwind(run) {
                    Ok(Ok(outcome)) => drop(told.send(outcome)),
                    Ok(Err(StoreLost)) | Err(_) => {
                        shutdown.trigger_because(StopCause::StoreLost);
                        drop(told);
                    }
                }
                // As the store thread does when it has panicked.
                queue.iter().for_each(drop);
            })?;
        Ok(Self {
            handle: JournalHandle(sender),
            outcome,
        })
    }

    pub(super) fn handle(&self) -> &JournalHandle<W> {
        &self.handle
    }

    /// Waits until all that was acknowledged is on the disk. Nothing is executed
    /// any more.
    pub(super) fn finish(&self) -> io::Result<()> {
        let _ = self.handle.0.send(Message::Stop);
        match self.outcome.recv() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(io::Error::other(format!(
                "what was acknowledged last may not be on the disk: {error}"
            ))),
            // The store says that it broke.
            Err(_) => Ok(()),
        }
    }
}

/// What the thread has.
struct Committer<O> {
    journal: Journal,
    sync: Sync,
    owner: O,
    log: Log,
    record: RecordWriter,
    /// When the first record was written that is not on the disk.
    unsynced_since: Option<Instant>,
    /// Where to go on with writing the entries once more, while that is done.
    rewriting: Option<Position>,
    rewrite_after: Instant,
    /// Since when changes can't be written, and how many batches had to be
    /// refused.
    refusing: Option<(Instant, u64)>,
    is_lost: bool,
}

impl<O: Owner> Committer<O> {
    /// Serves until the stop; whether the disk has everything then.
    fn run(
        &mut self,
        queue: &Receiver<Message<O::Waiter>>,
    ) -> Result<Result<(), WriteError>, StoreLost> {
        loop {
            let first = match self.receive(queue) {
                Ok(Message::Execute(waiting)) => Some(waiting),
                Err(RecvTimeoutError::Timeout) => None,
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            };
            self.sync_if_due();
            let (group, is_stopping) = gather(first, queue);
            if !group.is_empty() || self.rewriting.is_some() {
                self.commit(group)?;
            }
            if is_stopping {
                break;
            }
        }
        Ok(self.journal.sync())
    }

    /// The next message, unless there is something else to do before.
    fn receive(
        &self,
        queue: &Receiver<Message<O::Waiter>>,
    ) -> Result<Message<O::Waiter>, RecvTimeoutError> {
        let rewrite = self.rewriting.map(|_| Instant::now() + REWRITE_PAUSE);
        match self.sync_due().into_iter().chain(rewrite).min() {
            Some(deadline) => queue.recv_deadline(deadline),
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// When the disk has to have what is written.
    fn sync_due(&self) -> Option<Instant> {
        match self.sync {
            Sync::Always => None,
            Sync::Every(time) => Some(self.unsynced_since? + time),
        }
    }

    fn sync_if_due(&mut self) {
        if self.sync_due().is_some_and(|due| due <= Instant::now()) {
            self.unsynced_since = None;
            if let Err(error) = self.journal.sync() {
                self.note_error(&error, 0);
            }
        }
    }

    /// Writes what the batches change, in one record, and has them executed.
    fn commit(&mut self, mut group: Group<O::Waiter>) -> Result<(), StoreLost> {
        if ceiling::is_full() {
            group = self.owner.refuse(group)?;
        }
        self.record.clear();
        let found = self.scan()?;
        for waiting in &group {
            waiting
                .batch
                .changes()
                .for_each(|change| self.record.push(change));
        }
        let written = self.write();
        if let Err(error) = &written {
            self.note_error(error, group.len() as u64);
            let sentence = refusal(error);
            for waiting in &mut group {
                waiting.batch.refuse_changes(sentence);
            }
        }
        self.owner.execute(group)?;
        match (found, written) {
            (Some(found), Ok(())) => self.rewritten(found),
            _ => self.rewrite_if_long(),
        }
        Ok(())
    }

    /// Writes the record, if it has something. It is on the disk then, or will be
    /// in time.
    fn write(&mut self) -> Result<(), WriteError> {
        if self.record.bytes().is_empty() {
            return Ok(());
        }
        self.journal.append(self.record.bytes())?;
        match self.sync {
            Sync::Always => {
                let synced = self.journal.sync();
                synced.inspect_err(|_| self.journal.forget_last())?;
            }
            Sync::Every(_) => {
                self.unsynced_since.get_or_insert_with(Instant::now);
            }
        }
        self.note_success();
        Ok(())
    }

    /// Puts some entries into the record, if they are written once more.
    fn scan(&mut self) -> Result<Option<Found>, StoreLost> {
        let Some(position) = self.rewriting else {
            return Ok(None);
        };
        let found = self.owner.scan(position, REWRITE_LEN)?;
        for entry in &found.entries {
            self.record.push(Change::Set {
                key: entry.key(),
                value: entry.value_text(),
            });
        }
        Ok(Some(found))
    }

    /// Those entries have been written once more.
    fn rewritten(&mut self, found: Found) {
        self.rewriting = found.next;
        if self.rewriting.is_none()
            && let Err(error) = self.journal.end_rewrite()
        {
            self.note_error(&error, 0);
        }
    }

    /// Begins to write the entries once more, if the journal is much longer than
    /// they are.
    fn rewrite_if_long(&mut self) {
        if self.is_lost || self.rewriting.is_some() || !self.journal.may_be_long() {
            return;
        }
        let now = Instant::now();
        if now < self.rewrite_after {
            return;
        }
        let Some(len) = self.owner.len() else {
            return;
        };
        if !self.journal.is_long(len as u64) {
            return;
        }
        match self.journal.begin_rewrite(len as u64) {
            Ok(()) => self.rewriting = Some(Position::default()),
            Err(error) => {
                self.rewrite_after = now + REWRITE_RETRY;
                self.note_error(&error, 0);
            }
        }
    }

    fn note_success(&mut self) {
        if let Some((since, refused)) = self.refusing.take() {
            self.log
                .write(Event::journal_writable(refused, since.elapsed()));
        }
    }

    /// Tells the operator, once.
    fn note_error(&mut self, error: &WriteError, refused: u64) {
        self.rewriting = None;
        self.journal.give_up_rewrite();
        match error {
            WriteError::Lost(_) if self.is_lost => {}
            WriteError::Lost(error) => {
                self.is_lost = true;
                self.refusing = None;
                self.log.write(Event::journal_lost(error));
            }
            WriteError::NotWritten(error) => match &mut self.refusing {
                Some((_, count)) => *count += refused,
                None => {
                    self.refusing = Some((Instant::now(), refused));
                    self.log.write(Event::journal_unwritable(error));
                }
            },
        }
    }
}

/// What waits now, and whether a stop is behind it.
fn gather<W>(first: Option<Waiting<W>>, queue: &Receiver<Message<W>>) -> (Group<W>, bool) {
    let mut group: Group<W> = first.into_iter().collect();
    let mut len: usize = group
        .iter()
        .map(|waiting| waiting.batch.changes_len())
        .sum();
    while len < RECORD_LEN_MAX && group.len() < GROUP_LEN_MAX {
        match queue.try_recv() {
            Ok(Message::Execute(waiting)) => {
                len += waiting.batch.changes_len();
                group.push(waiting);
            }
            Ok(Message::Stop) => return (group, true),
            Err(_) => break,
        }
    }
    (group, false)
}

/// What a change is answered that was not written.
fn refusal(error: &WriteError) -> &'static str {
    match error {
        WriteError::NotWritten(_) => {
            "The server can't write this change to its disk, so it was not made; make room there, \
             and send it again."
        }
        WriteError::Lost(_) => {
            "The server's disk has failed, so nothing is changed any more; start the server again \
             when the disk is in order."
        }
    }
}
