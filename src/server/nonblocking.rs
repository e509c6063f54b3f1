//! Driving a session over a socket that never blocks, for the models that are
//! told when it is ready.

use std::io::{self, Read, Write};
use std::task::Poll;
use std::time::Duration;

use super::counts::ThreadCounts;
use super::end::End;
use super::session::{Next, Scratch, Session};
use crate::store::{Batch, StoreLost};

/// A socket that fails with `WouldBlock` where it would wait. The model knows
/// when to try again.
pub(super) trait Socket: Read + Write {
    /// Ends what the peer can read, after what has been written.
    fn end_output(&mut self) -> io::Result<()>;

    /// Bytes that were written and that the peer's machine has not confirmed;
    /// 0 where nobody knows.
    fn unconfirmed_len(&self) -> usize;
}

/// Why a drive ended while the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Driven {
    /// The socket has nothing to read, or no room for replies.
    SocketNotReady,
    /// The store has the batch.
    StoreNotReady,
    /// There is more to do, after other connections were driven.
    Again,
}

/// What one drive may do before other connections are driven: batches that are
/// executed, writes, and bytes at which it reads no more. Each is bounded, so
/// that a drive takes a fraction of a millisecond.
const BATCHES_PER_DRIVE: usize = 1;
const WRITES_PER_DRIVE: usize = 1;
const READ_LEN_PER_DRIVE: usize = 64 << 10;

/// A connection whose drive takes as long has to wait for others before it is
/// driven again, even when an event has come for it.
pub(super) const DRIVE_TIME_LONG: Duration = Duration::from_micros(50);

/// Drives the session as far as its socket and its store go without waiting,
/// or as others can be kept waiting. `execute` polls the store.
pub(super) fn drive(
    session: &mut Session,
    socket: &mut impl Socket,
    scratch: &mut Scratch,
    counts: &mut ThreadCounts,
    execute: impl FnMut(&mut Batch) -> Poll<Result<(), StoreLost>>,
) -> Result<Driven, End> {
    session.acquire(scratch);
    let driven = drive_on(session, socket, counts, execute);
    session.release(scratch);
    match driven {
        Err(end) if end.is_not_ready() => Ok(Driven::SocketNotReady),
        driven => driven,
    }
}

fn drive_on(
    session: &mut Session,
    socket: &mut impl Socket,
    counts: &mut ThreadCounts,
    mut execute: impl FnMut(&mut Batch) -> Poll<Result<(), StoreLost>>,
) -> Result<Driven, End> {
    let (mut batches, mut writes, mut read_len) = (0, 0, 0);
    loop {
        match session.next(counts) {
            Next::Read if read_len >= READ_LEN_PER_DRIVE => return Ok(Driven::Again),
            Next::Execute if batches == BATCHES_PER_DRIVE => return Ok(Driven::Again),
            Next::Write if writes == WRITES_PER_DRIVE => return Ok(Driven::Again),
            Next::Read => read_len += session.read_from(socket, counts)?,
            Next::Execute => {
                let Poll::Ready(executed) = execute(session.batch()) else {
                    return Ok(Driven::StoreNotReady);
                };
                executed?;
                session.executed();
                batches += 1;
            }
            Next::Write => {
                let written = session.write_to(socket, counts);
                if written.as_ref().is_err_and(End::is_not_ready) {
                    session.write_blocked(socket.unconfirmed_len())?;
                }
                written?;
                writes += 1;
            }
            Next::EndOutput => socket.end_output()?,
            Next::Wait => return Ok(Driven::SocketNotReady),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::frame::framed;
    use crate::server::config::Config;
    use crate::server::counts::Counts;
    use crate::store::shards::Shards;

    /// A peer that is always ready: it sends one frame again and again, and
    /// takes every reply.
    struct Endless {
        frame: Vec<u8>,
        read_len: usize,
        writes: usize,
    }

    impl Endless {
        fn new(payload: &[u8]) -> Self {
            Self {
                frame: framed(payload),
                read_len: 0,
                writes: 0,
            }
        }

        /// Drives a new session over it, with a store of its own.
        fn drive(&mut self) -> Driven {
            let shards = Shards::default();
            let mut session = Session::new(&Config::default());
            let mut counts = Counts::new(true).of_thread();
            let mut scratch = Scratch::default();
            let driven = drive(&mut session, self, &mut scratch, &mut counts, |batch| {
                shards.execute(batch);
                drop(batch.take_garbage());
                Poll::Ready(Ok(()))
            });
            driven.expect("the connection goes on")
        }
    }

    impl Read for Endless {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let from = self.read_len % self.frame.len();
            let n = room.len().min(self.frame.len() - from);
            room[..n].copy_from_slice(&self.frame[from..from + n]);
            self.read_len += n;
            Ok(n)
        }
    }

    impl Write for Endless {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.writes += 1;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Socket for Endless {
        fn end_output(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn unconfirmed_len(&self) -> usize {
            0
        }
    }

    #[test]
    fn a_drive_ends_whatever_a_peer_sends_without_a_pause() {
        for payload in [
            &b"{"[..],
            br#"{"command":"GET","key":"k"}"#,
            br#"{"command":"RST"}"#,
        ] {
            let mut peer = Endless::new(payload);
            assert_eq!(peer.drive(), Driven::Again);
            assert!(peer.writes <= 1, "{} writes", peer.writes);
        }
    }

    #[test]
    fn a_drive_reads_a_part_of_a_long_frame() {
        let mut peer = Endless::new(&vec![b' '; 4 << 20]);
        assert_eq!(peer.drive(), Driven::Again);
        assert!(peer.read_len <= 2 * READ_LEN_PER_DRIVE, "{}", peer.read_len);
    }

    /// The kernel has given up on the peer.
    struct Dead;

    const ETIMEDOUT: i32 = 110;

    impl Read for Dead {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(ETIMEDOUT))
        }
    }

    impl Write for Dead {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(ETIMEDOUT))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Socket for Dead {
        fn end_output(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn unconfirmed_len(&self) -> usize {
            0
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_peer_that_keepalive_found_dead_is_not_waited_for() {
        let mut session = Session::new(&Config::default());
        let mut counts = Counts::new(true).of_thread();
        let mut scratch = Scratch::default();
        let driven = drive(&mut session, &mut Dead, &mut scratch, &mut counts, |_| {
            Poll::Pending
        });
        assert!(matches!(driven, Err(End::Io(_))), "{driven:?}");
    }
}
