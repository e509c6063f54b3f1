//! The store thread, when changes go into a journal before they come to it.

use std::io;

use crossbeam_channel::{Sender, bounded};

use super::{Execute, StoreThread};
use crate::server::config::DataConfig;
use crate::server::journal_thread::{self, JournalThread, Owner, Waiting};
use crate::server::load::load;
use crate::server::log::Log;
use crate::server::shutdown::Shutdown;
use crate::store::{Found, Position, Store, StoreLost};

type Group = journal_thread::Group<Sender<Execute>>;

/// What the journal's thread asks the store thread.
pub(super) enum Job {
    /// To answer what there is no memory for, and give the batches back.
    Refuse(Group, Sender<Group>),
    /// To execute batches whose changes are in the journal.
    Execute(Group),
    /// For some entries.
    Scan(Position, usize, Sender<Found>),
}

impl Job {
    pub(super) fn execute(self, store: &mut Store) {
        match self {
            Self::Refuse(mut group, reply_to) => {
                for waiting in &mut group {
                    store.refuse(&mut waiting.batch);
                }
                let _ = reply_to.send(group);
            }
            Self::Execute(group) => {
                for Waiting { mut batch, waiter } in group {
                    store.execute_journaled(&mut batch);
                    let reply_to = waiter.clone();
                    // The worker waits; if it is gone there is nobody to tell.
                    let _ = reply_to.send(Execute {
                        batch,
                        reply_to: waiter,
                    });
                }
            }
            Self::Scan(from, len_max, reply_to) => {
                let _ = reply_to.send(store.scan(from, len_max));
            }
        }
    }
}

impl StoreThread {
    /// Starts the thread with the entries of the journal.
    pub(super) fn start_journaled(
        data: &DataConfig,
        log: &Log,
        shutdown: &Shutdown,
    ) -> io::Result<Self> {
        let mut store = Store::journaled();
        let apply = Store::apply;
        let journal = load(&mut store, apply, data, log, shutdown)?;
        let mut this = Self::start_with(store, shutdown, Store::execute)?;
        let owner = Access(this.jobs.clone());
        this.journal = Some(JournalThread::start(
            journal, data.sync, owner, log, shutdown,
        )?);
        Ok(this)
    }

    /// Waits until all that was acknowledged is on the disk. No change is made any
    /// more.
    pub(in crate::server::threads) fn finish(&self) -> io::Result<()> {
        self.journal.as_ref().map_or(Ok(()), JournalThread::finish)
    }
}

/// The journal's thread's access to the store thread.
struct Access(Sender<super::Job>);

impl Access {
    fn ask<T>(&self, job: impl FnOnce(Sender<T>) -> Job) -> Result<T, StoreLost> {
        let (reply_to, reply) = bounded(1);
        self.send(job(reply_to))?;
        reply.recv().map_err(|_| StoreLost)
    }

    fn send(&self, job: Job) -> Result<(), StoreLost> {
        self.0
            .send(super::Job::OfJournal(job))
            .map_err(|_| StoreLost)
    }
}

impl Owner for Access {
    type Waiter = Sender<Execute>;

    fn refuse(&mut self, group: Group) -> Result<Group, StoreLost> {
        self.ask(|reply_to| Job::Refuse(group, reply_to))
    }

    fn execute(&mut self, group: Group) -> Result<(), StoreLost> {
        self.send(Job::Execute(group))
    }

    fn scan(&mut self, from: Position, len_max: usize) -> Result<Found, StoreLost> {
        self.ask(|reply_to| Job::Scan(from, len_max, reply_to))
    }

    fn len(&mut self) -> Option<usize> {
        let (reply_to, size) = bounded(1);
        self.0.send(super::Job::Size(reply_to)).ok()?;
        Some(size.recv().ok()?.bytes)
    }
}
