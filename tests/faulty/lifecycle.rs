//! How it begins and ends.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{ExitCode, exit};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::fault::Fault;
use crate::{Server, lock};

/// How long clients may take to read their last replies.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// A second signal ended the server: 128 and SIGINT's number.
const EXIT_INTERRUPTED: i32 = 130;

/// The connections that are served, and whether that is to end.
#[derive(Default)]
pub struct Connections {
    stopping: AtomicBool,
    last_id: AtomicU64,
    open: Mutex<HashMap<u64, TcpStream>>,
}

impl Connections {
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Keeps a second handle of the connection, to end its input with.
    pub fn add(&self, stream: &TcpStream) -> Option<u64> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed);
        lock(&self.open).insert(id, stream.try_clone().ok()?);
        Some(id)
    }

    pub fn remove(&self, id: u64) {
        lock(&self.open).remove(&id);
    }

    fn are_none(&self) -> bool {
        lock(&self.open).is_empty()
    }

    /// What has arrived can still be read, on Linux.
    fn end_inputs(&self) {
        for stream in lock(&self.open).values() {
            // One that is closed needs no end.
            let _ = stream.shutdown(Shutdown::Read);
        }
    }
}

/// Heeds signals from now on.
pub fn begin(server: &Arc<Server>, port: u16) {
    if server.has(Fault::Persists)
        && let Ok(log) = fs::read(log_path(port))
    {
        lock(&server.state).replay(&log);
        let _ = fs::remove_file(log_path(port));
    }
    let server = Arc::clone(server);
    let handled = ctrlc::set_handler(move || {
        let is_second = server.connections.stopping.swap(true, Ordering::SeqCst);
        match server.fault {
            Fault::SignalsIgnored => {}
            Fault::SignalsEndWithOne => exit(1),
            Fault::SignalsDropAll => exit(0),
            Fault::SecondSignalIgnored if is_second => {}
            _ if is_second => exit(EXIT_INTERRUPTED),
            Fault::KeepsAccepting => {
                let server = Arc::clone(&server);
                thread::spawn(move || {
                    drain(&server, port);
                    exit(0);
                });
            }
            // Who waits in accept wakes up.
            _ => drop(TcpStream::connect((Ipv4Addr::LOCALHOST, port))),
        }
    });
    handled.expect("there is one handler");
}

/// Answers what was received, and waits until the clients have read it.
pub fn drain(server: &Server, port: u16) -> ExitCode {
    if server.has(Fault::Persists) {
        let log = lock(&server.state).log();
        if !log.is_empty() {
            fs::write(log_path(port), log).expect("the temporary folder can be written to");
        }
    }
    if !server.has(Fault::WaitsForClients) {
        server.connections.end_inputs();
    }
    let begun = Instant::now();
    while !server.connections.are_none() {
        if begun.elapsed() > DRAIN_TIME_MAX && !server.has(Fault::WaitsForClients) {
            break;
        }
        thread::sleep(Duration::from_millis(2));
    }
    ExitCode::SUCCESS
}

fn log_path(port: u16) -> PathBuf {
    std::env::temp_dir().join(format!("speicher-faulty-{port}"))
}
