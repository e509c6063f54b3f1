//! The cases: most are data in `cases/`, the others code of the same face.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use serde::Deserialize;

use super::Failure;
use super::catalogue::{self, Entry};
use super::code;
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
    /// The claim, as a sentence.
    pub says: &'static str,
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
    Patient,
    /// A process that the kit has started for this case alone.
    OwnProcess,
}

/// What a code case does. What it returns is a remark for people, or empty.
pub(crate) type Code = fn(&mut Trial) -> Result<String, Failure>;

pub(crate) enum Action {
    Steps(Vec<Step>),
    Code(Code),
}

impl Case {
    /// The part of the id before the slash.
    pub fn group(&self) -> &'static str {
        self.id.split('/').next().unwrap_or(self.id)
    }

    /// Whether only a server that the kit has started can be asked.
    pub fn needs_spawn(&self) -> bool {
        self.kind == Kind::OwnProcess
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

/// Every case, in the order in which they run.
pub fn all() -> &'static [Case] {
    &CASES
}

/// The names of the groups, in the order of their cases.
pub fn groups() -> Vec<&'static str> {
    let mut groups: Vec<_> = all().iter().map(Case::group).collect();
    groups.dedup();
    groups
}

/// The groups' files. A case's id begins with the name of its file.
const FILES: [(&str, &str); 7] = [
    ("frame", include_str!("cases/frame.toml")),
    ("request", include_str!("cases/request.toml")),
    ("key", include_str!("cases/key.toml")),
    ("value", include_str!("cases/value.toml")),
    ("reply", include_str!("cases/reply.toml")),
    ("store", include_str!("cases/store.toml")),
    ("pipeline", include_str!("cases/pipeline.toml")),
];

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let mut cases = Vec::new();
    for (group, text) in FILES {
        cases.extend(catalogue::read(text).into_iter().map(of_data));
        cases.extend(
            code::cases()
                .into_iter()
                .filter(|case| case.group() == group),
        );
    }
    let is_new = |case: &Case| FILES.iter().all(|(group, _)| *group != case.group());
    cases.extend(code::cases().into_iter().filter(is_new));
    cases
});

fn of_data(entry: Entry<Step>) -> Case {
    Case {
        id: entry.id,
        level: entry.level,
        clauses: entry.clauses,
        says: entry.says,
        timeout: entry.seconds.map(Duration::from_secs),
        kind: Kind::Plain,
        action: Action::Steps(entry.steps),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::conformance::clause;

    #[test]
    fn ids_are_unique_and_begin_with_their_group() {
        let mut seen = HashSet::new();
        for case in all() {
            assert!(seen.insert(case.id), "{} is there twice", case.id);
            assert!(case.id.split('/').count() == 2, "{}", case.id);
        }
        let groups = groups();
        let unique: HashSet<_> = groups.iter().collect();
        assert_eq!(unique.len(), groups.len(), "a group's cases are together");
    }

    #[test]
    fn what_counts_proves_a_clause_that_exists() {
        for case in all() {
            let is_cited = case.level == Level::Info || !case.clauses.is_empty();
            assert!(is_cited, "{} cites no clause", case.id);
            for id in &case.clauses {
                assert!(clause(id).is_some(), "{} cites {id}", case.id);
            }
            assert!(case.says.ends_with('.'), "{} says a sentence", case.id);
        }
    }

    #[test]
    fn steps_are_written_as_they_have_to_be() {
        for case in all() {
            if let Action::Steps(steps) = &case.action {
                assert!(!steps.is_empty(), "{}", case.id);
                for step in steps {
                    step.check()
                        .unwrap_or_else(|error| panic!("{}: {error}", case.id));
                }
            }
        }
    }
}
