//! `speicher load [HOST:PORT]`: stores the entries of lines of JSON.

mod display;
mod input;
mod sender;
mod window;

use std::io::{Write, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use argh::FromArgs;
use speicher::client::{Client, Error, ReplyHalf};
use speicher::protocol::Reply;

use super::output::{report_error, show};
use super::printable::sentence;
use super::signals::{EXIT_INTERRUPTED, stop_flag};
use super::target::{Target, host_and_port};
use super::units::{parse_number, parse_timeout};
use display::{Display, entries};
use input::Input;
use sender::Sender;
use window::{Burst, End, Next, Window};

/// How long nothing may come before signals are looked for.
const PATIENCE: Duration = Duration::from_millis(100);

/// Store entries that are lines of JSON.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "load",
    example = "speicher dump /var/lib/speicher | {command_name} 10.0.0.2:14567\n\
               {command_name} --file entries.jsonl\n\
               echo '{{\"key\":\"greeting\",\"value\":\"hello\"}}' | {command_name}",
    note = "Each line is an object with a key and a value, as `speicher dump` writes it:\n\
            \x20 {{\"key\":\"greeting\",\"value\":\"hello\"}}\n\
            The value is stored byte for byte, in place of what was there, and other entries\n\
            stay. Lines are as long as the server's frames may be; empty ones are left out. They\n\
            are sent before the replies to those before them have come, 4 MiB or one line at a\n\
            time, and stored in their order.\n\
            \n\
            It ends at the first line that is no entry or is not stored, and says with how many\n\
            to --skip it goes on. What was sent before is stored all the same, and lines after\n\
            that one may be too: to store them again changes nothing.",
    error_code(0, "all entries are stored"),
    error_code(2, "not all are stored; standard error says why, and how many are"),
    error_code(130, "interrupted; standard error says how many are stored"),
    help_triggers("-h", "--help")
)]
pub(crate) struct Load {
    /// the server, as HOST:PORT (127.0.0.1:14567, or what SPEICHER_ADDR says)
    #[argh(positional, arg_name = "host:port", from_str_fn(parse_address))]
    address: Option<(String, u16)>,

    /// file with the lines (standard input)
    #[argh(option)]
    file: Option<PathBuf>,

    /// how many lines to leave out at the beginning (0)
    #[argh(option, default = "0", from_str_fn(parse_skip))]
    skip: u64,

    /// how long the server may take to accept the connection, and then for each
    /// reply; 1 s more for each MiB that is sent or received (10s)
    #[argh(option, from_str_fn(parse_timeout))]
    timeout: Option<Duration>,
}

impl Load {
    pub(crate) fn run(self) -> ExitCode {
        match self.load() {
            Ok(exit_code) => exit_code,
            Err(sentence) => report_error(sentence),
        }
    }

    fn load(self) -> Result<ExitCode, String> {
        let stop = stop_flag()?;
        let input = Input::open(self.file.as_deref())?;
        let (host, port) = self.address.unzip();
        let target = Target {
            host,
            port,
            timeout: self.timeout,
        };
        let client = target.connect_to("an argument HOST:PORT")?;
        if input.is_terminal() {
            let hint = "type a line for each entry, and Ctrl-D at the end";
            // With standard error closed nobody wants to know.
            let _ = writeln!(stderr(), "{hint}");
        }
        let mut display = Display::begin(input.len());
        let mut course = Course::new(self.skip);
        let outcome = course.run(client, input, &stop, &mut display);
        let done = display.end(course.stored);
        match outcome {
            Ok(Outcome::Done) => Ok(show(&done)),
            Ok(Outcome::Interrupted) => {
                report_error(format_args!("interrupted; {}", course.how_far()));
                Ok(ExitCode::from(EXIT_INTERRUPTED))
            }
            Err(cause) => Err(format!("{cause}; {}", course.how_far())),
        }
    }
}

enum Outcome {
    Done,
    Interrupted,
}

/// What has come of the lines so far.
struct Course {
    stored: u64,
    /// All lines up to this one are stored, or were to be left out.
    line: u64,
    /// Why a line after that is not stored.
    refused: Option<String>,
}

