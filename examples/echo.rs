//! The floor for the threads model: a blocking echo, a thread per connection.
//!
//! `cargo run --release --example echo -- 127.0.0.1:7777`

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7777".into());
    for stream in TcpListener::bind(address)?.incoming() {
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
