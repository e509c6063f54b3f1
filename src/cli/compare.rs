//! `speicher compare`: several servers side by side.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use speicher::bench::compare::conformance::Conformance;
use speicher::bench::compare::pinning::Pinning;
use speicher::bench::compare::plan::{Extent, Plan};
use speicher::bench::compare::scenario::Scenario;
use speicher::bench::compare::target::Target;
use speicher::bench::compare::{self, Comparison, Status};
use speicher::bench::{generator, report};

use super::bench::options::parse_seed;
use super::bench::report_file::ReportFile;
use super::output::{report_error, show};
use super::signals::stop_flag;

/// Put the same loads on several servers in interleaved rounds, and say what
/// differs.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "compare",
    example = "{command_name} --html report.html\n\
               {command_name} --full --html report.html --json report.json\n\
               {command_name} --target 'valkey=resp:valkey-server --port {{port}} --save \"\"'\n\
               {command_name} --only --target epoll --target theirs=speicher@10.0.0.2:14567\n\
               {command_name} --scenarios attack --rounds 1",
    note = "It compares this build's models, an echo for each way of doing I/O, and Redis and\n\
            memcached where they are installed. Ratios are to the first target. A target is\n\
            NAME=PROTOCOL:COMMAND, where the command says {{port}} and may say {{connections}}\n\
            and {{cores}}; NAME=PROTOCOL@HOST:PORT for one that runs, which is filled with\n\
            keys; or one of threads, tokio, epoll, echo-threads, echo-epoll, redis,\n\
            memcached, valkey and pogocache, the last four also as their programs, as in\n\
            ./valkey-server. A load ends 10 s after its time at the latest, to set N keys may\n\
            take 10 s and 1 s for each 1,000 keys and each MiB of values, to check that a\n\
            target is right 1 min; one that fails three times is not asked any more.\n\
            docs/benchmarking.md says what is measured, and how to read it.",
    error_code(0, "compared"),
    error_code(
        1,
        "compared, but something went wrong with a target, or it is no right server of\n\
         the protocol; the summary says what"
    ),
    error_code(2, "not compared; standard error says why"),
    error_code(
        130,
        "interrupted; what was done so far is printed, and written beside the files,\n\
         under names that end in .partial"
    ),
    help_triggers("-h", "--help", "help")
)]
pub(crate) struct Compare {
    /// compare one more target; may be repeated
    #[argh(option, from_str_fn(Target::parse))]
    target: Vec<Target>,

    /// compare nothing but the targets that --target names
    #[argh(switch)]
    only: bool,

    /// request, pipelined, idle and latency: three minutes for five targets
    /// (this is the default)
    #[argh(switch)]
    quick: bool,

    /// every scenario but attack, in more and longer rounds: about an hour
    #[argh(switch)]
    full: bool,

    /// scenarios in place of all: request, pipelined, writes, zipf, cold,
    /// many, large, idle, latency, memory, growth or attack, with commas
    /// between
    #[argh(option, from_str_fn(parse_scenarios))]
    scenarios: Option<Scenarios>,

    /// rounds; 6 are the fewest that allow a verdict (7, or 9 with --full)
    #[argh(option, from_str_fn(parse_rounds))]
    rounds: Option<usize>,

    /// threads of the generator (as many as it has CPUs, at most 8)
    #[argh(option, from_str_fn(super::bench::options::parse_threads))]
    threads: Option<usize>,

    /// CPUs of the servers and of the generator, as in 0,1:2,3; or none, and
    /// they share all (half of them each)
    #[argh(option, default = "Pinning::halved()", from_str_fn(parse_pinning))]
    pin: Pinning,

    /// what random choices start from (1)
    #[argh(option, default = "1", from_str_fn(parse_seed))]
    seed: u64,

    /// file for a page with plots that needs nothing else
    #[argh(option)]
    html: Option<String>,

    /// file for all figures of all rounds
    #[argh(option)]
    json: Option<String>,
}

/// What makes a file's text of a comparison.
type Report = fn(&Comparison) -> String;

/// What `--scenarios` names.
struct Scenarios(Vec<Scenario>);

impl Compare {
    pub(crate) fn run(self) -> ExitCode {
        match self.compare() {
            Ok(exit_code) => exit_code,
            Err(sentence) => report_error(sentence),
        }
    }

    fn compare(self) -> Result<ExitCode, String> {
        if self.quick && self.full {
            return Err("say either --quick or --full".to_owned());
        }
        let (targets, absent) = self.targets()?;
        let plan = self.plan();
        let files = self.files()?;
        generator::allow_many_descriptors();
        let stop = stop_flag()?;
        let mut display = Display::new();
        for sentence in absent {
            display.say(&sentence);
        }
        let comparison = compare::run(&targets, &plan, &self.pin, &stop, &mut |status| {
            display.tell(&status);
        })?;
        display.clear();
        // First: a file that can't be written does not take it away.
        let shown = show(&report::text(&comparison));
        for place in write(&files, &comparison)? {
            display.say(&format!("what was done is in {}", place.display()));
        }
        if shown != ExitCode::SUCCESS {
            return Ok(shown);
        }
        Ok(match (comparison.interrupted, is_flawless(&comparison)) {
            (true, _) => ExitCode::from(130),
            (false, true) => ExitCode::SUCCESS,
            (false, false) => ExitCode::from(1),
        })
    }

