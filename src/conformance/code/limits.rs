//! Peers that take what they can get.

use std::thread;
use std::time::{Duration, Instant};

use super::super::case::{Case, Kind, Level};
use super::super::failure::Failure;
use super::super::trial::Trial;
use super::pressure::{deaf_client, served_soon};
use super::requests::{PING, get, set};
use crate::protocol::frame::framed;

/// How long a server may take to say that it is full, and some for the way.
const REFUSED_WITHIN: Duration = Duration::from_secs(3);

pub(super) fn cases() -> Vec<Case> {
    let waiting = |case: Case| case.with_kind(Kind::Waiting);
    vec![
        waiting(Case::of_code(
            "limit/frame-timeout",
            Level::Should,
            &["F8"],
            "A frame that was begun and is not finished within the frame timeout ends the \
             connection.",
            frame_timeout,
        )),
        waiting(Case::of_code(
            "limit/slow-frame-in-time",
            Level::Should,
            &["F8"],
            "A frame that comes slowly, but within the frame timeout, is executed.",
            slow_frame_in_time,
        )),
        Case::of_code(
            "limit/many-idle",
            Level::Should,
            &["S4"],
            "Two hundred idle connections leave the server able to serve, or to say that it \
             can't.",
            many_idle,
        ),
        Case::of_code(
            "limit/served-or-told",
            Level::Should,
            &["S4"],
            "Each of 300 connections is served, or told 503 within about a second.",
            served_or_told,
        )
        .with_timeout(Duration::from_secs(30)),
        Case::of_code(
            "limit/refusal-is-read-while-writing",
            Level::Should,
            &["F5"],
            "Who is still writing a frame that is too long can read the 400.",
            refusal_is_read_while_writing,
        ),
        Case::of_code(
            "limit/never-reads",
            Level::Should,
            &["S5"],
            "A client that asks for megabytes and does not read them does not hold up others.",
            never_reads,
        ),
        Case::of_code(
            "limit/reads-late",
            Level::Should,
            &["F6"],
            "A client that reads its replies only after it has sent all its requests gets them \
             all.",
            reads_late,
        ),
        Case::of_code(
            "limit/hang-ups",
            Level::Must,
            &["F1"],
            "Clients that hang up at any point of a frame do no harm to others.",
            hang_ups,
        ),
    ]
}

fn frame_timeout(trial: &mut Trial) -> Result<String, Failure> {
    /// What a busy machine may add.
    const GRACE: Duration = Duration::from_secs(3);

    let limit = trial.frame_timeout + GRACE;
    let link = trial.link("a")?;
    link.send(b"\0\0\0\x20{\"com");
    link.until(Instant::now() + limit);
    link.expect_close().map_err(|failure| {
        let expected = format!("the connection ends within {} s", limit.as_secs_f32());
        Failure::new(expected, failure.got)
    })?;
    Ok(String::new())
}

fn slow_frame_in_time(trial: &mut Trial) -> Result<String, Failure> {
    let pause = trial.frame_timeout.min(Duration::from_secs(4)) / 2 / 30;
    let frame = framed(PING.as_bytes());
    let link = trial.link("a")?;
    for piece in frame.chunks(2) {
        link.send(piece);
        thread::sleep(pause);
    }
    link.answer()?.with_status(404)?;
    Ok(String::new())
}

fn many_idle(trial: &mut Trial) -> Result<String, Failure> {
    let mut idle = Vec::new();
    for _ in 0..200 {
        let mut link = trial.connect("idle")?;
        link.send_frame(PING);
        idle.push(link);
    }
    let mut refused = 0;
    for link in &mut idle {
        match link.answer()?.status {
            503 => refused += 1,
            404 => {}
            other => return Err(Failure::new("404, or 503", format!("status_code {other}"))),
        }
    }
    let served = idle.iter_mut().rev().take(20);
    if refused == 0 {
        for link in served {
            link.expect(PING, 404)?;
        }
    }
    Ok(match refused {
        0 => String::new(),
        refused => format!("{refused} of 200 were refused with 503"),
    })
}

fn served_or_told(trial: &mut Trial) -> Result<String, Failure> {
    let mut held = Vec::new();
    for count in 1..=300 {
        let mut link = trial.connect("one of many")?;
        link.until(Instant::now() + REFUSED_WITHIN);
        let answer = link.ask(PING).map_err(|failure| {
            let expected = format!(
                "connection {count} is served or gets 503 within {} s",
                REFUSED_WITHIN.as_secs()
            );
            Failure::new(expected, failure.got)
        })?;
        match answer.status {
            404 => held.push(link),
            503 => return Ok(format!("connection {count} got 503")),
            _ => return Err(answer.instead_of("status_code 404, or 503".to_owned())),
        }
    }
    Ok(String::new())
}

fn refusal_is_read_while_writing(trial: &mut Trial) -> Result<String, Failure> {
    /// Less than a server may want to read before it closes.
    const WRITTEN: usize = 4 << 20;

    let link = trial.link("a")?;
    link.send(&i32::MAX.to_be_bytes());
    let piece = [b' '; 64 << 10];
    for _ in 0..WRITTEN / piece.len() {
        link.send(&piece);
    }
    link.answer()?.with_status(400)?;
    Ok(String::new())
}

fn never_reads(trial: &mut Trial) -> Result<String, Failure> {
    let value = format!("\"{}\"", "x".repeat(1 << 20));
    let key = trial.key().to_owned();
    trial.link("a")?.expect(set(&key, &value), 200)?;
    let mut deaf = Vec::new();
    for _ in 0..4 {
        deaf.push(deaf_client(trial, &key)?);
    }
    // So long a server may take until it has filled all that takes its bytes.
    thread::sleep(Duration::from_millis(500));
    for _ in 0..20 {
        served_soon(&mut trial.connect("b")?)?;
        thread::sleep(Duration::from_millis(10));
    }
    Ok(String::new())
}

fn reads_late(trial: &mut Trial) -> Result<String, Failure> {
    /// Their replies are 16 MB, more than the systems of both sides hold.
    const REQUESTS: usize = 800;

    let value = format!("\"{}\"", "x".repeat(20_000));
    let key = trial.key().to_owned();
    let link = trial.link("a")?;
    link.expect(set(&key, &value), 200)?;
    for _ in 0..REQUESTS {
        link.send_frame(get(&key));
    }
    thread::sleep(Duration::from_millis(300));
    for _ in 0..REQUESTS {
        let answer = link.answer()?.with_status(200)?;
        let len = answer.value.as_deref().map_or(0, str::len);
        if len != value.len() {
            return Err(answer.instead_of(format!("a value of {} bytes", value.len())));
        }
    }
    Ok(String::new())
}

fn hang_ups(trial: &mut Trial) -> Result<String, Failure> {
    let frame = framed(PING.as_bytes());
    for len in 0..frame.len() {
        let mut link = trial.connect("hangs up")?;
        link.send(&frame[..len]);
        drop(link);
        // Some systems queue only five connections; who is served came after them.
        if len % 4 == 3 {
            trial.connect("is served")?.expect(PING, 404)?;
        }
    }
    trial.link("a")?.expect(PING, 404)?;
    Ok(String::new())
}
