//! `speicher serve`: runs the server until a signal ends it.

#[cfg(feature = "data")]
mod data;
mod remote;
mod values;

use std::io;
use std::net::{SocketAddr, TcpListener};
#[cfg(feature = "data")]
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use speicher::client::PORT_DEFAULT;
#[cfg(feature = "data")]
use speicher::journal::Sync;
use speicher::memory;
#[cfg(feature = "cluster")]
use speicher::server::ResetScope;
use speicher::server::{self, Config, Event, Log, LogFormat, Model, Shutdown, StoreConfig};

use super::check;
use super::environment::{blame, ignored};
#[cfg(feature = "metrics")]
use super::metrics::{MetricsAddress, parse_metrics};
use super::output::{announce, report_error, show};
use super::signals::stop_on_signal;
#[cfg(feature = "cluster")]
use super::store::{StoreOption, parse_reset, parse_store};
use super::units::{parse_duration, parse_host, parse_port, parse_timeout};
#[cfg(feature = "data")]
use data::parse_sync;
#[cfg(feature = "cluster")]
use values::parse_replicas;
use values::{MemoryMax, parse_connections, parse_frame_max, parse_memory_max, parse_workers};

/// The server could not start or not go on.
const EXIT_FAILED: u8 = 1;

/// The options make no sense together.
const EXIT_MISTAKEN: u8 = 2;

/// Run the server until SIGINT, SIGTERM or SIGHUP. A second signal ends it at
/// once.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "serve",
    note = "Every option can also be in the environment: --frame-max as\n\
            SPEICHER_FRAME_MAX, --verbose as SPEICHER_VERBOSE=1, and so on. The command\n\
            line wins, and an empty variable counts as not set.\n\
            \n\
            When it is ready it prints one line on standard output:\n\
            \x20 listening on 127.0.0.1:14567 (threads, 256 workers, 5.8 GiB of memory)\n\
            and with --metrics a second one, metrics on http://127.0.0.1:9100/.\n\
            Sizes are bytes, or written 500K, 64M or 1G; times are seconds, or written\n\
            500ms, 30s or 5m. Entries in memory are gone when the server ends, unless\n\
            --data keeps them.",
    error_code(0, "stopped by a signal; peers that read had all their replies"),
    error_code(
        1,
        "the address can't be bound, the store or the journal can't be used, or the server had \
         to give up"
    ),
    error_code(2, "the command line is wrong, or the environment"),
    error_code(130, "ended by a second signal"),
    help_triggers("-h", "--help", "help")
)]
pub(crate) struct Serve {
    /// how the server does its work: threads, tokio or epoll (threads; tokio
    /// with a --store that is not memory)
    #[argh(option)]
    model: Option<Model>,

