//! The list of cases: those of the files in `cases/`, and those that are code.

use std::sync::LazyLock;
use std::time::Duration;

use super::case::{Action, Case, Kind};
use super::case_file::{self, Entry};
use super::code;
use super::script::Step;

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
        cases.extend(case_file::read(text).into_iter().map(of_data));
        let of_group = |case: &Case| case.group() == group;
        cases.extend(code::cases().into_iter().filter(of_group));
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
        claim: entry.claim,
        timeout: entry.seconds.map(Duration::from_secs),
        kind: Kind::Plain,
        action: Action::Steps(entry.steps),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::case::Level;
    use super::*;
    use crate::conformance::clause::clause;

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
    fn what_counts_proves_clauses_of_its_level() {
        for case in all() {
            let is_info = case.level == Level::Info;
            assert!(is_info || !case.clauses.is_empty(), "{}", case.id);
            for id in &case.clauses {
                let clause = clause(id).unwrap_or_else(|| panic!("{} cites {id}", case.id));
                assert!(is_info || clause.level == case.level, "{} {id}", case.id);
            }
            assert!(case.claim.ends_with('.'), "{} claims a sentence", case.id);
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
