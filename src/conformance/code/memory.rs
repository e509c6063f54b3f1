//! Servers that hold as much as they may.

use std::net::TcpStream;
use std::time::Duration;

use super::super::answer::Answer;
use super::super::case::{Case, Kind, Level};
use super::super::failure::Failure;
use super::super::link::Link;
use super::super::memory_option::{CEILING, shown_ceiling};
use super::super::trial::Trial;
use super::pressure::{deaf_client, served_soon};
use super::requests::{PING, RST, del, get, set};
use crate::protocol::frame::framed;

/// The length of a value; its frame is short for a server that reads 64 KiB at a time.
const VALUE_LEN: usize = 60_000;

/// A server without a ceiling, or with one for something else, is not made to hold more.
const ENTRIES_MAX: usize = 2 * CEILING / VALUE_LEN;

/// What a server has room for at least: a quarter of its ceiling. A runtime may need the rest.
const ENTRIES_MIN: usize = CEILING / 4 / VALUE_LEN;

/// The length of a value for which no full server has room. Its frame is allowed by the
/// usual limit.
const LONG_VALUE_LEN: usize = 32 << 20;

/// Connections with a long frame in progress, and what each of them has sent: twice the
/// ceiling in all.
const LONG_FRAMES: usize = 64;
const LONG_FRAME_PART_LEN: usize = 2 * CEILING / LONG_FRAMES;

pub(super) fn cases() -> Vec<Case> {
    let long = Duration::from_secs(30);
    let with_ceiling = |case: Case| case.with_kind(Kind::Ceiling).with_timeout(long);
    [
        Case::of_code(
            "memory/full-set-gets-503",
            Level::Should,
            &["S6"],
            "A SET for which a server has no room below its ceiling gets 503 with a sentence, and \
             the connection stays open.",
            full_set_gets_503,
        ),
        Case::of_code(
            "memory/full-names-the-ceiling",
            Level::Should,
            &["A4"],
            "The sentence of that 503 names the ceiling.",
            full_names_the_ceiling,
        ),
        Case::of_code(
            "memory/full-keeps-what-it-acknowledged",
            Level::Must,
            &["S1"],
            "Entries whose SET was acknowledged are there however many are SET after them, until \
             they are removed.",
            full_keeps_what_it_acknowledged,
        ),
        Case::of_code(
            "memory/refused-set-changes-nothing",
            Level::Should,
            &["A6"],
            "An entry that a SET with 503 was to replace is there as before.",
            refused_set_changes_nothing,
        ),
        Case::of_code(
            "memory/full-get-del-rst-go-on",
            Level::Should,
            &["S6"],
            "While a server is full, GET, DEL and RST are answered as ever, on new connections too.",
            full_get_del_rst_go_on,
        ),
        Case::of_code(
            "memory/rst-makes-room",
            Level::Should,
            &["S7"],
            "After a RST there is room again, at once.",
            rst_makes_room,
        ),
        Case::of_code(
            "memory/del-makes-room",
            Level::Should,
            &["S7"],
            "After DELs there is room again, at once.",
            del_makes_room,
        ),
        Case::of_code(
            "memory/long-frames-keep-step",
            Level::Should,
            &["F9"],
            "Frames for which there is no room get their 503 in their places, and those between \
             them their replies.",
            long_frames_keep_step,
        ),
        Case::of_code(
            "memory/small-requests-beside-long-frames",
            Level::Should,
            &["F9"],
            "While 64 connections have sent parts of long frames, small SETs and GETs of others go \
             on.",
            small_requests_beside_long_frames,
        ),
        Case::of_code(
            "memory/stays-below",
            Level::Info,
            &["S6"],
            "How much memory the process takes at most, compared with the ceiling.",
            stays_below,
        ),
    ]
    .into_iter()
    .map(with_ceiling)
    .collect()
}

/// The value of the entry of that number.
fn value(number: usize) -> String {
    format!("\"{number:06}{}\"", "x".repeat(VALUE_LEN - 8))
}

fn name(key: &str, number: usize) -> String {
    format!("{key}-{number}")
}

/// Fails unless the entry of that number is there.
fn expect_entry(link: &mut Link, key: &str, number: usize) -> Result<(), Failure> {
    let answer = link.expect(get(&name(key, number)), 200)?;
    match answer.value.as_deref() == Some(&value(number)) {
        true => Ok(()),
        false => Err(answer.instead_of(format!("the value of entry {number}"))),
    }
}

/// SETs so many entries and fails unless each is acknowledged.
fn set_entries(
    link: &mut Link,
    key: &str,
    numbers: impl Iterator<Item = usize>,
) -> Result<(), Failure> {
    for number in numbers {
        link.expect(set(&name(key, number), &value(number)), 200)?;
    }
    Ok(())
}

