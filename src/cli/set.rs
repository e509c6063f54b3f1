//! `speicher set KEY JSON`: stores a value.

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;
use serde_json::value::RawValue;

use super::arguments::positional;
use super::output::report_error;
use super::printable::sentence;
use super::target::Target;
use super::units::{parse_host, parse_port, parse_timeout};

/// Store a JSON value under a key, in place of what was there.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "set",
    example = "{command_name} greeting '\"hello\"'\n\
               {command_name} answer 42\n\
               echo '{{\"a\": [1, 2]}}' | {command_name} object -",
    error_code(0, "stored"),
    error_code(2, "not stored; standard error says why"),
    help_triggers("-h", "--help")
)]
pub(crate) struct Set {
    /// name of the entry
    #[argh(positional, from_str_fn(positional))]
    key: String,

    /// JSON text of the value, or - to read it from standard input
    #[argh(positional, from_str_fn(positional))]
    json: String,

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

impl Set {
    pub(crate) fn run(self) -> ExitCode {
        match self.set() {
            Ok(()) => ExitCode::SUCCESS,
            Err(sentence) => report_error(sentence),
        }
    }

    fn set(self) -> Result<(), String> {
        let value = parse_json(self.json)?;
        let target = Target {
            host: self.host,
            port: self.port,
            timeout: self.timeout,
        };
        target.connect()?.set(&self.key, &value).map_err(sentence)
    }
}

fn parse_json(arg: String) -> Result<Box<RawValue>, String> {
    if arg != "-" {
        return serde_json::from_str(&arg).map_err(|error| {
            sentence(format_args!(
                "values are JSON, and {}",
                not_json(&arg, &error)
            ))
        });
    }
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| format!("can't read the value from standard input: {error}"))?;
    serde_json::from_str(&text)
        .map_err(|error| format!("standard input is not one JSON value: {error}"))
}

/// What is wrong with the argument, and how it is written for a shell.
fn not_json(arg: &str, error: &serde_json::Error) -> String {
    if arg.trim().is_empty() {
        return "this is empty; an empty string is written '\"\"', and null is nothing".to_owned();
    }
    let begins_as_json = arg.trim_start().starts_with(['{', '[', '"', '\'']);
    match begins_as_json {
        true => format!(
            "{arg} is none ({error}); names and strings in it stand in double quotes, and single \
             quotes around it all keep them from the shell, as in '{{\"a\": [\"b\", 1]}}'"
        ),
        false => {
            let string = serde_json::Value::from(arg).to_string();
            // As a shell takes a single quote inside single quotes.
            let string = string.replace('\'', r"'\''");
            format!(
                "{arg} is none; as a string it is written '{string}', with both kinds of quotes"
            )
        }
    }
}
