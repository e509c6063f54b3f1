//! `speicher echo`: the floor that comparisons stand on.

use std::io;
use std::net::TcpListener;
use std::process::ExitCode;

use argh::FromArgs;
use speicher::bench::echo::{EchoModel, serve};

use super::output::{announce, report_error};
use super::units::parse_port;

/// Run a server that returns every byte unread, until a signal ends it: the
/// floor under servers that move bytes in the same way.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "echo",
    note = "It bounds nothing that peers control, and listens on 127.0.0.1 alone. When it is\n\
            ready it prints one line on standard output:\n\
            \x20 listening on 127.0.0.1:7777 (echo, threads)",
    error_code(2, "the command line is wrong, or the address can't be bound"),
    help_triggers("-h", "--help", "help")
)]
pub(crate) struct Echo {
    /// how bytes move: threads (one a connection) or epoll (an event loop per
    /// core); (threads)
    #[argh(option, default = "EchoModel::default()")]
    model: EchoModel,

    /// port to listen on (7777; 0 picks a free one)
    #[argh(option, default = "7777", from_str_fn(parse_port))]
    port: u16,
}

impl Echo {
    pub(crate) fn run(self) -> ExitCode {
        match self.echo() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => report_error(format_args!(
                "can't echo on port {} ({error}); choose another --port",
                self.port
            )),
        }
    }

    fn echo(&self) -> io::Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", self.port))?;
        let address = listener.local_addr()?;
        let line = format_args!("listening on {address} (echo, {})", self.model);
        if let Err(sentence) = announce(line) {
            report_error(sentence);
        }
        serve(&listener, self.model)
    }
}
