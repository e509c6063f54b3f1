//! `speicher get KEY`: prints a value.

use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;
use serde_json::value::RawValue;

use super::target::Target;
use super::units::{parse_port, parse_timeout};
use super::{EXIT_ABSENT, positional, report_error, show};

/// Print the JSON text of the value under a key.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "get",
    error_code(0, "printed"),
    error_code(1, "there is no such key"),
    error_code(2, "the server could not be asked; standard error says why")
)]
pub(crate) struct Get {
    /// name of the entry
    #[argh(positional, from_str_fn(positional))]
    key: String,

    /// address or name of the server (127.0.0.1, or what SPEICHER_ADDR says)
    #[argh(option)]
    host: Option<String>,

    /// port of the server (14567, or what SPEICHER_ADDR says)
    #[argh(option, from_str_fn(parse_port))]
    port: Option<u16>,

    /// how long to wait for the server (10s)
    #[argh(option, from_str_fn(parse_timeout))]
    timeout: Option<Duration>,
}

impl Get {
    pub(crate) fn run(self) -> ExitCode {
        match self.get() {
            Ok(Some(value)) => show(value.get()),
            Ok(None) => ExitCode::from(EXIT_ABSENT),
            Err(sentence) => report_error(sentence),
        }
    }

    fn get(self) -> Result<Option<Box<RawValue>>, String> {
        let target = Target {
            host: self.host,
            port: self.port,
            timeout: self.timeout,
        };
        target
            .connect()?
            .get(&self.key)
            .map_err(|error| error.to_string())
    }
}
