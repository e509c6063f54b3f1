//! What overlapping clients are told, before and after crashes, has an order that explains it.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use speicher::protocol::frame::{self, read_frame};

use super::*;
use crate::linearize::{CALLS_MAX, Call, KEYS, Timed, is_linearizable};

every_model![histories_over_crashes_are_linearizable];

const CLIENTS: usize = 4;

/// Phases of a history: a crash is after each but the last.
const PHASES: usize = 3;

/// Calls of a client in a phase; those that read all keys in the end need places too.
const CALLS: usize = (CALLS_MAX - KEYS) / (CLIENTS * PHASES);

fn histories_over_crashes_are_linearizable(model: Model) {
    for sync in Sync::ALL {
        let folder = Folder::new();
        let dir = folder.join("data");
        let mut random = Random(model as u64);
        let mut server = serve(model, &dir, sync);
        for number in 0..crashes(4) {
            let record = Record::new(number);
            for phase in 0..PHASES - 1 {
                let crash_after = Duration::from_micros(random.below(5_000));
                thread::scope(|scope| {
                    record.spawn_clients(scope, &server, phase, random.next());
                    thread::sleep(crash_after);
                    crash(server);
                });
                record.note_crash();
                server = serve(model, &dir, sync);
            }
            thread::scope(|scope| {
                record.spawn_clients(scope, &server, PHASES - 1, random.next());
            });
            let mut caller = Caller(server.connect().0, &record);
            for key in 0..KEYS {
                caller.make(Call::Get(key, None)).expect("it serves");
            }
            let calls = record.calls.into_inner().expect("no panic");
            assert!(
                is_explained(&calls),
                "history {number}, {sync:?}: {calls:#?}"
            );
        }
    }
}

/// A call that was made, and its moments. The end is that of the crash if it was not answered.
#[derive(Clone, Copy, Debug)]
struct Made {
    timed: Timed,
    is_answered: bool,
}

/// Whether it is linearizable, if some of the calls without an answer were executed before the
/// crash, and the others never.
fn is_explained(calls: &[Made]) -> bool {
    let unanswered = calls.iter().filter(|made| !made.is_answered).count();
    (0..1_u32 << unanswered).any(|executed| {
        let mut number = 0;
        let is_executed = |made: &&Made| {
            let is_executed = made.is_answered || executed >> number & 1 == 1;
            number += u32::from(!made.is_answered);
            is_executed
        };
        let calls = calls.iter().filter(is_executed);
        is_linearizable(&calls.map(|made| made.timed).collect::<Vec<_>>())
    })
}

/// Calls as they are made.
struct Record {
    names: [String; KEYS],
    epoch: Instant,
    calls: Mutex<Vec<Made>>,
}

impl Record {
    fn new(number: usize) -> Self {
        Self {
            names: ["a", "b", "c"].map(|key| format!("{key}-{number}")),
            epoch: Instant::now(),
            calls: Mutex::default(),
        }
    }

    /// Has clients make calls, until they have made all or the server is gone.
    fn spawn_clients<'scope>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, '_>,
        server: &Process,
        phase: usize,
        seed: u64,
    ) {
        for client in 0..CLIENTS {
            let mut caller = Caller(server.connect().0, self);
            let mut random = Random(seed + client as u64);
            let first = (phase * CLIENTS + client) * CALLS;
            scope.spawn(move || {
                for number in first..first + CALLS {
                    if caller.make(drawn(&mut random, number as u32)).is_none() {
                        break;
                    }
                }
            });
        }
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// What is not answered by now was executed before, or never.
    fn note_crash(&self) {
        let now = self.now();
        for made in self.calls.lock().expect("no panic").iter_mut() {
            made.timed.ended = made.timed.ended.min(now);
        }
    }
}

fn drawn(random: &mut Random, number: u32) -> Call {
    let key = random.below(KEYS as u64) as usize;
    match random.below(10) {
        0 => Call::Reset,
        1 => Call::Delete(key, true),
        2..=5 => Call::Get(key, None),
        _ => Call::Set(key, number),
    }
}

struct Caller<'a>(TcpStream, &'a Record);

impl Caller<'_> {
    /// Makes the call, and notes what is answered; `None` if the server is gone.
    fn make(&mut self, call: Call) -> Option<()> {
        let Self(stream, record) = self;
        let payload = match call {
            Call::Set(key, number) => set(&record.names[key], &number.to_string()),
            Call::Get(key, _) => get(&record.names[key]),
            Call::Delete(key, _) => del(&record.names[key]),
            Call::Reset => RST.to_owned(),
        };
        let begun = record.now();
        let sent = stream.write_all(&framed(payload));
        let reply = sent.and_then(|()| read_frame(stream, frame::FRAME_LEN_MAX));
        let ended = record.now();
        let answered = reply.ok().flatten().map(|reply| answered(call, &reply));
        let made = |call, ended| Made {
            timed: Timed { call, begun, ended },
            is_answered: answered.is_some(),
        };
        let mut calls = record.calls.lock().expect("no panic");
        match (answered, call) {
            (Some(call), _) => calls.push(made(call, ended)),
            // Nobody was told anything.
            (None, Call::Get(..)) => return None,
            (None, call) => calls.push(made(call, u64::MAX)),
        }
        answered.map(drop)
    }
}

/// The call with what was answered.
fn answered(call: Call, reply: &[u8]) -> Call {
    let reply: serde_json::Value = serde_json::from_slice(reply).expect("a reply is JSON");
    match (call, status_of(&reply)) {
        (Call::Set(..) | Call::Reset, 200) => call,
        (Call::Get(key, _), 200) => {
            let number = reply["value"].as_u64().expect("a number");
            Call::Get(key, Some(number as u32))
        }
        (Call::Get(key, _), 404) => Call::Get(key, None),
        (Call::Delete(key, _), 200) => Call::Delete(key, true),
        (Call::Delete(key, _), 404) => Call::Delete(key, false),
        (call, status) => panic!("{status} to {call:?}"),
    }
}

/// As of a server that forgets what it acknowledged, or remembers what nobody sent.
#[test]
fn a_history_with_a_loss_is_not_explained() {
    let made = |call, begun, ended, is_answered| Made {
        timed: Timed { call, begun, ended },
        is_answered,
    };
    let crash = 10;
    for (is_answered, found, is_so) in [
        (true, Some(1), true),
        (true, None, false),
        (false, Some(1), true),
        (false, None, true),
        (false, Some(2), false),
    ] {
        let ended = if is_answered { 5 } else { crash };
        let calls = [
            made(Call::Set(0, 1), 0, ended, is_answered),
            made(Call::Get(0, found), 11, 12, true),
        ];
        assert_eq!(is_explained(&calls), is_so, "{calls:?}");
    }
    // It can't have been executed after the crash.
    let calls = [
        made(Call::Set(0, 1), 0, crash, false),
        made(Call::Get(0, None), 11, 12, true),
        made(Call::Get(0, Some(1)), 13, 14, true),
    ];
    assert!(!is_explained(&calls));
}
