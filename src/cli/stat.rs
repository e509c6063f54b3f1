//! `speicher stat ADDRESS`: what a server does, a line a second.

mod interval;
mod line;
mod reading;
mod scrape;

use std::io::{ErrorKind, Write, stdout};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use argh::FromArgs;

use super::output::report_error;
use super::printable::sentence;
use super::units::{parse_number, parse_timeout, shown_duration};
use interval::Interval;
use reading::Reading;
use scrape::scrape;

/// The server was not there, at the end or for some of the lines that were asked for.
const EXIT_MISSED: u8 = 1;

/// Lines from one header to the next, as a terminal has.
const LINES_PER_HEADER: u64 = 20;

/// Print what a server does, a line a second, from its metrics.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "stat",
    example = "{command_name} 127.0.0.1:9100\n\
               {command_name} 127.0.0.1:9100 --interval 10s\n\
               {command_name} 127.0.0.1:9100 --json --count 1",
    note = "Each line tells of the time since the line before:\n\
            \x20 ops, get, set, del  requests a second, of all commands and of these\n\
            \x20 err                 requests that got 400 or 503\n\
            \x20 p50, p99            time of a batch inside the server, from its requests decoded\n\
            \x20                     to its replies encoded; estimated within the buckets of a\n\
            \x20                     histogram\n\
            \x20 conns, refused      connections that are open, and those that were refused\n\
            \x20 keys, mem, full     entries; the memory that counts against the ceiling, and how\n\
            \x20                     much of the ceiling that is\n\
            \x20 cpu                 processor time; 100% is one core\n\
            K, M and G are powers of 1000, and for bytes of 1024; a dash is what the server does\n\
            not have. It goes on until Ctrl-C, or until nobody reads the lines. A server that goes\n\
            away is waited for: standard error says so, and when it answers again. Its intervals\n\
            count for --count, so that this ends.",
    error_code(0, "printed"),
    error_code(
        1,
        "the server was away for some of the --count intervals, which have no line"
    ),
    error_code(2, "there are no metrics at the address; standard error says why"),
    help_triggers("-h", "--help", "help")
)]
pub(crate) struct Stat {
    /// where the server's metrics are: HOST:PORT or a port, as in its --metrics,
    /// or the URL that it says
    #[argh(positional, from_str_fn(parse_address))]
    address: String,

    /// time from line to line (1s)
    #[argh(option, default = "Duration::from_secs(1)", from_str_fn(parse_timeout))]
    interval: Duration,

    /// how many lines to print (no end)
    #[argh(option, default = "u64::MAX", from_str_fn(parse_count))]
    count: u64,

    /// print an object of JSON a line, with exact figures: counts of the
    /// interval, not rates
    #[argh(switch)]
    json: bool,
}

impl Stat {
    pub(crate) fn run(self) -> ExitCode {
        match self.stat() {
            Ok(exit_code) => exit_code,
            Err(sentence) => report_error(sentence),
        }
    }

    fn stat(&self) -> Result<ExitCode, String> {
        let mut before = self.first()?;
        let mut printer = Printer::new(self.json);
        let mut absence = Absence::default();
        let mut due = Instant::now();
        if printer.begin()?.is_closed() {
            return Ok(ExitCode::SUCCESS);
        }
        for _ in 0..self.count {
            due = (due + self.interval).max(Instant::now());
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let after = match scrape(&self.address) {
                Ok(after) => after,
                Err(cause) => {
                    absence.begin(&self.address, &cause);
                    continue;
                }
            };
            // What was counted over an absence, or before a new start, is not of one interval.
            let is_whole = !absence.end(&self.address)
                && !absence.is_new_start(&self.address, &before, &after);
            if is_whole
                && printer
                    .print(&Interval::between(&before, &after))?
                    .is_closed()
            {
                break;
            }
            before = after;
        }
        Ok(match absence.missed {
            true => ExitCode::from(EXIT_MISSED),
            false => ExitCode::SUCCESS,
        })
    }

    fn first(&self) -> Result<Reading, String> {
        scrape(&self.address).map_err(|cause| {
            format!(
                "can't read the metrics at {} ({}); name the address that the server has from \
                 `speicher serve --metrics HOST:PORT`",
                self.address,
                sentence(cause)
            )
        })
    }
}

/// A server that is not there for a while.
#[derive(Default)]
struct Absence {
    since: Option<Instant>,
    /// Whether any interval has no line.
    missed: bool,
}

