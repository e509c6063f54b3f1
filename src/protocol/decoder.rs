//! Bytes of one connection, in whatever pieces they come, cut into frames.

use std::io::{self, Read};

use super::frame::{FrameError, HEADER_LEN, payload_len};
use super::request::BadRequest;
use crate::memory::ceiling::{self, FrameShare};
use crate::memory::reserve;

/// What is read at a time, in bytes. A frame that is longer, header included,
/// is long.
const BUFFER_LEN: usize = 64 << 10;

/// What is read at a time when the server has little memory left.
const BUFFER_LEN_FRUGAL: usize = 4 << 10;

/// Of a frame, what is kept when it has none left.
const KEPT_LEN_SPENT: usize = 1 << 10;

/// What a frame turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The payload of a frame of up to 64 KiB.
    Short(&'a [u8]),
    /// A longer one, which takes a time to parse.
    Long(LongFrame),
    /// There was no memory for it, for this reason; its bytes were dropped.
    Dropped(Box<BadRequest>),
}

/// A long frame in memory of its own. It is a pointer, so that what has place for
/// one is short.
#[derive(Debug, PartialEq, Eq)]
pub struct LongFrame(Box<LongBytes>);

#[derive(Debug)]
struct LongBytes {
    bytes: Vec<u8>,
    /// For all that `bytes` has room for.
    share: FrameShare,
}

impl LongFrame {
    /// What follows the header.
    pub fn payload(&self) -> &[u8] {
        &self.0.bytes[HEADER_LEN..]
    }
}

impl LongBytes {
    /// One of so many bytes, of which none has arrived.
    fn begin(frame_len: usize) -> Result<Self, BadRequest> {
        match FrameShare::can_hold(frame_len) {
            true => Ok(Self {
                bytes: Vec::new(),
                share: FrameShare::default(),
            }),
            false => Err(BadRequest::NoRoomForFrame { frame_len }),
        }
    }

