//! Reads files of cases, as they lie in `cases/`.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::case::Level;

/// A case as it stands in a file; `S` is a step of its side.
pub(crate) struct Entry<S> {
    pub(crate) id: &'static str,
    pub(crate) level: Level,
    pub(crate) clauses: Vec<&'static str>,
    pub(crate) claim: &'static str,
    /// The time that it may take, where it is not that of the run.
    pub(crate) seconds: Option<u64>,
    pub(crate) steps: Vec<S>,
}

/// The cases of a file, which is part of the program: a mistake in it is one in
/// the program.
pub(crate) fn read<S: DeserializeOwned>(text: &'static str) -> Vec<Entry<S>> {
    let file: File<S> =
        toml::from_str(text).unwrap_or_else(|error| panic!("in the file of cases: {error}"));
    file.case.into_iter().map(Case::into_entry).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<S> {
    case: Vec<Case<S>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case<S> {
    id: String,
    level: Level,
    clauses: Vec<String>,
    says: String,
    seconds: Option<u64>,
    steps: Vec<S>,
}

impl<S> Case<S> {
    /// The texts are made static: they are read once and kept to the end.
    fn into_entry(self) -> Entry<S> {
        let clauses = self.clauses.into_iter();
        Entry {
            id: self.id.leak(),
            level: self.level,
            clauses: clauses.map(|clause| &*clause.leak()).collect(),
            claim: self.says.leak(),
            seconds: self.seconds,
            steps: self.steps,
        }
    }
}
