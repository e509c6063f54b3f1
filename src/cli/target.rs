//! Which server the client commands talk to.

use std::time::Duration;

use speicher::client::{Client, Error, PORT_DEFAULT, TIMEOUT_DEFAULT};

/// Where to connect when no flag says it: `host:port`.
const ADDRESS_VARIABLE: &str = "SPEICHER_ADDR";

/// What the flags `--host`, `--port` and `--timeout` say.
pub(super) struct Target {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) timeout: Option<Duration>,
}

impl Target {
    /// Connects; the error is a sentence with the address and a remedy.
    pub(super) fn connect(&self) -> Result<Client, String> {
        self.connect_to("--host, --port")
    }

    /// Connects where these options say; the error is a sentence as that of
    /// [`connect`](Self::connect).
    pub(super) fn connect_to(&self, options: &str) -> Result<Client, String> {
        let variable = std::env::var(ADDRESS_VARIABLE).ok();
        let (host, port) = self.address(variable.filter(|text| !text.is_empty()))?;
        let timeout = self.timeout.unwrap_or(TIMEOUT_DEFAULT);
        Client::connect_timeout((host.as_str(), port), timeout).map_err(|error| {
            let cause = match error {
                Error::Connect(error) => error.to_string(),
                other => other.to_string(),
            };
            format!(
                "can't connect to {host} port {port} ({cause}); is a server running there? \
                 `speicher serve` starts one, and {options} or {ADDRESS_VARIABLE} name another"
            )
        })
    }

    /// A flag wins over the variable, and the variable over the default.
    fn address(&self, variable: Option<String>) -> Result<(String, u16), String> {
        let named = variable.map(|text| parse_address(&text)).transpose()?;
        let (host, port) = named.unwrap_or_else(|| ("127.0.0.1".to_owned(), PORT_DEFAULT));
        Ok((self.host.clone().unwrap_or(host), self.port.unwrap_or(port)))
    }
}

fn parse_address(text: &str) -> Result<(String, u16), String> {
    host_and_port(text).ok_or_else(|| {
        format!(
            "{ADDRESS_VARIABLE} is {text:?}; it must be host:port, as in 127.0.0.1:14567 or \
             [::1]:14567"
        )
    })
}

/// What `host:port` names; a host of version 6 has brackets.
pub(super) fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_plain = !host.is_empty() && !host.contains([':', '/']);
    let host = bare.or(is_plain.then_some(host))?;
    Some((host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_variable_and_that_over_the_defaults() {
        let address = |host: Option<&str>, port, variable: Option<&str>| {
            let target = Target {
                host: host.map(str::to_owned),
                port,
                timeout: None,
            };
            target.address(variable.map(str::to_owned))
        };
        let is = |host: &str, port| Ok((host.to_owned(), port));
        assert_eq!(address(None, None, None), is("127.0.0.1", 14567));
        assert_eq!(address(None, None, Some("[::1]:99")), is("::1", 99));
        assert_eq!(address(Some("h"), None, Some("v:99")), is("h", 99));
        assert_eq!(address(None, Some(1), Some("v:99")), is("v", 1));
        for wrong in ["v", "v:", ":1", "v:65536", "v:x", "::1", "http://v:1"] {
            assert!(address(None, None, Some(wrong)).is_err(), "{wrong}");
        }
    }
}
