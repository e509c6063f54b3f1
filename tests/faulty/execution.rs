//! What requests do to the store.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use serde_json::value::RawValue;
use speicher::protocol::frame::{FRAME_LEN_MAX, header, read_frame};
use speicher::protocol::{Entry, Json, Key, Reply, Request};
use speicher::store::{Garbage, Store};

use crate::ceiling::Room;
use crate::fault::Fault;
use crate::values::{is_falsy, json};
use crate::{Server, lock};

/// Values shorter than this are replaced at once, whatever the fault.
const TORN_LEN_MIN: usize = 10_000;

/// The entries, and what faulty servers keep beside them.
#[derive(Default)]
pub struct State {
    store: Store,
    /// The entries of the shard that RST forgets.
    forgotten: Store,
    /// Keys that were removed, in a server that never sets them again.
    removed: HashSet<String>,
    /// Whether there was a RST, in a server that breaks by it.
    is_broken: bool,
    /// What is never freed.
    leaked: Vec<Request>,
    /// The payloads of all SETs since the last RST, in a server that persists.
    log: Vec<Vec<u8>>,
    room: Room,
}

/// Executes the request on the store that all connections share.
pub fn apply(server: &Server, request: Request) -> Reply {
    if let (Fault::TornValues, Request::Set { entry }) = (server.fault, &request) {
        let half = half_replaced(server, entry);
        if let Some(half) = half {
            lock(&server.state).apply(server.fault, half);
            thread::sleep(Duration::from_millis(1));
        }
    }
    lock(&server.state).apply(server.fault, request)
}

/// A SET of a value whose first half is new and whose second is still old.
fn half_replaced(server: &Server, entry: &Entry) -> Option<Request> {
    let key = Key::new(entry.key())?;
    let found = lock(&server.state).apply(server.fault, Request::Get { key });
    let (Reply::Value(old), new) = (found, entry.value()) else {
        return None;
    };
    if new.len() < TORN_LEN_MIN || old.as_bytes().len() != new.len() {
        return None;
    }
    let half = [&new[..new.len() / 2], &old.as_bytes()[new.len() / 2..]].concat();
    set(entry.key(), String::from_utf8(half).ok()?)
}

/// A SET of the JSON text; `None` if the protocol has none.
pub fn set(key: &str, text: String) -> Option<Request> {
    let raw = RawValue::from_string(text).ok()?;
    let entry = Entry::with_json(key, &Json::new(&raw).ok()?)?;
    Some(Request::Set { entry })
}

fn apply_to(store: &mut Store, request: &Request) -> Reply {
    store.apply(request.borrowed(), &mut Garbage::default())
}

impl State {
    pub fn with_room(room: Room) -> Self {
        Self {
            room,
            ..Self::default()
        }
    }

    pub fn apply(&mut self, fault: Fault, request: Request) -> Reply {
        if self.room.is_closed {
            return Reply::Unavailable("The server is full.".to_owned());
        }
        match &request {
            Request::Set { .. } => self.set(fault, request),
            Request::Get { .. } => self.get(fault, request),
            Request::Delete { .. } => self.delete(fault, request),
            Request::Reset => self.reset(fault),
        }
    }

    fn set(&mut self, fault: Fault, request: Request) -> Reply {
        let Request::Set { entry } = &request else {
            return Reply::Done;
        };
        let key = entry.key().to_owned();
        match fault {
            Fault::NullRemoves if entry.value() == b"null" => {
                let key = Key::new(&key).expect("it came in a request");
                return self.execute(Request::Delete { key });
            }
            Fault::SetKeepsFirst if self.holds(&key) => return Reply::Done,
            Fault::DelForEver if self.removed.contains(&key) => return Reply::Done,
            Fault::RstBreaks if self.is_broken => {
                return Reply::Unavailable("The store is closed.".to_owned());
            }
            Fault::Persists => {
                let mut payload = Vec::new();
                request.encode(&mut payload);
                self.log.push(payload);
            }
            Fault::RstForgetsShard if is_of_last_shard(&key) => {
                return apply_to(&mut self.forgotten, &request);
            }
            _ => {}
        }
        if let Some(refusal) = self.refusal(fault, entry) {
            return refusal;
        }
        self.room.set(entry);
        if fault == Fault::LeaksEntries {
            self.leaked.push(request.clone());
        }
        self.execute(request)
    }

