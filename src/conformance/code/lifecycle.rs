//! The server as a process: how it ends, starts again, and what it keeps.

use std::net::TcpStream;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::super::case::{Case, Kind, Level};
use super::super::failure::Failure;
use super::super::link::Link;
use super::super::process::Process;
use super::super::trial::Trial;
use super::pressure::deaf_client;
use super::requests::{PING, RST, del, get, set};
use crate::protocol::frame::framed;

/// How long a server may take to end. Those that wait for their clients to
/// hang up never do.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

pub(super) fn cases() -> Vec<Case> {
    let long = Duration::from_secs(20);
    let of_process = |case: Case| case.with_kind(Kind::OwnProcess).with_timeout(long);
    [
        Case::of_code(
            "lifecycle/sigterm-ends",
            Level::Must,
            &["S2"],
            "SIGTERM ends the process, also while clients are connected.",
            |trial| ends_at(trial, Signal::SIGTERM).map(|_| String::new()),
        ),
        Case::of_code(
            "lifecycle/sigint-ends",
            Level::Must,
            &["S2"],
            "SIGINT ends the process, also while clients are connected.",
            |trial| ends_at(trial, Signal::SIGINT).map(|_| String::new()),
        ),
        Case::of_code(
            "lifecycle/sigterm-exit-code",
            Level::Should,
            &["S2a"],
            "After SIGTERM the exit code is 0.",
            |trial| exit_code(trial, Signal::SIGTERM),
        ),
        Case::of_code(
            "lifecycle/sigint-exit-code",
            Level::Should,
            &["S2a"],
            "After SIGINT the exit code is 0.",
            |trial| exit_code(trial, Signal::SIGINT),
        ),
        Case::of_code(
            "lifecycle/answers-what-was-received",
            Level::Should,
            &["S2a"],
            "Requests that were received before the signal are answered.",
            answers_what_was_received,
        ),
        Case::of_code(
            "lifecycle/accepts-no-more",
            Level::Should,
            &["S2a"],
            "After the signal new clients are not served, also while it is still waiting for another.",
            accepts_no_more,
        ),
        Case::of_code(
            "lifecycle/second-signal",
            Level::Should,
            &["S2a"],
            "A second signal ends the process at once, with exit code 130, when it is still \
             waiting for a client.",
            second_signal,
        ),
        Case::of_code(
            "lifecycle/starts-again",
            Level::Should,
            &["S3a"],
            "The server can be started again on its port at once, and is empty.",
            starts_again,
        ),
        Case::of_code(
            "lifecycle/descriptors",
            Level::Should,
            &["F7"],
            "Connections that have ended leave no descriptors behind.",
            descriptors,
        ),
        Case::of_code(
            "lifecycle/memory-of-entries",
            Level::Should,
            &["S3a"],
            "Memory does not grow when entries are stored and removed over and over.",
            memory_of_entries,
        ),
        Case::of_code(
            "lifecycle/memory-of-announcements",
            Level::Should,
            &["F5"],
            "Lengths that are only announced take no memory.",
            memory_of_announcements,
        ),
    ]
    .into_iter()
    .map(of_process)
    .collect()
}

/// Sends the signal while a client is connected, and waits for the end.
fn ends_at(trial: &mut Trial, signal: Signal) -> Result<ExitStatus, Failure> {
    trial.link("a")?.expect(PING, 404)?;
    trial.note("process", signal.as_str());
    let process = trial.process()?;
    process.child.signal(signal);
    ended(process)
}

fn ended(process: &mut Process) -> Result<ExitStatus, Failure> {
    let ended = process.child.wait(Instant::now() + ENDS_WITHIN);
    // A shell may have ended in the place of the server.
    let is_there = TcpStream::connect(process.address()).is_ok();
    match (ended, is_there) {
        (Some(status), false) => Ok(status),
        (Some(_), true) => Err(Failure::new(
            "the server ends at the signal",
            "a process ended, and its port still accepts; does the command begin with exec?",
        )),
        (None, _) => {
            let expected = format!("the process ends within {} s", ENDS_WITHIN.as_secs());
            Err(Failure::new(expected, "it goes on"))
        }
    }
}

