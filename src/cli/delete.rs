//! `speicher delete KEY`: removes an entry.

use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;

use super::arguments::positional;
use super::output::{EXIT_ABSENT, report_error};
use super::printable::sentence;
use super::target::Target;
use super::units::{parse_host, parse_port, parse_timeout};

/// Remove the value under a key.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "delete",
    error_code(0, "removed"),
    error_code(1, "there was no such key"),
    error_code(2, "the server could not be asked; standard error says why"),
    help_triggers("-h", "--help")
)]
pub(crate) struct Delete {
    /// name of the entry
    #[argh(positional, from_str_fn(positional))]
    key: String,

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

impl Delete {
    pub(crate) fn run(self) -> ExitCode {
        match self.delete() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(EXIT_ABSENT),
            Err(sentence) => report_error(sentence),
        }
    }

    fn delete(self) -> Result<bool, String> {
        let target = Target {
            host: self.host,
            port: self.port,
            timeout: self.timeout,
        };
        target.connect()?.delete(&self.key).map_err(sentence)
    }
}
