//! `speicher conform`: tries an implementation of the protocol.

mod output;

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use argh::FromArgs;
use speicher::conformance::report::Format;
use speicher::conformance::{
    Level, MemoryOption, Options, Report, Stop, Subject, all, client_cases, groups, require_port,
    run, run_client,
};

use super::nearest::did_you_mean;
use super::output::report_error;
use super::signals::{EXIT_INTERRUPTED, stop_flag};
use super::units::{parse_number, parse_timeout, shown_duration};
use output::{Line, Lines, list};

/// A MUST or CLIENT case fails.
const EXIT_FAILS: u8 = 1;

/// Try a server of any origin on the cases of this protocol, or a client, and
/// say where it stands.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "conform",
    example = "Try a server that runs, and one that is started for it:\n\
               \x20 {command_name} 127.0.0.1:14567 --yes\n\
               \x20 {command_name} --spawn 'python3 server.py {{port}}'\n\
               Try also what it does when its memory is full:\n\
               \x20 {command_name} --spawn 'speicher serve --port {{port}}' \\\n\
               \x20   --memory-option '--memory-max {{bytes}}'\n\
               Try a client:\n\
               \x20 {command_name} --client 'python3 client.py {{port}} {{timeout}}'",
    note = "The cases store entries and remove all that is stored, so a server that runs\n\
            is only tried with --yes, or after a question on a terminal. Cases that stop\n\
            and start the server need --spawn, and those of the group memory --memory-option\n\
            too. A server that lets the time pass in three cases, and then does not answer a\n\
            plain GET, is given up. docs/conformance.md tells more.",
    error_code(0, "every MUST and CLIENT case passes"),
    error_code(1, "one does not, or the run ended early"),
    error_code(2, "the server can't be reached, or the command line is wrong"),
    error_code(130, "interrupted; what was found so far is printed"),
    help_triggers("-h", "--help", "help")
)]
pub(crate) struct Conform {
    /// host:port of a server that runs
    #[argh(positional)]
    address: Option<String>,

    /// shell command that starts a server on the port in place of {port}
    #[argh(option)]
    spawn: Option<String>,

    /// what --spawn adds to its command to give the server a ceiling on its
    /// memory of {bytes}, for the cases of the group memory
    #[argh(option)]
    memory_option: Option<MemoryOption>,

    /// shell command of a client that is to use the server on {port} and to
    /// wait {timeout} seconds at most; docs/conformance.md has the contract
    #[argh(option)]
    client: Option<String>,

    /// that all entries of the server may be removed
    #[argh(switch)]
    yes: bool,

    /// run only the case of this id; may be given several times
    #[argh(option)]
    case: Vec<String>,

    /// run only the cases of this group; may be given several times
    #[argh(option)]
    group: Vec<String>,

    /// run only the cases of this level: MUST, CLIENT, SHOULD or INFO; may be
    /// given several times
    #[argh(option)]
    level: Vec<Level>,

    /// print the cases and run none
    #[argh(switch)]
    list: bool,

    /// end when so many MUST and CLIENT cases have failed
    #[argh(option, from_str_fn(parse_failures))]
    max_failures: Option<usize>,

    /// print only the failures that count, and how the server stands
    #[argh(switch)]
    quiet: bool,

    /// how to report: human, tap, junit, json or html (human)
    #[argh(option, default = "Format::default()")]
    format: Format,

    /// file with a case's id on each line that is known to fail; those run, and
    /// do not count
    #[argh(option)]
    known_failing: Option<String>,

    /// how long a case may take that has no longer time of its own (5s)
    #[argh(
        option,
        default = "Options::default().timeout",
        from_str_fn(parse_timeout)
    )]
    timeout: Duration,

    /// how long the server lets a frame take, for the case that waits for it
    /// (30s)
    #[argh(
        option,
        default = "Options::default().frame_timeout",
        from_str_fn(parse_timeout)
    )]
    frame_timeout: Duration,

    /// how long all cases may take, beside what a server takes to start and to
    /// end; those that are not done by then are not run (10m)
    #[argh(
        option,
        default = "Options::default().run_timeout",
        from_str_fn(parse_timeout)
    )]
    run_timeout: Duration,
}

impl Conform {
    pub(crate) fn run(self) -> ExitCode {
        match self.conform() {
            Ok(exit_code) => exit_code,
            Err(sentence) => report_error(sentence),
        }
    }

    fn conform(&self) -> Result<ExitCode, String> {
        let stop = stop_flag()?;
        let options = Options {
            timeout: self.timeout,
            frame_timeout: self.frame_timeout,
            memory_option: self.memory_option.clone(),
            run_timeout: self.run_timeout,
            failures_max: self.max_failures,
            known_failing: self.known_failing()?,
            stop: Stop::of(Arc::clone(&stop)),
        };
        let report = match &self.client {
            Some(command) => self.try_client(command, &options),
            None => self.try_server(&options),
        };
        let interrupted = stop.load(Ordering::Relaxed);
        Ok(match report {
            // Before there was anything to show.
            Err(_) if interrupted => ExitCode::from(EXIT_INTERRUPTED),
            Ok(Some(_)) if interrupted => ExitCode::from(EXIT_INTERRUPTED),
            report => match report? {
                None => ExitCode::SUCCESS,
                Some(report) if report.conforms() => ExitCode::SUCCESS,
                Some(_) => ExitCode::from(EXIT_FAILS),
            },
        })
    }

