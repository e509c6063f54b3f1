//! The port of a server that is to be started, and its place in a command line.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// What stands in a command line in place of the port.
const PLACEHOLDER: &str = "{port}";

/// A port of 127.0.0.1 that nobody listens on. Another process may take it
/// before the server does.
pub(crate) fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// The text with the port wherever it says `{port}`.
pub(crate) fn with_port(text: &str, port: u16) -> String {
    text.replace(PLACEHOLDER, &port.to_string())
}

/// Whether the text has a place for the port, `{port}`.
pub fn has_port(text: &str) -> bool {
    text.contains(PLACEHOLDER)
}

/// Fails with a sentence unless the command line has a place for the port.
pub fn require_port(line: &str) -> Result<(), String> {
    match has_port(line) {
        true => Ok(()),
        false => Err(format!(
            "the command {line:?} does not contain {PLACEHOLDER}; write it where the port belongs"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_stands_wherever_its_place_is() {
        let line = "serve --port {port} --log {port}.log";
        assert_eq!(with_port(line, 7), "serve --port 7 --log 7.log");
        assert_eq!(require_port(line), Ok(()));
        let error = require_port("serve --port 7000").expect_err("it has no place");
        assert!(error.contains(PLACEHOLDER), "{error}");
    }
}
