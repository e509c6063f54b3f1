//! Clients that change entries until their server is gone, and remember what they were told.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use speicher::protocol::frame::{self, read_frame};

use super::Random;
use super::record::{Change, Entries, Record, Round, Stamp, entry_of, key_name, text_of};
use crate::harness::*;

/// How many requests each client has on its way.
const DEPTHS: [usize; 6] = [1, 1, 4, 16, 32, 64];

pub const CLIENTS: usize = DEPTHS.len();

/// Keys that are changed again and again; the others of a client become more by the round.
const HOT_KEYS: u64 = 40;
const NEW_KEYS: u64 = 60;

/// What happens to a server under load.
pub struct Plan {
    pub number: u32,
    pub seed: u64,
    /// When the first client resets, if it does.
    pub reset_after: Option<Duration>,
}

/// Has clients change entries until something has happened that ends the server; what they
/// sent and were told.
pub fn until(address: SocketAddr, plan: &Plan, happening: impl FnOnce()) -> Round {
    let clients = 0..CLIENTS;
    thread::scope(|scope| {
        let peer = Peer::connect(address).0;
        let reader = scope.spawn(|| read(peer, plan));
        // Connected before anything happens.
        let spawn = |client| {
            let client = Client::new(address, plan, client);
            scope.spawn(move || client.change())
        };
        let clients: Vec<_> = clients.map(spawn).collect();
        happening();
        let ended = Instant::now();
        let join = |client: thread::ScopedJoinHandle<'_, _>| client.join().expect("no panic");
        let records = clients.into_iter().map(join).collect();
        Round {
            number: plan.number,
            records,
            seen: reader.join().expect("no panic"),
            ended,
        }
    })
}

struct Client<'a> {
    stream: TcpStream,
    plan: &'a Plan,
    number: usize,
    random: Random,
    begun: Instant,
    has_reset: bool,
    record: Record,
}

impl<'a> Client<'a> {
    fn new(address: SocketAddr, plan: &'a Plan, number: usize) -> Self {
        Self {
            stream: Peer::connect(address).0,
            plan,
            number,
            random: Random(plan.seed + number as u64),
            begun: Instant::now(),
            has_reset: false,
            record: Record::default(),
        }
    }

    fn change(mut self) -> Record {
        while self.change_some().is_some() {}
        self.record
    }

    /// `None` once the server is gone.
    fn change_some(&mut self) -> Option<()> {
        let mut bytes = Vec::new();
        let at = Instant::now();
        for _ in 0..DEPTHS[self.number] {
            let change = self.draw();
            bytes.extend(framed(self.payload(&change)));
            self.record.sent.push((change, at));
        }
        self.stream.write_all(&bytes).ok()?;
        while self.record.acknowledged.len() < self.record.sent.len() {
            let payload = reply(&mut self.stream)?;
            let (change, _) = &self.record.sent[self.record.acknowledged.len()];
            let is_done = payload.starts_with(br#"{"status_code":200"#);
            let is_missing = payload.starts_with(br#"{"status_code":404"#);
            assert!(
                is_done || is_missing && matches!(change, Change::Delete { .. }),
                "{} to {change:?}",
                String::from_utf8_lossy(&payload)
            );
            self.record.acknowledged.push(Instant::now());
        }
        Some(())
    }

    fn draw(&mut self) -> Change {
        let is_late = |after| self.begun.elapsed() >= after;
        if self.number == 0 && !self.has_reset && self.plan.reset_after.is_some_and(is_late) {
            self.has_reset = true;
            return Change::Reset;
        }
        let key = match self.random.below(4) {
            0 => {
                HOT_KEYS
                    + self
                        .random
                        .below(NEW_KEYS * (u64::from(self.plan.number) + 1))
            }
            _ => self.random.below(HOT_KEYS),
        };
        let (key, len) = (key as u32, self.draw_len());
        match self.random.below(5) {
            0 => Change::Delete { key },
            _ => Change::Set { key, len },
        }
    }

    fn draw_len(&mut self) -> u32 {
        let len = match self.random.below(50) {
            0 => self.random.between(20_000, 100_000),
            1..=9 => self.random.between(1_000, 5_000),
            _ => self.random.between(0, 200),
        };
        len as u32
    }

    fn payload(&self, change: &Change) -> String {
        match *change {
            Change::Set { key, len } => {
                let stamp = Stamp {
                    round: self.plan.number,
                    number: self.record.sent.len() as u32,
                    len,
                };
                let name = key_name(self.number, key);
                set(&name, &text_of(self.number, key, stamp))
            }
            Change::Delete { key } => del(&key_name(self.number, key)),
            Change::Reset => RST.to_owned(),
        }
    }
}

/// The next reply, unless the server is gone.
fn reply(stream: &mut TcpStream) -> Option<Vec<u8>> {
    match read_frame(stream, frame::FRAME_LEN_MAX) {
        Ok(payload) => payload,
        Err(error) => {
            let has_waited = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            assert!(!has_waited, "the server neither answers nor ends");
            None
        }
    }
}

/// Reads hot keys of all clients until the server is gone; of each client, its last change that
/// was seen.
fn read(mut stream: TcpStream, plan: &Plan) -> Vec<Option<(u32, Stamp)>> {
    let mut random = Random(!plan.seed);
    let mut seen: Vec<Option<(u32, Stamp)>> = vec![None; CLIENTS];
    loop {
        let client = random.below(CLIENTS as u64) as usize;
        let name = key_name(client, random.below(HOT_KEYS) as u32);
        if stream.write_all(&framed(get(&name))).is_err() {
            return seen;
        }
        let Some(payload) = reply(&mut stream) else {
            return seen;
        };
        let Some(value) = found_value(&payload) else {
            continue;
        };
        let (key, stamp) = entry_of(&name, value);
        let is_later = seen[client].is_none_or(|(_, last)| stamp.number > last.number);
        if stamp.round == plan.number && is_later {
            seen[client] = Some((key, stamp));
        }
    }
}

/// The value in the reply to a GET, or `None` if there is none.
fn found_value(payload: &[u8]) -> Option<&str> {
    let reply = std::str::from_utf8(payload).expect("UTF-8");
    if reply.starts_with(r#"{"status_code":404"#) {
        return None;
    }
    let value = reply.strip_prefix(r#"{"status_code":200,"value":"#);
    let value = value.and_then(|value| value.strip_suffix('}'));
    Some(value.unwrap_or_else(|| panic!("{reply} to a GET")))
}

/// What the server has under these keys of each client.
pub fn entries(address: SocketAddr, keys: &[Vec<u32>]) -> Vec<Entries> {
    let mut peer = Peer::connect(address);
    let of_client = |(client, keys): (usize, &Vec<u32>)| {
        let mut entries = Entries::new();
        for some in keys.chunks(64) {
            let asked = some.iter().map(|key| framed(get(&key_name(client, *key))));
            peer.send(&asked.collect::<Vec<_>>().concat());
            for key in some {
                let payload = peer.payload();
                if let Some(value) = found_value(&payload) {
                    let (_, stamp) = entry_of(&key_name(client, *key), value);
                    entries.insert(*key, stamp);
                }
            }
        }
        entries
    };
    keys.iter().enumerate().map(of_client).collect()
}
