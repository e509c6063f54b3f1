//! A cluster on loopback, and a speicher that keeps its entries there, to try by hand: what
//! `make cluster` runs.
//!
//! Nodes and speicher are in process groups of their own, so Ctrl-C reaches only this program, and
//! speicher ends before the nodes that it needs.

// So that its parts are looked for beside it, as they are when tests/it includes it. Some of it
// only tests use.
#[allow(dead_code, unused_imports)]
#[path = "nodes.rs"]
mod nodes;

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio, exit};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use nodes::Cluster;

/// How long speicher may take to end after SIGTERM, before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// The command line is wrong.
const EXIT_USAGE: u8 = 2;

/// A second signal ended the program: 128 and SIGINT's number.
const EXIT_INTERRUPTED: i32 = 130;

enum Event {
    /// What speicher printed.
    Line(String),
    /// It has closed its output.
    Ended,
    Interrupted,
}

fn main() -> ExitCode {
    let mut words = env::args_os().skip(1);
    let Some(program) = words.next() else {
        eprintln!("usage: cluster SPEICHER [OPTION OF SERVE]...");
        return ExitCode::from(EXIT_USAGE);
    };
    if nodes::program().is_none() {
        eprintln!(
            "there is no valkey-server or redis-server of 7 or newer on the PATH; \
             `apt-get install redis-server` installs one"
        );
        return ExitCode::FAILURE;
    }
    let (sender, events) = channel();
    heed_signals(sender.clone());
    let cluster = Cluster::start(3, 1);
    let mut speicher = match Speicher::start(&program, words, &cluster, sender) {
        Ok(speicher) => speicher,
        Err(error) => {
            eprintln!("can't start {}: {error}", program.display());
            return ExitCode::FAILURE;
        }
    };
    for event in events {
        match event {
            Event::Line(line) => match line.strip_prefix("listening on ") {
                Some(rest) => print_introduction(&program, rest, &cluster),
                None => println!("{line}"),
            },
            Event::Ended => return speicher.end_of_its_own(),
            Event::Interrupted => break,
        }
    }
    speicher.stop();
    ExitCode::SUCCESS
}

/// The first signal asks for the end. The second does not wait for it: the nodes' guard kills what
/// is left.
fn heed_signals(sender: Sender<Event>) {
    let mut is_first = true;
    let handled = ctrlc::set_handler(move || {
        if !is_first {
            exit(EXIT_INTERRUPTED);
        }
        is_first = false;
        // Fails when the end is under way.
        let _ = sender.send(Event::Interrupted);
    });
    handled.expect("there is one handler");
}

/// `listening` is what follows these words in speicher's line: an address, and more.
fn print_introduction(program: &OsStr, listening: &str, cluster: &Cluster) {
    let program = program.display();
    let address = listening.split(' ').next().unwrap_or(listening);
    let at = match address {
        "127.0.0.1:14567" => String::new(),
        address => format!("SPEICHER_ADDR={address} "),
    };
    let server = nodes::program().expect("it has started the nodes");
    let client = server.replace("-server", "-cli");
    println!("speicher listens on {listening}");
    println!("and keeps its entries in a cluster of {server}:");
    for primary in cluster.primaries() {
        let address = |index: usize| cluster.nodes()[index].address();
        let replicas = cluster.replicas_of(primary).into_iter().map(address);
        let replicas = replicas.collect::<Vec<_>>().join(", ");
        println!("    primary {}, replica {replicas}", address(primary));
    }
    println!("Try, in another terminal:");
    println!("    {at}{program} set greeting '\"hello\"'");
    println!("    {client} -c -p {}", cluster.nodes()[0].port());
    println!("Ctrl-C ends all of it.");
}

/// The server, in a process group that it leads. Dropped, the group is killed.
struct Speicher(Child);

impl Speicher {
    /// Starts it with the cluster as its store; what it prints becomes events.
    fn start(
        program: &OsStr,
        options: impl Iterator<Item = OsString>,
        cluster: &Cluster,
        events: Sender<Event>,
    ) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(["serve", "--store"])
            .arg(format!("redis-cluster://{}", cluster.addresses()))
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()?;
        cluster.watch(child.id());
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        thread::spawn(move || {
            let lines = stdout.lines().map_while(Result::ok).map(Event::Line);
            for event in lines.chain([Event::Ended]) {
                // Fails when the program ends.
                let _ = events.send(event);
            }
        });
        Ok(Self(child))
    }

    /// Stops it if it only closed its output; the exit code that says how it ended.
    fn end_of_its_own(&mut self) -> ExitCode {
        self.stop();
        let status = self.0.wait().expect("it is our child");
        eprintln!("speicher has ended ({status})");
        match status.code() {
            Some(code) => ExitCode::from(code as u8),
            None => ExitCode::FAILURE,
        }
    }

    fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let begun = Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) && begun.elapsed() < STOP_TIMEOUT {
            thread::sleep(Duration::from_millis(5));
        }
        self.signal(Signal::SIGKILL);
    }

    fn signal(&self, signal: Signal) {
        // Fails when nothing of the group is left.
        let _ = killpg(Pid::from_raw(self.0.id() as i32), signal);
    }
}

impl Drop for Speicher {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.0.wait();
    }
}
