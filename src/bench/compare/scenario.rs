//! Which questions a comparison answers.

use serde::Serialize;

/// One question that a comparison answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// 8 connections, one request at a time.
    Request,
    /// 8 connections, 32 requests at a time.
    Pipelined,
    /// The same, half of them SETs.
    Writes,
    /// The same, a few keys much more often than the others.
    Zipf,
    /// The same, of so many keys that few are in a cache.
    Cold,
    /// 1,000 connections, one request at a time.
    Many,
    /// 8 connections, values of 16 KiB.
    Large,
    /// 8 connections beside idle ones.
    Idle,
    /// An open loop at shares of the target's own peak.
    Latency,
    /// Resident memory for each idle connection.
    MemoryConnections,
    /// Resident memory for each entry.
    MemoryEntries,
    /// More and more keys.
    GrowthKeys,
    /// More and more connections.
    GrowthConnections,
    /// Longer and longer values.
    GrowthValues,
    /// 8 connections and a prober beside attackers.
    Attack,
}

impl Scenario {
    /// In the order of the report.
    pub const ALL: [Self; 15] = [
        Self::Request,
        Self::Pipelined,
        Self::Writes,
        Self::Zipf,
        Self::Cold,
        Self::Many,
        Self::Large,
        Self::Idle,
        Self::Latency,
        Self::MemoryConnections,
        Self::MemoryEntries,
        Self::GrowthKeys,
        Self::GrowthConnections,
        Self::GrowthValues,
        Self::Attack,
    ];

    /// Those of `--full`: all but the last, the attacks, which want a machine that
    /// nobody else needs.
    pub const FULL: &'static [Self] = Self::ALL.split_at(Self::ALL.len() - 1).0;

    /// Those of `--quick`.
    pub const QUICK: [Self; 4] = [Self::Request, Self::Pipelined, Self::Idle, Self::Latency];

    /// Those with one rate for each target, which is what their verdict is about.
    pub const THROUGHPUT: [Self; 7] = [
        Self::Request,
        Self::Pipelined,
        Self::Writes,
        Self::Zipf,
        Self::Cold,
        Self::Many,
        Self::Large,
    ];

    /// The name on the command line; several scenarios may share one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Pipelined => "pipelined",
            Self::Writes => "writes",
            Self::Zipf => "zipf",
            Self::Cold => "cold",
            Self::Many => "many",
            Self::Large => "large",
            Self::Idle => "idle",
            Self::Latency => "latency",
            Self::MemoryConnections | Self::MemoryEntries => "memory",
            Self::GrowthKeys | Self::GrowthConnections | Self::GrowthValues => "growth",
            Self::Attack => "attack",
        }
    }

    /// Whether its figure is a rate, and not a latency or a size.
    pub fn is_rate(self) -> bool {
        !matches!(
            self,
            Self::Latency | Self::MemoryConnections | Self::MemoryEntries | Self::Attack
        )
    }

    /// What is done, in words.
    pub fn title(self) -> &'static str {
        match self {
            Self::Request => "8 connections, one request at a time",
            Self::Pipelined => "8 connections, 32 requests at a time",
            Self::Writes => "8 connections, 32 requests at a time, half of them SETs",
            Self::Zipf => "8 connections, 32 requests at a time, keys by Zipf's law",
            Self::Cold => "8 connections, 32 requests at a time, 4 million keys",
            Self::Many => "1,000 connections, one request at a time",
            Self::Large => "8 connections, one request at a time, values of 16 KiB",
            Self::Idle => "8 busy connections beside idle ones",
            Self::Latency => "Open loop at shares of each target's own peak",
            Self::MemoryConnections => "Memory of an idle connection, with what serves it",
            Self::MemoryEntries => "Memory of an entry of a 14-byte key and 64 bytes of JSON",
            Self::GrowthKeys => "More keys",
            Self::GrowthConnections => "More connections",
            Self::GrowthValues => "Longer values",
            Self::Attack => "8 busy connections and a prober beside attackers",
        }
    }

    /// The same in few words, for a sentence; what is not said is as in [`Request`](Self::Request).
    pub fn brief(self) -> &'static str {
        match self {
            Self::Request => "One request at a time",
            Self::Pipelined => "32 requests at a time",
            Self::Writes => "32 at a time, half of them SETs",
            Self::Zipf => "32 at a time, keys by Zipf's law",
            Self::Cold => "32 at a time, 4 million keys",
            Self::Many => "1,000 connections",
            Self::Large => "Values of 16 KiB",
            _ => self.title(),
        }
    }

    /// What a step's `x` counts, with its unit; empty where there is one step.
    pub fn x_name(self) -> &'static str {
        match self {
            Self::Request
            | Self::Pipelined
            | Self::Writes
            | Self::Zipf
            | Self::Cold
            | Self::Many
            | Self::Large => "",
            Self::Idle | Self::MemoryConnections => "idle connections",
            Self::Latency => "share of the own peak, %",
            Self::MemoryEntries => "entries",
            Self::GrowthKeys => "keys",
            Self::GrowthConnections => "connections",
            Self::GrowthValues => "length of a value, bytes",
            Self::Attack => "the attack's place in the list",
        }
    }

    /// All scenarios of one name on the command line.
    pub fn named(name: &str) -> Result<Vec<Self>, String> {
        let named: Vec<_> = Self::ALL
            .into_iter()
            .filter(|one| one.name() == name)
            .collect();
        if named.is_empty() {
            let mut names = Self::ALL.map(Self::name).to_vec();
            names.dedup();
            return Err(format!(
                "there is no scenario {name:?}; choose from {}",
                names.join(", ")
            ));
        }
        Ok(named)
    }
}
