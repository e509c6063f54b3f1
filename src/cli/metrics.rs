//! Where `serve` answers for metrics.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// What `--metrics` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MetricsAddress {
    host: String,
    port: u16,
}

/// `HOST:PORT`; the port alone, with or without a colon, is on loopback.
pub(super) fn parse_metrics(text: &str) -> Result<MetricsAddress, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_plain = !host.contains([':', '/', '@', '[', ']']);
    let parsed = bare
        .or(is_plain.then_some(host))
        .zip(port.parse().ok())
        .map(|(host, port)| MetricsAddress {
            host: match host {
                "" => Ipv4Addr::LOCALHOST.to_string(),
                host => host.to_owned(),
            },
            port,
        });
    parsed.ok_or_else(|| {
        format!(
            "{text:?} is no place to answer for metrics; write a port, as in 9100, or HOST:PORT, \
             as in 127.0.0.1:9100 or [::1]:9100"
        )
    })
}

impl MetricsAddress {
    /// Fails with a sentence.
    pub(super) fn bind(&self) -> Result<TcpListener, String> {
        let Self { host, port } = self;
        TcpListener::bind((host.as_str(), *port)).map_err(|error| {
            let remedy = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "another process listens there; stop it, or give --metrics another port (0 \
                     picks a free one)"
                }
                io::ErrorKind::PermissionDenied => {
                    "ports below 1024 need privileges; give --metrics a higher one"
                }
                io::ErrorKind::AddrNotAvailable => {
                    "this machine has no such address; give --metrics another host"
                }
                _ => "check --metrics",
            };
            format!("can't answer for metrics on {host} port {port} ({error}): {remedy}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_on_loopback() {
        for (text, host, port) in [
            ("9100", "127.0.0.1", 9100),
            (":9100", "127.0.0.1", 9100),
            ("0", "127.0.0.1", 0),
            ("0.0.0.0:1", "0.0.0.0", 1),
            ("[::1]:9100", "::1", 9100),
            ("example.org:65535", "example.org", 65535),
        ] {
            let host = host.to_owned();
            assert_eq!(parse_metrics(text), Ok(MetricsAddress { host, port }));
        }
        for wrong in [
            "",
            ":",
            "h",
            "h:",
            "h:x",
            "h:65536",
            "::1",
            "::1:9100",
            "http://h:1",
            "h:1/",
            "u@h:1",
        ] {
            assert!(parse_metrics(wrong).is_err(), "{wrong}");
        }
    }
}
