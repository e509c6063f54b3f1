//! The steps of a case for clients: a call, what the server does with its
//! request, and what the client may say came of it.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::super::answer::excerpt;
use super::super::course::Options;
use super::super::failure::Failure;
use super::super::json::same_value;
use super::super::link::Link;
use super::super::stop::Stop;
use super::super::subject::Unreachable;
use super::super::template::expand;
use super::super::transcript::{Event, Transcript};
use super::command::ClientCommand;
use crate::protocol::Request;
use crate::protocol::frame::framed;
use crate::protocol::object::{Member, members};

/// How often to look whether the client has done something.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// One step. The fields are the words of `cases/client.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Step {
    /// What the client is told to call.
    call: String,
    /// The payload of the reply to its request; none is sent without it.
    reply: Option<String>,
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
    /// Close the connection after that.
    close: bool,
    /// Send this as soon as a connection is there, and close it, before any
    /// request is read.
    greeting: Option<String>,
    /// Send this on every older connection before the reply: too late.
    late: Option<String>,
    /// What the client may print: a word, or `value` with a JSON text.
    answers: Vec<String>,
}

/// Runs the steps with a client of its own. The outer error says that there
/// was no client to try.
pub(super) fn play(
    steps: &[Step],
    command: &str,
    options: &Options,
    transcript: &Transcript,
) -> Result<Result<(), Failure>, Unreachable> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok((listener.local_addr()?.port(), listener))
    });
    let (port, listener) =
        listener.map_err(|error| Unreachable(format!("there is no free port: {error}")))?;
    let client = ClientCommand::start(command, port).map_err(Unreachable)?;
    let mut host = Host {
        listener,
        client,
        links: Vec::new(),
        accepted: 0,
        deadline: Instant::now() + options.timeout,
        stop: &options.stop,
        transcript,
    };
    let outcome = steps.iter().try_for_each(|step| host.play(step));
    let fault = || host.links.iter().find_map(Link::fault);
    let outcome = outcome.map_err(|failure| failure.with_hint(fault));
    match host.client.was_not_found() {
        true => Err(Unreachable(format!(
            "{command:?} is no command that can be run"
        ))),
        false => Ok(outcome),
    }
}

/// The server that misbehaves, and the client that has to live with it.
struct Host<'a> {
    listener: TcpListener,
    client: ClientCommand,
    /// The connections that are open, the newest last.
    links: Vec<Link>,
    accepted: usize,
    deadline: Instant,
    stop: &'a Stop,
    transcript: &'a Transcript,
}

/// What the client does after a call.
enum Move {
    /// It sends a request, over the link of that index.
    Request(usize, Vec<u8>),
    /// It answers without one.
    Answer(String),
}

impl Host<'_> {
    fn play(&mut self, step: &Step) -> Result<(), Failure> {
        self.transcript.add("call", Event::Note(step.call.clone()));
        // What came too late for the call before is none of this one.
        for link in &mut self.links {
            while let Ok(Some(_)) = link.payload_that_came() {}
        }
        let older = self.links.len();
        self.client.call(&step.call);
        let mut has_asked = false;
        let answer = loop {
            match self.next_move(step)? {
                Move::Answer(answer) => break answer,
                // A client that tries again gets the same again.
                Move::Request(index, payload) => {
                    check_request(&step.call, &payload)?;
                    has_asked = true;
                    self.react(step, index, older)?;
                }
            }
        };
        if step.reply.is_some() && !has_asked && !answer.starts_with("error") {
            let expected = format!("the request of {:?}", step.call);
            return Err(Failure::new(
                expected,
                format!("none, and the answer {}", excerpt(&answer)),
            ));
        }
        self.transcript.add("answer", Event::Note(excerpt(&answer)));
        step.check_answer(&answer)
    }

    fn next_move(&mut self, step: &Step) -> Result<Move, Failure> {
        loop {
            self.accept(step)?;
            for (index, link) in self.links.iter_mut().enumerate() {
                if let Some(payload) = link.payload_that_came()? {
                    return Ok(Move::Request(index, payload));
                }
            }
            if let Some(answer) = self.answer()? {
                return Ok(Move::Answer(answer));
            }
            self.look_again("a request, or an answer")?;
        }
    }

    fn answer(&mut self) -> Result<Option<String>, Failure> {
        let answer = self.client.answer();
        answer.map_err(|ended| Failure::new("an answer on standard output", ended))
    }

    fn look_again(&self, what: &str) -> Result<(), Failure> {
        if Instant::now() > self.deadline {
            return Err(Failure::new(what, "nothing, until the time was up"));
        }
        if self.stop.is_raised() {
            return Err(Failure::new(what, "a stop"));
        }
        thread::sleep(LOOK_INTERVAL);
        Ok(())
    }

    fn accept(&mut self, step: &Step) -> Result<(), Failure> {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(Failure::new("a connection", error.to_string())),
        };
        self.accepted += 1;
        let name = format!("connection {}", self.accepted);
        let mut link = Link::over(&name, stream, self.deadline, self.transcript)
            .map_err(|error| Failure::new("a connection", error.to_string()))?;
        match &step.greeting {
            // Dropped, it is closed.
            Some(greeting) => link.send_frame(text_bytes(greeting)?),
            None => self.links.push(link),
        }
        Ok(())
    }

    /// Does with the request what the step says. The first `older` links were
    /// there before the call.
    fn react(&mut self, step: &Step, index: usize, older: usize) -> Result<(), Failure> {
        if let Some(late) = &step.late {
            for link in &mut self.links[..older] {
                link.send_frame(text_bytes(late)?);
            }
        }
        if let Some(reply) = &step.reply {
            let payload = text_bytes(reply)?;
            let bytes = match (step.raw, step.length) {
                (true, _) => payload,
                (false, Some(length)) => [&length.to_be_bytes(), payload.as_slice()].concat(),
                (false, None) => framed(&payload),
            };
            self.links[index].send_in_pieces(
                &bytes,
                &step.cut,
                step.pieces,
                Duration::from_millis(step.pause_ms),
            );
        }
        if step.close {
            self.links.remove(index);
        }
        Ok(())
    }
}

