//! What std's sockets leave out: keepalive, and closing without losing replies.

use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown as Side, TcpStream};
use std::time::{Duration, Instant};

/// The most that is read and dropped while a peer is still sending (F5).
const LINGER_LEN_MAX: usize = 256 << 20;

/// The longest that a peer may go on sending after its last reply (F5).
const LINGER_TIME_MAX: Duration = Duration::from_secs(5);

/// The longest silence of a peer that may still be sending.
const LINGER_SILENCE_MAX: Duration = Duration::from_secs(1);

/// Ends the replies and drops what the peer still sends, so that it can read
/// the last reply before the connection closes (F5).
///
/// A socket that is closed with bytes unread resets the connection, and a
/// peer that is reset may lose a reply it has not read yet.
pub(super) fn linger(stream: &TcpStream) -> io::Result<()> {
    stream.shutdown(Side::Write)?;
    stream.set_read_timeout(Some(LINGER_SILENCE_MAX))?;
    let deadline = Instant::now() + LINGER_TIME_MAX;
    let mut dropped = vec![0; 64 << 10];
    let mut dropped_len = 0;
    while dropped_len < LINGER_LEN_MAX && Instant::now() < deadline {
        match (&mut &*stream).read(&mut dropped) {
            Ok(0) => break,
            Ok(n) => dropped_len += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether a read or write ended because its timeout was up.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Whether an accept failed because this process (EMFILE) or the machine
/// (ENFILE) has no descriptor left.
pub(super) fn is_out_of_descriptors(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// Has the kernel find out whether silent peers are still there: after a
/// minute of silence it asks every 15 seconds, and gives up after 4 questions.
/// Elsewhere than on Linux it does nothing.
pub(super) fn enable_keepalive(stream: &TcpStream) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return keepalive::enable(stream);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = stream;
        Ok(())
    }
}

/// std has no way to ask for keepalive, and the baseline's six packages have
/// none either; one call to the C library that std links already is less than
/// a seventh package.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "setsockopt is a foreign function")]
mod keepalive {
    use std::ffi::{c_int, c_void};
    use std::io;
    use std::net::TcpStream;
    use std::os::fd::AsRawFd;

    // Linux's numbers, from its socket(7) and tcp(7) headers; some older
    // architectures number SOL_SOCKET and SO_KEEPALIVE otherwise, and there
    // a test that looks for the timer fails.
    const SOL_SOCKET: c_int = 1;
    const SO_KEEPALIVE: c_int = 9;
    const IPPROTO_TCP: c_int = 6;
    const TCP_KEEPIDLE: c_int = 4;
    const TCP_KEEPINTVL: c_int = 5;
    const TCP_KEEPCNT: c_int = 6;

    unsafe extern "C" {
        fn setsockopt(
            socket: c_int,
            level: c_int,
            name: c_int,
            value: *const c_void,
            len: u32,
        ) -> c_int;
    }

    pub(super) fn enable(stream: &TcpStream) -> io::Result<()> {
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
        if status == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}
