//! What is compared: servers that are started for it, and some that run.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::models::Profile;
use crate::bench::echo::EchoModel;
use crate::bench::protocol::Protocol;
use crate::bench::server::CommandLine;
use crate::server::Model;

/// One of the servers to compare.
#[derive(Clone, Debug)]
pub struct Target {
    /// What it is called in the report.
    pub name: String,
    /// The model, if it is one of this server's.
    pub model: Option<Model>,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it comes from.
    pub origin: Origin,
    /// The most connections that it can be told to serve.
    pub connections_max: usize,
    /// The echo that moves bytes in the same way; none if no echo does, or it is
    /// one itself.
    pub floor: Option<EchoModel>,
    /// What its program reports as its version.
    pub version: Option<String>,
}

/// Where a target comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// It is started, afresh for each round.
    Command(CommandLine),
    /// It runs already, and is the same in each round.
    Running(SocketAddr),
}

/// A server of somebody else that is known by its name or its program's.
struct Peer {
    name: &'static str,
    program: &'static str,
    protocol: Protocol,
    /// So that it keeps nothing on a disk, and uses the cores that it is given.
    arguments: &'static str,
    /// Whether it is compared unless somebody says otherwise, where it is installed.
    by_default: bool,
}

const PEERS: [Peer; 4] = [
    Peer {
        name: "redis",
        program: "redis-server",
        protocol: Protocol::Resp,
        arguments: "--port {port} --save '' --appendonly no --maxclients {connections}",
        by_default: true,
    },
    Peer {
        name: "memcached",
        program: "memcached",
        protocol: Protocol::Memcached,
        // `-u` is heeded by root alone, who may not run it otherwise.
        arguments: "-l 127.0.0.1 -p {port} -U 0 -u nobody -t {cores} -c {connections} -m 4096 -I 4m",
        by_default: true,
    },
    Peer {
        name: "valkey",
        program: "valkey-server",
        protocol: Protocol::Resp,
        arguments: "--port {port} --save '' --appendonly no --maxclients {connections} \
                    --io-threads {cores}",
        by_default: false,
    },
    Peer {
        name: "pogocache",
        program: "pogocache",
        protocol: Protocol::Resp,
        // It persists nothing unless it is told to.
        arguments: "-h 127.0.0.1 -p {port} --threads {cores} --maxconns {connections}",
        by_default: false,
    },
];

/// The name of the target that is this echo.
pub(super) fn echo_name(echo: EchoModel) -> String {
    format!("echo-{echo}")
}

impl Target {
    /// What is compared unless somebody says otherwise: this build's models,
    /// the echoes, and Redis and memcached where they are installed. Beside
    /// them, a sentence for each that is not there.
    pub fn all_built_in() -> (Vec<Self>, Vec<String>) {
        let models = Model::ALL.into_iter().filter(|model| model.is_built());
        let echoes = EchoModel::ALL.into_iter().map(Self::of_echo);
        let mut targets: Vec<_> = models.map(Self::of_model).chain(echoes).collect();
        let mut absent = Vec::new();
        for peer in PEERS.iter().filter(|peer| peer.by_default) {
            match Self::of_peer(peer, peer.program) {
                Ok(target) => targets.push(target),
                Err(sentence) => absent.push(sentence),
            }
        }
        (targets, absent)
    }

