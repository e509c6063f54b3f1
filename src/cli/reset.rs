//! `speicher reset`: removes every entry.

use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;

use super::output::report_error;
use super::printable::sentence;
use super::target::Target;
use super::units::{parse_host, parse_port, parse_timeout};

/// Remove every entry of the server.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "reset",
    error_code(0, "removed"),
    error_code(2, "the server could not be asked; standard error says why"),
    help_triggers("-h", "--help", "help")
)]
pub(crate) struct Reset {
    /// address or name of the server (127.0.0.1, or what SPEICHER_ADDR says)
    #[argh(option, from_str_fn(parse_host))]
    host: Option<String>,

    /// port of the server (14567, or what SPEICHER_ADDR says)
    #[argh(option, from_str_fn(parse_port))]
    port: Option<u16>,

    /// how long the server may take to accept the connection, and then for the
    /// call; 1 s more for each MiB that is sent or received (10s)
    #[argh(option, from_str_fn(parse_timeout))]
    timeout: Option<Duration>,
}

impl Reset {
    pub(crate) fn run(self) -> ExitCode {
        match self.reset() {
            Ok(()) => ExitCode::SUCCESS,
            Err(sentence) => report_error(sentence),
        }
    }

    fn reset(self) -> Result<(), String> {
        let target = Target {
            host: self.host,
            port: self.port,
            timeout: self.timeout,
        };
        target.connect()?.reset().map_err(sentence)
    }
}