fn exit_code(trial: &mut Trial, signal: Signal) -> Result<String, Failure> {
    let status = ends_at(trial, signal)?;
    match status.success() {
        true => Ok(String::new()),
        false => Err(Failure::new("exit code 0", status.to_string())),
    }
}

fn answers_what_was_received(trial: &mut Trial) -> Result<String, Failure> {
    const REQUESTS: usize = 500;

    let mut links = Vec::new();
    for _ in 0..4 {
        let mut link = trial.connect("client")?;
        link.expect(PING, 404)?;
        links.push(link);
    }
    for link in &mut links {
        link.send(&framed(PING.as_bytes()).repeat(REQUESTS));
    }
    trial.note("process", "SIGTERM");
    trial.process()?.child.signal(Signal::SIGTERM);
    for link in &mut links {
        for count in 0..REQUESTS {
            link.answer()
                .and_then(|answer| answer.with_status(404))
                .map_err(|failure| {
                    let expected = format!("{REQUESTS} replies to as many requests");
                    Failure::new(expected, format!("{count}, and then {}", failure.got))
                })?;
        }
    }
    ended(trial.process()?).map_err(|failure| {
        Failure::new(
            format!("all {REQUESTS} replies, and {}", failure.expected),
            failure.got,
        )
    })?;
    Ok(String::new())
}

/// A new client may be refused, hung up on, or told 503.
fn accepts_no_more(trial: &mut Trial) -> Result<String, Failure> {
    const EXPECTED: &str = "a connection that is refused or closed, or status_code 503";

    let _deaf = busy_with_a_deaf_client(trial)?;
    trial.note("process", "SIGTERM");
    trial.process()?.child.signal(Signal::SIGTERM);
    thread::sleep(Duration::from_millis(200));
    let Ok(mut late) = trial.connect("late") else {
        return Ok(String::new());
    };
    late.until(Instant::now() + Duration::from_secs(1));
    match late.ask(PING) {
        Ok(answer) if answer.status == 503 => Ok(String::new()),
        Ok(answer) => Err(answer.instead_of(EXPECTED.to_owned())),
        Err(failure) => match late.expect_close() {
            Ok(()) => Ok(String::new()),
            Err(_) => Err(Failure::new(EXPECTED, failure.got)),
        },
    }
}

/// A client that does not read keeps the server from ending, for a while.
fn busy_with_a_deaf_client(trial: &mut Trial) -> Result<TcpStream, Failure> {
    let value = format!("\"{}\"", "x".repeat(1 << 20));
    let key = trial.key().to_owned();
    trial.link("a")?.expect(set(&key, &value), 200)?;
    let deaf = deaf_client(trial, &key)?;
    thread::sleep(Duration::from_millis(100));
    Ok(deaf)
}

/// A server that ends at the first signal has nothing to be interrupted in.
fn second_signal(trial: &mut Trial) -> Result<String, Failure> {
    let _deaf = busy_with_a_deaf_client(trial)?;
    trial.note("process", "SIGTERM, and 200 ms later again");
    let process = trial.process()?;
    process.child.signal(Signal::SIGTERM);
    thread::sleep(Duration::from_millis(200));
    if process.child.exit_status().is_some() {
        return Ok("it ended at the first".to_owned());
    }
    process.child.signal(Signal::SIGTERM);
    let at_once = Instant::now() + Duration::from_secs(1);
    match process.child.wait(at_once) {
        Some(status) if status.code() == Some(130) => Ok(String::new()),
        Some(status) => Err(Failure::new("exit code 130", status.to_string())),
        None => Err(Failure::new("the process ends within 1 s", "it goes on")),
    }
}