    /// address or name to listen on (127.0.0.1)
    #[argh(
        option,
        default = "String::from(\"127.0.0.1\")",
        from_str_fn(parse_host)
    )]
    host: String,

    /// port to listen on (14567; 0 picks a free one)
    #[argh(option, default = "PORT_DEFAULT", from_str_fn(parse_port))]
    port: u16,

    /// threads model: connections served at the same time, a thread each (256)
    #[argh(option, from_str_fn(parse_workers))]
    workers: Option<usize>,

    /// other models: connections served at the same time (10000)
    #[argh(option, from_str_fn(parse_connections))]
    connections_max: Option<usize>,

    /// longest frame accepted (64M)
    #[argh(
        option,
        default = "Config::default().frame_len_max",
        from_str_fn(parse_frame_max),
        arg_name = "size"
    )]
    frame_max: usize,

    /// the most memory that entries and connections may take, from 16M (three
    /// quarters of what the process may use; 0: all there is)
    #[argh(
        option,
        default = "MemoryMax::Default",
        from_str_fn(parse_memory_max),
        arg_name = "size"
    )]
    memory_max: MemoryMax,

    /// how long a connection waits for a worker or a file descriptor before it
    /// gets 503 (1s)
    #[argh(
        option,
        default = "Config::default().queue_timeout",
        from_str_fn(parse_duration),
        arg_name = "time"
    )]
    queue_timeout: Duration,

    /// how long a frame may take to arrive, plus 1s for each 64K (30s)
    #[argh(
        option,
        default = "Config::default().frame_timeout",
        from_str_fn(parse_timeout),
        arg_name = "time"
    )]
    frame_timeout: Duration,

    /// how long a connection may be silent between requests (0: for ever)
    #[argh(
        option,
        default = "Duration::ZERO",
        from_str_fn(parse_duration),
        arg_name = "time"
    )]
    idle_timeout: Duration,

    /// how long a connection may be silent before it gives its place to one
    /// that waits for it (10s; 0: it keeps it)
    #[argh(
        option,
        default = "Config::default().idle_eviction.unwrap_or_default()",
        from_str_fn(parse_duration),
        arg_name = "time"
    )]
    idle_eviction: Duration,

    /// how long replies wait for a peer that does not read, plus 1s for each
    /// 64K it has read (30s)
    #[argh(
        option,
        default = "Config::default().write_timeout",
        from_str_fn(parse_timeout),
        arg_name = "time"
    )]
    write_timeout: Duration,

    /// where the entries are: memory, redis://HOST:PORT for a Redis or Valkey
    /// server, or redis-cluster://HOST:PORT,HOST:PORT for some nodes of a
    /// cluster; rediss and rediss-cluster with TLS; USER@ before the first
    /// host, and the password in SPEICHER_STORE_PASSWORD (memory)
    #[cfg(feature = "cluster")]
    #[argh(
        option,
        default = "StoreOption::Memory",
        from_str_fn(parse_store),
        arg_name = "address"
    )]
    store: StoreOption,

    /// directory that has every change, so that the entries in memory outlive
    /// the process; it is made if it is absent (nowhere)
    #[cfg(feature = "data")]
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,

    /// when a change is acknowledged: always, when it is on the disk; or a time
    /// such as 100ms, within which it will be (always)
    #[cfg(feature = "data")]
    #[argh(option, from_str_fn(parse_sync), arg_name = "time")]
    sync: Option<Sync>,

    /// what all keys begin with there (speicher:)
    #[cfg(feature = "cluster")]
    #[argh(option)]
    store_prefix: Option<String>,

    /// how long a node of it may take to answer, plus 1s for each 1M of a long
    /// value (5s)
    #[cfg(feature = "cluster")]
    #[argh(option, from_str_fn(parse_timeout), arg_name = "time")]
    store_timeout: Option<Duration>,

    /// how many replicas there must have a change before it is acknowledged (0)
    #[cfg(feature = "cluster")]
    #[argh(option, from_str_fn(parse_replicas))]
    store_replicas: Option<u32>,

    /// what RST removes there: prefix, all keys that begin with it, or flush,
    /// all keys of the database (prefix)
    #[cfg(feature = "cluster")]
    #[argh(option, from_str_fn(parse_reset), arg_name = "scope")]
    store_reset: Option<ResetScope>,

    /// where to answer HTTP requests for metrics: GET /metrics for Prometheus,
    /// and / for a page to look at; a port, or host:port (nowhere)
    #[cfg(feature = "metrics")]
    #[argh(option, from_str_fn(parse_metrics), arg_name = "address")]
    metrics: Option<MetricsAddress>,

    /// log every connection on standard error (off)
    #[argh(switch)]
    verbose: bool,

    /// what the lines on standard error are: text, or json, an object each
    /// (text)
    #[argh(option, default = "LogFormat::Text", arg_name = "format")]
    log: LogFormat,

    /// say what would be done with all these options, where each came from, and
    /// whether that can be done; do not serve
    #[argh(switch)]
    check: bool,
}

impl Serve {
    pub(crate) fn run(self) -> ExitCode {
        if self.model() == Model::Threads {
            // A worker frees what others have allocated. Before the first
            // thread, which would get a heap.
            memory::share_one_heap();
        }
        let log = match Log::start(self.log) {
            Ok(log) => log,
            Err(error) => {
                report_error(format_args!("can't start a thread: {error}"));
                return ExitCode::from(EXIT_FAILED);
            }
        };
        let config = match self.check_model().and_then(|()| self.config()) {
            Ok(config) => config,
            Err(sentence) => return self.report_mistake(&log, sentence),
        };
        memory::set_ceiling(self.memory_max.bytes());
        // Not before, because the process may begin again without a password.
        for (variable, sentence) in ignored() {
            log.write(Event::variable_ignored(&variable, sentence));
        }
        let config = Config {
            log: log.clone(),
            ..config
        };
        let done = match self.check {
            true => self.check(config),
            false => self.serve(config),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(sentence) => {
                log.write(Event::failed(sentence));
                ExitCode::from(EXIT_FAILED)
            }
        }
    }

    /// Says what is wrong with the options, which needs no time in words for
    /// people.
    fn report_mistake(&self, log: &Log, sentence: String) -> ExitCode {
        match self.log {
            LogFormat::Text => report_error(sentence),
            LogFormat::Json => {
                log.write(Event::failed(sentence));
                ExitCode::from(EXIT_MISTAKEN)
            }
        }
    }

