//! Driving a session over a socket that never blocks, for the models that are
//! told when it is ready.

use std::io::{self, Read, Write};
use std::task::Poll;
use std::time::Duration;

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
    execute: impl FnMut(&mut Batch) -> Poll<Result<(), StoreLost>>,
) -> Result<Driven, End> {
    session.acquire(scratch);
    let driven = drive_on(session, socket, execute);
    session.release(scratch);
    match driven {
        Err(end) if end.is_not_ready() => Ok(Driven::SocketNotReady),
        driven => driven,
    }
}

fn drive_on(
    session: &mut Session,
    socket: &mut impl Socket,
    mut execute: impl FnMut(&mut Batch) -> Poll<Result<(), StoreLost>>,
) -> Result<Driven, End> {
    let (mut batches, mut writes, mut read_len) = (0, 0, 0);
    loop {
        match session.next() {
            Next::Read if read_len >= READ_LEN_PER_DRIVE => return Ok(Driven::Again),
            Next::Execute if batches == BATCHES_PER_DRIVE => return Ok(Driven::Again),
            Next::Write if writes == WRITES_PER_DRIVE => return Ok(Driven::Again),
            Next::Read => read_len += session.read_from(socket)?,
            Next::Execute => {
                let Poll::Ready(executed) = execute(session.batch()) else {
                    return Ok(Driven::StoreNotReady);
                };
                executed?;
                session.executed();
                batches += 1;
            }
            Next::Write => {
                let written = session.write_to(socket);
                if written.as_ref().is_err_and(End::is_not_ready) {
                    session.write_blocked(socket.unconfirmed_len());
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
    use crate::server::config::Config;

    /// The kernel has given up on the peer.
    struct DeadSocket;

    const ETIMEDOUT: i32 = 110;

    impl Read for DeadSocket {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(ETIMEDOUT))
        }
    }

    impl Write for DeadSocket {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(ETIMEDOUT))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Socket for DeadSocket {
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
        let driven = drive(
            &mut session,
            &mut DeadSocket,
            &mut Scratch::default(),
            |_| Poll::Pending,
        );
        assert!(matches!(driven, Err(End::Io(_))), "{driven:?}");
    }
}
