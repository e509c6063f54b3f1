//! One connection of an attacker.

use std::io::{self, ErrorKind, Write};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Registry, Token};

use super::super::assault::{Manner, Spent};
use super::super::decoder::{Decoder, Failure};
use super::super::event as io_event;
use super::super::load::Load;
use crate::bench::protocol::Message;

/// What becomes of a connection after an event.
pub(super) enum Next {
    /// There will be another event.
    Wait,
    /// There is more to do, for which there will be no event.
    More,
    /// It is to be closed and replaced.
    Replace,
}

pub(super) struct Attacker {
    stream: TcpStream,
    /// Whether the connection has been made.
    pub(super) is_open: bool,
    /// How much of its message was sent.
    at: usize,
    /// Where replies are waited for.
    decoder: Option<Decoder>,
    /// Whether one has come, for which the message is to be sent again.
    is_answered: bool,
}

impl Attacker {
    /// Begins to connect.
    pub(super) fn open(
        load: &Load,
        manner: Manner,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut stream = TcpStream::connect(load.address)?;
        io_event::register(&mut stream, registry, token)?;
        Ok(Self {
            stream,
            is_open: false,
            at: 0,
            decoder: (manner == Manner::AfterReply).then(|| Decoder::new(load, false)),
            is_answered: false,
        })
    }

    /// After an event: whether it has been made by now. Fails when it can't be.
    pub(super) fn is_made(&mut self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
            outcome => outcome?,
        };
        self.stream.set_nodelay(true)?;
        self.is_open = true;
        Ok(true)
    }

    /// Reads and sends what the manner asks for. Without a message nothing is sent any more.
    ///
    /// Fails when the server has ended the connection.
    pub(super) fn ready(
        &mut self,
        event: &Event,
        manner: Manner,
        message: Option<&Message>,
        scratch: &mut [u8],
        spent: &mut Spent,
    ) -> Result<Next, Failure> {
        let mut has_more = false;
        let has_ended = event.is_read_closed() || event.is_error();
        match manner {
            Manner::Unread | Manner::Reconnecting if has_ended => {
                return Err(Failure::Closed("the server closed it".to_owned()));
            }
            Manner::Reconnecting if event.is_readable() => return Ok(Next::Replace),
            Manner::Unread | Manner::Reconnecting => {}
            _ if event.is_readable() || has_ended => {
                has_more = self.read(scratch, has_ended, spent)?;
            }
            _ => {}
        }
        if let Some(message) = message
            && manner != Manner::ByteByByte
        {
            has_more |= self.send(manner, message, spent)?;
        }
        Ok(match has_more {
            true => Next::More,
            false => Next::Wait,
        })
    }

    fn read(&mut self, scratch: &mut [u8], ends: bool, spent: &mut Spent) -> Result<bool, Failure> {
        let (is_answered, decoder) = (&mut self.is_answered, &mut self.decoder);
        let received = &mut spent.bytes_received;
        io_event::read(
            &mut self.stream,
            scratch,
            ends,
            received,
            |bytes| match decoder {
                None => Ok(()),
                Some(decoder) => decoder.take(bytes, &mut |_| {
                    *is_answered = true;
                    Ok(())
                }),
            },
        )
    }

    fn send(
        &mut self,
        manner: Manner,
        message: &Message,
        spent: &mut Spent,
    ) -> Result<bool, Failure> {
        let (at, sent) = (&mut self.at, &mut spent.bytes_sent);
        // A server may answer before it has all of it, which is then still to be sent.
        if self.is_answered && *at >= message.len() {
            (*at, self.is_answered) = (0, false);
        }
        let takes_more = match manner {
            Manner::WithoutPause => {
                let len = message.len().max(1);
                io_event::write(&mut self.stream, at, sent, |at| message.rest(at % len))
            }
            _ => io_event::write(&mut self.stream, at, sent, |at| message.rest(at)),
        };
        Ok(takes_more? || self.is_answered && self.at >= message.len())
    }

    /// Sends the next byte of the message, or of its next copy, if the socket takes it.
    pub(super) fn send_byte(&mut self, message: &Message, spent: &mut Spent) -> io::Result<()> {
        let rest = message.rest(self.at % message.len().max(1));
        match self.stream.write(&rest[..rest.len().min(1)]) {
            Ok(sent) => {
                self.at += sent;
                spent.bytes_sent += sent as u64;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Has the poll tell once more what the connection is ready for.
    pub(super) fn ask_again(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        io_event::ask_again(&mut self.stream, registry, token)
    }
}
