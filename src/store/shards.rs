//! A store that many threads use at the same time.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::batch::Batch;
use super::entries::Store;
use super::executor::broken_error;
use super::garbage::Garbage;
use crate::protocol::{KeyRef, Reply, Request};

/// Enough that two threads seldom want the same one, and that a map that
/// grows holds up few.
const SHARDS: usize = 64;

/// Stores that each own the keys of some hashes, under a lock each.
#[derive(Debug)]
pub struct Shards(Box<[Mutex<Store>]>);

impl Default for Shards {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Shards {
    /// Executes the batch's requests, each under its key's lock.
    pub fn execute(&self, batch: &mut Batch) {
        batch.answer_each(|request, garbage| self.apply(request, garbage));
    }

    /// Executes one request as [`Store::apply`] does.
    ///
    /// Each request is atomic, a reset too: it takes every lock before it
    /// removes anything, so all requests are in one order (S1).
    pub fn apply(&self, request: Request<KeyRef<'_>>, garbage: &mut Garbage) -> Reply {
        let hash = match &request {
            Request::Set { entry } => entry.key_hash(),
            Request::Get { key } | Request::Delete { key } => key.hash(),
            Request::Reset => return self.reset(garbage),
        };
        match self.0[shard_of(hash)].lock() {
            Ok(mut store) => store.apply(request, garbage),
            Err(_) => broken(),
        }
    }

    /// Fails if a panic has left a store in an unknown state.
    pub fn check(&self) -> io::Result<()> {
        if self.is_broken() {
            return Err(broken_error());
        }
        Ok(())
    }

    /// Whether a panic has left a store in an unknown state.
    pub fn is_broken(&self) -> bool {
        self.0.iter().any(Mutex::is_poisoned)
    }

    fn reset(&self, garbage: &mut Garbage) -> Reply {
        // Always in the same order, so that two resets can't lock each other
        // out.
        let stores: Result<Vec<MutexGuard<'_, Store>>, PoisonError<_>> =
            self.0.iter().map(Mutex::lock).collect();
        let Ok(mut stores) = stores else {
            return broken();
        };
        for store in &mut stores {
            store.apply(Request::Reset, garbage);
        }
        Reply::Done
    }
}

/// Takes bits of the hash that std's map uses neither for the bucket, which
/// are the lowest, nor to tell its entries apart, which are the highest.
fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

fn broken() -> Reply {
    Reply::Unavailable("The store is broken; start the server again.".to_owned())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::protocol::StatusCode;

    #[test]
    fn after_a_panic_in_a_store_nothing_of_it_is_acknowledged() {
        let shards = Shards::default();
        let key = KeyRef::new("k").expect("not empty");
        let shard = shard_of(key.hash());
        thread::scope(|scope| {
            let holder = scope.spawn(|| {
                let _store = shards.0[shard].lock().expect("nobody has panicked yet");
                panic!("the panic of this test");
            });
            assert!(holder.join().is_err());
        });
        for request in [Request::Get { key }, Request::Reset] {
            let reply = shards.apply(request, &mut Garbage::default());
            assert_eq!(reply.status_code(), StatusCode::Unavailable);
        }
        assert!(shards.is_broken());
        assert!(shards.check().is_err());
    }
}