    fn targets(&self) -> Result<(Vec<Target>, Vec<String>), String> {
        let (mut targets, absent) = match self.only {
            true => (Vec::new(), Vec::new()),
            false => Target::all_built_in(),
        };
        targets.extend(self.target.iter().cloned());
        // An attack compares a target with itself.
        let is_attack = |Scenarios(named): &Scenarios| named[..] == [Scenario::Attack];
        let targets_min = match self.scenarios.as_ref().is_some_and(is_attack) {
            true => 1,
            false => 2,
        };
        if targets.len() < targets_min {
            return Err(format!(
                "--only leaves {} of the {targets_min} targets that this takes; name more with \
                 --target, or leave --only out",
                targets.len()
            ));
        }
        for (index, target) in targets.iter().enumerate() {
            if targets[..index]
                .iter()
                .any(|other| other.name == target.name)
            {
                return Err(format!(
                    "two targets are called {}; give one of them another name, as in \
                     --target name=protocol:command",
                    target.name
                ));
            }
        }
        Ok((targets, absent))
    }

    fn plan(&self) -> Plan {
        let extent = if self.full {
            Extent::Full
        } else {
            Extent::Quick
        };
        let scenarios = match (&self.scenarios, extent) {
            (Some(Scenarios(named)), _) => named,
            (None, Extent::Full) => Scenario::FULL,
            (None, Extent::Quick) => &Scenario::QUICK[..],
        };
        let plan = Plan::new(extent, scenarios, self.seed);
        Plan {
            rounds: self.rounds.unwrap_or(plan.rounds),
            threads: self.threads.unwrap_or_else(|| self.pin.threads()),
            ..plan
        }
    }

    /// The files that were asked for, with what is written to each.
    fn files(&self) -> Result<Vec<(ReportFile, Report)>, String> {
        if self.html.is_some() && self.html == self.json {
            return Err("--html and --json name the same file; give each its own".to_owned());
        }
        let asked = [
            (&self.html, report::page as Report),
            (&self.json, report::json),
        ];
        let asked = asked
            .into_iter()
            .filter_map(|(name, report)| Some((name.as_ref()?, report)));
        asked
            .map(|(name, report)| Ok((ReportFile::new(name)?, report)))
            .collect()
    }
}

/// Writes what it can, and returns where unfinished reports are. Fails with a sentence for each
/// file that it can't write.
fn write(files: &[(ReportFile, Report)], comparison: &Comparison) -> Result<Vec<PathBuf>, String> {
    let (mut unfinished, mut unwritten) = (Vec::new(), Vec::new());
    for (file, report) in files {
        let text = report(comparison);
        let written = match comparison.interrupted {
            true => file
                .give_up(&text)
                .map(|place| unfinished.push(place.to_owned())),
            false => file.finish(&text),
        };
        unwritten.extend(written.err());
    }
    match unwritten.is_empty() {
        true => Ok(unfinished),
        false => Err(unwritten.join("; ")),
    }
}

/// Whether nothing went wrong with any target.
fn is_flawless(comparison: &Comparison) -> bool {
    let mut checked = comparison.targets.iter().map(|target| &target.conformance);
    comparison.notes.is_empty() && !checked.any(|one| matches!(one, Conformance::Failed(_)))
}

/// Progress over the whole plan: a bar on a terminal, lines elsewhere.
struct Display {
    bar: ProgressBar,
    is_terminal: bool,
    last: String,
}

impl Display {
    fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = match is_terminal {
            true => ProgressBar::new(1000),
            false => ProgressBar::hidden(),
        };
        let style = ProgressStyle::with_template("{wide_bar} {msg}");
        bar.set_style(style.expect("the template is right"));
        Self {
            bar,
            is_terminal,
            last: String::new(),
        }
    }

    fn tell(&mut self, status: &Status<'_>) {
        let left = HumanDuration(Duration::from_secs(status.left.as_secs().max(1)));
        self.bar.set_position((status.share * 1000.0) as u64);
        let Status {
            round,
            target,
            scenario,
            ..
        } = status;
        let Some(round) = round else {
            if self.is_terminal {
                self.bar.set_message(format!("checking {target}"));
            } else {
                self.say(&format!("checking {target}"));
            }
            return;
        };
        if self.is_terminal {
            self.bar
                .set_message(format!("round {round}, {target}, {scenario}: {left} left"));
        } else if self.last != format!("{round} {scenario}") {
            // A line for each turn of a round is enough where lines stay.
            self.last = format!("{round} {scenario}");
            self.say(&format!("round {round}, {scenario}: {left} left"));
        }
    }

    fn say(&self, words: &str) {
        if self.is_terminal {
            self.bar.println(words);
        } else {
            // With standard error closed nobody wants to know.
            let _ = writeln!(std::io::stderr(), "{words}");
        }
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn parse_scenarios(text: &str) -> Result<Scenarios, String> {
    let named: Result<Vec<_>, _> = text.split(',').map(Scenario::named).collect();
    named.map(|named| Scenarios(named.concat()))
}

fn parse_rounds(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rounds) if (1..=1000).contains(&rounds) => Ok(rounds),
        _ => Err(format!("{text:?} is no number of rounds from 1 to 1000")),
    }
}

fn parse_pinning(text: &str) -> Result<Pinning, String> {
    if text == "none" {
        return Ok(Pinning::default());
    }
    let wrong = || {
        format!(
            "{text:?} names no CPUs; write those of the servers and of the generator, as in \
             0,1:2,3, or none"
        )
    };
    let list = |text: &str| -> Option<Vec<usize>> {
        text.split(',').map(|cpu| cpu.parse().ok()).collect()
    };
    let (servers, generator) = text.split_once(':').ok_or_else(wrong)?;
    Pinning::new(
        list(servers).ok_or_else(wrong)?,
        list(generator).ok_or_else(wrong)?,
    )
}
