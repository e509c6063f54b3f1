//! Frames: a 4-byte signed big-endian length N, then N bytes of payload (F1).
//!
//! The length's sign and limit are decided here and nowhere else, in
//! [`payload_len`].

use std::fmt;
use std::io::{self, ErrorKind, Read};

use byteorder::{BigEndian, ByteOrder};

/// Bytes in a frame's header.
pub const HEADER_LEN: usize = 4;

/// The default limit of a payload, in bytes (F5).
pub const FRAME_LEN_MAX_DEFAULT: usize = 64 << 20;

/// The most that a header can announce, and so the highest limit, in bytes (F5).
pub const FRAME_LEN_MAX: usize = i32::MAX as usize;

/// A header that leaves the stream out of step: nothing after it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The length is below zero (F4).
    Negative(i32),
    /// The length is over the limit (F5).
    TooLong {
        /// The announced length in bytes.
        len: usize,
        /// The limit in bytes.
        frame_len_max: usize,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Negative(len) => write!(
                f,
                "The frame's length is {len}; it must be from 0 up, \
                 as a signed 32-bit big-endian number. The connection is closed."
            ),
            Self::TooLong { len, frame_len_max } => write!(
                f,
                "The frame's length is {len} bytes, over the limit of {frame_len_max}; \
                 send less, or start the server with a larger --frame-max. \
                 The connection is closed."
            ),
        }
    }
}

impl std::error::Error for FrameError {}

/// The length that a header announces, checked before anything is made of it.
pub fn payload_len(header: [u8; HEADER_LEN], frame_len_max: usize) -> Result<usize, FrameError> {
    let len = BigEndian::read_i32(&header);
    let Ok(len) = usize::try_from(len) else {
        return Err(FrameError::Negative(len));
    };
    if len > frame_len_max {
        return Err(FrameError::TooLong { len, frame_len_max });
    }
    Ok(len)
}

/// The header for a payload of `len` bytes; `None` over [`FRAME_LEN_MAX`].
pub fn header(len: usize) -> Option<[u8; HEADER_LEN]> {
    let mut header = [0; HEADER_LEN];
    BigEndian::write_i32(&mut header, i32::try_from(len).ok()?);
    Some(header)
}

/// Reads one frame and returns its payload; `None` when the stream ends
/// before the frame's first byte.
///
/// Memory grows with the bytes that arrive, not with the announced length.
/// Fails with `InvalidData` around a [`FrameError`], with `UnexpectedEof` when
/// the stream ends inside the frame, or as the reader fails.
pub fn read_frame(reader: &mut impl Read, frame_len_max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut header = Vec::with_capacity(HEADER_LEN);
    reader.take(HEADER_LEN as u64).read_to_end(&mut header)?;
    if header.is_empty() {
        return Ok(None);
    }
    let header = header.try_into().map_err(|_| ErrorKind::UnexpectedEof)?;
    let len = payload_len(header, frame_len_max)
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    let mut payload = Vec::new();
    reader.take(len as u64).read_to_end(&mut payload)?;
    if payload.len() < len {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(payload))
}

/// A decoder's buffer when little arrives, in bytes.
const BUFFER_LEN_MIN: usize = 4 << 10;

/// How far the buffer grows for many small frames, in bytes; only a frame
/// that is longer makes it grow further.
const BUFFER_LEN_BUSY: usize = 64 << 10;

/// Cuts the bytes of one connection, in whatever pieces they come, into frames.
///
/// Its memory follows what arrives: it doubles while reads fill it, and falls
/// back when they do not.
#[derive(Debug)]
pub struct Decoder {
    /// All of it initialised; `start..end` holds the bytes not yet decoded.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// What the last read brought, and whether that took all the room.
    last_read: usize,
    filled: bool,
    frame_len_max: usize,
}

