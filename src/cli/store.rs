//! Where `serve` keeps the entries, and how the password for that stays secret.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use speicher::server::{RemoteAddress, ResetScope};

use super::environment::{Origin, origin};

/// What has the password of a remote store, so that it is in no list of
/// processes.
const PASSWORD_VARIABLE: &str = "SPEICHER_STORE_PASSWORD";

/// The longest string that Redis and Valkey take, in bytes, unless they are
/// configured otherwise.
pub(super) const VALUE_LEN_MAX: usize = 512 << 20;

/// What `--store` says.
pub(super) enum StoreOption {
    Memory,
    Remote {
        /// As it was typed.
        text: String,
        address: RemoteAddress,
    },
}

pub(super) fn parse_store(text: &str) -> Result<StoreOption, String> {
    if text == "memory" {
        return Ok(StoreOption::Memory);
    }
    let address = text.parse().map_err(|error| {
        format!("it is memory, or where a Redis or Valkey server or cluster is: {error}")
    })?;
    let text = text.to_owned();
    Ok(StoreOption::Remote { text, address })
}

pub(super) fn parse_reset(text: &str) -> Result<ResetScope, String> {
    match text {
        "prefix" => Ok(ResetScope::Prefix),
        "flush" => Ok(ResetScope::Flush),
        _ => Err(format!("RST removes prefix or flush, not {text:?}")),
    }
}

/// What is said about a wrong command line, without a password that may be in
/// one of its words.
pub(super) fn without_addresses(said: &str, args: &[&str]) -> String {
    let after_store = args.windows(2).filter(|pair| pair[0] == "--store");
    let values = after_store.map(|pair| pair[1]);
    let others = args
        .iter()
        .copied()
        .filter(|arg| arg.contains('@') || arg.contains("//"));
    let addresses = values.chain(others).filter(|value| *value != "memory");
    addresses.fold(said.to_owned(), |said, typed| {
        let address = typed.parse::<RemoteAddress>();
        let shown = address.map_or_else(|_| "...".to_owned(), |address| address.to_string());
        said.replace(&format!("'{typed}'"), &format!("'{shown}'"))
            .replace(&format!("{typed:?}"), &format!("{shown:?}"))
            .replace(&format!(": {typed}\n"), &format!(": {shown}\n"))
    })
}

/// The address with its password. If that was typed, this process begins again
/// without it: every user of the machine can read what a process was started
/// with, and only its own user its environment, which may have the address too.
pub(super) fn with_password(text: &str, address: RemoteAddress) -> Result<RemoteAddress, String> {
    match (address.password(), env::var(PASSWORD_VARIABLE)) {
        (Some(_), _) if origin("--store") == Origin::Environment => Ok(address),
        (Some(password), _) => Err(begin_again(text, password)),
        (None, Ok(password)) if !password.is_empty() => Ok(address.with_password(&password)),
        // Without a password the user would not be told to the store.
        (None, _) if address.user().is_some() => Err(format!(
            "--store names a user, but {PASSWORD_VARIABLE} is not set; put the user's password \
             there"
        )),
        (None, Ok(_) | Err(env::VarError::NotPresent)) => Ok(address),
        (None, Err(env::VarError::NotUnicode(_))) => {
            Err(format!("{PASSWORD_VARIABLE} is no UTF-8 text"))
        }
    }
}

/// Returns only if that fails.
fn begin_again(text: &str, password: &str) -> String {
    let replaced = without_password(text);
    let args = env::args_os()
        .skip(1)
        .map(|arg| strip(arg, text, &replaced));
    let begun = |program| -> io::Error {
        let mut command = Command::new(program);
        let name = env::args_os().next().unwrap_or_default();
        command.arg0(name).args(args);
        command.env(PASSWORD_VARIABLE, password).exec()
    };
    let error = env::current_exe().map_or_else(|error| error, begun);
    format!(
        "can't hide the password in --store ({error}); leave it out there, and put it into \
         {PASSWORD_VARIABLE}"
    )
}

/// The same argument with the address that has no password.
fn strip(arg: OsString, text: &str, replaced: &str) -> OsString {
    match arg.to_str().and_then(|arg| arg.strip_suffix(text)) {
        Some(option) => OsString::from(format!("{option}{replaced}")),
        None => arg,
    }
}

fn without_password(text: &str) -> String {
    let authority_at = text.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = text.split_at(authority_at);
    let authority_len = rest.find('/').unwrap_or(rest.len());
    let Some(at) = rest[..authority_len].rfind('@') else {
        return text.to_owned();
    };
    let user = rest[..at].split(':').next().unwrap_or_default();
    match user {
        "" => format!("{scheme}{}", &rest[at + 1..]),
        _ => format!("{scheme}{user}{}", &rest[at..]),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn an_address_is_the_same_without_its_password() {
        for (with, without) in [
            ("redis://:secret@h:1/2", "redis://h:1/2"),
            ("redis://u:secret@h:1", "redis://u@h:1"),
            (
                "redis-cluster://u:se:cret@h:1,i:2",
                "redis-cluster://u@h:1,i:2",
            ),
            ("redis://u@h:1", "redis://u@h:1"),
            ("redis://h:1/a@b", "redis://h:1/a@b"),
        ] {
            assert_eq!(without_password(with), without);
        }
    }

    #[test]
    fn only_what_was_typed_for_the_store_is_replaced() {
        let strip = |arg: &str| strip(arg.into(), "redis://:s@h", "redis://h");
        assert_eq!(strip("redis://:s@h"), OsStr::new("redis://h"));
        assert_eq!(
            strip("--store=redis://:s@h"),
            OsStr::new("--store=redis://h")
        );
        assert_eq!(strip("--port"), OsStr::new("--port"));
    }
}
