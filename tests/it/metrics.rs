//! What a server counts, and how it tells.

mod connections;
mod documents;
mod formats;
mod hostile;
mod prometheus;
mod remote;
mod requests;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use speicher::server::{Config, Model};

use crate::harness::*;

/// A server in this process that answers for metrics; where.
fn with_metrics(config: Config) -> (Server, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let metrics = Some(listener.into());
    (Server::with(Config { metrics, ..config }), address)
}

/// A server in a process of its own that answers for metrics; where.
fn process_with_metrics(flags: &[&str]) -> (Process, SocketAddr) {
    let mut server = Process::serve(&[flags, &["--metrics", "0"]].concat());
    let line = server.line();
    let address = line
        .strip_prefix("metrics on http://")
        .and_then(|rest| rest.strip_suffix('/'))
        .expect("the second line says where");
    let address = address.parse().expect("an address");
    (server, address)
}

/// What came of an HTTP request.
struct Response {
    status: u16,
    /// With its names in small letters.
    head: String,
    body: String,
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Sends a request with this line and these headers, and reads to the end.
fn request(address: SocketAddr, line: &str, headers: &str) -> Response {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    let request = format!("{line}\r\nhost: {address}\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    read_response(stream).expect("a response")
}

/// `None` if the connection ends without one.
fn read_response(mut stream: TcpStream) -> Option<Response> {
    let mut bytes = Vec::new();
    // A reset after the response is no fault.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).expect("UTF-8");
    let (head, body) = text.split_once("\r\n\r\n")?;
    let (line, head) = head.split_once("\r\n").unwrap_or((head, ""));
    let names_small = head.lines().map(|line| match line.split_once(':') {
        Some((name, value)) => format!("{}:{value}\n", name.to_lowercase()),
        None => format!("{line}\n"),
    });
    Some(Response {
        status: line.split(' ').nth(1)?.parse().ok()?,
        head: names_small.collect(),
        body: body.to_owned(),
    })
}

fn get_path(address: SocketAddr, path: &str) -> Response {
    request(address, &format!("GET {path} HTTP/1.1"), "")
}

/// All metrics: with their labels, as they are written.
fn scrape(address: SocketAddr) -> Metrics {
    let response = get_path(address, "/metrics");
    assert_eq!(response.status, 200, "{}", response.body);
    Metrics::of(&response.body)
}

#[derive(Debug, Default)]
struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    fn of(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let parsed = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            (name.to_owned(), value.parse().expect("a number"))
        });
        Self(parsed.collect())
    }

    fn get(&self, name: &str) -> f64 {
        *self.0.get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Of this name, whatever their labels.
    fn sum(&self, name: &str) -> f64 {
        let with_labels = format!("{name}{{");
        let named = |it: &&String| *it == name || it.starts_with(&with_labels);
        self.0
            .iter()
            .filter(|(it, _)| named(it))
            .map(|(_, value)| value)
            .sum()
    }
}

/// Runs a program of Debian's prometheus; `None`, and a line that says so, if it
/// is not there.
fn run_tool(program: &str, args: &[&str], input: &str) -> Option<Output> {
    let spawned = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        println!("SKIPPED: there is no {program}; `apt-get install prometheus` brings it");
        return None;
    };
    let mut stdin = child.stdin.take().expect("it is piped");
    // It may have seen enough.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    Some(child.wait_with_output().expect("it ends"))
}

/// A folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    // What another run has left.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("it can be made");
    folder
}
