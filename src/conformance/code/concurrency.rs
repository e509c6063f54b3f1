//! Clients at the same time.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant};

use super::super::case::{Case, Level};
use super::super::failure::Failure;
use super::super::json::same_value;
use super::super::linearize::{CALLS_MAX, Call, KEYS, Timed, is_linearizable};
use super::super::link::Link;
use super::super::trial::Trial;
use super::pressure::served_soon;
use super::requests::{PING, RST, del, get, set};
use crate::protocol::frame::framed;

/// Clients at the same time.
const CLIENTS: usize = 6;

pub(super) fn cases() -> Vec<Case> {
    let long = Duration::from_secs(20);
    vec![
        Case::of_code(
            "concurrency/own-keys",
            Level::Must,
            &["S1"],
            "Clients that write at the same time, each under its own keys, read what they wrote.",
            own_keys,
        )
        .with_timeout(long),
        Case::of_code(
            "concurrency/whole-values",
            Level::Should,
            &["S1a"],
            "A value that clients replace all the time is one of those written, never a mixture.",
            whole_values,
        )
        .with_timeout(long),
        Case::of_code(
            "concurrency/long-value-beside-short",
            Level::Should,
            &["S5"],
            "A request of megabytes that comes slowly does not hold up other clients.",
            long_value_beside_short,
        ),
        Case::of_code(
            "concurrency/half-frame-beside-others",
            Level::Should,
            &["S5"],
            "A client that sends half a frame and falls silent does not hold up other clients.",
            half_frame_beside_others,
        ),
        Case::of_code(
            "concurrency/linearizable",
            Level::Info,
            &["S1a"],
            "Histories of overlapping calls have an order that explains every answer.",
            linearizable,
        )
        .with_timeout(long),
    ]
}

/// Runs one client per thread, each with a connection of its own.
fn at_once(
    trial: &Trial,
    client: impl Fn(usize, &mut Link) -> Result<(), Failure> + Sync,
) -> Result<(), Failure> {
    let mut links = Vec::new();
    for index in 0..CLIENTS {
        let mut link = trial.connect(&format!("client {index}"))?;
        link.expect(PING, 404)?;
        links.push(link);
    }
    thread::scope(|scope| {
        let client = &client;
        let start =
            |(index, mut link): (usize, Link)| scope.spawn(move || client(index, &mut link));
        let threads: Vec<_> = links.into_iter().enumerate().map(start).collect();
        let outcomes = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        outcomes.collect()
    })
}

fn own_keys(trial: &mut Trial) -> Result<String, Failure> {
    let key = trial.key();
    at_once(trial, |client, link| {
        for round in 0..3 {
            let name = |index| format!("{key}-{client}-{index}");
            let value = |index| format!("[{client},{round},{index}]");
            for index in 0..10 {
                link.expect(set(&name(index), &value(index)), 200)?;
            }
            for index in 0..10 {
                let answer = link.expect(get(&name(index)), 200)?;
                let expected = value(index);
                let stored = answer.value.as_deref().unwrap_or_default();
                if !same_value(&expected, stored) {
                    return Err(answer.instead_of(format!("the value {expected}")));
                }
            }
        }
        Ok(())
    })?;
    Ok(String::new())
}

fn whole_values(trial: &mut Trial) -> Result<String, Failure> {
    const LEN: usize = 40_000;

    let key = trial.key();
    at_once(trial, |client, link| {
        let letter = char::from(b'a' + client as u8);
        let value = format!("\"{}\"", letter.to_string().repeat(LEN));
        for _ in 0..10 {
            link.expect(set(key, &value), 200)?;
            let answer = link.expect(get(key), 200)?;
            let found = answer.value.as_deref().unwrap_or_default();
            let found = found.trim_matches('"').as_bytes();
            let is_whole = found.len() == LEN && found.iter().all(|byte| *byte == found[0]);
            if !is_whole {
                return Err(Failure::new(
                    format!("{LEN} times the same letter"),
                    format!("{} bytes of several values", found.len()),
                ));
            }
        }
        Ok(())
    })?;
    Ok(String::new())
}

fn long_value_beside_short(trial: &mut Trial) -> Result<String, Failure> {
    let value = format!("\"{}\"", "x".repeat(4 << 20));
    let frame = framed(set(trial.key(), &value).as_bytes());
    let mut slow = trial.connect("slow")?;
    let mut other = trial.connect("other")?;
    for piece in frame.chunks(frame.len() / 20 + 1) {
        slow.send(piece);
        served_soon(&mut other)?;
    }
    slow.answer()?.with_status(200)?;
    Ok(String::new())
}

fn half_frame_beside_others(trial: &mut Trial) -> Result<String, Failure> {
    let mut silent = Vec::new();
    for bytes in [&b""[..], &[0], &[0, 0, 0, 40], b"\0\0\0\x20{\"command\":"] {
        let mut link = trial.connect("silent")?;
        link.send(bytes);
        silent.push(link);
    }
    for _ in 0..3 {
        served_soon(&mut trial.connect("other")?)?;
    }
    Ok(String::new())
}

fn linearizable(trial: &mut Trial) -> Result<String, Failure> {
    const HISTORIES: u32 = 60;
    const TIME: Duration = Duration::from_secs(10);

    let begun = Instant::now();
    let (mut tried, mut wrong) = (0, 0);
    while tried < HISTORIES && begun.elapsed() < TIME {
        trial.link("a")?.expect(RST, 200)?;
        if !is_linearizable(&history(trial, tried)?) {
            wrong += 1;
        }
        tried += 1;
    }
    Ok(match wrong {
        0 => format!("all of {tried} histories are linearizable"),
        wrong => format!("{wrong} of {tried} histories are not linearizable"),
    })
}

/// What overlapping clients asked and got, in one go at the same few keys.
fn history(trial: &Trial, round: u32) -> Result<Vec<Timed>, Failure> {
    const CALLS: usize = CALLS_MAX / CLIENTS;

    let epoch = Instant::now();
    let calls = Mutex::new(Vec::new());
    let key = trial.key();
    at_once(trial, |client, link| {
        // Not random, so that it is the same again; only the order varies.
        let mut draw = draws(round, client as u32);
        for index in 0..CALLS {
            let chosen = draw() as usize % KEYS;
            let name = format!("{key}-{chosen}");
            let value = (client * CALLS + index) as u32;
            let kind = draw() % 10;
            let payload = match kind {
                0 => RST.to_owned(),
                1 | 2 => del(&name),
                3..=5 => set(&name, &value.to_string()),
                _ => get(&name),
            };
            let begun = epoch.elapsed().as_nanos() as u64;
            let answer = link.ask(payload)?;
            let ended = epoch.elapsed().as_nanos() as u64;
            let found = answer.value.as_deref().and_then(|text| text.parse().ok());
            let call = match kind {
                0 => Call::Reset,
                1 | 2 => Call::Delete(chosen, answer.status == 200),
                3..=5 => Call::Set(chosen, value),
                _ => Call::Get(chosen, found),
            };
            let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
            calls.push(Timed { call, begun, ended });
        }
        Ok(())
    })?;
    Ok(calls.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// A small generator of numbers: which calls are made should not depend on
/// chance, and their quality does not matter.
fn draws(round: u32, client: u32) -> impl FnMut() -> u32 {
    let mut state = u64::from(round) << 32 | u64::from(client) << 8 | 1;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    }
}