impl Course {
    fn new(skip: u64) -> Self {
        Self {
            stored: 0,
            line: skip,
            refused: None,
        }
    }

    /// Sends on a thread of its own, which may wait for input for ever, and reads the replies
    /// here. The error is a sentence.
    fn run(
        &mut self,
        client: Client,
        input: Input,
        stop: &AtomicBool,
        display: &mut Display,
    ) -> Result<Outcome, String> {
        let (requests, mut replies) = client.into_split().map_err(sentence)?;
        let window = Arc::new(Window::default());
        let sender = Sender::new(input, self.line, requests, Arc::clone(&window));
        thread::spawn(move || sender.run());
        loop {
            let is_interrupted = stop.load(Ordering::Relaxed);
            if is_interrupted || self.refused.is_some() {
                window.close();
            }
            match window.next(PATIENCE) {
                Next::Nothing => display.wait(),
                Next::Replies(burst) => {
                    let answered = self.answer(burst, &mut replies, &window, stop, display);
                    if let Err(error) = answered {
                        // What was refused before is why the server closes.
                        let refused = self.refused.take();
                        return Err(refused.unwrap_or_else(|| sentence(error)));
                    }
                    display.tell(self.stored, burst.lines_len);
                }
                Next::End(end) => return self.outcome(end, is_interrupted),
            }
        }
    }

    /// Reads the replies to a burst.
    fn answer(
        &mut self,
        burst: Burst,
        replies: &mut ReplyHalf,
        window: &Window,
        stop: &AtomicBool,
        display: &mut Display,
    ) -> Result<(), Error> {
        replies.restart();
        for line in burst.first_line..burst.first_line + burst.entries {
            let reply = loop {
                if let Some(reply) = replies.receive()? {
                    break reply;
                }
                display.wait();
                if stop.load(Ordering::Relaxed) {
                    window.close();
                }
            };
            self.note(line, reply)?;
        }
        window.answered(burst);
        Ok(())
    }

    fn note(&mut self, line: u64, reply: Reply) -> Result<(), Error> {
        let refused = match reply {
            Reply::Done => {
                self.stored += 1;
                if self.refused.is_none() {
                    self.line = line;
                }
                return Ok(());
            }
            Reply::BadRequest(sentence) => Error::BadRequest(sentence),
            Reply::Unavailable(sentence) => Error::Unavailable(sentence),
            other => return Err(Error::Unfit(other)),
        };
        self.refused
            .get_or_insert_with(|| format!("line {line} is not stored: {}", sentence(refused)));
        Ok(())
    }

    /// All that was sent is answered.
    fn outcome(&mut self, end: End, is_interrupted: bool) -> Result<Outcome, String> {
        if let Some(refused) = self.refused.take() {
            return Err(refused);
        }
        match end {
            End::AllSent => Ok(Outcome::Done),
            End::BadLine(line, reason) => {
                self.line = line - 1;
                Err(format!("line {line} is no entry: {}", sentence(reason)))
            }
            End::Input(sentence) => Err(sentence),
            End::Closed if is_interrupted => Ok(Outcome::Interrupted),
            End::Closed => Err(sentence(Error::Closed)),
        }
    }

    /// What is stored, and how to go on.
    fn how_far(&self) -> String {
        let (stored, is) = match self.stored {
            0 => ("no entry".to_owned(), "is"),
            1 => (entries(1), "is"),
            stored => (entries(stored), "are"),
        };
        match self.line {
            0 => format!("{stored} {is} stored"),
            line => format!("{stored} {is} stored; --skip {line} goes on with the next line"),
        }
    }
}

fn parse_address(text: &str) -> Result<(String, u16), String> {
    host_and_port(text).ok_or_else(|| {
        format!(
            "{text:?} is no server; write HOST:PORT, as in 127.0.0.1:14567 or [::1]:14567, and name \
             a file with --file"
        )
    })
}

fn parse_skip(text: &str) -> Result<u64, String> {
    parse_number(text, 0, u64::MAX)
}
