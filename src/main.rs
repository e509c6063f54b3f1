//! The command `speicher`: a server, and a command for each request.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    let speicher = match cli::parse(std::env::args_os()) {
        Ok(speicher) => speicher,
        Err(exit_code) => return exit_code,
    };
    match speicher.command {
        cli::Command::Serve(serve) => serve.run(),
        cli::Command::Set(set) => set.run(),
        cli::Command::Get(get) => get.run(),
        cli::Command::Delete(delete) => delete.run(),
        cli::Command::Reset(reset) => reset.run(),
    }
}
