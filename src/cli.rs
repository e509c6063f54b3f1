//! The command line: one file per subcommand.

mod arguments;
#[cfg(feature = "bench")]
mod bench;
mod check;
#[cfg(feature = "bench")]
mod compare;
#[cfg(feature = "conformance")]
mod conform;
mod delete;
#[cfg(feature = "data")]
mod dump;
#[cfg(feature = "bench")]
mod echo;
mod environment;
mod get;
#[cfg(feature = "data")]
mod load;
#[cfg(feature = "metrics")]
mod metrics;
mod nearest;
mod output;
mod printable;
mod reset;
mod serve;
mod set;
mod signals;
#[cfg(feature = "metrics")]
mod stat;
#[cfg(feature = "cluster")]
mod store;
mod system_limits;
mod target;
mod units;

use std::ffi::OsString;
use std::process::ExitCode;

use argh::FromArgs;

use arguments::{SHIELD, for_argh};
use nearest::did_you_mean;
use output::{report_error, show};

/// The names of all commands that this build has.
const COMMANDS: &[&str] = &[
    "serve",
    "set",
    "get",
    "delete",
    "reset",
    #[cfg(feature = "data")]
    "dump",
    #[cfg(feature = "data")]
    "load",
    #[cfg(feature = "metrics")]
    "stat",
    #[cfg(feature = "conformance")]
    "conform",
    #[cfg(feature = "bench")]
    "bench",
    #[cfg(feature = "bench")]
    "compare",
    #[cfg(feature = "bench")]
    "echo",
];

/// The names as a sentence has them: `a, b` and so on, with this word before
/// the last.
fn commands(conjunction: &str) -> String {
    let (last, others) = COMMANDS.split_last().expect("there are some");
    format!("{} {conjunction} {last}", others.join(", "))
}

/// Reads the command line; where that is all there is to do, for `--help`,
/// `--version` and mistakes, prints what there is to say and returns the exit
/// code: 0, or 2 for a mistake.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, ExitCode> {
    let args: Vec<String> = args
        .skip(1)
        .map(|arg| arg.into_string())
        .collect::<Result<_, _>>()
        .map_err(|arg| report_error(format_args!("the argument {arg:?} is not UTF-8")))?;
    let args = for_argh(args, COMMANDS);
    let args = environment::added_to(args).map_err(report_error)?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let top = TopLevel::from_args(&["speicher"], &args).map_err(|exit| match exit.status {
        Ok(()) => show(exit.output.trim_end()),
        Err(()) => report_error(mistake(&said(&exit.output, &args), args.first().copied())),
    })?;
    if top.version {
        return Err(show(concat!("speicher ", env!("CARGO_PKG_VERSION"))));
    }
    top.command.ok_or_else(|| {
        report_error(format_args!(
            "say what to do: {}; speicher --help tells more",
            commands("or")
        ))
    })
}

#[cfg(feature = "cluster")]
fn said(output: &str, args: &[&str]) -> String {
    match args.first() {
        Some(&"serve") => store::without_addresses(output, args),
        _ => output.to_owned(),
    }
}

#[cfg(not(feature = "cluster"))]
fn said(output: &str, _: &[&str]) -> String {
    output.to_owned()
}

/// argh's words about a mistake, what was meant, and where to read on.
fn mistake(output: &str, command: Option<&str>) -> String {
    const UNKNOWN: &str = "Unrecognized argument: ";

    let output = output.replace(SHIELD, "");
    let output = output.split_whitespace().collect::<Vec<_>>().join(" ");
    let output = output.replace("duplicate values provided", "it is there twice");
    let output = output.trim_end_matches('.');
    let unknown = output.strip_prefix(UNKNOWN);
    let command = command.filter(|command| !command.starts_with('-'));
    match (command, unknown) {
        (Some(command), unknown) if COMMANDS.contains(&command) => {
            let meant = unknown
                .map(|typed| meant(command, typed))
                .unwrap_or_default();
            format!("{output}{meant}; speicher {command} --help shows how")
        }
        (Some("del"), _) => "there is no command del; it is called delete".to_owned(),
        (Some("rst"), _) => "there is no command rst; it is called reset".to_owned(),
        (Some(command), Some(unknown)) if unknown == command || command == "help" => format!(
            "there is no command {unknown}{}; the commands are {}, and speicher --help tells more",
            did_you_mean(unknown, COMMANDS.iter().copied()),
            commands("and")
        ),
        _ => format!(
            "{output}; the commands are {}, their options come after them, and \
             speicher --help tells more",
            commands("and")
        ),
    }
}

/// What a word that the command does not take may have been meant for.
fn meant(command: &str, typed: &str) -> String {
    if command == "set" && !typed.starts_with('-') {
        return " (a value with spaces in it needs single quotes around it)".to_owned();
    }
    did_you_mean(typed, options_of(command).split_whitespace())
}

/// The options that the command's help lists, with spaces between them.
fn options_of(command: &str) -> String {
    let help = TopLevel::from_args(&["speicher"], &[command, "--help"]);
    let help = help.err().map(|exit| exit.output).unwrap_or_default();
    let lines = help.lines().filter_map(|line| line.strip_prefix("  -"));
    let names = lines.map(|line| format!("-{}", line.split([' ', ',']).next().unwrap_or_default()));
    names.collect::<Vec<_>>().join(" ")
}

/// Server and commands for the speicher key-value protocol.
#[derive(FromArgs)]
#[argh(
    example = "Start a server, and use it from another terminal:\n\
               \x20 {command_name} serve\n\
               \x20 {command_name} set greeting '\"hello\"'\n\
               \x20 {command_name} get greeting",
    note = "{command_name} COMMAND --help tells more about each command.",
    help_triggers("-h", "--help", "help")
)]
struct TopLevel {
    /// print the version
    #[argh(switch)]
    version: bool,

    #[argh(subcommand)]
    command: Option<Command>,
}

/// A subcommand and its options.
#[derive(FromArgs)]
#[argh(subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one in a process")]
pub(crate) enum Command {
    Serve(serve::Serve),
    Set(set::Set),
    Get(get::Get),
    Delete(delete::Delete),
    Reset(reset::Reset),
    #[cfg(feature = "data")]
    Dump(dump::Dump),
    #[cfg(feature = "data")]
    Load(load::Load),
    #[cfg(feature = "metrics")]
    Stat(stat::Stat),
    #[cfg(feature = "conformance")]
    Conform(conform::Conform),
    #[cfg(feature = "bench")]
    Bench(bench::Bench),
    #[cfg(feature = "bench")]
    Compare(compare::Compare),
    #[cfg(feature = "bench")]
    Echo(echo::Echo),
}
