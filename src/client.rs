//! A blocking client.
//!
//! ```no_run
//! use speicher::client::Client;
//!
//! let mut client = Client::connect(("localhost", 14567))?;
//! client.set("foo", "bar")?;
//! assert_eq!(client.get("foo")?, Some("bar".to_owned()));
//! assert!(client.delete("foo")?);
//! # Ok::<(), speicher::client::Error>(())
//! ```

mod error;
mod split;
mod stream;

use std::io::{self, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::protocol::frame::{self, FRAME_LEN_MAX_DEFAULT, FrameError, HEADER_LEN, read_frame};
use crate::protocol::reply::MalformedReply;
use crate::protocol::value::TooDeep;
use crate::protocol::{Entry, Json, Key, Reply, Request};
pub use error::Error;
pub use split::{ReplyHalf, RequestHalf};
use stream::{Stream, is_timeout};

/// The port of a server that was not told another (S3).
pub const PORT_DEFAULT: u16 = 14567;

/// How long a client waits unless it is told otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// The longest reply that a client reads unless it is told otherwise, in bytes without the
/// header: as long as a server's frames are.
pub const REPLY_LEN_MAX_DEFAULT: usize = FRAME_LEN_MAX_DEFAULT;

/// Bytes of requests that may wait for their replies. They fit into the
/// sockets' buffers, so that a client that only sends and a server that only
/// replies never wait for each other.
const UNANSWERED_LEN_MAX: usize = 16 << 10;

/// A connection to a server.
///
/// One request at a time, or many in a [`pipeline`](Self::pipeline). Each call has a
/// deadline, however little by little a server answers: the timeout, and 1 s more for
/// each MiB that is sent or received, to within an eighth of the timeout. After an
/// error other than [`Error::BadRequest`] and [`Error::Unavailable`] the
/// connection is closed, because a late reply could be taken for that of
/// another request: connect again.
#[derive(Debug)]
pub struct Client {
    /// `None` after an error that left requests and replies out of step.
    stream: Option<BufReader<Stream>>,
    timeout: Duration,
    reply_len_max: usize,
}

impl Client {
    /// Connects, with a timeout of [`TIMEOUT_DEFAULT`].
    pub fn connect(address: impl ToSocketAddrs) -> Result<Self, Error> {
        Self::connect_timeout(address, TIMEOUT_DEFAULT)
    }

    /// Connects to the first of the addresses that answers.
    ///
    /// `timeout`, which must not be zero, limits the wait for each address,
    /// and later each call; see [`Client`].
    pub fn connect_timeout(address: impl ToSocketAddrs, timeout: Duration) -> Result<Self, Error> {
        let socket = connect_first(address, timeout).map_err(Error::Connect)?;
        let stream = Stream::new(socket, timeout).map_err(Error::Connect)?;
        Ok(Self {
            stream: Some(BufReader::new(stream)),
            timeout,
            reply_len_max: REPLY_LEN_MAX_DEFAULT,
        })
    }

    /// The client with another limit of a reply's length, in bytes without the header, in
    /// place of [`REPLY_LEN_MAX_DEFAULT`]. What a server announces beyond it is not read:
    /// it is an [`Error::ReplyTooLong`].
    pub fn with_reply_len_max(mut self, reply_len_max: usize) -> Self {
        self.reply_len_max = reply_len_max;
        self
    }

    /// Stores `value` as JSON under `key`, in place of what was there.
    ///
    /// A `&RawValue` is stored byte for byte. As with all of serde_json, a
    /// float that is not a number becomes `null`.
    pub fn set<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Error> {
        match self.call(&set_request(key, value)?)? {
            Reply::Done => Ok(()),
            other => Err(self.unfit(other)),
        }
    }

    /// The value under `key`; `None` when there is none.
    ///
    /// As a `Box<RawValue>` it is the stored text, byte for byte. Text that
    /// is no `T` is an [`Error::Json`].
    pub fn get<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, Error> {
        match self.call(&get_request(key)?)? {
            Reply::Value(value) => serde_json::from_slice(value.as_bytes())
                .map(Some)
                .map_err(Error::Json),
            Reply::NoValue | Reply::NoKey => Ok(None),
            other => Err(self.unfit(other)),
        }
    }

    /// Removes the entry under `key`; whether there was one.
    pub fn delete(&mut self, key: &str) -> Result<bool, Error> {
        match self.call(&delete_request(key)?)? {
            Reply::Done => Ok(true),
            Reply::NoValue | Reply::NoKey => Ok(false),
            other => Err(self.unfit(other)),
        }
    }

    /// Removes every entry.
    pub fn reset(&mut self) -> Result<(), Error> {
        match self.call(&Request::Reset)? {
            Reply::Done => Ok(()),
            other => Err(self.unfit(other)),
        }
    }

    /// Collects requests to send together.
    pub fn pipeline(&mut self) -> Pipeline<'_> {
        Pipeline {
            client: self,
            requests: Vec::new(),
        }
    }

    /// Divides the connection, so that one thread can send while another reads the replies,
    /// which come in the order of the requests. However much is sent, neither side waits for
    /// the other then, as long as the replies are read.
    pub fn into_split(self) -> Result<(RequestHalf, ReplyHalf), Error> {
        // Between calls nothing is left in the reader.
        let stream = self.stream.ok_or(Error::Disconnected)?.into_inner();
        let socket = stream.into_socket();
        split::split(socket, self.timeout, self.reply_len_max).map_err(Error::Io)
    }

    fn call(&mut self, request: &Request) -> Result<Reply, Error> {
        let mut replies = self.run(std::slice::from_ref(request))?;
        let reply = replies.pop().expect("one reply for one request");
        refused(&reply).map_or(Ok(reply), Err)
    }

    /// Sends the requests and returns their replies, in order.
    fn run(&mut self, requests: &[Request]) -> Result<Vec<Reply>, Error> {
        let frames = requests.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
        let mut stream = self.stream.take().ok_or(Error::Disconnected)?;
        let mut replies = Vec::with_capacity(frames.len());
        let outcome = exchange(&mut stream, frames, self.reply_len_max, &mut replies);
        match outcome {
            Ok(()) => {
                self.stream = Some(stream);
                Ok(replies)
            }
            Err(Error::Io(error)) if is_timeout(&error) => Err(Error::TimedOut(self.timeout)),
            Err(error) => Err(error),
        }
    }

    /// A reply that does not answer the command; the connection is given up.
    fn unfit(&mut self, reply: Reply) -> Error {
        self.stream = None;
        Error::Unfit(reply)
    }
}