/// SETs entries until one is refused, or as many as [`ENTRIES_MAX`]; how many are there,
/// and the refusal.
fn fill(link: &mut Link, key: &str) -> Result<(usize, Option<Answer>), Failure> {
    for number in 0..ENTRIES_MAX {
        let answer = link.ask(set(&name(key, number), &value(number)))?;
        match answer.status {
            200 => {}
            503 => return Ok((number, Some(answer))),
            _ => return Err(answer.instead_of("status_code 200, or 503 when it is full".into())),
        }
    }
    Ok((ENTRIES_MAX, None))
}

/// Fills the server, and fails unless it says that it is full; the number of entries, and
/// what it said.
fn fill_up(link: &mut Link, key: &str) -> Result<(usize, Answer), Failure> {
    let mib = |entries: usize| (entries * VALUE_LEN) >> 20;
    let ceiling = shown_ceiling();
    match fill(link, key)? {
        (_, None) => Err(Failure::new(
            format!("status_code 503 before there is twice the ceiling of {ceiling}"),
            format!("200 to all SETs of {} MiB", mib(ENTRIES_MAX)),
        )),
        (entries, Some(_)) if entries < ENTRIES_MIN => Err(Failure::new(
            format!("room for a quarter of the ceiling of {ceiling}"),
            format!("status_code 503 after {} MiB", mib(entries)),
        )),
        (entries, Some(answer)) => Ok((entries, answer)),
    }
}

fn full_set_gets_503(trial: &mut Trial) -> Result<String, Failure> {
    let key = trial.key().to_owned();
    let link = trial.link("a")?;
    let (entries, answer) = fill_up(link, &key)?;
    if answer.error.as_deref().unwrap_or_default().is_empty() {
        return Err(answer.instead_of("a 503 with a sentence in `error`".to_owned()));
    }
    link.expect(PING, 404)?;
    link.expect(get(&name(&key, entries)), 404)?;
    expect_entry(link, &key, entries - 1)?;
    Ok(String::new())
}

fn full_names_the_ceiling(trial: &mut Trial) -> Result<String, Failure> {
    /// 64 MiB in whatever unit: the first is in 67108864 too.
    const SPELLINGS: [&str; 3] = ["67", "64", "65536"];

    let key = trial.key().to_owned();
    let (_, answer) = fill_up(trial.link("a")?, &key)?;
    let sentence = answer.error.as_deref().unwrap_or_default();
    match SPELLINGS.iter().any(|spelling| sentence.contains(spelling)) {
        true => Ok(String::new()),
        false => Err(answer.instead_of(format!("a sentence with the {}", shown_ceiling()))),
    }
}

/// Also of a server that makes room for others by itself, and so is never full.
fn full_keeps_what_it_acknowledged(trial: &mut Trial) -> Result<String, Failure> {
    let key = trial.key().to_owned();
    let link = trial.link("a")?;
    let (entries, _) = fill(link, &key)?;
    for number in 0..entries {
        expect_entry(link, &key, number)?;
    }
    Ok(String::new())
}

fn refused_set_changes_nothing(trial: &mut Trial) -> Result<String, Failure> {
    /// So many entries are tried: some may be replaced by longer ones all the same.
    const TRIED: usize = 100;

    let key = trial.key().to_owned();
    let link = trial.link("a")?;
    fill_up(link, &key)?;
    let longer = format!("\"{}\"", "y".repeat(4 * VALUE_LEN));
    for number in 0..TRIED {
        let answer = link.ask(set(&name(&key, number), &longer))?;
        match answer.status {
            200 => {}
            503 => {
                expect_entry(link, &key, number)?;
                return Ok(String::new());
            }
            _ => return Err(answer.instead_of("status_code 503, or 200".to_owned())),
        }
    }
    Err(Failure::new(
        "status_code 503 to a SET that replaces an entry by one of four times its length",
        format!("200 to {TRIED} of them"),
    ))
}

fn full_get_del_rst_go_on(trial: &mut Trial) -> Result<String, Failure> {
    const CLIENTS: usize = 10;

    let key = trial.key().to_owned();
    fill_up(trial.link("a")?, &key)?;
    for number in 0..CLIENTS {
        expect_entry(&mut trial.connect("new")?, &key, number)?;
    }
    for number in 0..CLIENTS {
        let mut link = trial.connect("new")?;
        link.expect(del(&name(&key, number)), 200)?;
        link.expect(get(&name(&key, number)), 404)?;
        link.expect(del(&name(&key, number)), 404)?;
    }
    // What was removed made room.
    let (_, refused) = fill(trial.link("a")?, &format!("{key}-again"))?;
    if refused.is_none() {
        return Err(Failure::new("status_code 503 again", "200 to all SETs"));
    }
    let mut link = trial.connect("new")?;
    link.expect(RST, 200)?;
    link.expect(get(&name(&key, CLIENTS)), 404)?;
    Ok(String::new())
}

