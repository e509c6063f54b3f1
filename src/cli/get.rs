//! `speicher get KEY`: prints a value.

use std::io::{IsTerminal, stdout};
use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;
use serde_json::value::RawValue;
use speicher::client::REPLY_LEN_MAX_DEFAULT;

use super::arguments::positional;
use super::output::{EXIT_ABSENT, report_error, show};
use super::printable::{json_for_terminal, sentence};
use super::target::Target;
use super::units::{parse_host, parse_len_max, parse_port, parse_timeout};

const SHORTEST_REPLY: &str = r#"{"status_code":404}"#;

/// Print the JSON text of the value under a key.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "get",
    error_code(0, "printed"),
    error_code(1, "there is no such key"),
    error_code(2, "the server could not be asked; standard error says why"),
    help_triggers("-h", "--help")
)]
pub(crate) struct Get {
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

    /// longest reply that is read, in bytes or written 64M or 1G (64M)
    #[argh(
        option,
        default = "REPLY_LEN_MAX_DEFAULT",
        from_str_fn(parse_reply_max)
    )]
    reply_max: usize,
}

impl Get {
    pub(crate) fn run(self) -> ExitCode {
        match self.get() {
            // A program that reads it gets the bytes as they are.
            Ok(Some(value)) if stdout().is_terminal() => show(&json_for_terminal(value.get())),
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
            .with_reply_len_max(self.reply_max)
            .get(&self.key)
            .map_err(sentence)
    }
}

fn parse_reply_max(text: &str) -> Result<usize, String> {
    parse_len_max(text, "reply", SHORTEST_REPLY)
}
