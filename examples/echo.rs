//! The floor for each way of doing I/O: an echo that reads nothing into what
//! it returns.
//!
//! `cargo run --release --example echo -- ADDRESS [threads|epoll]`, blocking with
//! a thread per connection, or one event loop per core.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use mio::{Events, Interest, Poll, Token, Waker};

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let listener = TcpListener::bind(args.next().unwrap_or("127.0.0.1:7777".into()))?;
    match args.next().as_deref() {
        None | Some("threads") => threads(&listener),
        Some("epoll") => epoll(&listener),
        Some(other) => Err(std::io::Error::other(format!("no echo {other:?}"))),
    }
}

fn threads(listener: &TcpListener) -> std::io::Result<()> {
    for stream in listener.incoming() {
        let mut stream = stream?;
        thread::spawn(move || {
            let _ = stream.set_nodelay(true);
            let mut buffer = vec![0; 64 << 10];
            while let Ok(n @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..n]).is_err() {
                    break;
                }
            }
        });
    }
    Ok(())
}

fn epoll(listener: &TcpListener) -> std::io::Result<()> {
    const WAKER: Token = Token(usize::MAX);

    let mut loops = Vec::new();
    for _ in 0..thread::available_parallelism()?.get() {
        let mut poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, newcomers) = channel::<std::net::TcpStream>();
        loops.push((sender, waker));
        thread::spawn(move || {
            let mut events = Events::with_capacity(1024);
            let mut streams = HashMap::new();
            let mut buffer = vec![0; 64 << 10];
            loop {
                poll.poll(&mut events, None).expect("it polls");
                for event in &events {
                    if let Some(stream) = streams.get_mut(&event.token().0) {
                        echo_once(stream, &mut buffer);
                    }
                }
                for stream in newcomers.try_iter() {
                    let mut stream = mio::net::TcpStream::from_std(stream);
                    let index = streams.len();
                    let registry = poll.registry();
                    let registered =
                        registry.register(&mut stream, Token(index), Interest::READABLE);
                    registered.expect("it registers");
                    streams.insert(index, stream);
                }
            }
        });
    }
    for (stream, (sender, waker)) in listener.incoming().zip(loops.iter().cycle()) {
        let stream = stream?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        sender.send(stream).expect("the loop runs");
        waker.wake()?;
    }
    Ok(())
}

/// Echoes what is there. The load never has more unread than the socket's
/// buffers hold, so a write that would block is an error here.
fn echo_once(stream: &mut mio::net::TcpStream, buffer: &mut [u8]) {
    while let Ok(n @ 1..) = stream.read(buffer) {
        let mut rest = &buffer[..n];
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    thread::yield_now();
                }
                Err(_) => return,
            }
        }
        if n < buffer.len() {
            return;
        }
    }
}
