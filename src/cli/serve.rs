//! `speicher serve`: runs the server until a signal ends it.

use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;
use speicher::client::PORT_DEFAULT;
use speicher::memory;
use speicher::protocol::frame::FRAME_LEN_MAX;
use speicher::server::{self, Config, Model, Shutdown, WORKERS_MAX};

use super::output::report_error;
use super::signals::stop_on_signal;
use super::units::{parse_duration, parse_port, parse_size, parse_timeout};

/// The server could not start or not go on.
const EXIT_FAILED: u8 = 1;

/// Run the server until SIGINT, SIGTERM or SIGHUP. A second signal ends it at
/// once.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "serve",
    note = "When it is ready it prints one line on standard output:\n\
            \x20 listening on 127.0.0.1:14567 (threads, 256 workers)\n\
            Sizes are bytes, or written 500K, 64M or 1G; times are seconds, or written\n\
            500ms, 30s or 5m. Nothing is saved: when the server ends, its entries are gone.",
    error_code(0, "stopped by a signal; peers that read had all their replies"),
    error_code(1, "the address can't be bound, or the server had to give up"),
    error_code(2, "the command line is wrong"),
    error_code(130, "ended by a second signal")
)]
pub(crate) struct Serve {
    /// how the server does its work: threads, tokio or epoll (threads)
    #[argh(option, default = "Model::default()")]
    model: Model,

    /// address or name to listen on (127.0.0.1)
    #[argh(option, default = "String::from(\"127.0.0.1\")")]
    host: String,

    /// port to listen on (14567; 0 picks a free one)
    #[argh(option, default = "PORT_DEFAULT", from_str_fn(parse_port))]
    port: u16,

    /// threads model: connections served at the same time, a thread each (256)
    #[argh(
        option,
        default = "Config::default().workers",
        from_str_fn(parse_workers)
    )]
    workers: usize,

    /// other models: connections served at the same time (10000)
    #[argh(option, default = "Config::default().connections_max")]
    connections_max: usize,

    /// longest frame accepted (64M)
    #[argh(
        option,
        default = "Config::default().frame_len_max",
        from_str_fn(parse_frame_max)
    )]
    frame_max: usize,

    /// how long a connection waits for a worker or a file descriptor before it
    /// gets 503 (1s)
    #[argh(
        option,
        default = "Config::default().queue_timeout",
        from_str_fn(parse_duration)
    )]
    queue_timeout: Duration,

    /// how long a frame may take to arrive, plus 1s for each 64K (30s)
    #[argh(
        option,
        default = "Config::default().frame_timeout",
        from_str_fn(parse_timeout)
    )]
    frame_timeout: Duration,

    /// how long a connection may be silent between requests (0: for ever)
    #[argh(option, default = "Duration::ZERO", from_str_fn(parse_duration))]
    idle_timeout: Duration,

    /// how long a connection may be silent before it gives its place to one
    /// that waits for it (10s; 0: it keeps it)
    #[argh(
        option,
        default = "Config::default().idle_eviction.unwrap_or_default()",
        from_str_fn(parse_duration)
    )]
    idle_eviction: Duration,

    /// how long replies wait for a peer that does not read, plus 1s for each
    /// 64K it has read (30s)
    #[argh(
        option,
        default = "Config::default().write_timeout",
        from_str_fn(parse_timeout)
    )]
    write_timeout: Duration,

    /// log every connection on standard error
    #[argh(switch)]
    verbose: bool,
}

impl Serve {
    pub(crate) fn run(self) -> ExitCode {
        match self.serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(sentence) => {
                report_error(sentence);
                ExitCode::from(EXIT_FAILED)
            }
        }
    }

    fn serve(self) -> Result<(), String> {
        if self.model == Model::Threads {
            // A worker frees what others have allocated.
            memory::share_one_heap();
        }
        let shutdown = Shutdown::new();
        // Before the ready line, so that whoever waits for it can also stop
        // the server.
        stop_on_signal(&shutdown)?;
        let listener = self.bind()?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let room = match self.model {
            Model::Threads => format!("{} workers", self.workers),
            Model::Tokio | Model::Epoll => format!("{} connections", self.connections_max),
        };
        let ready = || {
            // Who closes standard output does not want to know.
            let model = self.model;
            let _ = writeln!(io::stdout(), "listening on {address} ({model}, {room})");
        };
        server::serve(listener, &self.config(), &shutdown, ready).map_err(|error| error.to_string())
    }

    fn bind(&self) -> Result<TcpListener, String> {
        let (host, port) = (&self.host, self.port);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        TcpListener::bind((host, port)).map_err(|error| {
            let remedy = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "another process listens there; stop it, or choose another --port \
                     (0 picks a free one)"
                }
                io::ErrorKind::PermissionDenied => {
                    "ports below 1024 need privileges; choose a higher --port"
                }
                io::ErrorKind::AddrNotAvailable => {
                    "this machine has no such address; choose another --host"
                }
                _ => "check --host and --port",
            };
            format!("can't listen on {host} port {port} ({error}): {remedy}")
        })
    }

    fn config(&self) -> Config {
        Config {
            model: self.model,
            workers: self.workers,
            connections_max: self.connections_max,
            frame_len_max: self.frame_max,
            queue_timeout: self.queue_timeout,
            frame_timeout: self.frame_timeout,
            idle_timeout: Some(self.idle_timeout).filter(|timeout| !timeout.is_zero()),
            idle_eviction: Some(self.idle_eviction).filter(|time| !time.is_zero()),
            write_timeout: self.write_timeout,
            verbose: self.verbose,
        }
    }
}

fn parse_workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(workers) if (1..=WORKERS_MAX).contains(&workers) => Ok(workers),
        _ => Err(format!("{text:?} is no number from 1 to {WORKERS_MAX}")),
    }
}

fn parse_frame_max(text: &str) -> Result<usize, String> {
    let len = parse_size(text)?;
    if len == 0 {
        return Err("no frame could have so little; allow at least one byte".to_owned());
    }
    if len > FRAME_LEN_MAX {
        return Err(format!(
            "{text} is more than the {FRAME_LEN_MAX} bytes that a frame's header can announce"
        ));
    }
    Ok(len)
}
