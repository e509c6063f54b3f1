//! A closed-loop load on one server: each connection sends `depth` requests,
//! waits for their replies, and sends the next.
//!
//! ```text
//! cargo run --release --example load -- ADDRESS [--protocol speicher|resp|echo]
//!     [--connections 8] [--depth 1] [--value-size 64] [--keys 100000]
//!     [--get 80] [--seconds 3] [--threads 1]
//! ```
//!
//! Prints operations per second. Every key is set before the clock starts;
//! a reply that is not what the request calls for ends the run.

use std::collections::HashMap;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use speicher::protocol::frame;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Clone, Copy, PartialEq)]
enum Protocol {
    Speicher,
    Resp,
    Echo,
}

#[derive(Clone)]
struct Plan {
    address: SocketAddr,
    protocol: Protocol,
    connections: usize,
    depth: usize,
    value_size: usize,
    keys: usize,
    get_percent: u64,
    seconds: f64,
    threads: usize,
}

fn main() -> Outcome<()> {
    let plan = parse_args()?;
    if plan.protocol != Protocol::Echo {
        fill(&plan)?;
    }
    let workers: Vec<_> = (0..plan.threads)
        .map(|index| {
            let mut plan = plan.clone();
            plan.connections = plan.connections / plan.threads
                + usize::from(index < plan.connections % plan.threads);
            thread::spawn(move || drive(&plan, index as u64 + 1))
        })
        .collect();
    let mut rate = 0.0;
    for worker in workers {
        rate += worker
            .join()
            .map_err(|_| "a thread of the load panicked")??;
    }
    println!("{rate:.0}");
    Ok(())
}

fn parse_args() -> Outcome<Plan> {
    let mut args = std::env::args().skip(1);
    let address = args.next().ok_or("say which ADDRESS")?.parse()?;
    let mut options = HashMap::new();
    while let Some(name) = args.next() {
        let value = args.next().ok_or(format!("{name} needs a value"))?;
        options.insert(name, value);
    }
    let mut number = |name: &str, default: f64| match options.remove(name) {
        Some(text) => text.parse::<f64>(),
        None => Ok(default),
    };
    let mut plan = Plan {
        address,
        protocol: Protocol::Speicher,
        connections: number("--connections", 8.0)? as usize,
        depth: number("--depth", 1.0)? as usize,
        value_size: number("--value-size", 64.0)? as usize,
        keys: number("--keys", 100_000.0)? as usize,
        get_percent: number("--get", 80.0)? as u64,
        seconds: number("--seconds", 3.0)?,
        threads: number("--threads", 1.0)? as usize,
    };
    plan.protocol = match options.remove("--protocol").as_deref() {
        None | Some("speicher") => Protocol::Speicher,
        Some("resp") => Protocol::Resp,
        Some("echo") => Protocol::Echo,
        Some(other) => return Err(format!("no protocol {other:?}").into()),
    };
    match options.keys().next() {
        Some(unknown) => Err(format!("no option {unknown}").into()),
        None => Ok(plan),
    }
}

impl Plan {
    /// The JSON text, quotes included, is `value_size` bytes long.
    fn value(&self) -> String {
        format!("\"{}\"", "v".repeat(self.value_size - 2))
    }

