//! What `--store` is given: where the entries are.

use std::fmt;
use std::str::FromStr;

use redis::io::tcp::TcpSettings;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

/// One server, or a cluster by some of its nodes.
#[derive(Clone)]
pub struct RemoteAddress {
    kind: Kind,
    /// What all nodes are connected to with, at the addresses of those that
    /// were named; at least one.
    seeds: Vec<ConnectionInfo>,
}

/// What is said of an address that can't be read.
const WRONG: &str = "what follows :// has to be HOST:PORT, or USER:PASSWORD@HOST:PORT with any @, \
                     /, :, ? and # in the user or the password written as %40, %2F, %3A, %3F and \
                     %23";

/// What answers at a [`RemoteAddress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Server,
    Cluster,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct NodeAddress {
    pub(super) host: String,
    pub(super) port: u16,
}

impl RemoteAddress {
    /// The user in it.
    pub fn user(&self) -> Option<&str> {
        self.seeds[0].redis_settings().username()
    }

    /// The password in it.
    pub fn password(&self) -> Option<&str> {
        self.seeds[0].redis_settings().password()
    }

    /// The same address with this password.
    pub fn with_password(mut self, password: &str) -> Self {
        for seed in &mut self.seeds {
            let settings = seed.redis_settings().clone().set_password(password);
            *seed = seed.clone().set_redis_settings(settings);
        }
        self
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self.seeds[0].addr(), ConnectionAddr::TcpTls { .. })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn seeds(&self) -> impl Iterator<Item = NodeAddress> {
        self.seeds
            .iter()
            .filter_map(|seed| NodeAddress::of(seed.addr()))
    }

    /// What to connect to that node of the same store with.
    pub(super) fn connection_info(&self, node: &NodeAddress) -> ConnectionInfo {
        let NodeAddress { host, port } = node.clone();
        let address = match self.is_tls() {
            true => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            },
            false => ConnectionAddr::Tcp(host, port),
        };
        self.seeds[0].clone().set_addr(address)
    }
}

impl FromStr for RemoteAddress {
    type Err = String;

    /// Fails with a sentence, which does not repeat what may be a password.
    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or("it has to begin with redis:// or redis-cluster://")?;
        let (kind, scheme) = match scheme {
            "redis" | "rediss" => (Kind::Server, scheme),
            "redis-cluster" => (Kind::Cluster, "redis"),
            "rediss-cluster" => (Kind::Cluster, "rediss"),
            _ => {
                return Err(format!(
                    "there is no kind of store {scheme:?}; choose redis, rediss (with TLS), \
                     redis-cluster or rediss-cluster"
                ));
            }
        };
        // What is before it may be a password with a slash that should not be there.
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, _)) if user.contains('@') => return Err(WRONG.to_owned()),
            Some((user, rest)) => (format!("{user}@"), rest),
            None => (String::new(), rest),
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        if kind == Kind::Server && hosts.contains(',') {
            return Err("redis:// takes one HOST:PORT; for several, say redis-cluster://".into());
        }
        if kind == Kind::Cluster && !path.is_empty() {
            return Err(
                "a cluster has no databases to choose from; leave out what follows /".into(),
            );
        }
        let seeds = hosts
            .split(',')
            .map(|host| match host.is_empty() {
                true => None,
                false => connection_info(&format!("{scheme}://{user}{host}/{path}")),
            })
            .collect::<Option<_>>()
            .ok_or(WRONG)?;
        Ok(Self { kind, seeds })
    }
}

fn connection_info(url: &str) -> Option<ConnectionInfo> {
    if url.contains(['#', '?']) {
        return None;
    }
    let info = url.into_connection_info().ok()?;
    let settings = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("speicher", env!("CARGO_PKG_VERSION"));
    let tcp = TcpSettings::default().set_nodelay(true);
    Some(info.set_redis_settings(settings).set_tcp_settings(tcp))
}

impl NodeAddress {
    fn of(address: &ConnectionAddr) -> Option<Self> {
        match address {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                Some(Self {
                    host: host.clone(),
                    port: *port,
                })
            }
            _ => None,
        }
    }

    /// Reads the `HOST:PORT` of a redirection that came from `from`, which may
    /// leave out its own host.
    pub(super) fn of_redirection(text: &str, from: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Self::told_by(from, host, port.parse().ok()?))
    }

    /// The node that another names. Where it does not know the host, it is its
    /// own.
    pub(super) fn told_by(from: &Self, host: &str, port: u16) -> Self {
        let host = match host {
            "" | "?" => &from.host,
            host => host,
        };
        Self {
            host: host.to_owned(),
            port,
        }
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Without user and password.
impl fmt::Display for RemoteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seeds: Vec<_> = self.seeds().map(|seed| seed.to_string()).collect();
        let tls = if self.is_tls() { "s" } else { "" };
        let cluster = match self.kind {
            Kind::Server => "",
            Kind::Cluster => "-cluster",
        };
        write!(f, "redis{tls}{cluster}://{}", seeds.join(","))
    }
}

/// As it is displayed.
impl fmt::Debug for RemoteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_without_their_passwords() {
        for (text, told) in [
            ("redis://h:1", "redis://h:1"),
            ("redis://h", "redis://h:6379"),
            ("rediss://u:p@h:1/3", "rediss://h:1"),
            ("redis-cluster://:p@a:1,b:2", "redis-cluster://a:1,b:2"),
            ("rediss-cluster://[::1]:1", "rediss-cluster://[::1]:1"),
        ] {
            let address: RemoteAddress = text.parse().expect(text);
            assert_eq!(address.to_string(), told);
            assert_eq!(format!("{address:?}"), format!("RemoteAddress({told})"));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for text in [
            "h:1",
            "http://secret@h:1",
            "redis://",
            "redis://:secret@:1",
            "redis://:secret@h:1,h:2",
            "redis://:secret@h:one",
            "redis://:secret@h:1/?protocol=2",
            "redis://:secret@h:1/db",
            "redis://:secret",
            "redis://:se@secret@h",
            "redis-cluster://:secret@h:1,:secret@i:2",
            "redis://:sec/ret@h:1",
            "redis://:secret/ret@h:1",
            "redis://:se?secret@h",
            "redis://:se#secret@h",
            "redis-cluster://:secret/secret@h:1,i:2",
            "redis-cluster://:secret@h:1/1",
            "redis-cluster://:secret@h:1,",
        ] {
            let sentence = text.parse::<RemoteAddress>().expect_err(text);
            assert!(!sentence.contains("secret"), "{text}: {sentence}");
        }
    }

    #[test]
    fn a_password_from_elsewhere_is_taken_in_every_seed() {
        let address: RemoteAddress = "redis-cluster://u@a:1,b:2".parse().expect("an address");
        assert_eq!(address.password(), None);
        let address = address.with_password("secret");
        for seed in address.seeds() {
            let settings = address.connection_info(&seed);
            let settings = settings.redis_settings();
            assert_eq!(settings.password(), Some("secret"));
            assert_eq!(settings.username(), Some("u"));
        }
    }
}