    /// Reads an argument of `--target`: the name of one that is built in, or the program of a
    /// known server, with or without its folder; `name=protocol:command with {port}`; or
    /// `name=protocol@host:port`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((name, rest)) = text.split_once('=') else {
            return Self::built_in(text).unwrap_or_else(|| {
                Err(format!(
                    "there is no target {text:?}; write name=protocol:command with {{port}}, \
                     name=protocol@host:port, or one of {}",
                    Self::built_in_names().join(", ")
                ))
            });
        };
        let at = rest.find([':', '@']).ok_or_else(|| {
            format!(
                "{text:?} names no protocol; write name=protocol:command or name=protocol@host:port"
            )
        })?;
        let (protocol, rest) = (rest[..at].parse::<Protocol>()?, &rest[at..]);
        let origin = match rest.strip_prefix('@') {
            Some(address) => Origin::Running(resolve(address)?),
            None => Origin::Command(CommandLine::parse(&rest[1..])?),
        };
        Ok(Self::new(name, protocol, origin))
    }

    /// The command line, or where it listens.
    pub fn shown(&self) -> String {
        match &self.origin {
            Origin::Command(command) => command.shown(),
            Origin::Running(address) => format!("was running on {address}"),
        }
    }

    fn new(name: &str, protocol: Protocol, origin: Origin) -> Self {
        Self {
            name: name.to_owned(),
            model: None,
            protocol,
            origin,
            connections_max: usize::MAX,
            floor: match protocol {
                Protocol::Speicher | Protocol::Memcached => Some(EchoModel::Epoll),
                // Redis executes on one thread, and each echo uses all cores.
                Protocol::Resp | Protocol::Echo => None,
            },
            version: None,
        }
    }

    fn built_in_names() -> Vec<String> {
        let models = Model::ALL.map(|model| model.name().to_owned());
        let echoes = EchoModel::ALL.map(echo_name);
        let peers = PEERS.map(|peer| peer.name.to_owned());
        models.into_iter().chain(echoes).chain(peers).collect()
    }

    fn built_in(name: &str) -> Option<Result<Self, String>> {
        let mut echoes = EchoModel::ALL.into_iter();
        if let Some(echo) = echoes.find(|echo| echo_name(*echo) == name) {
            return Some(Ok(Self::of_echo(echo)));
        }
        let program = Path::new(name).file_name()?.to_str()?;
        let is_named = |peer: &&Peer| peer.name == name || peer.program == program;
        if let Some(peer) = PEERS.iter().find(is_named) {
            let program = if peer.name == name {
                peer.program
            } else {
                name
            };
            return Some(Self::of_peer(peer, program));
        }
        name.parse().ok().map(|model| Ok(Self::of_model(model)))
    }

    fn of_model(model: Model) -> Self {
        let profile = Profile::of(model);
        let words = [
            "serve",
            "--model",
            model.name(),
            "--port",
            "{port}",
            profile.connections_option,
            "{connections}",
        ];
        Self {
            model: Some(model),
            connections_max: profile.connections_max,
            floor: Some(profile.echo),
            ..Self::of_this_program(model.name(), Protocol::Speicher, &words)
        }
    }

    fn of_echo(echo: EchoModel) -> Self {
        let words = ["echo", "--model", echo.name(), "--port", "{port}"];
        Self::of_this_program(&echo_name(echo), Protocol::Echo, &words)
    }

    fn of_this_program(name: &str, protocol: Protocol, arguments: &[&str]) -> Self {
        // Where the system can't tell, the path may.
        let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("speicher"));
        let program = program.to_string_lossy().into_owned();
        let words = [program.as_str()]
            .into_iter()
            .chain(arguments.iter().copied());
        let origin = Origin::Command(CommandLine::of_words(words));
        Self {
            version: Some(concat!("speicher ", env!("CARGO_PKG_VERSION")).to_owned()),
            ..Self::new(name, protocol, origin)
        }
    }

    /// The peer as this program, which is on the path or has its folder before it.
    fn of_peer(peer: &Peer, program: &str) -> Result<Self, String> {
        let Peer { name, .. } = peer;
        let absent = || format!("{program} is not installed, so {name} is not compared");
        let path = found(program).ok_or_else(absent)?;
        let output = Command::new(path).arg("--version").output();
        let version = output.map_err(|_| absent())?.stdout;
        let version = String::from_utf8_lossy(&version);
        let arguments = CommandLine::parse(peer.arguments)?;
        let command = arguments.of_program(program);
        Ok(Self {
            version: version.lines().next().map(str::to_owned),
            ..Self::new(name, peer.protocol, Origin::Command(command))
        })
    }
}

/// The program's file; of one without a folder, the first on the path.
fn found(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|file| file.is_file());
    }
    let path = std::env::var_os("PATH")?;
    let mut files = std::env::split_paths(&path).map(|folder| folder.join(program));
    files.find(|file| Path::is_file(file))
}

fn resolve(address: &str) -> Result<SocketAddr, String> {
    let resolved = address.to_socket_addrs();
    resolved
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| format!("{address:?} is no address; write host:port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_commands_addresses_or_built_in() {
        let target = Target::parse("r=resp:redis-server --port {port} --save \"\"");
        let target = target.expect("a command");
        assert_eq!(
            (target.name.as_str(), target.protocol),
            ("r", Protocol::Resp)
        );
        assert_eq!(target.floor, None);
        assert_eq!(target.shown(), "redis-server --port {port} --save ''");
        let target = Target::parse("s=speicher@127.0.0.1:7000").expect("an address");
        assert_eq!(target.shown(), "was running on 127.0.0.1:7000");
        assert_eq!(target.model, None);
        let target = Target::parse("threads").expect("built in");
        assert_eq!(target.model, Some(Model::Threads));
        assert_eq!(target.floor, Some(EchoModel::Threads));
        for wrong in [
            "nobody",
            "a=b",
            "a=resp:redis",
            "a=x:y {port}",
            "a=resp@nowhere",
        ] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }
}
