//! What somebody may have meant who mistyped a word.

/// The one of the words that is nearest to what was typed; `None` when none is near enough to
/// have been meant. Letter case and the dashes in front do not count.
pub(super) fn nearest<'a>(
    typed: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wanted = bare(typed);
    let distances = words
        .into_iter()
        .map(|word| (distance(&wanted, &bare(word)), word));
    let (least, word) = distances.min_by_key(|(distance, _)| *distance)?;
    let len = wanted.len().max(bare(word).len());
    // Three slips, and in short words fewer: everything is near to a word of two letters.
    (least <= (len / 3).clamp(1, 3) && least < len).then_some(word)
}

/// The nearest word as a part of a sentence, with a space before it; or nothing.
pub(super) fn did_you_mean<'a>(typed: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(typed, words) {
        Some(word) if word != typed => format!(" (did you mean {word}?)"),
        _ => String::new(),
    }
}

fn bare(word: &str) -> Vec<char> {
    let word = word.trim_start_matches('-').replace('_', "-");
    word.chars().flat_map(char::to_lowercase).collect()
}

/// How many letters have to be put in, left out, replaced or swapped with the next.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut before = vec![0; to.len() + 1];
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let replaced = above[j] + usize::from(a != b);
            let mut least = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from[i - 1] == *b && *a == to[j - 1] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = above;
        above = row;
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_or_two_are_forgiven_and_other_words_are_not() {
        let words = ["serve", "set", "get", "--port", "--frame-max", "--host"];
        for (typed, meant) in [
            ("sevre", Some("serve")),
            ("Serve", Some("serve")),
            ("gett", Some("get")),
            ("--prot", Some("--port")),
            ("-port", Some("--port")),
            ("--frame_max", Some("--frame-max")),
            ("--fram-mx", Some("--frame-max")),
            ("zz", None),
            ("--verbose", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, words), meant, "{typed}");
        }
    }
}
