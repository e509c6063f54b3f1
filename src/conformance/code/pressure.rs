//! Clients that are in the way, and whether others are served beside them.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::super::failure::Failure;
use super::super::link::Link;
use super::super::trial::Trial;
use super::requests::{PING, get};
use crate::protocol::frame::framed;

/// How long a server that others keep busy may take for a small request.
const SERVED_WITHIN: Duration = Duration::from_secs(2);

/// Fails unless a small request is answered soon.
pub(super) fn served_soon(link: &mut Link) -> Result<(), Failure> {
    let outcome = link.within(SERVED_WITHIN, |link| link.expect(PING, 404));
    outcome.map(drop).map_err(|failure| {
        let seconds = SERVED_WITHIN.as_secs();
        let expected = format!("a reply within {seconds} s while another client is in the way");
        Failure::new(expected, failure.got)
    })
}

/// A client that asks for 64 MiB under the key and does not read them.
pub(super) fn deaf_client(trial: &mut Trial, key: &str) -> Result<TcpStream, Failure> {
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
