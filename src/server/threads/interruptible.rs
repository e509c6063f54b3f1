//! A socket whose blocked read another thread can end.

use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown as Side, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::server::eviction::Silence;
use crate::server::socket::unread_len;

/// A connection's socket, shared by the worker that serves it and the threads
/// that stop the server or evict the connection.
///
/// std can end a blocked read only by ending the socket's input, and on Linux
/// that has a price: what has arrived can still be read, but the peer is no
/// longer told of the room this makes, so one that is held back stays so.
/// Therefore the input is ended only when a read is really blocked, which
/// means that nothing has arrived; another read returns, and its worker sees
/// for itself that it was interrupted.
#[derive(Debug)]
pub(super) struct Interruptible {
    stream: TcpStream,
    is_waiting: AtomicBool,
    is_interrupted: AtomicBool,
    input_is_ended: AtomicBool,
    silence: Silence,
}

impl Interruptible {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            is_waiting: AtomicBool::new(false),
            is_interrupted: AtomicBool::new(false),
            input_is_ended: AtomicBool::new(false),
            silence: Silence::new(),
        }
    }

    /// The socket, for all but waiting reads.
    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn silence(&self) -> &Silence {
        &self.silence
    }

    /// Ends the read that is blocked, and has those to come return at once.
    pub(super) fn interrupt(&self) {
        // With the two in `read`: whichever of the threads comes second sees
        // what the first has stored, so no read can slip through.
        self.is_interrupted.store(true, Ordering::SeqCst);
        if self.is_waiting.load(Ordering::SeqCst) && unread_len(&self.stream) == 0 {
            self.input_is_ended.store(true, Ordering::SeqCst);
            // It fails when the peer has gone, which ends the read as well.
            let _ = self.stream.shutdown(Side::Read);
        }
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.is_interrupted.load(Ordering::SeqCst)
    }

    /// Whether a read of 0 bytes is no word of the peer's.
    pub(super) fn input_is_ended(&self) -> bool {
        self.input_is_ended.load(Ordering::SeqCst)
    }
}

impl Read for &Interruptible {
    /// Waits for bytes; fails with `WouldBlock` when the read timeout is up
    /// or when it was [interrupted](Interruptible::interrupt).
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.is_waiting.store(true, Ordering::SeqCst);
        let outcome = if self.is_interrupted() {
            Err(ErrorKind::WouldBlock.into())
        } else {
            (&self.stream).read(room)
        };
        self.is_waiting.store(false, Ordering::SeqCst);
        outcome
    }
}
