//! `speicher bench TARGET`: one load on one server.

pub(super) mod options;
pub(super) mod report_file;
mod table;

use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use argh::FromArgs;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use speicher::bench::figures;
use speicher::bench::generator::{self, Length, Load, Progress};
use speicher::bench::measurement::{Measurement, Percentiles};
use speicher::bench::protocol::Protocol;
use speicher::bench::server::{Budget, CommandLine, Server, check_pid, has_port};
use speicher::bench::workload::{Distribution, ValueSizes, Workload};

use super::output::{report_error, show};
use super::signals::{EXIT_INTERRUPTED, stop_flag};
use super::units::{parse_duration, parse_timeout, shown_duration};
use options::{
    parse_connections, parse_count, parse_keys, parse_percent, parse_pipeline, parse_rate,
    parse_seed, parse_threads, parse_value_sizes,
};
use report_file::ReportFile;
use table::table;

/// Errors, replies that never came, or not the load that was asked for.
const EXIT_ERRORS: u8 = 1;

/// Put a load on a server and measure it: a closed loop, or with --rate an
/// open one.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "bench",
    example = "{command_name} 127.0.0.1:14567 --load\n\
               {command_name} 127.0.0.1:6379 --protocol resp --pipeline 32 --threads 2\n\
               {command_name} 127.0.0.1:14567 --rate 20K --duration 30s --json run.json\n\
               {command_name} 'speicher serve --port {{port}}' --load --verify",
    note = "A closed loop sends on each connection as many requests as the pipeline is deep,\n\
            and the next when all are answered; its latencies at full load say how long the\n\
            queue is. An open loop sends at a rate, whatever the server does, and counts\n\
            latency from when a request was due. docs/benchmarking.md has the rest.\n\
            A run ends by itself, whatever the server does: to connect may take 10 s and 1 s\n\
            for each 1,000 connections, to set every key 10 s and 1 s for each 1,000 keys and\n\
            each MiB of values, the last replies 10 s. After 5 s without a reply it is over. Of a\n\
            reply, as much is kept as the longest value has, and 1 MiB.\n\
            Times are seconds, or written 500ms, 30s or 5m; sizes are bytes, or 16K or 1M.",
    error_code(0, "measured"),
    error_code(
        1,
        "measured, with errors, wrong values or lost replies, or nothing was answered in\n\
         time, or more than 5 % of what --rate asks for never left"
    ),
    error_code(2, "not measured; standard error says why"),
    error_code(130, "interrupted; what was done so far is printed"),
    help_triggers("-h", "--help", "help")
)]
pub(crate) struct Bench {
    /// server to measure: HOST:PORT, or a command with PORT in braces that
    /// starts one
    #[argh(positional)]
    target: String,

    /// what it speaks: speicher, resp, memcached or echo (speicher)
    #[argh(option, default = "Protocol::Speicher")]
    protocol: Protocol,

    /// connections at the same time (8)
    #[argh(option, default = "8", from_str_fn(parse_connections))]
    connections: usize,

    /// unanswered requests on each connection: exactly so many in a closed
    /// loop (1), at most in an open one (1000)
    #[argh(option, from_str_fn(parse_pipeline))]
    pipeline: Option<usize>,

    /// threads that send (1)
    #[argh(option, default = "1", from_str_fn(parse_threads))]
    threads: usize,

    /// how long to measure (10s)
    #[argh(option, from_str_fn(parse_timeout))]
    duration: Option<Duration>,

    /// how many requests to measure, in place of --duration; for 1 min at most, and
    /// the longer of 1 s for each 100 and twice the time that --rate takes
    #[argh(option, from_str_fn(parse_count))]
    requests: Option<u64>,

    /// how long to send before it is measured (1s)
    #[argh(
        option,
        default = "Duration::from_secs(1)",
        from_str_fn(parse_duration)
    )]
    warmup: Duration,

    /// number of keys (100K, which is 100000)
    #[argh(option, default = "100_000", from_str_fn(parse_keys))]
    keys: u32,

    /// which keys are asked for: uniform, or zipf with exponent 0.99 (uniform)
    #[argh(option, default = "Distribution::Uniform")]
    distribution: Distribution,

    /// length of the values' JSON in bytes, or lengths with weights, as in
    /// 64:90,16K:10 (64)
    #[argh(
        option,
        default = "ValueSizes::one(64)",
        from_str_fn(parse_value_sizes)
    )]
    value_size: ValueSizes,

    /// requests of a hundred that are GETs; the others are SETs (80)
    #[argh(option, default = "80", from_str_fn(parse_percent))]
    get: u32,

    /// what random choices start from (1)
    #[argh(option, default = "1", from_str_fn(parse_seed))]
    seed: u64,

    /// set every key first
    #[argh(switch)]
    load: bool,

    /// set every key first, and check that each value read is one that was
    /// written
    #[argh(switch)]
    verify: bool,

    /// requests a second of an open loop, as in 20K, which is 20000
    #[argh(option, from_str_fn(parse_rate))]
    rate: Option<f64>,

    /// process of the server, to count what it uses
    #[argh(option)]
    pid: Option<u32>,

    /// file for everything that was measured, with the histogram in HDR's
    /// format
    #[argh(option)]
    json: Option<String>,
}

impl Bench {
    pub(crate) fn run(self) -> ExitCode {
        match self.bench() {
            Ok(exit_code) => exit_code,
            Err(sentence) => report_error(sentence),
        }
    }

