//! One reading of a server's metrics, by HTTP.
//!
//! It asks with HTTP/1.0, so that the answer comes in one piece, and the connection ends behind it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::reading::Reading;

/// How long a reading may take, from the first attempt to connect to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest answer that is read, in bytes. A server's own has about 20,000.
const ANSWER_LEN_MAX: usize = 1 << 20;

/// The longest head of an answer, in bytes.
const HEAD_LEN_MAX: usize = 16 * 1024;

/// Reads the metrics; the error says what kept it from that, and may have the server's words in it.
pub(super) fn scrape(address: &str) -> Result<Reading, String> {
    let deadline = Instant::now() + TIMEOUT;
    let answer = ask(address, deadline).map_err(|error| match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => {
            format!("no whole answer within {} s", TIMEOUT.as_secs())
        }
        _ => error.to_string(),
    })?;
    Reading::parse(body(&answer)?)
}

fn ask(address: &str, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut stream = connect(address, deadline)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    let request = format!(
        "GET /metrics HTTP/1.0\r\nHost: {address}\r\nAccept: text/plain; version=0.0.4\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut room = [0; 16 * 1024];
    while !is_whole(&answer) {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut room) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&room[..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if answer.len() > ANSWER_LEN_MAX {
            return Err(io::Error::other(format!(
                "its answer is longer than {ANSWER_LEN_MAX} bytes"
            )));
        }
    }
    Ok(answer)
}

fn connect(address: &str, deadline: Instant) -> io::Result<TcpStream> {
    let mut outcome = Err(io::Error::other("the name has no address"));
    for address in address.to_socket_addrs()? {
        outcome = TcpStream::connect_timeout(&address, left(deadline)?);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

/// The bytes before and after the empty line; `None` before it has come.
fn head_and_body(answer: &[u8]) -> Option<(&[u8], &[u8])> {
    const EMPTY_LINE: &[u8] = b"\r\n\r\n";

    let at = answer[..answer.len().min(HEAD_LEN_MAX)]
        .windows(EMPTY_LINE.len())
        .position(|bytes| bytes == EMPTY_LINE)?;
    Some((&answer[..at], &answer[at + EMPTY_LINE.len()..]))
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head
        .split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(':'));
    let (_, value) = fields.find(|(other, _)| other.eq_ignore_ascii_case(name))?;
    Some(value.trim())
}

/// Whether all has come that the head announces, so that a connection left open is not waited for.
fn is_whole(answer: &[u8]) -> bool {
    let whole = || {
        let (head, body) = head_and_body(answer)?;
        let len = field(std::str::from_utf8(head).ok()?, "content-length")?;
        Some(body.len() >= len.parse().ok()?)
    };
    whole().unwrap_or(false)
}

/// The body of a whole answer with status 200.
fn body(answer: &[u8]) -> Result<&str, String> {
    const NO_HTTP: &str = "what answers there does not speak HTTP";

    let (head, body) = head_and_body(answer).ok_or(NO_HTTP)?;
    let head = std::str::from_utf8(head).map_err(|_| NO_HTTP)?;
    let status = head.split("\r\n").next().unwrap_or_default();
    match status.split_once(' ') {
        Some(("HTTP/1.0" | "HTTP/1.1", status)) if status.starts_with("200") => {}
        Some(("HTTP/1.0" | "HTTP/1.1", status)) => return Err(format!("it answers {status}")),
        _ => return Err(NO_HTTP.to_owned()),
    }
    if field(head, "transfer-encoding").is_some() {
        return Err("it answers HTTP/1.0 with a coded body".to_owned());
    }
    let body = match field(head, "content-length") {
        Some(len) => {
            let len = len.parse().map_err(|_| NO_HTTP)?;
            body.get(..len).ok_or("its answer is cut off")?
        }
        None => body,
    };
    std::str::from_utf8(body).map_err(|_| "its answer is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_by_its_length_or_at_its_end() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-LENGTH: 3\r\n\r\na 1";
        assert!(is_whole(answer) && !is_whole(&answer[..answer.len() - 1]));
        assert_eq!(body(answer), Ok("a 1"));
        assert!(body(&answer[..answer.len() - 1]).is_err());
        let to_the_end = b"HTTP/1.0 200 OK\r\n\r\na 1";
        assert!(!is_whole(to_the_end));
        assert_eq!(body(to_the_end), Ok("a 1"));
    }

    #[test]
    fn what_is_no_answer_of_metrics_is_refused() {
        for (answer, words) in [
            (&b""[..], "HTTP"),
            (b"\0\0\0\x01x\r\n\r\n", "HTTP"),
            (b"SSH-2.0-x\r\n\r\n", "HTTP"),
            (b"HTTP/1.1 200 OK\r\n", "HTTP"),
            (b"HTTP/2 200\r\n\r\n", "HTTP"),
            (b"HTTP/1.1 404 Not Found\r\n\r\n", "404 Not Found"),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0",
                "coded",
            ),
            (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP"),
            (b"HTTP/1.1 200 OK\r\n\r\n\xff", "UTF-8"),
        ] {
            let error = body(answer).expect_err(words);
            assert!(error.contains(words), "{error}");
        }
    }
}
