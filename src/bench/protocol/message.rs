//! Requests that may be too long to be held once for each connection.

/// What long values are made of.
static FILLING: [u8; 64 << 10] = [b'v'; 64 << 10];

/// Bytes that are sent in pieces: those in the middle are the same for all messages, and held
/// once.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Message {
    head: Vec<u8>,
    filling: usize,
    foot: Vec<u8>,
    len: usize,
}

impl Message {
    /// Bytes as they are.
    pub(in crate::bench) fn of(bytes: Vec<u8>) -> Self {
        Self::filled(bytes, 0, Vec::new())
    }

    /// So many bytes of filling between others.
    pub(super) fn filled(head: Vec<u8>, filling: usize, foot: Vec<u8>) -> Self {
        Self {
            len: head.len() + filling + foot.len(),
            head,
            filling,
            foot,
        }
    }

    /// No more than its first bytes.
    pub(in crate::bench) fn cut(mut self, len: usize) -> Self {
        self.len = self.len.min(len);
        self
    }

    /// In bytes.
    pub(in crate::bench) fn len(&self) -> usize {
        self.len
    }

    /// What follows `at`: some of it, and all of it in the pieces that the position moves along.
    pub(in crate::bench) fn rest(&self, at: usize) -> &[u8] {
        let foot_at = self.head.len() + self.filling;
        let piece = match at {
            _ if at >= self.len => &[],
            _ if at < self.head.len() => &self.head[at..],
            _ if at < foot_at => &FILLING[..FILLING.len().min(foot_at - at)],
            _ => &self.foot[at - foot_at..],
        };
        &piece[..piece.len().min(self.len.saturating_sub(at))]
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Protocol, speicher};
    use super::*;
    use crate::protocol::Request;
    use crate::protocol::frame::{FRAME_LEN_MAX, read_frame};

    fn whole(message: &Message) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            match message.rest(bytes.len()) {
                [] => return bytes,
                piece => bytes.extend_from_slice(piece),
            }
        }
    }

    #[test]
    fn a_long_set_is_one_that_the_server_parses() {
        let message = Protocol::Speicher.long_set(7, 1 << 20);
        let bytes = whole(&message);
        assert_eq!(bytes.len(), message.len());
        let payload = read_frame(&mut &bytes[..], FRAME_LEN_MAX).expect("a whole frame");
        let payload = payload.expect("one");
        match Request::parse(&payload).expect("a request") {
            Request::Set { entry } => {
                assert_eq!(entry.key(), "key:0000000007");
                assert_eq!(entry.value().len(), 1 << 20);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_others_announce_what_they_send() {
        for (protocol, head, foot) in [
            (Protocol::Resp, "$1000\r\n\"", "\"\r\n"),
            (Protocol::Memcached, " 0 0 1000\r\n\"", "\"\r\n"),
        ] {
            let text = String::from_utf8(whole(&protocol.long_set(7, 1000))).expect("ASCII");
            let value = format!("{head}{}{foot}", "v".repeat(998));
            assert!(text.ends_with(&value), "{protocol}: {text}");
        }
    }

    #[test]
    fn a_message_that_is_cut_is_never_finished() {
        for len in [0, 3, 100, 1000, 1_000_000] {
            let message = Protocol::Speicher.long_set(7, 1000).cut(len);
            assert_eq!(whole(&message).len(), message.len());
            assert_eq!(message.len(), len.min(1000 + speicher::SET_LEN));
        }
    }

    #[test]
    fn a_malformed_request_is_in_step_and_none() {
        let bytes = Protocol::Speicher.malformed().expect("there is one");
        let mut rest = bytes;
        let payload = read_frame(&mut rest, FRAME_LEN_MAX).expect("a whole frame");
        assert!(Request::parse(&payload.expect("one")).is_err());
        assert_eq!(rest, b"");
    }
}
