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

/// The whole frame, for tests and for the kit's cases, none of which is over 2 GiB.
#[cfg(any(test, feature = "conformance"))]
pub(crate) fn framed(payload: &[u8]) -> Vec<u8> {
    let header = header(payload.len()).expect("short");
    [&header, payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_stream_that_ends_inside_a_frame_is_an_error_for_the_blocking_reader() {
        let whole = framed(b"abc");
        for cut in 1..whole.len() {
            let error = read_frame(&mut &whole[..cut], 10).expect_err("cut short");
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "cut at {cut}");
        }
        assert_eq!(read_frame(&mut &b""[..], 10).expect("an end"), None);
    }
}
