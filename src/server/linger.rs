//! Closing so that the peer can read the last reply.

use std::io::{self, Read};
use std::time::{Duration, Instant};

/// The most that is read and dropped while a peer is still sending (F5).
const LINGER_LEN_MAX: usize = 256 << 20;

/// The most that is dropped at a time.
const LINGER_ROOM_LEN: usize = 64 << 10;

/// The longest that a peer may go on sending after its last reply (F5).
const LINGER_TIME_MAX: Duration = Duration::from_secs(5);

/// The longest silence of a peer that may still be sending.
const LINGER_SILENCE_MAX: Duration = Duration::from_secs(1);

/// Reads and drops what a peer still sends after the last reply (F5).
///
/// A socket that is closed with bytes unread resets the connection, and a
/// peer that is reset may lose a reply it has not read yet.
#[derive(Debug)]
pub(super) struct Linger {
    until: Instant,
    silent_until: Instant,
    left: usize,
}

impl Linger {
    pub(super) fn begin() -> Self {
        let now = Instant::now();
        Self {
            until: now + LINGER_TIME_MAX,
            silent_until: now + LINGER_SILENCE_MAX,
            left: LINGER_LEN_MAX,
        }
    }

    /// When it is over, if nothing comes before.
    pub(super) fn deadline(&self) -> Instant {
        self.until.min(self.silent_until)
    }

    /// Drops what one read brings and returns its length; 0 when it is over.
    pub(super) fn drop_some(&mut self, reader: &mut impl Read) -> io::Result<usize> {
        // On the heap: an array would become part of a worker's stack frame
        // and be touched for every connection.
        let n = reader.read(&mut vec![0; LINGER_ROOM_LEN])?;
        let now = Instant::now();
        self.left = self.left.saturating_sub(n);
        self.silent_until = now + LINGER_SILENCE_MAX;
        let goes_on = self.left > 0 && now < self.until;
        Ok(if goes_on { n } else { 0 })
    }
}
