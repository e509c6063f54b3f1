//! How frames are cut out of what a peer sends.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use speicher::protocol::FrameError;
use speicher::protocol::frame::{FRAME_LEN_MAX_DEFAULT, HEADER_LEN, payload_len};

use crate::Server;
use crate::ceiling::FrameShare;
use crate::fault::Fault;

/// Bytes asked of the socket at once.
const READ_LEN: usize = 64 << 10;

/// What came of a frame.
pub enum Frame {
    Payload(Vec<u8>),
    /// It was dropped, for lack of room.
    Dropped,
}

/// Why no more frames come.
pub enum End {
    Closed,
    CutShort,
    BadLength(FrameError),
}

/// The receiving side of a connection.
pub struct Input<'a> {
    server: &'a Server,
    stream: &'a TcpStream,
    buffer: Vec<u8>,
    /// When the frame that is not yet complete began.
    begun: Option<Instant>,
    /// What is allocated for a length that was only announced.
    reserved: Vec<u8>,
    /// Of a long frame that is in the buffer in part.
    share: Option<FrameShare>,
    /// What is left of a frame that is dropped.
    to_drop: usize,
}

impl<'a> Input<'a> {
    pub fn new(server: &'a Server, stream: &'a TcpStream) -> Self {
        Self {
            server,
            stream,
            buffer: Vec::new(),
            begun: None,
            reserved: Vec::new(),
            share: None,
            to_drop: 0,
        }
    }

    /// Waits for frames; all that have come, and the end if it has come behind
    /// them.
    pub fn batch(&mut self) -> io::Result<(Vec<Frame>, Option<End>)> {
        if let Fault::HeaderRecvOnce | Fault::PayloadRecvOnce | Fault::FrameRecvOnce =
            self.server.fault
        {
            let (payloads, end) = self.recv_once()?;
            return Ok((payloads.into_iter().map(Frame::Payload).collect(), end));
        }
        loop {
            let (frames, end) = self.cut();
            if !frames.is_empty() || end.is_some() {
                return Ok((frames, end));
            }
            if self.fill()? == 0 {
                let rest = std::mem::take(&mut self.buffer);
                return Ok(match rest.len() {
                    0 => (Vec::new(), Some(End::Closed)),
                    HEADER_LEN.. if self.server.has(Fault::CutFrameExecuted) => {
                        let payload = rest[HEADER_LEN..].to_vec();
                        (vec![Frame::Payload(payload)], Some(End::Closed))
                    }
                    _ => (Vec::new(), Some(End::CutShort)),
                });
            }
        }
    }

    /// Whether the peer has ended its sending side, after a moment.
    pub fn has_ended(&self) -> bool {
        let moment = Some(Duration::from_millis(20));
        let peeked = self.stream.set_read_timeout(moment);
        peeked.and_then(|()| self.stream.peek(&mut [0])).ok() == Some(0)
    }

    /// Takes the complete frames out of the buffer.
    fn cut(&mut self) -> (Vec<Frame>, Option<End>) {
        let (mut frames, mut end) = (Vec::new(), None);
        let mut rest = &self.buffer[..];
        loop {
            if self.to_drop > 0 {
                let dropped = rest.len().min(self.to_drop);
                rest = &rest[dropped..];
                self.to_drop -= dropped;
                if self.to_drop > 0 {
                    break;
                }
                frames.push(Frame::Dropped);
            }
            let Some((header, behind)) = rest.split_first_chunk::<HEADER_LEN>() else {
                break;
            };
            let announced = announced(self.server.fault, *header);
            if let Ok(len) = announced
                && FrameShare::is_needed(len)
                && self.share.is_none()
            {
                self.share = FrameShare::take(self.server.fault, self.server.ceiling, len);
                if self.share.is_none() {
                    self.to_drop = match self.server.fault {
                        Fault::FrameWithoutRoomCut => rest.len(),
                        _ => HEADER_LEN + len,
                    };
                    continue;
                }
            }
            if let (Fault::AllocatesAnnounced, Ok(len)) = (self.server.fault, announced)
                && self.reserved.len() < len
            {
                self.reserved = vec![1; len];
            }
            match announced.map(|len| payload_in(self.server.fault, behind, len)) {
                Ok(Some(len)) => {
                    frames.push(Frame::Payload(behind[..len].to_vec()));
                    self.share = None;
                    rest = &behind[len..];
                }
                Ok(None) => break,
                Err(error) => {
                    rest = behind;
                    end = Some(End::BadLength(error));
                    break;
                }
            }
        }
        if self.server.has(Fault::PartForgotten) && !frames.is_empty() {
            rest = &[];
        }
        let taken = self.buffer.len() - rest.len();
        self.buffer.drain(..taken);
        if taken > 0 {
            self.begun = None;
        }
        (frames, end)
    }