impl Decoder {
    /// A decoder that refuses payloads over `frame_len_max` bytes.
    pub fn new(frame_len_max: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            end: 0,
            last_read: 0,
            filled: false,
            frame_len_max,
        }
    }

    /// Bytes that have arrived and belong to frames not yet decoded.
    pub fn buffered(&self) -> usize {
        self.end - self.start
    }

    /// Takes what one `read` brings and returns its length; 0 at the end of
    /// the stream.
    pub fn read_from(&mut self, reader: &mut impl Read) -> io::Result<usize> {
        self.make_room();
        let room = &mut self.buffer[self.end..];
        let n = reader.read(room)?;
        self.filled = n == room.len();
        self.last_read = n;
        self.end += n;
        Ok(n)
    }

    /// The payload of the next frame, if all of it has arrived.
    ///
    /// After an error the stream is out of step and the decoder of no more use.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameError> {
        match self.announced()? {
            Some(frame_len) if self.buffered() >= frame_len => {
                let payload = self.start + HEADER_LEN..self.start + frame_len;
                self.start = payload.end;
                Ok(Some(&self.buffer[payload]))
            }
            _ => Ok(None),
        }
    }

    /// Takes a buffer, if it has none of its own; see [`release`](Self::release).
    pub fn acquire(&mut self, buffer: &mut Vec<u8>) {
        if self.buffer.is_empty() {
            std::mem::swap(&mut self.buffer, buffer);
        }
    }

    /// Gives up the buffer if nothing is in it, so that many quiet connections
    /// share one.
    pub fn release(&mut self, buffer: &mut Vec<u8>) {
        if self.buffered() == 0 {
            (self.start, self.end) = (0, 0);
            let own = std::mem::take(&mut self.buffer);
            // If another connection's has come back meanwhile, one is enough.
            if buffer.is_empty() && own.len() <= BUFFER_LEN_BUSY {
                *buffer = own;
            }
        }
    }

    /// The length of the frame that begins at `start`, header included, as
    /// soon as its header is there.
    fn announced(&self) -> Result<Option<usize>, FrameError> {
        let arrived = &self.buffer[self.start..self.end];
        let Some(header) = arrived.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let len = payload_len(*header, self.frame_len_max)?;
        Ok(Some(HEADER_LEN + len))
    }

    /// Leaves at least one free byte behind `end`.
    fn make_room(&mut self) {
        let len = self.buffer.len();
        if len == 0 {
            self.resize_empty(BUFFER_LEN_MIN);
        } else if self.buffered() == 0 {
            (self.start, self.end) = (0, 0);
            if self.filled && len < BUFFER_LEN_BUSY {
                self.resize_empty(2 * len);
            } else if len > BUFFER_LEN_BUSY {
                self.resize_empty(BUFFER_LEN_BUSY);
            } else if self.last_read < len / 16 && len > BUFFER_LEN_MIN {
                self.resize_empty((len / 2).max(BUFFER_LEN_MIN));
            }
        } else {
            self.make_room_behind_a_part(len);
        }
    }

    /// Keeps the bytes of a frame that has begun, and leaves room for more.
    fn make_room_behind_a_part(&mut self, len: usize) {
        let is_short =
            matches!(self.announced(), Ok(Some(frame_len)) if frame_len <= BUFFER_LEN_BUSY);
        if len > BUFFER_LEN_BUSY && is_short {
            let mut shorter = vec![0; BUFFER_LEN_BUSY];
            shorter[..self.buffered()].copy_from_slice(&self.buffer[self.start..self.end]);
            self.buffer = shorter;
            (self.start, self.end) = (0, self.buffered());
            return;
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.buffered());
        }
        if self.end == len || (self.filled && len < BUFFER_LEN_BUSY) {
            // Doubling keeps the promise that memory follows the bytes that
            // came; a frame's announced length only caps it.
            let wanted = match self.announced() {
                Ok(Some(frame_len)) if frame_len > len => frame_len.min(2 * len),
                _ => 2 * len,
            };
            self.buffer.resize(wanted, 0);
        }
    }

    fn resize_empty(&mut self, len: usize) {
        self.buffer = vec![0; len];
        (self.start, self.end) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut frame = header(payload.len()).expect("short").to_vec();
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn lengths_are_signed_and_limited() {
        let limit = 1000;
        assert_eq!(payload_len([0, 0, 0, 0], limit), Ok(0));
        assert_eq!(payload_len([0, 0, 3, 0xe8], limit), Ok(1000));
        assert_eq!(
            payload_len([0, 0, 3, 0xe9], limit),
            Err(FrameError::TooLong {
                len: 1001,
                frame_len_max: limit
            })
        );
        assert_eq!(payload_len([0xff; 4], limit), Err(FrameError::Negative(-1)));
        assert_eq!(
            payload_len([0x80, 0, 0, 0], FRAME_LEN_MAX),
            Err(FrameError::Negative(i32::MIN))
        );
        assert_eq!(header(FRAME_LEN_MAX), Some([0x7f, 0xff, 0xff, 0xff]));
        assert_eq!(header(FRAME_LEN_MAX + 1), None);
    }

    #[test]
    fn an_announced_length_allocates_nothing() {
        let mut decoder = Decoder::new(FRAME_LEN_MAX);
        let announced = header(FRAME_LEN_MAX).expect("the most there is");
        decoder.read_from(&mut &announced[..]).expect("read");
        assert_eq!(decoder.next_frame(), Ok(None));
        decoder.make_room();
        assert_eq!(decoder.buffer.len(), BUFFER_LEN_MIN);
    }

    #[test]
    fn the_buffer_falls_back_after_a_long_frame() {
        let long = frame(&vec![7; 1 << 20]);
        let mut decoder = Decoder::new(FRAME_LEN_MAX_DEFAULT);
        let mut stream = &long[..];
        while decoder.read_from(&mut stream).expect("read") > 0 {
            assert!(decoder.buffer.len() <= long.len());
            if let Some(payload) = decoder.next_frame().expect("in step") {
                assert_eq!(payload.len(), 1 << 20);
            }
        }
        assert!(decoder.buffer.len() <= BUFFER_LEN_BUSY);
        let mut shared = Vec::new();
        decoder.release(&mut shared);
        assert!(decoder.buffer.is_empty());
        assert!((1..=BUFFER_LEN_BUSY).contains(&shared.len()));
    }

    #[test]
    fn the_buffer_follows_the_load_whatever_is_left_over() {
        let short = frame(&[7; 996]);
        let pipeline = [
            short.repeat(1000),
            frame(&vec![7; 1 << 20]),
            short.repeat(1000),
        ]
        .concat();
        let mut decoder = Decoder::new(FRAME_LEN_MAX_DEFAULT);
        let mut stream = &pipeline[..];
        let mut reads = 0;
        while decoder.read_from(&mut stream).expect("read") > 0 {
            while decoder.next_frame().expect("in step").is_some() {}
            reads += 1;
        }
        // 3 MB, most of it in pieces of 64 KiB.
        assert!(reads < 80, "{reads} reads");
        assert!(decoder.buffer.len() <= BUFFER_LEN_BUSY);
    }

    #[test]
    fn a_stream_that_ends_inside_a_frame_is_an_error_for_the_blocking_reader() {
        let whole = frame(b"abc");
        for cut in 1..whole.len() {
            let error = read_frame(&mut &whole[..cut], 10).expect_err("cut short");
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "cut at {cut}");
        }
        assert_eq!(read_frame(&mut &b""[..], 10).expect("an end"), None);
    }
}