    /// Adds these bytes. Makes room for a quarter of the whole besides, up to
    /// `frame_len`. Fails if there is no memory.
    fn push(&mut self, bytes: &[u8], frame_len: usize) -> Result<(), BadRequest> {
        let len = self.bytes.len() + bytes.len();
        let room = self.bytes.capacity();
        if len > room {
            let wanted = (len + len / 4).min(frame_len);
            if !self.share.grow(wanted - room) {
                return Err(BadRequest::NoRoomForFrame { frame_len });
            }
            let more = wanted - self.bytes.len();
            if !reserve::is_held() || self.bytes.try_reserve_exact(more).is_err() {
                return Err(BadRequest::NoMemory);
            }
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

impl PartialEq for LongBytes {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for LongBytes {}

/// Cuts the bytes of one connection into frames.
///
/// It reads into a buffer of 64 KiB, which connections can share. Only what has
/// arrived of a long frame takes more, and 1.25 times its length at most.
#[derive(Debug)]
pub struct Decoder {
    frame_len_max: usize,
    /// All of it initialised; `start..end` holds the bytes not yet decoded.
    /// Shorter than [`BUFFER_LEN`], it holds nothing else.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Of a frame that was not to stay in the buffer. What is in the buffer
    /// follows it.
    partial: Option<Box<Partial>>,
}

/// The beginning of a frame that is not to stay in the buffer, header included.
#[derive(Debug)]
struct Partial {
    frame_len: usize,
    arrived: usize,
    /// What has arrived, or why it was dropped.
    frame: Result<LongBytes, BadRequest>,
}

impl Partial {
    fn begin(frame_len: usize, frame: Result<LongBytes, BadRequest>) -> Option<Box<Self>> {
        Some(Box::new(Self {
            frame_len,
            arrived: 0,
            frame,
        }))
    }

    /// Takes the frame's next bytes from the front of `unread`, and returns how
    /// many.
    fn take(&mut self, unread: &[u8]) -> usize {
        let n = unread.len().min(self.frame_len - self.arrived);
        self.arrived += n;
        if let Ok(frame) = &mut self.frame
            && let Err(reason) = frame.push(&unread[..n], self.frame_len)
        {
            self.frame = Err(reason);
        }
        n
    }
}

impl Decoder {
    /// A decoder that refuses payloads over `frame_len_max` bytes.
    pub fn new(frame_len_max: usize) -> Self {
        Self {
            frame_len_max,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            partial: None,
        }
    }

    /// Bytes that have arrived and belong to frames not yet decoded.
    pub fn buffered(&self) -> usize {
        let partial = self.partial.as_ref().map_or(0, |partial| partial.arrived);
        partial + self.unread().len()
    }

    /// Takes what one `read` brings and returns its length; 0 at the end of
    /// the stream. Before the next, decode all frames.
    pub fn read_from(&mut self, reader: &mut impl Read) -> io::Result<usize> {
        let len_max = match ceiling::is_frugal() {
            true => BUFFER_LEN_FRUGAL,
            false => BUFFER_LEN,
        };
        self.make_room(len_max);
        let room = &mut self.buffer[self.end..];
        let len = room.len().min(len_max);
        let n = reader.read(&mut room[..len])?;
        self.end += n;
        Ok(n)
    }

    /// The next frame, if all of it has arrived.
    ///
    /// After an error the stream is out of step and the decoder of no more use.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        if self.partial.is_none() {
            let unread = self.unread();
            match announced(unread, self.frame_len_max)? {
                Some(frame_len) if frame_len <= unread.len() => {
                    let payload = self.start + HEADER_LEN..self.start + frame_len;
                    self.start = payload.end;
                    return Ok(Some(Frame::Short(&self.buffer[payload])));
                }
                Some(frame_len) if frame_len > BUFFER_LEN => {
                    self.partial = Partial::begin(frame_len, LongBytes::begin(frame_len));
                }
                Some(frame_len) if unread.len() > KEPT_LEN_SPENT && ceiling::is_spent() => {
                    let reason = BadRequest::NoRoomForFrame { frame_len };
                    self.partial = Partial::begin(frame_len, Err(reason));
                }
                _ => return Ok(None),
            }
        }
        Ok(self.next_long())
    }

    /// The frame that has begun elsewhere, if it is whole.
    fn next_long(&mut self) -> Option<Frame<'static>> {
        let partial = self.partial.as_mut()?;
        self.start += partial.take(&self.buffer[self.start..self.end]);
        if partial.arrived < partial.frame_len {
            return None;
        }
        Some(match self.partial.take()?.frame {
            Ok(frame) => Frame::Long(LongFrame(Box::new(frame))),
            Err(reason) => Frame::Dropped(Box::new(reason)),
        })
    }

    /// Takes a buffer of 64 KiB, or an empty one, if it has none as long; see
    /// [`release`](Self::release).
    pub fn acquire(&mut self, buffer: &mut Vec<u8>) {
        if self.buffer.len() < BUFFER_LEN && buffer.len() == BUFFER_LEN {
            let unread = self.unread();
            buffer[..unread.len()].copy_from_slice(unread);
            (self.start, self.end) = (0, unread.len());
            self.buffer = std::mem::take(buffer);
        }
    }

    /// Gives up the buffer, so that many quiet connections share one, and
    /// keeps only what is in it.
    pub fn release(&mut self, buffer: &mut Vec<u8>) {
        let unread = self.unread();
        // Nearly full, it is more to copy than to make another.
        if unread.len() > BUFFER_LEN / 2 || self.buffer.len() < BUFFER_LEN {
            return;
        }
        *buffer = self.shrink();
    }

    /// Keeps only what is in the buffer, and returns it.
    pub(crate) fn shrink(&mut self) -> Vec<u8> {
        let kept = self.unread().to_vec();
        (self.start, self.end) = (0, kept.len());
        std::mem::replace(&mut self.buffer, kept)
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Leaves at least one free byte behind `end`, in a buffer of so many bytes
    /// or of as many as it takes.
    fn make_room(&mut self, len: usize) {
        let unread = self.start..self.end;
        if unread.is_empty() {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 && self.end > self.buffer.len() / 2 {
            (self.start, self.end) = (0, unread.len());
            self.buffer.copy_within(unread, 0);
        }
        if self.buffer.len() < len || self.end == self.buffer.len() {
            self.grow(len.max(2 * self.end).min(BUFFER_LEN));
        }
    }

    /// Takes a buffer of so many bytes in place of one that is too short.
    fn grow(&mut self, len: usize) {
        // Zeroed memory is had for nothing where it was never used.
        let mut buffer = vec![0; len];
        buffer[..self.end].copy_from_slice(&self.buffer[..self.end]);
        self.buffer = buffer;
    }
}

/// The length of the frame that begins with `bytes`, header included, as soon
/// as its header is there.
fn announced(bytes: &[u8], frame_len_max: usize) -> Result<Option<usize>, FrameError> {
    let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
        return Ok(None);
    };
    let len = payload_len(*header, frame_len_max)?;
    Ok(Some(HEADER_LEN + len))
}

#[cfg(test)]
mod tests {
    use super::super::frame::{FRAME_LEN_MAX, FRAME_LEN_MAX_DEFAULT, framed, header};
    use super::*;

    /// The memory that it holds, in bytes.
    fn capacity(decoder: &Decoder) -> usize {
        let partial = decoder.partial.as_ref();
        let frame = partial.and_then(|partial| partial.frame.as_ref().ok());
        decoder.buffer.capacity() + frame.map_or(0, |frame| frame.bytes.capacity())
    }

    #[test]
    fn an_announced_length_allocates_nothing() {
        let mut decoder = Decoder::new(FRAME_LEN_MAX);
        let announced = header(FRAME_LEN_MAX).expect("the most there is");
        decoder.read_from(&mut &announced[..]).expect("read");
        assert_eq!(decoder.next_frame(), Ok(None));
        let mut shared = Vec::new();
        decoder.release(&mut shared);
        assert!(capacity(&decoder) <= 8, "{}", capacity(&decoder));
        assert_eq!(shared.len(), BUFFER_LEN);
    }

    #[test]
    fn memory_follows_what_arrives_of_a_long_frame() {
        let long = framed(&vec![7; 1 << 20]);
        let mut decoder = Decoder::new(FRAME_LEN_MAX_DEFAULT);
        let mut stream = &long[..];
        let mut arrived = 0;
        let mut found = None;
        while found.is_none() {
            arrived += decoder.read_from(&mut stream).expect("read");
            if let Some(frame) = decoder.next_frame().expect("in step") {
                found = Some(matches!(frame, Frame::Long(long) if long.payload() == [7; 1 << 20]));
            }
            assert!(capacity(&decoder) <= arrived + arrived / 4 + BUFFER_LEN);
        }
        assert_eq!(found, Some(true));
        assert_eq!(capacity(&decoder), BUFFER_LEN);
        assert_eq!(decoder.buffered(), 0);
    }

    #[test]
    fn a_frame_without_memory_is_dropped_and_the_next_found() {
        let mut decoder = Decoder::new(FRAME_LEN_MAX_DEFAULT);
        let bytes = [framed(&vec![7; 1 << 20]), framed(b"next")].concat();
        let mut stream = &bytes[..];
        decoder.read_from(&mut stream).expect("read");
        assert_eq!(decoder.next_frame(), Ok(None));
        let partial = decoder.partial.as_mut().expect("it has begun");
        partial.frame = Err(BadRequest::NoMemory);
        while decoder.read_from(&mut stream).expect("read") > 0 {
            if let Some(frame) = decoder.next_frame().expect("in step") {
                assert_eq!(frame, Frame::Dropped(Box::new(BadRequest::NoMemory)));
                break;
            }
        }
        assert_eq!(decoder.next_frame(), Ok(Some(Frame::Short(b"next"))));
    }

    #[test]
    fn no_more_memory_than_there_is_can_be_reserved() {
        let mut frame = LongBytes::begin(usize::MAX).expect("without a ceiling");
        let pushed = frame.push(&[7; 100], usize::MAX);
        assert_eq!(pushed, Ok(()), "memory follows what arrives");
        assert_eq!(frame.bytes, [7; 100]);
    }

    #[test]
    fn many_short_frames_take_few_reads() {
        let pipeline = framed(&[7; 996]).repeat(1000);
        let mut decoder = Decoder::new(FRAME_LEN_MAX_DEFAULT);
        let mut shared = Vec::new();
        let mut stream = &pipeline[..];
        let mut reads = 0;
        loop {
            decoder.acquire(&mut shared);
            if decoder.read_from(&mut stream).expect("read") == 0 {
                break;
            }
            while decoder.next_frame().expect("in step").is_some() {}
            decoder.release(&mut shared);
            reads += 1;
        }
        // 1 MB in pieces of 64 KiB.
        assert!(reads < 20, "{reads} reads");
    }
}
