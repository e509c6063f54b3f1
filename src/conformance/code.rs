//! The cases that data can't say: they look at single writes, run clients at
//! the same time, wait, or start and stop the server.

mod concurrency;
mod lifecycle;
mod limits;
mod wire;

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::Failure;
use super::case::{Action, Case, Code, Kind, Level};
use super::link::{Link, framed};
use super::trial::Trial;

/// Every case that is code, group by group.
pub(crate) fn cases() -> Vec<Case> {
    [
        wire::cases(),
        concurrency::cases(),
        limits::cases(),
        lifecycle::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn case(
    id: &'static str,
    level: Level,
    clauses: &[&'static str],
    says: &'static str,
    code: Code,
) -> Case {
    Case {
        id,
        level,
        clauses: clauses.to_vec(),
        says,
        timeout: None,
        kind: Kind::Plain,
        action: Action::Code(code),
    }
}

impl Case {
    /// May take so long.
    fn within(self, timeout: Duration) -> Self {
        Self {
            timeout: Some(timeout),
            ..self
        }
    }

    fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }
}

fn set(key: &str, json: &str) -> String {
    format!(r#"{{"command":"SET","key":"{key}","value":{json}}}"#)
}

fn get(key: &str) -> String {
    format!(r#"{{"command":"GET","key":"{key}"}}"#)
}

fn del(key: &str) -> String {
    format!(r#"{{"command":"DEL","key":"{key}"}}"#)
}

const RST: &str = r#"{"command":"RST"}"#;

/// A GET that finds nothing, and so the shortest question there is.
const PING: &str = r#"{"command":"GET","key":"conform-nothing"}"#;

/// How long a server that others keep busy may take for a small request.
const SERVED_WITHIN: Duration = Duration::from_secs(2);

/// Fails unless a small request is answered soon.
fn served_soon(link: &mut Link) -> Result<(), Failure> {
    let outcome = link.within(SERVED_WITHIN, |link| link.expect(PING, 404));
    outcome.map(drop).map_err(|failure| {
        let seconds = SERVED_WITHIN.as_secs();
        let expected = format!("a reply within {seconds} s while another client is in the way");
        Failure::new(expected, failure.got)
    })
}

/// A client that asks for 64 MiB under the key and does not read them.
fn deaf_client(trial: &mut Trial, key: &str) -> Result<TcpStream, Failure> {
    const TIMEOUT: Duration = Duration::from_secs(2);

    let requests = framed(get(key).as_bytes()).repeat(64);
    let connect = || {
        // Not a link, which would take in what comes.
        let mut socket = TcpStream::connect_timeout(&trial.address(), TIMEOUT)?;
        socket.set_write_timeout(Some(TIMEOUT))?;
        socket.write_all(&requests)?;
        Ok(socket)
    };
    let failed =
        |error: io::Error| Failure::new("a server that accepts and reads", error.to_string());
    let socket = connect().map_err(failed)?;
    trial.note("another", "asks for 64 MiB and does not read");
    Ok(socket)
}
