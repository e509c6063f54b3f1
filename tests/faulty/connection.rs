//! One connection, from its first byte to its last.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::exit;
use std::time::{Duration, Instant};

use speicher::protocol::{Reply, Request};

use crate::Server;
use crate::ceiling::no_room;
use crate::execution::{State, apply};
use crate::fault::Fault;
use crate::input::{End, Frame, Input};
use crate::output::Output;
use crate::request::{Asked, read};

/// The most that is read and dropped from a peer that is hung up on.
const DROP_LEN_MAX: u64 = 16 << 20;

/// How long a peer that is hung up on may take to read why.
const LINGER_TIME_MAX: Duration = Duration::from_secs(1);

/// Serves until one of the two sides has had enough.
pub fn serve(server: &Server, stream: TcpStream) -> io::Result<()> {
    let writes_apart =
        server.has(Fault::HeaderInTwoWrites) || server.has(Fault::PayloadInSecondWrite);
    stream.set_nodelay(!writes_apart)?;
    if server.has(Fault::Greets) {
        (&stream).write_all(b"welcome\r\n")?;
    }
    let mut private = State::default();
    let mut keys_set = Vec::new();
    let mut input = Input::new(server, &stream);
    let mut output = Output::new(server, &stream);
    let outcome = loop {
        let (mut frames, end) = input.batch()?;
        if server.has(Fault::ReadsFirst) {
            frames.sort_by_key(|frame| !is_get(frame));
        }
        if server.has(Fault::EndMeansGone) && input.has_ended() {
            break Ok(());
        }
        let mut replies = Vec::new();
        let mut hangs_up = false;
        for frame in frames {
            let reply = match asked(server, &frame) {
                Asked::Request(request) => {
                    note_key(server, &request, &mut keys_set);
                    execute(server, &mut private, request)
                }
                Asked::Answer(reply) => reply,
                Asked::Silence => continue,
                Asked::HangUp => {
                    hangs_up = true;
                    break;
                }
            };
            if server.has(Fault::FullCloses) && matches!(reply, Reply::Unavailable(_)) {
                hangs_up = true;
                break;
            }
            let is_bad = matches!(reply, Reply::BadRequest(_));
            replies.push(reply);
            if is_bad && server.has(Fault::BadRequestCloses) {
                hangs_up = true;
                break;
            }
        }
        output.write(replies)?;
        if hangs_up {
            break Ok(());
        }
        match end {
            None => {}
            Some(End::Closed) => break Ok(()),
            Some(End::CutShort) if server.has(Fault::HangUpCrashes) => exit(101),
            Some(End::CutShort) => break Ok(()),
            Some(End::BadLength(_)) if server.has(Fault::BadLengthCrashes) => exit(101),
            Some(End::BadLength(_)) if server.has(Fault::BadLengthSilent) => break Ok(()),
            Some(End::BadLength(error)) => {
                output.write(vec![Reply::BadRequest(error.to_string())])?;
                if server.has(Fault::BadLengthStaysOpen) {
                    continue;
                }
                break linger(&stream);
            }
        }
    };
    if server.has(Fault::EntriesOfConnections) {
        for key in keys_set {
            execute(server, &mut private, Request::Delete { key });
        }
    }
    if server.has(Fault::NeverCloses) {
        std::mem::forget(stream);
    }
    outcome
}

fn is_get(frame: &Frame) -> bool {
    matches!(frame, Frame::Payload(payload) if payload.starts_with(br#"{"command":"GET""#))
}

fn asked(server: &Server, frame: &Frame) -> Asked {
    match (frame, server.fault) {
        (Frame::Payload(payload), fault) => read(fault, payload),
        (Frame::Dropped, Fault::FrameWithoutRoomCloses) => Asked::HangUp,
        (Frame::Dropped, Fault::FrameWithoutRoomSilent) => Asked::Silence,
        (Frame::Dropped, fault) => {
            Asked::Answer(no_room(fault, server.ceiling.unwrap_or_default()))
        }
    }
}

fn execute(server: &Server, private: &mut State, request: Request) -> Reply {
    match server.fault {
        Fault::PrivateStores => private.apply(server.fault, request),
        _ => apply(server, request),
    }
}

fn note_key(server: &Server, request: &Request, keys: &mut Vec<speicher::protocol::Key>) {
    if server.has(Fault::EntriesOfConnections)
        && let Request::Set { entry } = request
    {
        keys.extend(speicher::protocol::Key::new(entry.key()));
    }
}

/// Reads and drops, so that the peer can still read the reply.
fn linger(stream: &TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    let until = Instant::now() + LINGER_TIME_MAX;
    let mut dropped = 0;
    let mut waste = vec![0; 64 << 10];
    while dropped < DROP_LEN_MAX {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        stream.set_read_timeout(Some(left))?;
        match (&*stream).read(&mut waste) {
            Ok(0) => break,
            Ok(n) => dropped += n as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    Ok(())
}