    /// Reads once, not beyond the frame timeout, which grows with what came.
    fn fill(&mut self) -> io::Result<usize> {
        let limit = match self.server.fault {
            Fault::NoFrameTimeout => None,
            Fault::ShortFrameTimeout => Some(Duration::from_millis(200)),
            _ => Some(self.server.frame_timeout),
        };
        let deadline = match (limit, self.buffer.is_empty()) {
            (Some(limit), false) => {
                let earned = Duration::from_secs(self.buffer.len() as u64 >> 16);
                Some(*self.begun.get_or_insert_with(Instant::now) + limit + earned)
            }
            _ => None,
        };
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(left)?;
        let have = self.buffer.len();
        self.buffer.resize(have + READ_LEN, 0);
        let outcome = self.stream.read(&mut self.buffer[have..]);
        self.buffer.truncate(have + *outcome.as_ref().unwrap_or(&0));
        outcome
    }

    /// For those that take what one recv brings for what they asked for.
    fn recv_once(&mut self) -> io::Result<(Vec<Vec<u8>>, Option<End>)> {
        let mut frame = vec![0; READ_LEN];
        let mut header = [0; HEADER_LEN];
        if self.server.has(Fault::FrameRecvOnce) {
            let len = self.stream.read(&mut frame)?;
            return Ok(match frame[..len].get(HEADER_LEN..) {
                Some(payload) => (vec![payload.to_vec()], None),
                None => (Vec::new(), Some(End::Closed)),
            });
        }
        match self.server.fault {
            Fault::HeaderRecvOnce if self.stream.read(&mut header)? < HEADER_LEN => {
                return Ok((Vec::new(), Some(End::Closed)));
            }
            Fault::HeaderRecvOnce => {}
            _ => self.stream.read_exact(&mut header)?,
        }
        let mut payload = match announced(self.server.fault, header) {
            Ok(len) => vec![0; len],
            Err(error) => return Ok((Vec::new(), Some(End::BadLength(error)))),
        };
        if self.server.has(Fault::PayloadRecvOnce) {
            let len = self.stream.read(&mut payload)?;
            payload.truncate(len);
        } else {
            self.stream.read_exact(&mut payload)?;
        }
        Ok((vec![payload], None))
    }
}

/// The payload's length that the header announces.
fn announced(fault: Fault, header: [u8; HEADER_LEN]) -> Result<usize, FrameError> {
    let [a, b, c, d] = header;
    let signed = |byte: u8| i32::from(byte.cast_signed());
    match fault {
        Fault::LittleEndian | Fault::LittleEndianAll => {
            payload_len([d, c, b, a], FRAME_LEN_MAX_DEFAULT)
        }
        Fault::LengthOf16Bits => payload_len([0, 0, c, d], FRAME_LEN_MAX_DEFAULT),
        Fault::LengthOfSignedBytes if a == 0 => {
            let sum = (signed(b) << 16) + (signed(c) << 8) + signed(d);
            payload_len(sum.to_be_bytes(), FRAME_LEN_MAX_DEFAULT)
        }
        Fault::UnsignedLength => Ok(u32::from_be_bytes(header) as usize),
        Fault::FramesOf64KibAtMost => payload_len(header, 64 << 10),
        Fault::FramesOf16MibAtMost => payload_len(header, 16 << 20),
        _ => payload_len(header, FRAME_LEN_MAX_DEFAULT),
    }
}

/// How many of the bytes are the payload, once all of it has come.
fn payload_in(fault: Fault, bytes: &[u8], announced: usize) -> Option<usize> {
    match fault {
        Fault::LengthOfCharacters => {
            let text = String::from_utf8_lossy(bytes);
            let (offset, last) = text.char_indices().nth(announced.checked_sub(1)?)?;
            Some(offset + last.len_utf8())
        }
        Fault::LengthLeftOut if serde_json::from_slice::<&RawValue>(bytes).is_ok() => {
            Some(bytes.len())
        }
        _ => (bytes.len() >= announced).then_some(announced),
    }
}
