//! The clauses in words, from the document that has them.

/// The table rows of the protocol's document.
const DOCUMENT: &str = include_str!("../../docs/protocol.md");

/// What the clause of that id says; `None` when there is no such clause.
pub fn clause(id: &str) -> Option<&'static str> {
    DOCUMENT.lines().find_map(|line| {
        let (row_id, rest) = line.strip_prefix("| ")?.split_once(" | ")?;
        let (_level, text) = rest.split_once(" | ")?;
        (row_id == id).then(|| text.trim_end_matches(" |"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_are_found_by_their_ids() {
        assert!(clause("F1").is_some_and(|text| text.starts_with("A frame is")));
        assert!(clause("S4").is_some_and(|text| text.ends_with("second.")));
        assert_eq!(clause("F0"), None);
    }
}
