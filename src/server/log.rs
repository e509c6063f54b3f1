//! Lines for the operator, on standard error.

use std::fmt;
use std::io::Write;
use std::net::TcpStream;

use super::end::End;

/// Writes one line; a closed standard error is no reason to stop serving.
pub(super) fn line(message: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "speicher: {message}");
}

/// The lines about one connection, which are written only if so configured.
#[derive(Debug)]
pub(super) struct ConnectionLog {
    peer: Option<String>,
}

impl ConnectionLog {
    pub(super) fn begin(stream: &TcpStream, verbose: bool) -> Self {
        let peer = verbose.then(|| match stream.peer_addr() {
            Ok(address) => address.to_string(),
            Err(error) => format!("a peer that has gone ({error})"),
        });
        if let Some(peer) = &peer {
            line(format_args!("{peer} connected"));
        }
        Self { peer }
    }

    pub(super) fn end(&self, end: &End) {
        if let Some(peer) = &self.peer {
            line(format_args!("{peer} disconnected: {end}"));
        }
    }
}