/// Requests that are sent without waiting for the replies between them.
#[derive(Debug)]
pub struct Pipeline<'a> {
    client: &'a mut Client,
    requests: Vec<Request>,
}

impl Pipeline<'_> {
    /// Adds a [`Client::set`].
    pub fn set<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<&mut Self, Error> {
        self.requests.push(set_request(key, value)?);
        Ok(self)
    }

    /// Adds a [`Client::get`].
    pub fn get(&mut self, key: &str) -> Result<&mut Self, Error> {
        self.requests.push(get_request(key)?);
        Ok(self)
    }

    /// Adds a [`Client::delete`].
    pub fn delete(&mut self, key: &str) -> Result<&mut Self, Error> {
        self.requests.push(delete_request(key)?);
        Ok(self)
    }

    /// Adds a [`Client::reset`].
    pub fn reset(&mut self) -> &mut Self {
        self.requests.push(Request::Reset);
        self
    }

    /// Sends what was added since the last run, and returns one reply for
    /// each request, in order; a refused request is a reply among the others.
    ///
    /// Each reply has a deadline of its own, as that of a call, from the reply before it:
    /// a long pipeline may take its time as long as it gets on.
    pub fn run(&mut self) -> Result<Vec<Reply>, Error> {
        let requests = std::mem::take(&mut self.requests);
        self.client.run(&requests)
    }
}