fn text_bytes(text: &str) -> Result<Vec<u8>, Failure> {
    expand(text, "key").map_err(|error| Failure::new("a case that can be read", error))
}

/// Fails unless the payload is the request that the call stands for.
fn check_request(call: &str, payload: &[u8]) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(payload);
    let wrong = |expected: String| Failure::new(expected, excerpt(&text));
    if let Err(bad) = Request::parse(payload) {
        return Err(wrong(format!("a request that a server can read: {bad}")));
    }
    let found = members(&text, &["command", "key", "value"]);
    let [command, key, value] = found.map_err(|error| wrong(error.to_string()))?;
    let (verb, rest) = call.split_once(' ').unwrap_or((call, ""));
    let (key_text, json) = rest.split_once(' ').unwrap_or((rest, ""));
    let verb = match verb {
        "set" => "SET",
        "get" => "GET",
        "delete" => "DEL",
        _ => "RST",
    };
    let is_same = |found: Option<Member<'_>>, wanted: &str| {
        found.is_some_and(|found| same_value(wanted, found.json()))
    };
    let json_text = |text: &str| serde_json::Value::from(text).to_string();
    let fits = is_same(command, &json_text(verb))
        && (verb == "RST" || is_same(key, &json_text(key_text)))
        && (verb != "SET" || is_same(value, json));
    match fits {
        true => Ok(()),
        false => Err(wrong(format!("the request of {call:?}"))),
    }
}

impl Step {
    /// Whether the step can be played.
    #[cfg(test)]
    pub(super) fn check(&self) -> Result<(), String> {
        for text in [&self.reply, &self.greeting, &self.late]
            .into_iter()
            .flatten()
        {
            expand(text, "key").map_err(|error| format!("{error}: {text}"))?;
        }
        for answer in &self.answers {
            let word = answer.split(' ').next().unwrap_or_default();
            if !["ok", "absent", "value", "error", "refused"].contains(&word) {
                return Err(format!("{word} is no answer"));
            }
        }
        match self.call.is_empty() || self.answers.is_empty() {
            true => Err("a step needs a call and answers".to_owned()),
            false => Ok(()),
        }
    }

    fn check_answer(&self, answer: &str) -> Result<(), Failure> {
        let (word, rest) = answer.split_once(' ').unwrap_or((answer, ""));
        for wanted in &self.answers {
            let wanted = String::from_utf8_lossy(&text_bytes(wanted)?).into_owned();
            let fits = match wanted.split_once(' ') {
                Some((wanted, json)) => wanted == word && same_value(json, rest),
                None => wanted == word,
            };
            if fits {
                return Ok(());
            }
        }
        Err(Failure::new(
            format!(
                "to {:?} the answer {}",
                excerpt(&self.call),
                self.answers.join(" or ")
            ),
            excerpt(answer),
        ))
    }
}
