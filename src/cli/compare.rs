//! stub
use argh::FromArgs;
/// stub
#[derive(FromArgs)]
#[argh(subcommand, name = "compare")]
pub(crate) struct Compare {}
impl Compare { pub(crate) fn run(self) -> std::process::ExitCode { std::process::ExitCode::SUCCESS } }