impl Absence {
    /// Says so when it begins.
    fn begin(&mut self, address: &str, cause: &str) {
        if self.since.is_none() {
            let cause = sentence(cause);
            report_error(format_args!(
                "{address} does not answer any more ({cause}); waiting for it"
            ));
        }
        self.missed = true;
        self.since.get_or_insert_with(Instant::now);
    }

    /// Says so when it ends; whether there was one.
    fn end(&mut self, address: &str) -> bool {
        let Some(since) = self.since.take() else {
            return false;
        };
        let seconds = Duration::from_secs(since.elapsed().as_secs());
        report_error(format_args!(
            "{address} answers again after {}",
            shown_duration(seconds)
        ));
        true
    }

    /// An absence so short that nobody saw it; says so.
    fn is_new_start(&mut self, address: &str, before: &Reading, after: &Reading) -> bool {
        let is_new = after.is_of_another_run(before);
        if is_new {
            report_error(format_args!("the server at {address} was started again"));
            self.missed = true;
        }
        is_new
    }
}

/// Prints lines, with a header above each page of them.
struct Printer {
    json: bool,
    lines: u64,
}

/// Whether somebody still reads what is printed.
#[derive(Clone, Copy, PartialEq)]
enum Reader {
    Reads,
    Closed,
}

impl Reader {
    fn is_closed(self) -> bool {
        self == Self::Closed
    }
}

impl Printer {
    fn new(json: bool) -> Self {
        Self { json, lines: 0 }
    }

    /// Prints the first header, so that there is something to see before the first interval is over.
    fn begin(&mut self) -> Result<Reader, String> {
        match self.json {
            true => Ok(Reader::Reads),
            false => write_line(&line::header()),
        }
    }

    fn print(&mut self, interval: &Interval<'_>) -> Result<Reader, String> {
        let text = match self.json {
            true => interval.json(SystemTime::now()).to_string(),
            false => line::line(interval),
        };
        let needs_header = self.lines > 0 && self.lines.is_multiple_of(LINES_PER_HEADER);
        self.lines += 1;
        if needs_header && !self.json && write_line(&line::header())?.is_closed() {
            return Ok(Reader::Closed);
        }
        write_line(&text)
    }
}

fn write_line(text: &str) -> Result<Reader, String> {
    match writeln!(stdout(), "{text}") {
        Ok(()) => Ok(Reader::Reads),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Closed),
        Err(error) => Err(format!("can't write to standard output: {error}")),
    }
}

fn parse_count(text: &str) -> Result<u64, String> {
    parse_number(text, 1, u64::MAX)
}

/// `HOST:PORT`, the port alone on this machine, or the URL that the server says.
fn parse_address(text: &str) -> Result<String, String> {
    let address = text.strip_prefix("http://").unwrap_or(text);
    let address = address.strip_suffix("/metrics").unwrap_or(address);
    let address = address.strip_suffix('/').unwrap_or(address);
    let is_host = |host: &str| {
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let is_plain = !host.contains(|c: char| ":/@".contains(c) || c.is_control());
        bare.is_some_and(|bare| bare.parse::<std::net::Ipv6Addr>().is_ok())
            || (is_plain && !host.is_empty())
    };
    let port_alone = address.strip_prefix(':').unwrap_or(address);
    if port_alone.parse::<u16>().is_ok_and(|port| port > 0) {
        return Ok(format!("127.0.0.1:{port_alone}"));
    }
    match address.rsplit_once(':') {
        Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0) => {
            Ok(address.to_owned())
        }
        _ => Err(format!(
            "{text:?} is no address; write HOST:PORT, as in 127.0.0.1:9100 or [::1]:9100, or a port"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port_and_may_be_a_url() {
        for (text, address) in [
            ("127.0.0.1:9100", "127.0.0.1:9100"),
            ("[::1]:9100", "[::1]:9100"),
            ("9100", "127.0.0.1:9100"),
            (":9100", "127.0.0.1:9100"),
            ("http://localhost:80/", "localhost:80"),
            ("http://localhost:80/metrics", "localhost:80"),
        ] {
            assert_eq!(parse_address(text).as_deref(), Ok(address));
        }
        for wrong in [
            "",
            ":",
            "0",
            "h",
            "h:",
            "h:0",
            "h:65536",
            "::1:80",
            "https://h:1",
            "h:1/x",
            "a@h:1",
        ] {
            assert!(parse_address(wrong).is_err(), "{wrong}");
        }
    }
}
