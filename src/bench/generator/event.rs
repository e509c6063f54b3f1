//! What one event of a socket leads to: a bounded piece of writing or reading.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::decoder::Failure;

/// The most that is read or written for one event, in bytes: a server that is always there first
/// must not keep a thread from the clock.
const EVENT_LEN_MAX: usize = 1 << 20;

const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Has the poll tell what the socket is ready for.
pub(super) fn register(
    stream: &mut TcpStream,
    registry: &Registry,
    token: Token,
) -> io::Result<()> {
    registry.register(stream, token, INTEREST)
}

/// Has the poll tell it once more.
pub(super) fn ask_again(
    stream: &mut TcpStream,
    registry: &Registry,
    token: Token,
) -> io::Result<()> {
    registry.reregister(stream, token, INTEREST)
}

/// Writes what the socket takes of the bytes that `rest` has from a position on, but no more
/// than [`EVENT_LEN_MAX`]. Moves the position, and adds how many bytes that is to `sent`.
///
/// Returns whether the socket may take more, for which there will be no event.
pub(super) fn write<'b>(
    stream: &mut TcpStream,
    at: &mut usize,
    sent: &mut u64,
    rest: impl Fn(usize) -> &'b [u8],
) -> io::Result<bool> {
    let mut left = EVENT_LEN_MAX;
    loop {
        let piece = rest(*at);
        if piece.is_empty() {
            return Ok(false);
        }
        if left == 0 {
            return Ok(true);
        }
        match stream.write(&piece[..piece.len().min(left)]) {
            Ok(0) => return Ok(false),
            Ok(n) => {
                *at += n;
                *sent += n as u64;
                left -= n;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads what is there into `scratch`, but no more than [`EVENT_LEN_MAX`], and hands it to
/// `take`; adds how many bytes came to `received`. To the end of the stream if `ends`, for
/// which there will be no event.
///
/// Returns whether more is there, for which there will be no event either.
pub(super) fn read(
    stream: &mut TcpStream,
    scratch: &mut [u8],
    ends: bool,
    received: &mut u64,
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    let mut left = EVENT_LEN_MAX;
    while left > 0 {
        let n = match stream.read(scratch) {
            Ok(0) => return Err(Failure::Closed("the server closed it".to_owned())),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        *received += n as u64;
        take(&scratch[..n])?;
        if n < scratch.len() && !ends {
            return Ok(false);
        }
        left = left.saturating_sub(n);
    }
    Ok(true)
}
