//! What a case is: a claim, and steps or code that try it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use super::failure::Failure;
use super::script::{self, Step};
use super::trial::Trial;

/// One claim about a server.
pub struct Case {
    /// Stable name: the group, a slash, and what it is about.
    pub id: &'static str,
    /// How much it counts.
    pub level: Level,
    /// The ids of the clauses that it proves; of INFO cases it may be none.
    pub clauses: Vec<&'static str>,
    /// What it claims of the server, as a sentence.
    pub claim: &'static str,
    /// The time it takes at most; `None` for the time that the run allows.
    pub(crate) timeout: Option<Duration>,
    pub(crate) kind: Kind,
    pub(crate) action: Action,
}

/// What a case needs beside the address of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing.
    #[default]
    Plain,
    /// Mostly waits; it runs beside the others of its group.
    Waiting,
    /// A process that the kit has started for this case alone.
    OwnProcess,
    /// The same, with a small ceiling on its memory.
    Ceiling,
}

/// What a code case does. What it returns is a remark for people, or empty.
pub(crate) type Code = fn(&mut Trial) -> Result<String, Failure>;

pub(crate) enum Action {
    Steps(Vec<Step>),
    Code(Code),
}

impl Case {
    /// A case that is code. It needs no process, and has the time that the run
    /// allows.
    pub(crate) fn of_code(
        id: &'static str,
        level: Level,
        clauses: &[&'static str],
        claim: &'static str,
        code: Code,
    ) -> Self {
        Self {
            id,
            level,
            clauses: clauses.to_vec(),
            claim,
            timeout: None,
            kind: Kind::Plain,
            action: Action::Code(code),
        }
    }

    pub(crate) fn with_timeout(self, timeout: Duration) -> Self {
        Self {
            timeout: Some(timeout),
            ..self
        }
    }

    pub(crate) fn with_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// The part of the id before the slash.
    pub fn group(&self) -> &'static str {
        self.id.split('/').next().unwrap_or(self.id)
    }

    /// Whether only a server that the kit has started can be asked.
    pub fn needs_spawn(&self) -> bool {
        matches!(self.kind, Kind::OwnProcess | Kind::Ceiling)
    }

    /// Whether only a server can be asked that the kit can give a ceiling.
    pub fn needs_memory_option(&self) -> bool {
        self.kind == Kind::Ceiling
    }

    pub(crate) fn act(&self, trial: &mut Trial) -> Result<String, Failure> {
        match &self.action {
            Action::Steps(steps) => script::play(steps, trial),
            Action::Code(code) => code(trial),
        }
    }
}

/// How much a case counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// The protocol says so: a server passes or fails.
    Must,
    /// The client of 2013 breaks otherwise: a server passes or fails.
    Client,
    /// Decided by this project: a server agrees or differs.
    Should,
    /// A report, which nobody passes or fails.
    Info,
}

impl Level {
    /// Every level, the strictest first.
    pub const ALL: [Self; 4] = [Self::Must, Self::Client, Self::Should, Self::Info];

    /// The level's name, as docs/protocol.md writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Client => "CLIENT",
            Self::Should => "SHOULD",
            Self::Info => "INFO",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = |level: &Self| level.name().eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(known).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no level {name:?}; choose one of {names}")
        })
    }
}