    /// The reply to a SET without room.
    fn refusal(&mut self, fault: Fault, entry: &Entry) -> Option<Reply> {
        let mut refusal = self.room.refusal(fault, entry)?;
        match fault {
            Fault::FullEvicts => {
                while let Some(key) = self.room.pop_oldest() {
                    self.room.remove(fault, &key);
                    let key = Key::new(&key).expect("it came in a request");
                    self.execute(Request::Delete { key });
                    refusal = self.room.refusal(fault, entry)?;
                }
            }
            Fault::FullRefusesAll => self.room.is_closed = true,
            Fault::FullRemovesReplaced => {
                self.room.remove(fault, entry.key());
                let key = Key::new(entry.key()).expect("it came in a request");
                self.execute(Request::Delete { key });
            }
            _ => {}
        }
        Some(refusal)
    }

    fn get(&mut self, fault: Fault, request: Request) -> Reply {
        let Request::Get { key } = &request else {
            return Reply::NoValue;
        };
        let key = key.clone();
        if fault == Fault::RstForgetsShard && is_of_last_shard(key.as_str()) {
            return apply_to(&mut self.forgotten, &request);
        }
        let reply = self.execute(request);
        match (fault, &reply) {
            (Fault::GetRemoves, Reply::Value(_)) => {
                self.execute(Request::Delete { key });
                reply
            }
            (Fault::FalsyValuesMissing, Reply::Value(value)) if is_falsy(value.as_bytes()) => {
                Reply::NoValue
            }
            (Fault::MissIsNull, Reply::NoValue) => json("null"),
            (Fault::MissWithoutValue, Reply::NoValue) => Reply::NoKey,
            (Fault::KeysAreProperties, Reply::NoValue)
                if matches!(key.as_str(), "__proto__" | "constructor") =>
            {
                json("{}")
            }
            _ => reply,
        }
    }

    fn delete(&mut self, fault: Fault, request: Request) -> Reply {
        let Request::Delete { key } = &request else {
            return Reply::NoKey;
        };
        match fault {
            Fault::DelIgnored => {
                return match self.holds(key.as_str()) {
                    true => Reply::Done,
                    false => Reply::NoKey,
                };
            }
            Fault::FalsyValuesNotRemoved => {
                let value = self.execute(Request::Get { key: key.clone() });
                let is_nothing =
                    matches!(&value, Reply::Value(value) if is_falsy(value.as_bytes()));
                return match (self.execute(request), is_nothing) {
                    (Reply::Done, true) => Reply::NoKey,
                    (reply, _) => reply,
                };
            }
            Fault::DelForEver if self.holds(key.as_str()) => {
                self.removed.insert(key.as_str().to_owned());
            }
            Fault::DelRemovesAll if self.holds(key.as_str()) => {
                return self.execute(Request::Reset);
            }
            Fault::RstForgetsShard if is_of_last_shard(key.as_str()) => {
                return apply_to(&mut self.forgotten, &request);
            }
            _ => {}
        }
        self.room.remove(fault, key.as_str());
        let reply = self.execute(request);
        match fault {
            Fault::DelAlwaysOk => Reply::Done,
            Fault::DelNeverOk => Reply::NoKey,
            _ => reply,
        }
    }

    fn reset(&mut self, fault: Fault) -> Reply {
        match fault {
            Fault::RstIgnored => return Reply::Done,
            Fault::RstNeedsKey => return Reply::BadRequest("RST needs a key.".to_owned()),
            Fault::RstBreaks => self.is_broken = true,
            _ => {}
        }
        self.log.clear();
        self.room.clear(fault);
        self.execute(Request::Reset)
    }

    fn execute(&mut self, request: Request) -> Reply {
        apply_to(&mut self.store, &request)
    }

    fn holds(&mut self, key: &str) -> bool {
        let key = Key::new(key).expect("it came in a request");
        matches!(self.execute(Request::Get { key }), Reply::Value(_))
    }

    /// The SETs since the last RST, in frames.
    pub fn log(&self) -> Vec<u8> {
        let framed = |payload: &Vec<u8>| {
            let header = header(payload.len()).expect("it came in a frame");
            [&header[..], payload].concat()
        };
        self.log.iter().flat_map(framed).collect()
    }

    /// Executes a log, and keeps none of it for the next start.
    pub fn replay(&mut self, mut log: &[u8]) {
        while let Ok(Some(payload)) = read_frame(&mut log, FRAME_LEN_MAX) {
            if let Ok(request) = Request::parse(&payload) {
                self.execute(request);
            }
        }
    }
}

fn is_of_last_shard(key: &str) -> bool {
    key.bytes().map(usize::from).sum::<usize>() % 8 == 7
}