fn starts_again(trial: &mut Trial) -> Result<String, Failure> {
    let key = trial.key().to_owned();
    trial.link("a")?.expect(set(&key, "1"), 200)?;
    let restarted = trial.process()?.restart();
    restarted.map_err(|error| Failure::new("the server starts on the same port", error))?;
    trial.link("b")?.expect(get(&key), 404)?;
    Ok(String::new())
}

fn descriptors(trial: &mut Trial) -> Result<String, Failure> {
    /// What a runtime may open for itself meanwhile.
    const SPARE: usize = 20;

    fn some_connections(trial: &mut Trial) -> Result<(), Failure> {
        for index in 0..100 {
            let mut link = trial.connect("short-lived")?;
            match index % 3 {
                0 => drop(link.expect(PING, 404)?),
                1 => link.send(&[0, 0]),
                _ => link.half_close(),
            }
        }
        Ok(())
    }

    some_connections(trial)?;
    let Some(before) = trial.process()?.child.descriptors() else {
        return Ok("this system does not tell how many are open".to_owned());
    };
    some_connections(trial)?;
    some_connections(trial)?;
    let begun = Instant::now();
    loop {
        let now = trial.process()?.child.descriptors().ok_or_else(has_ended)?;
        if now <= before + SPARE {
            return Ok(String::new());
        }
        if begun.elapsed() > ENDS_WITHIN {
            return Err(Failure::new(
                format!("about {before} open descriptors, as before 200 more connections"),
                format!("{now}"),
            ));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn memory_of_entries(trial: &mut Trial) -> Result<String, Failure> {
    /// Of 16 MB that are stored and removed in each round.
    const GROWTH_MAX: u64 = 40 << 20;

    let Some(_) = trial.process()?.child.rss_bytes() else {
        return Ok("this system does not tell how much there is".to_owned());
    };
    let key = trial.key().to_owned();
    let value = format!("\"{}\"", "x".repeat(32_000));
    let round = |link: &mut Link| -> Result<(), Failure> {
        for index in 0..500 {
            link.expect(set(&format!("{key}-{index}"), &value), 200)?;
        }
        for index in 0..250 {
            link.expect(del(&format!("{key}-{index}")), 200)?;
        }
        link.expect(RST, 200).map(drop)
    };
    // The first rounds fill what allocators and runtimes keep for later.
    for _ in 0..2 {
        round(trial.link("a")?)?;
    }
    let before = trial.process()?.child.rss_bytes().ok_or_else(has_ended)?;
    for _ in 0..5 {
        round(trial.link("a")?)?;
    }
    let after = trial.process()?.child.rss_bytes().ok_or_else(has_ended)?;
    let growth = after.saturating_sub(before);
    no_more_than(growth, GROWTH_MAX, "after 80 MB were stored and removed")
}

fn memory_of_announcements(trial: &mut Trial) -> Result<String, Failure> {
    const GROWTH_MAX: u64 = 128 << 20;

    let Some(before) = trial.process()?.child.rss_bytes() else {
        return Ok("this system does not tell how much there is".to_owned());
    };
    let mut links = Vec::new();
    for _ in 0..32 {
        let mut link = trial.connect("announces 32 MiB")?;
        link.send(&(32_i32 << 20).to_be_bytes());
        link.send(b"{");
        links.push(link);
    }
    trial.link("a")?.expect(PING, 404)?;
    thread::sleep(Duration::from_millis(300));
    let after = trial.process()?.child.rss_bytes().ok_or_else(has_ended)?;
    let growth = after.saturating_sub(before);
    no_more_than(
        growth,
        GROWTH_MAX,
        "for 32 frames of 32 MiB that did not come",
    )
}

fn has_ended() -> Failure {
    Failure::new("a process that goes on", "it has ended")
}

fn no_more_than(growth: u64, limit: u64, when: &str) -> Result<String, Failure> {
    match growth <= limit {
        true => Ok(String::new()),
        false => Err(Failure::new(
            format!("at most {} MiB more memory {when}", limit >> 20),
            format!("{} MiB more", growth >> 20),
        )),
    }
}
