//! The clauses in words, from the document that has them.

use std::str::FromStr;

use super::case::Level;

/// The table rows of the protocol's document.
const DOCUMENT: &str = include_str!("../../docs/protocol.md");

/// A row of the protocol's document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clause {
    /// How much it counts.
    pub level: Level,
    /// What it says.
    pub text: &'static str,
}

/// The clause of that id; `None` when there is no such clause.
pub fn clause(id: &str) -> Option<Clause> {
    DOCUMENT.lines().find_map(|line| {
        let (row_id, rest) = line.strip_prefix("| ")?.split_once(" | ")?;
        let (level, text) = rest.split_once(" | ")?;
        (row_id == id).then_some(Clause {
            level: Level::from_str(level).ok()?,
            text: text.trim_end_matches(" |"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_are_found_by_their_ids() {
        let clause_of = |id| clause(id).expect("it is there");
        assert!(clause_of("F1").text.starts_with("A frame is"));
        assert_eq!(clause_of("F1").level, Level::Must);
        assert!(clause_of("S4").text.ends_with("second."));
        assert_eq!(clause_of("F6a").level, Level::Must);
        assert_eq!(clause("F0"), None);
        assert_eq!(clause("id"), None);
    }
}
