//! What std's sockets leave out: keepalive, the backlog, and what is in their
//! queues.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

/// Whether an accept failed because this process (EMFILE) or the machine
/// (ENFILE) has no descriptor left.
pub(super) fn is_out_of_descriptors(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// Makes an accepted socket ready to serve: replies leave at once (F2a), and
/// dead peers are found.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    enable_keepalive(stream)?;
    stream.set_nodelay(true)
}

/// Has the kernel find out whether silent peers are still there: after a
/// minute of silence it asks every 15 seconds, and gives up after 4 questions.
///
/// Elsewhere than on Linux it does nothing.
fn enable_keepalive(stream: &TcpStream) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return linux::enable_keepalive(stream);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = stream;
        Ok(())
    }
}

/// Bytes that were written and that the peer's machine has not confirmed.
///
/// While there are any, closing can lose them: if the peer goes on sending,
/// the closed socket answers with a reset and forgets what it had to send.
/// Elsewhere than on Linux it is always 0.
pub(super) fn unconfirmed_len(stream: &impl AsFd) -> usize {
    #[cfg(target_os = "linux")]
    return linux::unconfirmed_len(stream);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = stream;
        0
    }
}

/// Bytes that have arrived and were not read. Elsewhere than on Linux it is
/// always 0.
pub(super) fn unread_len(stream: &impl AsFd) -> usize {
    #[cfg(target_os = "linux")]
    return linux::unread_len(stream);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = stream;
        0
    }
}

/// Whether a connection waits to be accepted. Elsewhere than on Linux it is
/// always false.
pub(super) fn is_awaited(listener: &TcpListener) -> bool {
    #[cfg(target_os = "linux")]
    return linux::is_awaited(listener);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = listener;
        false
    }
}

/// Lets more connections wait to be accepted than the 128 that std asks for:
/// beyond them a peer's attempt is dropped, and it tries again a second later.
///
/// Elsewhere than on Linux it does nothing.
pub(super) fn deepen_backlog(listener: &TcpListener) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return linux::deepen_backlog(listener);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = listener;
        Ok(())
    }
}

/// std can neither ask for keepalive, nor for what is in a socket's queues, nor
/// for a backlog, and the baseline's six packages can't either; calls to
/// the C library that std links already are less than a seventh package.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "calls of foreign functions")]
mod linux {
    use std::ffi::{c_int, c_short, c_ulong, c_void};
    use std::io;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::{AsFd, AsRawFd};

    // The numbers that Linux gives these names in socket(7), tcp(7) and
    // sockios(7), on all architectures but a few old ones (MIPS, SPARC, Alpha,
    // PA-RISC), where this module would need others.
    const SOL_SOCKET: c_int = 1;
    const SO_KEEPALIVE: c_int = 9;
    const IPPROTO_TCP: c_int = 6;
    const TCP_KEEPIDLE: c_int = 4;
    const TCP_KEEPINTVL: c_int = 5;
    const TCP_KEEPCNT: c_int = 6;
    const SIOCOUTQ: c_ulong = 0x5411;
    const SIOCINQ: c_ulong = 0x541b;

    const POLLIN: c_short = 1;

    /// The kernel lowers it to its own limit, net.core.somaxconn.
    const BACKLOG: c_int = 4096;

    unsafe extern "C" {
        fn setsockopt(
            socket: c_int,
            level: c_int,
            name: c_int,
            value: *const c_void,
            len: u32,
        ) -> c_int;

        fn ioctl(descriptor: c_int, request: c_ulong, ...) -> c_int;

        fn listen(socket: c_int, backlog: c_int) -> c_int;

        fn poll(first: *mut PollFd, count: c_ulong, timeout_ms: c_int) -> c_int;
    }

    #[repr(C)]
    struct PollFd {
        descriptor: c_int,
        events: c_short,
        found: c_short,
    }

    pub(super) fn enable_keepalive(stream: &TcpStream) -> io::Result<()> {
        set(stream, SOL_SOCKET, SO_KEEPALIVE, 1)?;
        set(stream, IPPROTO_TCP, TCP_KEEPIDLE, 60)?;
        set(stream, IPPROTO_TCP, TCP_KEEPINTVL, 15)?;
        set(stream, IPPROTO_TCP, TCP_KEEPCNT, 4)
    }

    fn set(stream: &TcpStream, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
        // SAFETY: the descriptor is open while `stream` is borrowed, and
        // `value` is a c_int that lives across the call and whose size is
        // the length given; the kernel only reads it.
        let status = unsafe {
            setsockopt(
                stream.as_raw_fd(),
                level,
                name,
                (&raw const value).cast(),
                size_of::<c_int>() as u32,
            )
        };
        to_result(status)
    }

    pub(super) fn deepen_backlog(listener: &TcpListener) -> io::Result<()> {
        // SAFETY: the descriptor is open while `listener` is borrowed; to
        // listen again on a listening socket only changes its backlog.
        to_result(unsafe { listen(listener.as_raw_fd(), BACKLOG) })
    }

    pub(super) fn is_awaited(listener: &TcpListener) -> bool {
        let mut asked = PollFd {
            descriptor: listener.as_raw_fd(),
            events: POLLIN,
            found: 0,
        };
        // SAFETY: the descriptor is open while `listener` is borrowed, and the
        // kernel reads and writes the one element that it is told of.
        unsafe { poll(&raw mut asked, 1, 0) > 0 }
    }

    fn to_result(status: c_int) -> io::Result<()> {
        if status == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    pub(super) fn unconfirmed_len(stream: &impl AsFd) -> usize {
        queue_len(stream, SIOCOUTQ)
    }

    pub(super) fn unread_len(stream: &impl AsFd) -> usize {
        queue_len(stream, SIOCINQ)
    }

    /// 0 for a socket that can't be asked.
    fn queue_len(stream: &impl AsFd, request: c_ulong) -> usize {
        let mut len: c_int = 0;
        // SAFETY: the descriptor is open while `stream` is borrowed, and both
        // requests write one c_int, for which `len` is there.
        let status = unsafe { ioctl(stream.as_fd().as_raw_fd(), request, &raw mut len) };
        if status == 0 {
            usize::try_from(len).unwrap_or(0)
        } else {
            0
        }
    }
}