    fn model(&self) -> Model {
        let default = match self.has_remote_store() {
            true => Model::Tokio,
            false => Model::default(),
        };
        self.model.unwrap_or(default)
    }

    /// Fails if there is an option of another model.
    fn check_model(&self) -> Result<(), String> {
        let (given, right) = match (self.model(), self.workers, self.connections_max) {
            (Model::Threads, _, Some(_)) => ("--connections-max", "--workers"),
            (Model::Tokio | Model::Epoll, Some(_), _) => ("--workers", "--connections-max"),
            _ => return Ok(()),
        };
        let model = self.model();
        let sentence = format!(
            "the {model} model has no {given}; how many connections it serves at the same time is \
             {right}"
        );
        Err(blame(given, sentence))
    }

    /// Says what would be done, and whether the addresses can be had.
    fn check(&self, mut config: Config) -> Result<(), String> {
        #[cfg(feature = "data")]
        self.check_data()?;
        let listener = self.bind();
        let bound = listener.and_then(|listener| {
            let address = listener.local_addr().map_err(|error| error.to_string())?;
            self.bind_metrics(&mut config)?;
            Ok(address)
        });
        let outcome = match &bound {
            Ok(address) => format!(
                "The options are valid, and it can listen on {address}. Nothing was started."
            ),
            Err(_) => "The options are valid, but it can't listen there.".to_owned(),
        };
        show(&check::told(&config, &outcome));
        bound.map(drop)
    }

    fn serve(&self, mut config: Config) -> Result<(), String> {
        config.log.write_panics();
        let shutdown = Shutdown::new();
        // Before the ready line, so that whoever waits for it can also stop
        // the server.
        stop_on_signal(&shutdown, &config.log)?;
        let listener = self.bind()?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let metrics_address = self.bind_metrics(&mut config)?;
        let ready = || {
            config.log.write(check::started(address, &config));
            let announce = |line: std::fmt::Arguments<'_>| {
                if let Err(sentence) = announce(line) {
                    config.log.write(Event::output_failed(sentence));
                }
            };
            announce(format_args!("listening on {address} ({})", told(&config)));
            if let Some(address) = metrics_address {
                announce(format_args!("metrics on http://{address}/"));
            }
        };
        server::serve(listener, &config, &shutdown, ready).map_err(|error| error.to_string())
    }

    /// Has the server answer for metrics, if it is to; where.
    #[cfg(feature = "metrics")]
    fn bind_metrics(&self, config: &mut Config) -> Result<Option<SocketAddr>, String> {
        let Some(metrics) = &self.metrics else {
            return Ok(None);
        };
        let listener = metrics.bind()?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        config.metrics = Some(listener.into());
        Ok(Some(address))
    }

    #[cfg(not(feature = "metrics"))]
    fn bind_metrics(&self, _: &mut Config) -> Result<Option<SocketAddr>, String> {
        Ok(None)
    }

    fn bind(&self) -> Result<TcpListener, String> {
        let (host, port) = (&self.host, self.port);
        TcpListener::bind((host.as_str(), port)).map_err(|error| {
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

    pub(super) fn config(&self) -> Result<Config, String> {
        let default = Config::default();
        let store = self.store_config()?;
        Ok(Config {
            model: self.model(),
            #[cfg(feature = "data")]
            data: self.data_config(&store)?,
            store,
            workers: self.workers.unwrap_or(default.workers),
            connections_max: self.connections_max.unwrap_or(default.connections_max),
            frame_len_max: self.frame_max,
            queue_timeout: self.queue_timeout,
            frame_timeout: self.frame_timeout,
            idle_timeout: Some(self.idle_timeout).filter(|timeout| !timeout.is_zero()),
            idle_eviction: Some(self.idle_eviction).filter(|time| !time.is_zero()),
            write_timeout: self.write_timeout,
            verbose: self.verbose,
            // The log and the metrics come later, when nothing else can be wrong.
            ..default
        })
    }
}

/// What the ready line says about the server.
fn told(config: &Config) -> String {
    let model = config.model;
    let places = match model {
        Model::Threads => format!("{} workers", config.workers),
        Model::Tokio | Model::Epoll => format!("{} connections", config.connections_max),
    };
    let room = match memory::usage().max {
        Some(max) => format!("{places}, {} of memory", memory::Size(max)),
        None => places,
    };
    #[cfg(feature = "data")]
    if let Some(data) = &config.data {
        return format!("{model}, {room}, journal in {}", data.dir.display());
    }
    match &config.store {
        StoreConfig::Memory => format!("{model}, {room}"),
        #[cfg(feature = "cluster")]
        StoreConfig::Remote(remote) => format!("{model}, {room}, {}", remote.address),
    }
}
