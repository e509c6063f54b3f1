//! What a server says, made fit for people's terminals.

use std::fmt::{self, Write as _};

/// The characters of a message that are shown, where a server may have written part of it.
const SENTENCE_LEN_MAX: usize = 1000;

/// The message with its control characters as escapes, and cut after
/// [`SENTENCE_LEN_MAX`] characters; no more of it than that is ever written out.
pub(super) fn sentence(message: impl fmt::Display) -> String {
    let mut cut = Cut {
        text: String::new(),
        left: SENTENCE_LEN_MAX,
    };
    match write!(cut, "{message}") {
        Ok(()) => cut.text,
        Err(fmt::Error) => cut.text + "... (cut)",
    }
}

struct Cut {
    text: String,
    left: usize,
}

impl fmt::Write for Cut {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        for c in piece.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            push_escaped(&mut self.text, c);
        }
        Ok(())
    }
}

/// The message with its control characters as escapes, but for the ends of its lines.
pub(super) fn lines(message: impl fmt::Display) -> String {
    let mut text = String::new();
    for c in message.to_string().chars() {
        match c {
            '\n' => text.push(c),
            c => push_escaped(&mut text, c),
        }
    }
    text
}

fn push_escaped(text: &mut String, c: char) {
    match c.is_control() {
        true => text.extend(c.escape_default()),
        false => text.push(c),
    }
}

/// The JSON text with the control characters that it may contain in JSON's own escapes: the
/// same value. They are DEL and C1 and stand in strings only, because JSON forbids the
/// others there, and these elsewhere.
pub(super) fn json_for_terminal(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' => text += &format!("\\u{:04x}", u32::from(c)),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_long_messages_cut() {
        assert_eq!(
            sentence("a\x1b[31m\u{9b}\n\u{e4}"),
            "a\\u{1b}[31m\\u{9b}\\n\u{e4}"
        );
        assert_eq!(lines("a\n\x1b[2J"), "a\n\\u{1b}[2J");
        let long = sentence("\u{e4}".repeat(1_000_000));
        assert!(long.ends_with("... (cut)"), "{long}");
        assert_eq!(
            long.chars().filter(|c| *c == '\u{e4}').count(),
            SENTENCE_LEN_MAX
        );
        assert_eq!(
            sentence("x".repeat(SENTENCE_LEN_MAX)).len(),
            SENTENCE_LEN_MAX
        );
    }

    #[test]
    fn on_a_terminal_a_value_is_the_same_value() {
        let json = "[\"\u{7f}\u{80}\u{9b}2J\u{9f}\u{a0}\", \"\\u001b\"]\n";
        let shown = json_for_terminal(json);
        assert_eq!(
            shown,
            "[\"\\u007f\\u0080\\u009b2J\\u009f\u{a0}\", \"\\u001b\"]\n"
        );
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(value(&shown), value(json));
    }
}
