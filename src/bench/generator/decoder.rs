//! Cuts the bytes of a connection into replies.

use super::load::Load;
use crate::bench::protocol::{Malformed, Outcome, Protocol, Scan};

/// What a reply may be longer than the load's longest value, and still be kept, in bytes: a
/// server may write its JSON in any way.
const KEPT_SPARE: usize = 1 << 20;

/// Why a connection can't go on.
pub(super) enum Failure {
    /// It ended or failed; the sentence says how.
    Closed(String),
    /// The server has no room for it; what it says.
    Refused(String),
    /// The bytes are no reply.
    Malformed(String),
}

impl Failure {
    pub(super) fn into_sentence(self) -> String {
        match self {
            Self::Closed(sentence) | Self::Refused(sentence) | Self::Malformed(sentence) => {
                sentence
            }
        }
    }
}

impl From<Malformed> for Failure {
    fn from(Malformed(sentence): Malformed) -> Self {
        Self::Malformed(sentence)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Closed(error.to_string())
    }
}

/// A whole reply.
pub(super) struct Answer<'a> {
    pub(super) outcome: Outcome,
    /// All of it; empty if it was skipped.
    pub(super) bytes: &'a [u8],
    /// The value in it; empty if there is none, or the reply was skipped.
    pub(super) value: &'a [u8],
}

/// Takes bytes in whatever pieces they come. Its work is linear in them, and what it keeps
/// is bounded.
pub(super) struct Decoder {
    protocol: Protocol,
    /// Whether a reply is kept to its end, although its begin says what it means.
    wants_values: bool,
    /// The most that is kept of a reply, in bytes.
    kept_len_max: usize,
    /// The begin of a reply of which the rest has not come.
    partial: Vec<u8>,
    /// Bytes that are still to come of a reply that is known already.
    skip: usize,
    skipped: Outcome,
}

impl Decoder {
    pub(super) fn new(load: &Load, wants_values: bool) -> Self {
        Self {
            protocol: load.protocol,
            wants_values,
            kept_len_max: load.workload.value_sizes.longest() + KEPT_SPARE,
            partial: Vec::new(),
            skip: 0,
            skipped: Outcome::Done,
        }
    }

    /// Hands each reply that the bytes complete to `deliver`, in order.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        deliver: &mut impl FnMut(Answer<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut rest = bytes;
        if self.skip > 0 {
            let skipped = self.skip.min(rest.len());
            self.skip -= skipped;
            rest = &rest[skipped..];
            if self.skip > 0 {
                return Ok(());
            }
            deliver(Answer {
                outcome: self.skipped,
                bytes: &[],
                value: &[],
            })?;
        }
        if self.partial.is_empty() {
            let taken = self.cut(rest, deliver)?;
            self.partial.extend_from_slice(&rest[taken..]);
        } else {
            // Appended, so that no byte is moved again for each piece that comes.
            let mut partial = std::mem::take(&mut self.partial);
            partial.extend_from_slice(rest);
            let taken = self.cut(&partial, deliver)?;
            partial.drain(..taken);
            self.partial = partial;
        }
        self.check_kept()
    }

    /// Cuts replies off the begin; how many bytes need not be kept.
    fn cut(
        &mut self,
        bytes: &[u8],
        deliver: &mut impl FnMut(Answer<'_>) -> Result<(), Failure>,
    ) -> Result<usize, Failure> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.protocol.scan(rest)? {
                Scan::Reply {
                    len,
                    outcome,
                    value,
                } if len <= rest.len() => {
                    deliver(Answer {
                        outcome,
                        bytes: &rest[..len],
                        value: &rest[value],
                    })?;
                    rest = &rest[len..];
                }
                // Its end says nothing new, so it need not be kept.
                Scan::Reply { len, outcome, .. } if !self.wants_values => {
                    self.skip = len - rest.len();
                    self.skipped = outcome;
                    rest = &[];
                }
                _ => break,
            }
        }
        Ok(bytes.len() - rest.len())
    }

    fn check_kept(&self) -> Result<(), Failure> {
        match self.partial.len() <= self.kept_len_max {
            true => Ok(()),
            false => Err(Failure::Malformed(format!(
                "a reply did not end within the {} bytes that are kept of one; if longer values \
                 are stored there, say so with --value-size",
                self.kept_len_max
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::bench::generator::Length;
    use crate::bench::workload::{ValueSizes, Workload};
    use crate::protocol::frame::framed;

    fn decoder(protocol: Protocol, wants_values: bool, value_size: usize) -> Decoder {
        let load = Load {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            protocol,
            workload: Workload {
                value_sizes: ValueSizes::one(value_size),
                ..Workload::default()
            },
            connections: 1,
            pipeline: 1,
            threads: 1,
            rate: None,
            length: Length::Requests(1),
            warmup: Duration::ZERO,
            fill: false,
            verify: wants_values,
            server_pid: None,
        };
        Decoder::new(&load, wants_values)
    }

    /// What is delivered when the bytes come in pieces of this length.
    fn cut(decoder: &mut Decoder, bytes: &[u8], piece_len: usize) -> Result<Vec<Outcome>, String> {
        let mut outcomes = Vec::new();
        for piece in bytes.chunks(piece_len) {
            let mut deliver = |answer: Answer<'_>| {
                outcomes.push(answer.outcome);
                Ok(())
            };
            decoder
                .take(piece, &mut deliver)
                .map_err(Failure::into_sentence)?;
        }
        Ok(outcomes)
    }

    #[test]
    fn replies_are_the_same_in_any_pieces() {
        let stream = [
            framed(br#"{"status_code":200}"#),
            framed(br#"{ "value": "vv", "status_code": 200 }"#),
            framed(br#"{"status_code":200,"value":"vvvv"}"#),
            framed(br#"{"status_code":404,"value":null}"#),
        ]
        .concat();
        let expected = vec![
            Outcome::Done,
            Outcome::Value,
            Outcome::Value,
            Outcome::Missing,
        ];
        for wants_values in [true, false] {
            for piece_len in 1..=stream.len() {
                let mut decoder = decoder(Protocol::Speicher, wants_values, 64);
                let outcomes = cut(&mut decoder, &stream, piece_len);
                assert_eq!(outcomes.as_ref(), Ok(&expected), "{piece_len}");
            }
        }
    }

    /// With a copy of what was kept for each piece it would be hundreds of GB.
    #[test]
    fn a_long_reply_in_small_pieces_takes_linear_time() {
        let size = 16 << 20;
        let value = "v".repeat(size - 2);
        let reply = framed(format!(r#"{{ "status_code": 200, "value": "{value}" }}"#).as_bytes());
        let begun = Instant::now();
        let mut decoder = decoder(Protocol::Speicher, true, size);
        let outcomes = cut(&mut decoder, &reply, 500);
        assert_eq!(outcomes, Ok(vec![Outcome::Value]));
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
    }

    #[test]
    fn what_is_kept_of_a_reply_is_bounded() {
        let announced = [&0x7fff_ffff_u32.to_be_bytes(), &b" ".repeat(4 << 20)[..]].concat();
        for wants_values in [true, false] {
            let mut decoder = decoder(Protocol::Speicher, wants_values, 64);
            let error = cut(&mut decoder, &announced, 64 << 10).expect_err("it is too long");
            assert!(error.contains("1048640 bytes"), "{error}");
            assert!(error.contains("--value-size"), "{error}");
            assert!(decoder.partial.len() <= (1 << 20) + (64 << 10) + 64);
        }
    }
}
