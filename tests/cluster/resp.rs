//! As much of Redis' protocol as the tests need.

use std::io::{self, BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::TIMEOUT;

/// What a server answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Status(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Array(Vec<Reply>),
    Nil,
}

impl Reply {
    /// A status, or bytes that are UTF-8.
    pub fn text(&self) -> &str {
        match self {
            Self::Status(text) => text,
            Self::Bulk(bytes) => std::str::from_utf8(bytes).expect("the bytes are UTF-8"),
            other => panic!("a text should have come instead of {other:?}"),
        }
    }

    pub fn integer(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            other => panic!("a number should have come instead of {other:?}"),
        }
    }

    pub fn items(&self) -> &[Reply] {
        match self {
            Self::Array(items) => items,
            other => panic!("an array should have come instead of {other:?}"),
        }
    }
}

/// A connection to one server, which gives up after [`TIMEOUT`].
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    pub fn open(port: u16) -> io::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self(BufReader::new(stream)))
    }

    pub fn ask(&mut self, words: &[impl AsRef<[u8]>]) -> io::Result<Reply> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words.iter().map(AsRef::as_ref) {
            bytes.extend(format!("${}\r\n", word.len()).into_bytes());
            bytes.extend(word);
            bytes.extend(b"\r\n");
        }
        self.0.get_mut().write_all(&bytes)?;
        self.reply()
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let line = self.line()?;
        let Some((kind, rest)) = line.split_at_checked(1) else {
            return Err(out_of_step(&line));
        };
        let number = || rest.parse::<i64>().map_err(|_| out_of_step(&line));
        Ok(match kind {
            "+" => Reply::Status(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Integer(number()?),
            "$" | "*" if number()? < 0 => Reply::Nil,
            "$" => Reply::Bulk(self.bulk(number()? as usize)?),
            "*" => Reply::Array(
                (0..number()?)
                    .map(|_| self.reply())
                    .collect::<Result<_, _>>()?,
            ),
            _ => return Err(out_of_step(&line)),
        })
    }

    fn bulk(&mut self, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len + "\r\n".len()];
        self.0.read_exact(&mut bytes)?;
        bytes.truncate(len);
        Ok(bytes)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn out_of_step(line: &str) -> Error {
    Error::new(
        ErrorKind::InvalidData,
        format!("no reply begins with {line:?}"),
    )
}
