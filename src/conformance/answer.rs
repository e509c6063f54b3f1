//! A reply, read as strictly as clause A1 says and no more.

use std::borrow::Cow;

use super::failure::Failure;
use crate::protocol::frame::HEADER_LEN;
use crate::protocol::object::{Member, members};

/// The longest excerpt of a reply in a sentence, in characters.
const EXCERPT_LEN: usize = 120;

/// The payload of a reply.
pub(crate) struct Answer {
    pub(crate) status: u64,
    /// The text of `value`, where there is one.
    pub(crate) value: Option<String>,
    /// The sentence of `error`, where there is one.
    pub(crate) error: Option<String>,
    /// What this reply shows of a fault, should it be the wrong one.
    hint: Option<String>,
    text: String,
}

impl Answer {
    /// Fails unless the payload is a JSON object with a `status_code` that a
    /// client can take for an answer (A1, A5).
    pub(crate) fn read(payload: &[u8]) -> Result<Self, Failure> {
        let wrong =
            |got: String| Failure::new("a JSON object with a status_code of 200, 4xx or 5xx", got);
        let text = std::str::from_utf8(payload)
            .map_err(|error| wrong(format!("a payload that is not UTF-8: {error}")))?;
        let [status, value, error] = members(text, &["status_code", "value", "error"])
            .map_err(|error| wrong(format!("{}: {error}", excerpt(text))))?;
        // A number is a number, whether it is written 200, 200.0 or 2e2.
        let status = status.and_then(|status| serde_json::from_str::<f64>(status.json()).ok());
        let mut legal = std::iter::once(200).chain(400..600);
        let status = legal.find(|&legal| status == Some(legal as f64));
        Ok(Self {
            status: status.ok_or_else(|| wrong(excerpt(text)))?,
            value: value.map(|value| value.json().to_owned()),
            error: error.and_then(Member::string).map(Cow::into_owned),
            hint: None,
            text: text.to_owned(),
        })
    }

    /// The reply to a frame whose header was this. A server that complains of the length that
    /// the header would announce in the other byte order has read it so.
    pub(crate) fn asked_with(mut self, header: [u8; HEADER_LEN]) -> Self {
        let swapped = u32::from_le_bytes(header);
        if swapped == u32::from_be_bytes(header) {
            return self;
        }
        let swapped_text = swapped.to_string();
        let complains = |error: &String| {
            let mut numbers = error.split(|character: char| !character.is_ascii_digit());
            numbers.any(|number| number == swapped_text)
        };
        self.hint = self.error.as_ref().filter(|error| complains(error)).map(|_| {
            format!(
                "the server has read a length in the other byte order: {} was sent, and {swapped} \
                 is what it complains of; the most significant byte comes first",
                u32::from_be_bytes(header)
            )
        });
        self
    }

    /// Fails unless the reply has the status.
    pub(crate) fn with_status(self, status: u64) -> Result<Self, Failure> {
        match self.status == status {
            true => Ok(self),
            false => Err(self.instead_of(format!("status_code {status}"))),
        }
    }

    /// That this reply came in place of what was expected.
    pub(crate) fn instead_of(&self, expected: String) -> Failure {
        Failure::new(expected, excerpt(&self.text)).with_hint(|| self.hint.clone())
    }
}

/// The begin of a text, and how long all of it is. Control characters are
/// written as escapes, so that no peer writes to people's terminals.
pub(crate) fn excerpt(text: &str) -> String {
    let start: String = text.chars().take(EXCERPT_LEN).collect();
    match start.len() == text.len() {
        true => without_controls(&start),
        false => format!("{}... ({} bytes)", without_controls(&start), text.len()),
    }
}

/// The text with its control characters as escapes.
pub(crate) fn without_controls(text: &str) -> String {
    let shown = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_length_in_the_other_order_is_a_hint() {
        let hint = |header: [u8; HEADER_LEN], error: &str| {
            let payload = format!(r#"{{"status_code":400,"error":"{error}"}}"#);
            let answer = Answer::read(payload.as_bytes()).expect("a reply");
            answer.asked_with(header).hint.is_some()
        };
        assert!(hint([0, 0, 0, 19], "318767104 bytes are too many"));
        assert!(!hint([0, 0, 0, 19], "3187671040 bytes are too many"));
        assert!(!hint([0; 4], "line 1 column 0"));
    }
}
