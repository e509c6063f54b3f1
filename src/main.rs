//! The command `speicher`: a server, a command for each request, and the lab.

mod cli;

use std::process::ExitCode;

use speicher::memory::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(cli::Command::Serve(serve)) => serve.run(),
        Ok(cli::Command::Set(set)) => set.run(),
        Ok(cli::Command::Get(get)) => get.run(),
        Ok(cli::Command::Delete(delete)) => delete.run(),
        Ok(cli::Command::Reset(reset)) => reset.run(),
        #[cfg(feature = "data")]
        Ok(cli::Command::Dump(dump)) => dump.run(),
        #[cfg(feature = "data")]
        Ok(cli::Command::Load(load)) => load.run(),
        #[cfg(feature = "metrics")]
        Ok(cli::Command::Stat(stat)) => stat.run(),
        #[cfg(feature = "conformance")]
        Ok(cli::Command::Conform(conform)) => conform.run(),
        #[cfg(feature = "bench")]
        Ok(cli::Command::Bench(bench)) => bench.run(),
        #[cfg(feature = "bench")]
        Ok(cli::Command::Compare(compare)) => compare.run(),
        #[cfg(feature = "bench")]
        Ok(cli::Command::Echo(echo)) => echo.run(),
        Err(exit_code) => exit_code,
    }
}
