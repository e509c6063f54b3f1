//! The steps of a case that is data.
//!
//! A step first sends, if it has something to send, and then says what has to
//! come back. docs/conformance.md lists the words.

use std::time::Duration;

use serde::Deserialize;

use super::answer::Answer;
use super::failure::Failure;
use super::json::{same_value, without_space};
use super::link::Link;
use super::template::expand;
use super::trial::Trial;
use crate::protocol::frame::framed;

/// The connection of a step that names none.
const FIRST_LINK: &str = "a";

/// How long a server that says nothing is waited for before the next step.
const SETTLING_TIME: Duration = Duration::from_secs(1);

/// One step. The fields are the words of the files in `cases/`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Step {
    /// The connection, opened when it is first named.
    on: Option<String>,
    /// Payloads to send, all at once.
    send: Option<Texts>,
    /// Payloads to send one by one, each after the reply to the one before.
    ask: Option<Texts>,
    /// Send the payloads so many times.
    times: Option<usize>,
    /// The header says this in place of the payload's length.
    length: Option<i32>,
    /// Send the text as it is, without a header.
    raw: bool,
    /// Send in pieces of these lengths, and then the rest.
    cut: Vec<usize>,
    /// Send in pieces of this length.
    pieces: Option<usize>,
    /// Milliseconds to wait between pieces.
    pause_ms: u64,
    /// End this side's output.
    end: bool,
    /// Close the connection.
    hang_up: bool,

    /// The status of each reply that the step's payloads get.
    reply: Option<u64>,
    /// The reply has a `value` that means this.
    value: Option<String>,
    /// The reply has a `value` of this text, but for white space between words.
    text: Option<String>,
    /// The reply has a `value` of this text, byte for byte.
    exact: Option<String>,
    /// The reply has a member `error` that contains this.
    error: Option<String>,
    /// The reply has no `value`.
    without_value: bool,
    /// Wait until a reply has come, any at all, or the connection has ended.
    settled: bool,
    /// The server closes the connection.
    closed: bool,
    /// Nothing comes for so long, in milliseconds.
    silent_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

/// Plays the steps.
pub(crate) fn play(steps: &[Step], trial: &mut Trial) -> Result<String, Failure> {
    for (index, step) in steps.iter().enumerate() {
        if steps.len() > 1 {
            trial.note("case", &format!("step {} of {}", index + 1, steps.len()));
        }
        step.play(trial).map_err(|failure| match steps.len() {
            1 => failure,
            all => failure.in_step(index + 1, all),
        })?;
    }
    Ok(String::new())
}

