//! S1a: what overlapping clients of several servers are told has an order that explains it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use super::can_start;
use super::front::{Answer, Caller, serve, slot};
use super::load::SetWhenDropped;
use super::nodes::Cluster;
use crate::harness::*;
use crate::linearize::{CALLS_MAX, Call, KEYS, Timed, is_linearizable};

const SERVERS: usize = 3;
const CLIENTS: usize = 2 * SERVERS;

/// Every third value is over 64 KiB, which takes a GET several commands.
const LONG_LEN: usize = 70_000;

/// The slots of the keys, as hash tags; on three nodes.
const TAGS: [&str; KEYS] = ["a", "b", "c"];

#[test]
fn histories_over_three_servers_are_linearizable_while_slots_move() {
    const HISTORIES: usize = 60;

    if !can_start() {
        return;
    }
    let cluster = Cluster::start(3, 0);
    let servers = [(); SERVERS].map(|()| serve(&cluster, &[]));
    beside(
        || move_on(&cluster),
        || {
            for number in 0..HISTORIES {
                let history = overlapping(&servers, number);
                assert!(is_linearizable(&history), "{history:#?}");
            }
        },
    );
    let mut history = overlapping(&servers, HISTORIES);
    add_overwritten(&mut history, &servers);
    assert!(is_linearizable(&history));
    let last = history.last_mut().expect("it has calls");
    assert_eq!(last.call, Call::Get(0, Some(NEW)));
    // As of a server that asks a node for what is another's by now.
    last.call = Call::Get(0, Some(OLD));
    assert!(!is_linearizable(&history), "a stale read is found");
}

/// Moves the slots of all keys to the next node.
fn move_on(cluster: &Cluster) {
    for tag in TAGS {
        let slot = slot(&format!("{{{tag}}}"));
        cluster.move_slot(slot, (cluster.primary_of_slot(slot) + 1) % 3);
        cluster.wait_until_ok();
    }
}

/// Does one thing again and again until the other is done.
fn beside(again: impl Fn() + Sync, once: impl FnOnce()) {
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                again();
            }
        });
        let _done = SetWhenDropped(&is_done);
        once();
    });
}

/// One history, of keys of its own.
fn overlapping(servers: &[Process], number: usize) -> Vec<Timed> {
    const CALLS: usize = (CALLS_MAX - 3) / CLIENTS;

    let record = Record::new(number);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let mut caller = Caller::new(servers[client % SERVERS].address());
            let record = &record;
            scope.spawn(move || {
                for index in 0..CALLS {
                    record.make(&mut caller, drawn(number, client, client * CALLS + index));
                }
            });
        }
    });
    record.into_history()
}

/// Not random, so that it is the same again; only the order varies.
fn drawn(number: usize, client: usize, index: usize) -> Call {
    let seed = (number * CLIENTS + client) * CALLS_MAX + index;
    let draw = (seed as u32).wrapping_mul(2_654_435_761) as usize >> 8;
    let key = draw % KEYS;
    match draw / KEYS % 8 {
        0 => Call::Delete(key, false),
        1..=3 => Call::Set(key, index as u32),
        _ => Call::Get(key, None),
    }
}

const OLD: u32 = 1_000;
const NEW: u32 = 1_001;

/// Adds calls that do not overlap: a value, another in its place, and what is found then.
fn add_overwritten(history: &mut Vec<Timed>, servers: &[Process]) {
    let end = history.iter().map(|timed| timed.ended).max();
    let record = Record::new(usize::MAX);
    let calls = [Call::Set(0, OLD), Call::Set(0, NEW), Call::Get(0, None)];
    for (call, server) in calls.into_iter().zip(servers) {
        record.make(&mut Caller::new(server.address()), call);
    }
    for mut timed in record.into_history() {
        timed.begun += end.unwrap_or_default() + 1;
        timed.ended += end.unwrap_or_default() + 1;
        history.push(timed);
    }
}

/// Calls as they are made.
struct Record {
    names: [String; KEYS],
    epoch: Instant,
    calls: Mutex<Vec<Timed>>,
}

impl Record {
    fn new(number: usize) -> Self {
        Self {
            names: TAGS.map(|tag| format!("{{{tag}}}-{number}")),
            epoch: Instant::now(),
            calls: Mutex::default(),
        }
    }

    /// Makes the call, and notes it with what is answered.
    fn make(&self, caller: &mut Caller, call: Call) {
        let payload = match call {
            Call::Set(key, number) => set(&self.names[key], &value(number)),
            Call::Get(key, _) => get(&self.names[key]),
            Call::Delete(key, _) => del(&self.names[key]),
            Call::Reset => unreachable!("a cluster removes entries one by one"),
        };
        let begun = self.now();
        let answer = caller.ask(payload);
        let ended = self.now();
        let call = match (call, answer) {
            (Call::Set(..), Answer::Done) => call,
            (Call::Get(key, _), Answer::Found(value)) => Call::Get(key, Some(number_of(&value))),
            (Call::Get(key, _), Answer::Missing) => Call::Get(key, None),
            (Call::Delete(key, _), Answer::Done) => Call::Delete(key, true),
            (Call::Delete(key, _), Answer::Missing) => Call::Delete(key, false),
            (call, answer) => panic!("{answer:?} to {call:?}"),
        };
        let timed = Timed { call, begun, ended };
        self.calls.lock().expect("no panic").push(timed);
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    fn into_history(self) -> Vec<Timed> {
        self.calls.into_inner().expect("no panic")
    }
}

fn value(number: u32) -> String {
    let len = if number.is_multiple_of(3) {
        LONG_LEN
    } else {
        0
    };
    format!("\"{number} {}\"", "v".repeat(len))
}

fn number_of(value: &str) -> u32 {
    let number = value.split(' ').next().expect("a value");
    number.parse().expect("a number")
}

/// Values that take one command to read and those that take several.
#[test]
fn a_pipeline_never_reads_an_older_value_after_a_newer() {
    const PIPELINES: usize = 10;
    /// More than a node executes at once.
    const DEPTH: usize = 500;

    if !can_start() {
        return;
    }
    let cluster = Cluster::start(1, 0);
    let servers = [(); 2].map(|()| serve(&cluster, &[]));
    let [writer, reader] = &servers;
    let writer = Mutex::new((Caller::new(writer.address()), 0));
    let mut reader = Caller::new(reader.address());
    let write = || {
        let (writer, number) = &mut *writer.lock().expect("no panic");
        assert_eq!(writer.ask(set("k", &value(*number))), Answer::Done);
        *number += 1;
    };
    write();
    beside(write, || {
        for _ in 0..PIPELINES {
            let found = reader.ask_all(&[(); DEPTH].map(|()| get("k")));
            let numbers = found.iter().map(|answer| match answer {
                Answer::Found(value) => number_of(value),
                answer => panic!("{answer:?}"),
            });
            let numbers: Vec<_> = numbers.collect();
            let back = numbers.windows(2).find(|pair| pair[0] > pair[1]);
            assert_eq!(back, None);
        }
    });
}