fn rst_makes_room(trial: &mut Trial) -> Result<String, Failure> {
    let key = trial.key().to_owned();
    let link = trial.link("a")?;
    let (entries, _) = fill_up(link, &key)?;
    link.expect(RST, 200)?;
    set_entries(link, &key, 0..entries / 2)?;
    Ok(String::new())
}

fn del_makes_room(trial: &mut Trial) -> Result<String, Failure> {
    let key = trial.key().to_owned();
    let link = trial.link("a")?;
    let (entries, _) = fill_up(link, &key)?;
    for number in (0..entries).step_by(2) {
        link.expect(del(&name(&key, number)), 200)?;
    }
    set_entries(link, &key, entries..entries + entries / 4)?;
    Ok(String::new())
}

fn long_frames_keep_step(trial: &mut Trial) -> Result<String, Failure> {
    let key = trial.key().to_owned();
    let link = trial.link("a")?;
    fill_up(link, &key)?;
    let too_long = set(&key, &format!("\"{}\"", "z".repeat(LONG_VALUE_LEN)));
    for number in 0..2 {
        link.send_frame(get(&name(&key, number)));
        link.send_frame(&too_long);
    }
    link.send_frame(PING);
    for number in 0..2 {
        let answer = link.answer()?.with_status(200)?;
        if answer.value.as_deref() != Some(&value(number)) {
            return Err(answer.instead_of(format!("the value of entry {number}")));
        }
        link.answer()?.with_status(503)?;
    }
    link.answer()?.with_status(404)?;
    link.expect(get(&key), 404)?;
    Ok(String::new())
}

/// Connections that have sent a part of a long frame each, and the rest of that frame.
fn begin_long_frames(trial: &Trial) -> Result<(Vec<Link>, Vec<u8>), Failure> {
    let value = format!("\"{}\"", "z".repeat(LONG_VALUE_LEN));
    let mut frame = framed(set(trial.key(), &value).as_bytes());
    let rest = frame.split_off(LONG_FRAME_PART_LEN);
    let mut links = Vec::new();
    for _ in 0..LONG_FRAMES {
        let mut link = trial.connect("long frame")?;
        link.send(&frame);
        links.push(link);
    }
    Ok((links, rest))
}

fn small_requests_beside_long_frames(trial: &mut Trial) -> Result<String, Failure> {
    const SMALL: usize = 100;

    let key = trial.key().to_owned();
    let (mut links, rest) = begin_long_frames(trial)?;
    let mut other = trial.connect("other")?;
    served_soon(&mut other)?;
    for number in 0..SMALL {
        let small = number.to_string();
        other.expect(set(&name(&key, number), &small), 200)?;
        let answer = other.expect(get(&name(&key, number)), 200)?;
        if answer.value.as_deref() != Some(&small) {
            return Err(answer.instead_of(format!("the value {small}")));
        }
    }
    served_soon(&mut trial.connect("new")?)?;
    // Whether there is room for it when the others are gone is up to the server.
    let mut last = links.pop().expect("there are some");
    drop(links);
    last.send(&rest);
    let answer = last.answer()?;
    if !matches!(answer.status, 200 | 503) {
        return Err(answer.instead_of("status_code 200, or 503".to_owned()));
    }
    last.expect(PING, 404)?;
    Ok(String::new())
}

fn stays_below(trial: &mut Trial) -> Result<String, Failure> {
    const DEAF_CLIENTS: usize = 16;

    let Some(at_first) = trial.process()?.child.rss_bytes() else {
        return Ok("this system does not tell how much it takes".to_owned());
    };
    let key = trial.key().to_owned();
    let link = trial.link("a")?;
    let (entries, _) = fill(link, &key)?;
    // Of other lengths, so that what is freed does not fit.
    for number in 0..entries {
        let value = "w".repeat(VALUE_LEN / (2 + number % 7));
        link.ask(set(&name(&key, number), &format!("\"{value}\"")))?;
    }
    let (long, _) = begin_long_frames(trial)?;
    let deaf: Result<Vec<TcpStream>, Failure> = (0..DEAF_CLIENTS)
        .map(|number| deaf_client(trial, &name(&key, number)))
        .collect();
    served_soon(&mut trial.connect("other")?)?;
    drop((long, deaf?));
    let gone = || Failure::new("a process that goes on", "it has ended");
    let peak = trial.process()?.child.peak_rss_bytes().ok_or_else(gone)?;
    Ok(format!(
        "it took {} MiB at most, {:.2} times the ceiling of {}; {} MiB when it had started",
        peak >> 20,
        peak as f64 / CEILING as f64,
        shown_ceiling(),
        at_first >> 20
    ))
}