impl Step {
    /// Whether the step says something, and something that can be.
    #[cfg(test)]
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut texts: Vec<&str> = Vec::new();
        let sent = self.send.iter().chain(&self.ask);
        texts.extend(sent.flat_map(Texts::as_slice).map(String::as_str));
        texts.extend(self.value.as_deref());
        texts.extend(self.text.as_deref());
        texts.extend(self.exact.as_deref());
        for text in texts {
            expand(text, "key").map_err(|error| format!("{error}: {text}"))?;
        }
        let looks_at_value = self.value.is_some() || self.text.is_some() || self.exact.is_some();
        let looks_at_reply = looks_at_value || self.without_value || self.error.is_some();
        let needs_reply = looks_at_reply || self.ask.is_some();
        if needs_reply && self.reply.is_none() {
            return Err("it looks at a reply without a status".to_owned());
        }
        let sends = self.send.is_some() || self.end || self.hang_up;
        let waits = self.silent_ms.is_some() || self.settled;
        let expects = self.reply.is_some() || self.closed || waits;
        match sends || expects {
            true => Ok(()),
            false => Err("a step does nothing".to_owned()),
        }
    }

    fn play(&self, trial: &mut Trial) -> Result<(), Failure> {
        let name = self.on.as_deref().unwrap_or(FIRST_LINK);
        let key = trial.key().to_owned();
        if self.hang_up {
            trial.hang_up(name);
            return Ok(());
        }
        let link = trial.link(name)?;
        if let Some(texts) = &self.ask {
            for text in texts.as_slice() {
                let answer = link.ask(filled(text, &key)?)?;
                self.check_answer(answer, &key)?;
            }
            return Ok(());
        }
        let payloads = self.payloads(&key)?;
        self.send(link, &payloads);
        if self.end {
            link.half_close();
        }
        if self.settled {
            // Which of the two it is, or neither, other cases say.
            let _ = link.within(SETTLING_TIME, Link::payload);
        }
        if self.reply.is_some() {
            for _ in 0..payloads.len().max(1) {
                self.check_answer(link.answer()?, &key)?;
            }
        }
        if let Some(millis) = self.silent_ms {
            link.expect_silence(Duration::from_millis(millis))?;
        }
        if self.closed {
            link.expect_close()?;
        }
        Ok(())
    }

    /// Each payload as often as it is to be sent.
    fn payloads(&self, key: &str) -> Result<Vec<Vec<u8>>, Failure> {
        let texts = self.send.iter().flat_map(Texts::as_slice);
        let payloads: Result<Vec<_>, Failure> = texts.map(|text| filled(text, key)).collect();
        let payloads = payloads?;
        let total = payloads.len() * self.times.unwrap_or(1);
        Ok(payloads.into_iter().cycle().take(total).collect())
    }

    fn send(&self, link: &mut Link, payloads: &[Vec<u8>]) {
        let mut bytes = Vec::new();
        for payload in payloads {
            match (self.raw, self.length) {
                (true, _) => bytes.extend_from_slice(payload),
                (false, Some(length)) => {
                    bytes.extend_from_slice(&length.to_be_bytes());
                    bytes.extend_from_slice(payload);
                }
                (false, None) => bytes.extend_from_slice(&framed(payload)),
            }
        }
        let pause = Duration::from_millis(self.pause_ms);
        link.send_in_pieces(&bytes, &self.cut, self.pieces, pause);
    }

    fn check_answer(&self, answer: Answer, key: &str) -> Result<(), Failure> {
        let answer = answer.with_status(self.reply.unwrap_or_default())?;
        if let Some(value) = &self.value {
            let value = text_of(value, key)?;
            let is_same = |stored: &str| same_value(&value, stored);
            if !answer.value.as_deref().is_some_and(is_same) {
                return Err(answer.instead_of(format!("a value that means {}", short(&value))));
            }
        }
        if let Some(text) = &self.text {
            let text = text_of(text, key)?;
            let has_text = |stored: &str| without_space(stored) == without_space(&text);
            if !answer.value.as_deref().is_some_and(has_text) {
                return Err(answer.instead_of(format!("a value written {}", short(&text))));
            }
        }
        if let Some(exact) = &self.exact {
            let exact = text_of(exact, key)?;
            if answer.value.as_deref() != Some(&exact) {
                return Err(answer.instead_of(format!("a value of just {}", short(&exact))));
            }
        }
        if self.without_value && answer.value.is_some() {
            return Err(answer.instead_of("no value".to_owned()));
        }
        if let Some(part) = &self.error {
            let has_part = |error: &str| !error.is_empty() && error.contains(part.as_str());
            if !answer.error.as_deref().is_some_and(has_part) {
                let naming = match part.as_str() {
                    "" => String::new(),
                    part => format!(" that names {part}"),
                };
                return Err(answer.instead_of(format!("a sentence in `error`{naming}")));
            }
        }
        Ok(())
    }
}

fn filled(text: &str, key: &str) -> Result<Vec<u8>, Failure> {
    expand(text, key).map_err(|error| Failure::new("a case that can be read", error))
}

fn text_of(text: &str, key: &str) -> Result<String, Failure> {
    let bytes = filled(text, key)?;
    String::from_utf8(bytes)
        .map_err(|error| Failure::new("a case that can be read", error.to_string()))
}

fn short(text: &str) -> String {
    super::answer::excerpt(text)
}