    fn push_request(&self, out: &mut Vec<u8>, key: usize, is_get: bool, value: &str) {
        let key = format!("key:{key:010}");
        match self.protocol {
            Protocol::Resp if is_get => out.extend_from_slice(
                format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len()).as_bytes(),
            ),
            Protocol::Resp => out.extend_from_slice(
                format!(
                    "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n",
                    key.len(),
                    value.len()
                )
                .as_bytes(),
            ),
            Protocol::Speicher | Protocol::Echo => {
                let payload = if is_get {
                    format!(r#"{{"command":"GET","key":"{key}"}}"#)
                } else {
                    format!(r#"{{"command":"SET","key":"{key}","value":{value}}}"#)
                };
                out.extend_from_slice(&frame::header(payload.len()).expect("short"));
                out.extend_from_slice(payload.as_bytes());
            }
        }
    }
}

/// The length of the first reply in `bytes`, if all of it is there.
fn reply_len(protocol: Protocol, bytes: &[u8]) -> Outcome<Option<usize>> {
    if protocol == Protocol::Resp {
        return resp_len(bytes);
    }
    let Some(header) = bytes.first_chunk() else {
        return Ok(None);
    };
    let len = frame::HEADER_LEN + frame::payload_len(*header, frame::FRAME_LEN_MAX)?;
    if bytes.len() < len {
        return Ok(None);
    }
    let payload = &bytes[frame::HEADER_LEN..len];
    if protocol == Protocol::Speicher && !payload.starts_with(br#"{"status_code":200"#) {
        return Err(format!("unexpected reply {}", String::from_utf8_lossy(payload)).into());
    }
    Ok(Some(len))
}

fn resp_len(bytes: &[u8]) -> Outcome<Option<usize>> {
    let Some(line_end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let len = match bytes[0] {
        b'+' => line_end + 1,
        b'$' => {
            let text = std::str::from_utf8(&bytes[1..line_end - 1])?;
            line_end + 1 + text.parse::<usize>()? + 2
        }
        _ => return Err(String::from_utf8_lossy(&bytes[..line_end]).into()),
    };
    Ok((bytes.len() >= len).then_some(len))
}

/// Sets every key once.
fn fill(plan: &Plan) -> Outcome<()> {
    let mut stream = std::net::TcpStream::connect(plan.address)?;
    let value = plan.value();
    let mut replies = Vec::new();
    for first in (0..plan.keys).step_by(100) {
        let keys = first..(first + 100).min(plan.keys);
        let mut expected = keys.len();
        let mut burst = Vec::new();
        for key in keys {
            plan.push_request(&mut burst, key, false, &value);
        }
        stream.write_all(&burst)?;
        while expected > 0 {
            let mut room = [0; 16 << 10];
            let n = stream.read(&mut room)?;
            replies.extend_from_slice(&room[..n]);
            while let Some(len) = reply_len(plan.protocol, &replies)? {
                replies.drain(..len);
                expected -= 1;
            }
        }
    }
    Ok(())
}

struct Connection {
    stream: TcpStream,
    /// Bursts made in advance, sent in turn: the clock is not to count how
    /// fast this program formats text.
    bursts: Vec<Vec<u8>>,
    burst: usize,
    sent: usize,
    received: Vec<u8>,
    end: usize,
    unanswered: usize,
}

/// Runs one thread's connections and returns its operations per second.
fn drive(plan: &Plan, seed: u64) -> Outcome<f64> {
    let mut poll = Poll::new()?;
    let mut connections = Vec::new();
    for index in 0..plan.connections {
        let mut stream = TcpStream::connect(plan.address)?;
        poll.registry().register(
            &mut stream,
            Token(index),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        let seed = seed << 32 | (index as u64 + 1);
        connections.push(Connection {
            stream,
            bursts: bursts(plan, seed),
            burst: 0,
            sent: 0,
            received: vec![0; 1 << 20],
            end: 0,
            unanswered: plan.depth,
        });
    }
    let mut events = Events::with_capacity(1024);
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs_f64(plan.seconds);
    let mut operations = 0;
    while Instant::now() < deadline {
        poll.poll(&mut events, Some(Duration::from_millis(100)))?;
        for event in &events {
            operations += connections[event.token().0].advance(plan)?;
        }
    }
    Ok(operations as f64 / begun.elapsed().as_secs_f64())
}

fn bursts(plan: &Plan, seed: u64) -> Vec<Vec<u8>> {
    let value = plan.value();
    // xorshift: even enough to pick keys.
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 16
    };
    let count = (4096 / plan.depth).max(16);
    (0..count)
        .map(|_| {
            let mut burst = Vec::new();
            for _ in 0..plan.depth {
                let key = random() as usize % plan.keys;
                plan.push_request(&mut burst, key, random() % 100 < plan.get_percent, &value);
            }
            burst
        })
        .collect()
}

impl Connection {
    /// Moves what the socket lets it move; the replies that came.
    fn advance(&mut self, plan: &Plan) -> Outcome<usize> {
        let operations = self.receive(plan)?;
        if self.unanswered == 0 {
            self.unanswered = plan.depth;
            self.burst = (self.burst + 1) % self.bursts.len();
            self.sent = 0;
        }
        let burst = &self.bursts[self.burst];
        while self.sent < burst.len() {
            match self.stream.write(&burst[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(error) if is_early(&error) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(operations)
    }

    fn receive(&mut self, plan: &Plan) -> Outcome<usize> {
        let mut operations = 0;
        loop {
            let room = self.received.len() - self.end;
            let n = match self.stream.read(&mut self.received[self.end..]) {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(n) => n,
                Err(error) if is_early(&error) => return Ok(operations),
                Err(error) => return Err(error.into()),
            };
            self.end += n;
            let mut start = 0;
            while let Some(len) = reply_len(plan.protocol, &self.received[start..self.end])? {
                start += len;
                operations += 1;
                self.unanswered -= 1;
            }
            self.received.copy_within(start..self.end, 0);
            self.end -= start;
            if n < room {
                return Ok(operations);
            }
        }
    }
}

/// Whether the socket is not ready, or not yet connected.
fn is_early(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::NotConnected
    )
}