fn connect_first(address: impl ToSocketAddrs, timeout: Duration) -> io::Result<TcpStream> {
    let mut outcome = Err(io::Error::other("the name has no address"));
    for address in address.to_socket_addrs()? {
        outcome = connect_one(&address, timeout);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn connect_one(address: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(address, timeout)
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
}

fn set_request<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<Request, Error> {
    let json = serde_json::value::to_raw_value(value).map_err(Error::Json)?;
    let json = Json::new(&json).map_err(|TooDeep| Error::TooDeep)?;
    let entry = Entry::with_json(key, &json).ok_or(Error::EmptyKey)?;
    Ok(Request::Set { entry })
}

fn get_request(key: &str) -> Result<Request, Error> {
    Ok(Request::Get { key: key_of(key)? })
}

fn delete_request(key: &str) -> Result<Request, Error> {
    Ok(Request::Delete { key: key_of(key)? })
}

fn key_of(text: &str) -> Result<Key, Error> {
    Key::new(text).ok_or(Error::EmptyKey)
}

fn encode(request: &Request) -> Result<Vec<u8>, Error> {
    let mut frame = vec![0; HEADER_LEN];
    request.encode(&mut frame);
    let header = frame::header(frame.len() - HEADER_LEN).ok_or(Error::TooLong)?;
    frame[..HEADER_LEN].copy_from_slice(&header);
    Ok(frame)
}

/// Sends the frames and reads a reply to each, never leaving so many bytes
/// unanswered that both sides could wait for each other.
fn exchange(
    stream: &mut BufReader<Stream>,
    frames: Vec<Vec<u8>>,
    reply_len_max: usize,
    replies: &mut Vec<Reply>,
) -> Result<(), Error> {
    let mut frames = frames.into_iter().peekable();
    while let Some(mut burst) = frames.next() {
        let mut expected = 1;
        while let Some(next) = frames.next_if(|next| burst.len() + next.len() <= UNANSWERED_LEN_MAX)
        {
            burst.extend_from_slice(&next);
            expected += 1;
        }
        stream.get_mut().restart();
        if let Err(error) = stream.get_mut().write_all(&burst) {
            return Err(refusal(stream, reply_len_max).unwrap_or(Error::Io(error)));
        }
        for _ in 0..expected {
            match (read_reply(stream, reply_len_max), replies.last()) {
                (Ok(reply), _) => {
                    replies.push(reply);
                    stream.get_mut().restart();
                }
                // The last word of a server that closes is its reason.
                (Err(Error::Closed), Some(last)) => {
                    return Err(refused(last).unwrap_or(Error::Closed));
                }
                (Err(error), _) => return Err(error),
            }
        }
    }
    Ok(())
}

fn read_reply(stream: &mut BufReader<Stream>, reply_len_max: usize) -> Result<Reply, Error> {
    match read_frame(stream, reply_len_max) {
        Ok(Some(payload)) => Reply::parse(&payload).map_err(Error::Malformed),
        Ok(None) => Err(Error::Closed),
        Err(error) => Err(match error.kind() {
            ErrorKind::UnexpectedEof => Error::Closed,
            ErrorKind::InvalidData => match error.get_ref().and_then(|e| e.downcast_ref()) {
                Some(&FrameError::TooLong { len, .. }) => {
                    Error::ReplyTooLong { len, reply_len_max }
                }
                _ => Error::Malformed(MalformedReply::new(error)),
            },
            _ => Error::Io(error),
        }),
    }
}

/// What a server said that did not want to read the request to its end.
fn refusal(stream: &mut BufReader<Stream>, reply_len_max: usize) -> Option<Error> {
    refused(&read_reply(stream, reply_len_max).ok()?)
}

fn refused(reply: &Reply) -> Option<Error> {
    match reply {
        Reply::BadRequest(sentence) => Some(Error::BadRequest(sentence.clone())),
        Reply::Unavailable(sentence) => Some(Error::Unavailable(sentence.clone())),
        _ => None,
    }
}
