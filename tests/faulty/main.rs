//! The reference with one fault: what the conformance kit has to catch.
//!
//! One thread per connection and one lock around the store, from the pieces of
//! the library. Without a fault it passes every case.

mod ceiling;
mod connection;
mod execution;
mod fault;
mod input;
mod lifecycle;
mod output;
mod request;
mod values;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use argh::FromArgs;
use threadpool::ThreadPool;

use ceiling::Room;
use execution::State;
use fault::Fault;
use lifecycle::Connections;

/// The reference with one fault.
#[derive(FromArgs)]
struct Arguments {
    /// what is wrong with it; none for nothing
    #[argh(positional, default = "Fault::None")]
    fault: Fault,

    /// where to listen
    #[argh(option, default = "14567")]
    port: u16,

    /// seconds that a frame may take
    #[argh(option, default = "2.0")]
    frame_timeout: f64,

    /// the most bytes that it may hold; without, as many as there are
    #[argh(option)]
    memory_max: Option<usize>,

    /// print the faults
    #[argh(switch)]
    list: bool,
}

/// What all connections share.
struct Server {
    fault: Fault,
    frame_timeout: Duration,
    ceiling: Option<usize>,
    state: Mutex<State>,
    connections: Connections,
    /// The one reply buffer of the fault that has only one.
    shared_reply: Mutex<Vec<u8>>,
}

impl Server {
    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn main() -> ExitCode {
    let arguments: Arguments = argh::from_env();
    if arguments.list {
        for (_, name, says) in Fault::ALL {
            println!("{name:28} {says}");
        }
        return ExitCode::SUCCESS;
    }
    let server = Arc::new(Server {
        fault: arguments.fault,
        frame_timeout: Duration::from_secs_f64(arguments.frame_timeout),
        ceiling: arguments.memory_max,
        state: Mutex::new(State::with_room(Room::new(arguments.memory_max))),
        connections: Connections::default(),
        shared_reply: Mutex::default(),
    });
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("can't listen on port {}: {error}", arguments.port);
            return ExitCode::FAILURE;
        }
    };
    lifecycle::begin(&server, arguments.port);
    accept(&server, &listener);
    drop(listener);
    lifecycle::drain(&server, arguments.port)
}

/// Serves who connects, until a signal comes.
fn accept(server: &Arc<Server>, listener: &TcpListener) {
    let pool = ThreadPool::new(8);
    for stream in listener.incoming() {
        if server.connections.is_stopping() && !server.has(Fault::KeepsAccepting) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let serve = serving(server, stream);
        match server.fault {
            Fault::OneAtATime => serve(),
            Fault::PoolOfEight => pool.execute(serve),
            _ => drop(thread::spawn(serve)),
        }
    }
}

fn serving(server: &Arc<Server>, stream: TcpStream) -> impl FnOnce() + Send + 'static {
    let server = Arc::clone(server);
    move || {
        // The peer of a connection that fails is gone, and sees nothing of it.
        if let Some(id) = server.connections.add(&stream) {
            let _ = connection::serve(&server, stream);
            server.connections.remove(id);
        }
    }
}
