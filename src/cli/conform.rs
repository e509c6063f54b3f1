//! `speicher conform`: tries an implementation of the protocol.

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;
use speicher::conformance::report::Format;
use speicher::conformance::report::human::{self, Style};
use speicher::conformance::{Case, Level, Options, Record, Report, Subject, all, groups, run};

use super::trouble;
use super::units::parse_timeout;

/// A MUST or CLIENT case fails.
const EXIT_FAILS: u8 = 1;

/// Try a server of any origin on the cases of this protocol, and say where it
/// stands.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "conform",
    example = "Try a server that runs, and one that is started for it:\n\
               \x20 {command_name} 127.0.0.1:14567 --yes\n\
               \x20 {command_name} --spawn 'python3 server.py {{port}}'",
    note = "The cases store entries and remove all that is stored, so a server that runs\n\
            is only tried with --yes, or after a question on a terminal. Cases that stop\n\
            and start the server need --spawn. docs/conformance.md tells more.",
    error_code(0, "every MUST and CLIENT case passes"),
    error_code(1, "one does not"),
    error_code(2, "the server can't be reached, or the command line is wrong")
)]
pub(crate) struct Conform {
    /// host:port of a server that runs
    #[argh(positional)]
    address: Option<String>,

    /// shell command that starts a server on the port in place of {{port}}
    #[argh(option)]
    spawn: Option<String>,

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

    /// how to report: human, tap, junit, json or html (human)
    #[argh(option, default = "Format::default()")]
    format: Format,

    /// file with a case's id on each line that is known to fail; those run, and
    /// do not count
    #[argh(option)]
    known_failing: Option<String>,

    /// how long a case may take (10s)
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
}

impl Conform {
    pub(crate) fn run(self) -> ExitCode {
        match self.conform() {
            Ok(exit_code) => exit_code,
            Err(sentence) => trouble(sentence),
        }
    }

    fn conform(&self) -> Result<ExitCode, String> {
        let cases = self.cases()?;
        if self.list {
            return Ok(super::show(&list(&cases)));
        }
        let subject = self.subject()?;
        let options = Options {
            timeout: self.timeout,
            frame_timeout: self.frame_timeout,
            known_failing: self.known_failing()?,
        };
        self.permit(&subject)?;
        let mut lines = Lines::new(self.format);
        let report = run(
            &subject,
            &cases,
            &options,
            &mut |case, record| match record {
                None => lines.begin(case),
                Some(record) => lines.end(record),
            },
        )
        .map_err(|unreachable| unreachable.to_string())?;
        lines.finish(&report)?;
        Ok(match report.conforms() {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(EXIT_FAILS),
        })
    }

    fn subject(&self) -> Result<Subject, String> {
        match (&self.address, &self.spawn) {
            (Some(address), None) => Ok(Subject::Running(address.clone())),
            (None, Some(command)) if command.contains("{port}") => {
                Ok(Subject::Spawned(command.clone()))
            }
            (None, Some(_)) => Err(
                "the command of --spawn has to contain {port}, where the port is to be written"
                    .to_owned(),
            ),
            (None, None) => Err(
                "say what to try: HOST:PORT of a server that runs, or --spawn with a command that \
                 starts one"
                    .to_owned(),
            ),
            (Some(_), Some(_)) => {
                Err("choose one: HOST:PORT of a server that runs, or --spawn".to_owned())
            }
        }
    }

    /// The cases that are asked for, in their order.
    fn cases(&self) -> Result<Vec<&'static Case>, String> {
        for id in &self.case {
            known_id(id)?;
        }
        for group in &self.group {
            if !groups().contains(&group.as_str()) {
                let names = groups().join(", ");
                return Err(format!(
                    "there is no group {group:?}; choose one of {names}"
                ));
            }
        }
        let is_chosen = |case: &&Case| {
            (self.case.is_empty() || self.case.iter().any(|id| id == case.id))
                && (self.group.is_empty() || self.group.iter().any(|name| name == case.group()))
                && (self.level.is_empty() || self.level.contains(&case.level))
        };
        let cases: Vec<_> = all().iter().filter(is_chosen).collect();
        match cases.is_empty() {
            true => Err("no case is in all of these; --list shows what there is".to_owned()),
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
    match all().iter().any(|case| case.id == id) {
        true => Ok(()),
        false => Err(format!(
            "there is no case {id:?}; --list shows what there is"
        )),
    }
}

fn list(cases: &[&Case]) -> String {
    let mut text = String::new();
    for case in cases {
        let clauses = case.clauses.join(" ");
        let spawn = if case.needs_spawn() {
            " (needs --spawn)"
        } else {
            ""
        };
        let (level, id, says) = (case.level, case.id, case.says);
        text += &format!("{level:6}  {id:38} {clauses:8} {says}{spawn}\n");
    }
    text.trim_end().to_owned()
}

/// What is printed while the cases run.
struct Lines {
    format: Format,
    style: Style,
    /// Whether standard error is a terminal, on which a line can be taken back.
    shows_progress: bool,
    group: &'static str,
}

impl Lines {
    fn new(format: Format) -> Self {
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            format,
            style: match io::stdout().is_terminal() && !is_plain {
                true => Style::Colour,
                false => Style::Plain,
            },
            shows_progress: io::stderr().is_terminal(),
            group: "",
        }
    }

    fn begin(&mut self, case: &'static Case) {
        if self.format == Format::Human && self.group != case.group() {
            self.group = case.group();
            self.print(&format!("\n{}\n", self.group));
        }
        if self.shows_progress {
            let index = all()
                .iter()
                .position(|other| other.id == case.id)
                .unwrap_or(0)
                + 1;
            eprint!("\r\x1b[K{index} of {}: {}", all().len(), case.id);
        }
    }

    fn end(&mut self, record: &Record) {
        if self.shows_progress {
            eprint!("\r\x1b[K");
        }
        if self.format == Format::Human {
            self.print(&human::line(record, self.style));
        }
    }

    fn finish(&mut self, report: &Report) -> Result<(), String> {
        let text = match self.format {
            Format::Human => human::failures(report, self.style) + &human::summary(report),
            format => report.render(format),
        };
        let written = io::stdout().write_all(text.as_bytes());
        written.map_err(|error| format!("can't write to standard output: {error}"))
    }

    fn print(&self, text: &str) {
        // Whoever stopped reading gets the exit code all the same.
        let _ = io::stdout().write_all(text.as_bytes());
    }
}
