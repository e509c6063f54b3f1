//! The Rust client under `speicher conform --client`: reads one call a line,
//! and prints a line for what came of it. docs/conformance.md has the contract.
//!
//! Usage: conform_client PORT TIMEOUT

use std::io::{self, BufRead};
use std::time::Duration;

use serde_json::value::RawValue;
use speicher::client::{Client, Error};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let port: u16 = args
        .next()
        .ok_or("usage: conform_client PORT TIMEOUT")?
        .parse()?;
    let timeout: f64 = args
        .next()
        .ok_or("usage: conform_client PORT TIMEOUT")?
        .parse()?;
    let timeout = Duration::from_secs_f64(timeout);
    let mut connection = None;
    for line in io::stdin().lock().lines() {
        match answer(&mut connection, port, timeout, &line?) {
            Ok(answer) => println!("{answer}"),
            Err(error @ (Error::EmptyKey | Error::TooDeep | Error::TooLong)) => {
                println!("refused {error}");
            }
            Err(error) => {
                if !matches!(error, Error::BadRequest(_)) {
                    connection = None;
                }
                println!("error {}", error.to_string().replace('\n', " "));
            }
        }
    }
    Ok(())
}

fn answer(
    connection: &mut Option<Client>,
    port: u16,
    timeout: Duration,
    call: &str,
) -> Result<String, Error> {
    let client = match connection {
        Some(client) => client,
        None => connection.insert(Client::connect_timeout(("127.0.0.1", port), timeout)?),
    };
    let (verb, rest) = call.split_once(' ').unwrap_or((call, ""));
    let (key, json) = rest.split_once(' ').unwrap_or((rest, "null"));
    let removed = match verb {
        "set" => {
            let value: &RawValue = serde_json::from_str(json).map_err(Error::Json)?;
            client.set(key, value)?;
            true
        }
        "get" => {
            let value: Option<Box<RawValue>> = client.get(key)?;
            return Ok(value.map_or("absent".to_owned(), |value| format!("value {value}")));
        }
        "delete" => client.delete(key)?,
        _ => {
            client.reset()?;
            true
        }
    };
    Ok(if removed { "ok" } else { "absent" }.to_owned())
}