    /// Nothing is returned when the cases were only listed.
    fn try_server(&self, options: &Options) -> Result<Option<Report>, String> {
        for group in &self.group {
            if !groups().contains(&group.as_str()) {
                let names = groups().join(", ");
                let meant = did_you_mean(group, groups());
                return Err(format!(
                    "there is no group {group:?}{meant}; choose one of {names}"
                ));
            }
        }
        let cases = self.chosen(all(), |case| (case.id, case.level))?;
        if self.list {
            return list(cases.iter().map(|case| Line::of_server(case)));
        }
        let subject = self.subject()?;
        self.permit(&subject)?;
        self.say_limit();
        let mut lines = Lines::new(self.format, self.quiet, cases.len());
        let report = run(&subject, &cases, options, &mut |case, record| {
            lines.tell(case.id, record)
        });
        lines.finish(report.map_err(|unreachable| unreachable.to_string())?)
    }

    fn try_client(&self, command: &str, options: &Options) -> Result<Option<Report>, String> {
        if self.address.is_some() || self.spawn.is_some() || !self.group.is_empty() {
            return Err("--client goes without HOST:PORT, --spawn and --group".to_owned());
        }
        if self.memory_option.is_some() {
            return Err("--memory-option is for servers, and goes with --spawn".to_owned());
        }
        let cases = self.chosen(client_cases(), |case| (case.id, case.level))?;
        if self.list {
            return list(cases.iter().map(|case| Line::of_client(case)));
        }
        require_port(command)?;
        self.say_limit();
        let mut lines = Lines::new(self.format, self.quiet, cases.len());
        let report = run_client(command, &cases, options, &mut |case, record| {
            lines.tell(case.id, record)
        });
        lines.finish(report.map_err(|unreachable| unreachable.to_string())?)
    }

    fn say_limit(&self) {
        if self.quiet {
            return;
        }
        let time_max = shown_duration(self.run_timeout);
        eprintln!(
            "speicher: this takes at most {time_max}; --run-timeout says how long, Ctrl-C ends it"
        );
    }

    fn subject(&self) -> Result<Subject, String> {
        match (&self.address, &self.spawn) {
            (Some(_), None) if self.memory_option.is_some() => {
                Err("--memory-option goes with --spawn: it is how a server is started".to_owned())
            }
            (Some(address), None) => Ok(Subject::Running(address.clone())),
            (None, Some(command)) => {
                require_port(command)?;
                Ok(Subject::Spawned(command.clone()))
            }
            (None, None) => Err(
                "say what to try: HOST:PORT of a server that runs, --spawn with a command that \
                 starts one, or --client with one that starts a client"
                    .to_owned(),
            ),
            (Some(_), Some(_)) => {
                Err("choose one: HOST:PORT of a server that runs, or --spawn".to_owned())
            }
        }
    }

    /// Those of the cases that are asked for, in their order.
    fn chosen<C>(
        &self,
        cases: &'static [C],
        of: impl Fn(&C) -> (&'static str, Level),
    ) -> Result<Vec<&'static C>, String> {
        for id in &self.case {
            known_id(id)?;
        }
        let is_chosen = |case: &&C| {
            let (id, level) = of(case);
            let group = id.split('/').next().unwrap_or(id);
            (self.case.is_empty() || self.case.iter().any(|chosen| chosen == id))
                && (self.group.is_empty() || self.group.iter().any(|name| name == group))
                && (self.level.is_empty() || self.level.contains(&level))
        };
        let cases: Vec<_> = cases.iter().filter(is_chosen).collect();
        match cases.is_empty() {
            true => Err(
                "no case is in all of these; --list shows what there is, and with --client what \
                 there is for clients"
                    .to_owned(),
            ),
            false => Ok(cases),
        }
    }

    fn known_failing(&self) -> Result<HashSet<String>, String> {
        let Some(path) = &self.known_failing else {
            return Ok(HashSet::new());
        };
        let text =
            fs::read_to_string(path).map_err(|error| format!("{path} can't be read: {error}"))?;
        let ids = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim());
        let ids: HashSet<String> = ids.filter(|id| !id.is_empty()).map(str::to_owned).collect();
        for id in &ids {
            known_id(id).map_err(|error| format!("in {path}, {error}"))?;
        }
        Ok(ids)
    }

    /// Whether the server may lose what it stores: a peer can't ask whether
    /// there is anything.
    fn permit(&self, subject: &Subject) -> Result<(), String> {
        let Subject::Running(address) = subject else {
            return Ok(());
        };
        let warning = format!("this removes everything that is stored at {address}");
        if self.yes {
            if !self.quiet {
                eprintln!("speicher: {warning}");
            }
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(format!("{warning}; say --yes if it may"));
        }
        eprint!("{warning}. Go on? [y/N] ");
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        read.map_err(|error| format!("standard input can't be read: {error}"))?;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err("nothing was done".to_owned()),
        }
    }
}

fn known_id(id: &str) -> Result<(), String> {
    let ids = all().iter().map(|case| case.id);
    let ids = ids.chain(client_cases().iter().map(|case| case.id));
    match ids.clone().any(|known| known == id) {
        true => Ok(()),
        false => Err(format!(
            "there is no case {id:?}{}; --list shows what there is",
            did_you_mean(id, ids)
        )),
    }
}

fn parse_failures(text: &str) -> Result<usize, String> {
    parse_number(text, 1, 1_000_000)
}
