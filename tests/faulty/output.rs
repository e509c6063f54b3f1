//! How replies leave.

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use speicher::protocol::frame::{HEADER_LEN, header};
use speicher::protocol::{Encoder, Reply};

use crate::fault::Fault;
use crate::{Server, lock};

/// The sending side of a connection.
pub struct Output<'a> {
    server: &'a Server,
    stream: &'a TcpStream,
}

impl<'a> Output<'a> {
    pub fn new(server: &'a Server, stream: &'a TcpStream) -> Self {
        Self { server, stream }
    }

    /// Writes the replies to the requests that one batch brought.
    pub fn write(&mut self, replies: Vec<Reply>) -> io::Result<()> {
        let fault = self.server.fault;
        let mut payloads: Vec<_> = replies.iter().map(|reply| payload(fault, reply)).collect();
        match fault {
            Fault::RepliesReversed => payloads.reverse(),
            Fault::ShortRepliesFirst => payloads.sort_by_key(Vec::len),
            Fault::TwoReplies => {
                let twice = |payload: Vec<u8>| [payload.clone(), payload];
                payloads = payloads.into_iter().flat_map(twice).collect();
            }
            _ => {}
        }
        for payload in payloads {
            self.write_frame(payload)?;
        }
        Ok(())
    }

    fn write_frame(&mut self, payload: Vec<u8>) -> io::Result<()> {
        let fault = self.server.fault;
        let payload = match fault {
            Fault::SharedReply => self.through_shared_buffer(payload),
            _ => payload,
        };
        let len = match fault {
            Fault::ReplyLengthOfCharacters => String::from_utf8_lossy(&payload).chars().count(),
            Fault::HeaderCounted => payload.len() + HEADER_LEN,
            _ => payload.len(),
        };
        let mut header = header(len).ok_or(ErrorKind::InvalidData)?;
        if let Fault::LittleEndianReplies | Fault::LittleEndianAll = fault {
            header.reverse();
        }
        let frame = match fault {
            Fault::HeaderLeftOut => payload,
            _ => [&header, &payload[..]].concat(),
        };
        let mut stream = self.stream;
        match fault {
            Fault::HeaderInTwoWrites => {
                stream.write_all(&frame[..HEADER_LEN / 2])?;
                stream.write_all(&frame[HEADER_LEN / 2..])
            }
            Fault::PayloadInSecondWrite => {
                stream.write_all(&frame[..HEADER_LEN])?;
                stream.write_all(&frame[HEADER_LEN..])
            }
            Fault::SignalsDropAll => {
                // Slow enough for a signal to find requests that wait.
                thread::sleep(Duration::from_millis(1));
                stream.write_all(&frame)
            }
            Fault::NoPatience => self.write_now_or_never(&frame),
            Fault::WritesUnderLock => {
                let _state = lock(&self.server.state);
                stream.write_all(&frame)
            }
            _ => stream.write_all(&frame),
        }
    }

    fn write_now_or_never(&self, frame: &[u8]) -> io::Result<()> {
        let mut stream = self.stream;
        stream.set_nonblocking(true)?;
        let written = stream.write(frame)?;
        stream.set_nonblocking(false)?;
        match written == frame.len() {
            true => Ok(()),
            false => Err(ErrorKind::WriteZero.into()),
        }
    }

    fn through_shared_buffer(&self, payload: Vec<u8>) -> Vec<u8> {
        *lock(&self.server.shared_reply) = payload;
        // As long as it takes to write a line into a log.
        thread::sleep(Duration::from_micros(100));
        lock(&self.server.shared_reply).clone()
    }
}

/// The payload that stands for the reply.
fn payload(fault: Fault, reply: &Reply) -> Vec<u8> {
    match (fault, reply) {
        (Fault::Always200, _) => encoded(&Reply::Done),
        (Fault::Always400, _) => encoded(&Reply::BadRequest("No.".to_owned())),
        (Fault::NoErrorSentence, Reply::BadRequest(_)) => br#"{"status_code":400}"#.to_vec(),
        (Fault::VagueErrorSentence, Reply::BadRequest(_)) => {
            encoded(&Reply::BadRequest("Bad request.".to_owned()))
        }
        (Fault::NullLeftOut, Reply::Value(value)) if value.as_bytes() == b"null" => {
            encoded(&Reply::Done)
        }
        (Fault::NullEverywhere, Reply::Done) => br#"{"status_code":200,"value":null}"#.to_vec(),
        (Fault::NullEverywhere, Reply::NoKey) => encoded(&Reply::NoValue),
        (Fault::StatusAsText, _) => {
            let text = String::from_utf8(encoded(reply)).expect("JSON is UTF-8");
            let (code, quoted) = (reply.status_code() as u16, |code| format!(r#":"{code}""#));
            text.replacen(&format!(":{code}"), &quoted(code), 1)
                .into_bytes()
        }
        _ => encoded(reply),
    }
}

/// What the reference answers.
fn encoded(reply: &Reply) -> Vec<u8> {
    let mut encoder = Encoder::default();
    encoder.push(reply);
    let mut frame = Vec::new();
    while encoder.pending() > 0 {
        encoder
            .write_to(&mut frame)
            .expect("a Vec takes all that is written to it");
    }
    frame.split_off(HEADER_LEN)
}