    fn bench(self) -> Result<ExitCode, String> {
        let stop = stop_flag()?;
        generator::allow_many_descriptors();
        self.check_options()?;
        let place = self.place()?;
        let json = self.json.as_deref().map(ReportFile::new).transpose()?;
        let (server, address) = match place {
            Place::Command(command) => {
                let server = match self.start(&command, &stop) {
                    Err(_) if stop.load(Ordering::Relaxed) => {
                        return Ok(ExitCode::from(EXIT_INTERRUPTED));
                    }
                    started => started?,
                };
                let address = server.address;
                (Some(server), address)
            }
            Place::Running(address) => (None, address),
        };
        let load = self.as_load(address, server.as_ref());
        let mut display = Display::new(&load);
        let time_max = shown_duration(load.time_max());
        display.keep(&format!("this takes at most {time_max}; Ctrl-C ends it"));
        let measurement = generator::run(&load, &stop, Some(&mut |told| display.tell(told)))?;
        display.clear();
        drop(server);
        // First: a file that can't be written does not take it away.
        let shown = show(&table(&load, &measurement));
        if let Some(file) = &json {
            let report = json_report(&load, &measurement);
            if measurement.interrupted {
                let place = file.give_up(&report)?;
                display.keep(&format!("what was done is in {}", place.display()));
            } else {
                file.finish(&report)?;
            }
        }
        if measurement.interrupted {
            return Ok(ExitCode::from(EXIT_INTERRUPTED));
        }
        if shown != ExitCode::SUCCESS {
            return Ok(shown);
        }
        Ok(match measurement.is_as_asked() {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(EXIT_ERRORS),
        })
    }

    fn check_options(&self) -> Result<(), String> {
        if self.duration.is_some() && self.requests.is_some() {
            return Err("say either --duration or --requests".to_owned());
        }
        if self.threads > self.connections {
            return Err(format!(
                "{} threads can't share {} connections; ask for as many --connections as \
                 --threads, or more",
                self.threads, self.connections
            ));
        }
        self.pid.map_or(Ok(()), check_pid)
    }

    fn place(&self) -> Result<Place, String> {
        match has_port(&self.target) {
            true => CommandLine::parse(&self.target).map(Place::Command),
            false => resolve(&self.target).map(Place::Running),
        }
    }

    fn start(&self, command: &CommandLine, stop: &AtomicBool) -> Result<Server, String> {
        let budget = Budget {
            connections: self.connections.max(256),
            cpus: Vec::new(),
        };
        Server::start(command, &budget, stop)
    }

    fn as_load(&self, address: SocketAddr, server: Option<&Server>) -> Load {
        let duration = self.duration.unwrap_or(Duration::from_secs(10));
        let pipeline_default = if self.rate.is_some() { 1000 } else { 1 };
        Load {
            address,
            protocol: self.protocol,
            workload: Workload {
                keys: self.keys,
                distribution: self.distribution,
                value_sizes: self.value_size.clone(),
                get_percent: self.get,
                seed: self.seed,
            },
            connections: self.connections,
            pipeline: self.pipeline.unwrap_or(pipeline_default),
            threads: self.threads,
            rate: self.rate,
            length: self
                .requests
                .map_or(Length::Time(duration), Length::Requests),
            warmup: self.warmup,
            fill: self.load,
            verify: self.verify,
            server_pid: self.pid.or(server.map(Server::pid)),
        }
    }
}

/// Where the server is.
enum Place {
    /// It is to be started.
    Command(CommandLine),
    Running(SocketAddr),
}

fn resolve(target: &str) -> Result<SocketAddr, String> {
    let mut addresses = target.to_socket_addrs().map_err(|error| {
        format!(
            "{target:?} is no server ({error}); write HOST:PORT, as in 127.0.0.1:14567, or a \
             command with {{port}} in it"
        )
    })?;
    addresses
        .next()
        .ok_or_else(|| format!("{target:?} has no address"))
}

/// Progress: a bar on a terminal, lines elsewhere.
struct Display {
    bar: ProgressBar,
    is_terminal: bool,
    updates: u32,
}

impl Display {
    fn new(load: &Load) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = match is_terminal {
            true => ProgressBar::new(1000),
            false => ProgressBar::hidden(),
        };
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {msg}");
        bar.set_style(style.expect("the template is right"));
        bar.set_prefix(load.address.to_string());
        Self {
            bar,
            is_terminal,
            updates: 0,
        }
    }

    fn tell(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Filling => self.say("setting every key"),
            Progress::WarmingUp => self.say("warming up"),
            Progress::Measuring {
                elapsed,
                share,
                interval,
                latencies,
            } => {
                let figures = format!(
                    "{}/s, p99 {}",
                    figures::count(latencies.len() as f64 / interval.as_secs_f64()),
                    figures::time(Percentiles::of(latencies).p99 as f64)
                );
                self.bar.set_position((share * 1000.0) as u64);
                self.updates += 1;
                // A line a second is enough where lines stay.
                if self.is_terminal || self.updates.is_multiple_of(4) {
                    self.say(&format!("{:.0} s: {figures}", elapsed.as_secs_f64()));
                }
            }
        }
    }

    /// Says what is to stay on a terminal too.
    fn keep(&self, words: &str) {
        match self.is_terminal {
            true => self.bar.println(words),
            false => self.say(words),
        }
    }

    fn say(&self, words: &str) {
        if self.is_terminal {
            self.bar.set_message(words.to_owned());
        } else {
            // With standard error closed nobody wants to know.
            let _ = writeln!(std::io::stderr(), "{words}");
        }
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn json_report(load: &Load, measurement: &Measurement) -> String {
    let report = json!({
        "speicher": env!("CARGO_PKG_VERSION"),
        "date": humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        "load": load,
        "measurement": measurement,
    });
    format!("{report:#}\n")
}
