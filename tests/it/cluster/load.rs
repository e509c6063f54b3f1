//! Clients that ask without end and know what they have to be told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::front::{Answer, Caller};
use crate::harness::*;

/// Between a client's batches: the load is there for what it meets, not to keep the machine busy.
const INTERVAL: Duration = Duration::from_millis(1);

/// Clients that have keys of their own.
pub struct Group {
    /// Those of each client.
    pub keys: Vec<Vec<String>>,
    /// How long values are, in turn.
    pub value_lens: &'static [usize],
    tally: Tally,
}

/// How many requests were answered, refused, and left without an answer.
#[derive(Default)]
struct Tally {
    served: AtomicUsize,
    refused: AtomicUsize,
    closed: AtomicUsize,
}

impl Group {
    pub fn new(keys: Vec<Vec<String>>, value_lens: &'static [usize]) -> Self {
        let tally = Tally::default();
        Self {
            keys,
            value_lens,
            tally,
        }
    }

    pub fn served(&self) -> usize {
        self.tally.served.load(Ordering::Relaxed)
    }

    /// Refused, or without an answer.
    pub fn unserved(&self) -> usize {
        let Tally {
            refused, closed, ..
        } = &self.tally;
        refused.load(Ordering::Relaxed) + closed.load(Ordering::Relaxed)
    }

    /// Waits until its clients have been served so many times more.
    pub fn wait_until_served(&self, times: usize) {
        let enough = self.served() + times;
        wait_until("clients are served", || self.served() >= enough);
    }

    fn count(&self, answers: &[Answer]) {
        for answer in answers {
            let counter = match answer {
                Answer::Refused => &self.tally.refused,
                Answer::Closed => &self.tally.closed,
                _ => &self.tally.served,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Has the groups' clients ask while something happens, and panics if one of them is told what
/// can't be so. In the end, each looks at all its entries once more.
pub fn during(address: SocketAddr, groups: &[Group], happening: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let is_over = &is_over;
        for group in groups {
            for keys in &group.keys {
                let mut client = Client::new(address, keys, group);
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        client.ask();
                        thread::sleep(INTERVAL);
                    }
                    client.look_at_all();
                });
            }
        }
        let _end = SetWhenDropped(is_over);
        happening();
    });
}

/// So that threads end also when what they wait for panics.
pub struct SetWhenDropped<'a>(pub &'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Client<'a> {
    caller: Caller,
    group: &'a Group,
    keys: &'a [String],
    /// What each key may have: more than one thing if nobody knows whether a change was made.
    entries: HashMap<&'a str, Vec<Option<String>>>,
    count: usize,
}

#[derive(Debug)]
enum Call {
    Set(String),
    Get,
    Delete,
}

impl<'a> Client<'a> {
    fn new(address: SocketAddr, keys: &'a [String], group: &'a Group) -> Self {
        Self {
            caller: Caller::new(address),
            group,
            keys,
            entries: keys.iter().map(|key| (&**key, vec![None])).collect(),
            count: 0,
        }
    }

    /// Reads two keys and changes one of them, and reads that again, all in one batch.
    fn ask(&mut self) {
        self.count += 1;
        let (key, other) = (self.key(0), self.key(1));
        let change = match self.count % 7 {
            0 => Call::Delete,
            _ => Call::Set(self.value()),
        };
        self.make(vec![
            (key, Call::Get),
            (key, change),
            (other, Call::Get),
            (key, Call::Get),
        ]);
    }

    /// Reads each key, and again until it is answered.
    fn look_at_all(&mut self) {
        for key in self.keys {
            wait_until("the entry can be read", || {
                self.make(vec![(key, Call::Get)])[0].is_served()
            });
        }
    }

    fn key(&self, offset: usize) -> &'a str {
        &self.keys[(self.count + offset) % self.keys.len()]
    }

    /// Never the same twice under one key.
    fn value(&self) -> String {
        let lens = self.group.value_lens;
        let len = lens[self.count / self.keys.len() % lens.len()];
        format!("{} {}", self.count, "v".repeat(len))
    }

    fn make(&mut self, calls: Vec<(&'a str, Call)>) -> Vec<Answer> {
        let payload = |(key, call): &(&str, Call)| match call {
            Call::Set(value) => set(key, &format!("\"{value}\"")),
            Call::Get => get(key),
            Call::Delete => del(key),
        };
        let payloads: Vec<_> = calls.iter().map(payload).collect();
        let answers = self.caller.ask_all(&payloads);
        self.group.count(&answers);
        for ((key, call), answer) in calls.into_iter().zip(&answers) {
            self.note(key, call, answer);
        }
        answers
    }

    /// Takes the answer for what it says of the key, if it can be so.
    fn note(&mut self, key: &str, call: Call, answer: &Answer) {
        let entries = self.entries.get_mut(key).expect("a key of this client");
        let found = match (call, answer) {
            (_, Answer::Refused) | (Call::Get, Answer::Closed) => return,
            (Call::Set(value), Answer::Closed) => return entries.push(Some(value)),
            (Call::Delete, Answer::Closed) => return entries.push(None),
            (Call::Set(value), Answer::Done) => {
                *entries = vec![Some(value)];
                return;
            }
            (Call::Delete, Answer::Done) => {
                assert!(entries.iter().any(Option::is_some), "{key} was not there");
                *entries = vec![None];
                return;
            }
            (Call::Get, Answer::Found(value)) => Some(value.clone()),
            (Call::Get | Call::Delete, Answer::Missing) => None,
            (call, answer) => panic!("{answer:?} to {call:?}"),
        };
        assert!(
            entries.contains(&found),
            "{key} has {}, and not {}",
            shown(&found),
            entries.iter().map(shown).collect::<Vec<_>>().join(" or ")
        );
        *entries = vec![found];
    }
}

/// A value's number, however long the value.
fn shown(entry: &Option<String>) -> &str {
    let number = entry.as_ref().and_then(|value| value.split(' ').next());
    number.unwrap_or("nothing")
}
