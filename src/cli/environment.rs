//! Options of `serve` that come from the environment, and which option came from
//! where.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::slice;

use argh::{ArgsInfo, FlagInfoKind, FromArgs};

use super::arguments::for_argh;
use super::nearest::nearest;
use super::serve::Serve;
use super::{COMMANDS, TopLevel, said};

/// What the variable of an option begins with.
const PREFIX: &str = "SPEICHER_";

/// Variables with that beginning that are not for options: of the commands that
/// are clients, of stores, and of this project's tests.
const OTHERS: [&str; 4] = [
    "SPEICHER_ADDR",
    "SPEICHER_STORE_PASSWORD",
    "SPEICHER_KILLS",
    "SPEICHER_TEST_STORE",
];

/// An option of `serve`, as its help has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServeOption {
    /// As it is typed: `--frame-max`.
    pub(super) long: &'static str,
    /// What it takes, such as `size` or `time`; a switch takes nothing.
    pub(super) takes: Option<&'static str>,
    pub(super) help: &'static str,
}

/// Where an option's value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Default,
    Environment,
    CommandLine,
}

/// An option, with what was given for it.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) option: ServeOption,
    pub(super) origin: Origin,
    /// A switch has `true` or `false`.
    pub(super) text: Option<String>,
}

impl ServeOption {
    /// All of them.
    pub(super) fn all() -> Vec<Self> {
        let flags = Serve::get_args_info().flags.iter();
        let options = flags.filter(|flag| flag.long != "--help").map(|flag| Self {
            long: flag.long,
            takes: match flag.kind {
                FlagInfoKind::Switch => None,
                FlagInfoKind::Option { arg_name } => Some(arg_name),
            },
            help: flag.description,
        });
        options.collect()
    }

    /// The variable that has its value.
    pub(super) fn variable(self) -> String {
        let name = self.long.trim_start_matches('-').replace('-', "_");
        format!("{PREFIX}{}", name.to_uppercase())
    }
}

impl Given {
    /// For people: the option, its variable, or that it is the default.
    pub(super) fn origin_told(&self) -> String {
        match self.origin {
            Origin::Default => "default".to_owned(),
            Origin::Environment => self.option.variable(),
            Origin::CommandLine => self.option.long.to_owned(),
        }
    }
}

/// The arguments, with options of `serve` that are in the environment and not
/// among them. Fails with a sentence that names the variable.
///
/// Arguments that are wrong by themselves come back as they are, and so do those
/// that ask for help.
pub(super) fn added_to(args: Vec<String>) -> Result<Vec<String>, String> {
    let [command, typed @ ..] = args.as_slice() else {
        return Ok(args);
    };
    if command != "serve" || parse(&args).is_err() {
        return Ok(args);
    }
    let mut all = vec![command.clone()];
    for given in all_given(typed, |variable| env::var_os(variable))? {
        if given.origin != Origin::Environment {
            continue;
        }
        let long = given.option.long.to_owned();
        let option = match (given.option.takes, &given.text) {
            (Some(_), Some(text)) => vec![long, text.clone()],
            (None, Some(text)) if text == "true" => vec![long],
            _ => continue,
        };
        let alone = [slice::from_ref(command), option.as_slice()].concat();
        parse(&alone).map_err(|mistake| in_variable(&given, &alone, &mistake))?;
        all.extend(option);
    }
    all.extend(typed.iter().cloned());
    Ok(all)
}

/// Every option, with what this process was given for it.
pub(super) fn given() -> Vec<Given> {
    let args = env::args().skip(1).collect();
    let args = for_argh(args, COMMANDS);
    // They were read without a mistake when this process began.
    all_given(args.get(1..).unwrap_or_default(), |variable| {
        env::var_os(variable)
    })
    .unwrap_or_default()
}

/// Where the option came from that this process was given.
#[cfg(feature = "cluster")]
pub(super) fn origin(long: &str) -> Origin {
    given_for(long).map_or(Origin::Default, |given| given.origin)
}

/// A sentence about an option that does not go with the others. It begins with
/// the variable, if the option came from there.
pub(super) fn blame(long: &str, sentence: String) -> String {
    match given_for(long).filter(|given| given.origin == Origin::Environment) {
        Some(given) => format!("{}: {sentence}", given.option.variable()),
        None => sentence,
    }
}

/// Variables that have no effect although somebody may have meant an option, and
/// a sentence about each.
pub(super) fn ignored() -> Vec<(String, String)> {
    let mut ignored = Vec::new();
    let options = ServeOption::all();
    for (name, value) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let Some(typed) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if let Some(option) = options.iter().find(|option| option.variable() == name) {
            if is_link(*option, &value) {
                ignored.push((
                    name.clone(),
                    format!(
                        "{name} is ignored: it is no port, but what Kubernetes and Docker set for a \
                         service that is called speicher"
                    ),
                ));
            }
            continue;
        }
        let meant = nearest(typed, options.iter().map(|option| option.long));
        let meant = options.iter().find(|option| meant == Some(option.long));
        if let Some(meant) = meant.filter(|_| !OTHERS.contains(&name.as_str())) {
            let sentence = format!(
                "{name} is ignored, for no option is called so (did you mean {}?)",
                meant.variable()
            );
            ignored.push((name, sentence));
        }
    }
    ignored.sort();
    ignored
}

fn given_for(long: &str) -> Option<Given> {
    given().into_iter().find(|given| given.option.long == long)
}

fn parse(args: &[String]) -> Result<(), String> {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let parsed = TopLevel::from_args(&["speicher"], &args);
    parsed.map(drop).map_err(|exit| exit.output)
}

fn all_given(
    typed: &[String],
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Vec<Given>, String> {
    let options = ServeOption::all();
    let typed = of_command_line(typed, &options);
    let given = |option: ServeOption| {
        let of = |origin, text| Given {
            option,
            origin,
            text,
        };
        if let Some(text) = typed.get(option.long) {
            return Ok(of(Origin::CommandLine, Some(text.clone())));
        }
        let name = option.variable();
        match variable(&name) {
            Some(value) if !value.is_empty() && !is_link(option, &value) => {
                let value = value
                    .into_string()
                    .map_err(|_| format!("{name} is not UTF-8; set it anew, or unset it"))?;
                let text = match option.takes {
                    Some(_) => value,
                    None => is_on(&name, &value)?.to_string(),
                };
                Ok(of(Origin::Environment, Some(text)))
            }
            _ => Ok(of(Origin::Default, None)),
        }
    };
    options.into_iter().map(given).collect()
}

/// What was typed for which option, in arguments that the parser takes.
fn of_command_line(typed: &[String], options: &[ServeOption]) -> HashMap<&'static str, String> {
    let mut found = HashMap::new();
    let mut typed = typed.iter();
    while let Some(arg) = typed.next().filter(|arg| *arg != "--") {
        let Some(option) = options.iter().find(|option| option.long == arg) else {
            continue;
        };
        let text = match option.takes {
            Some(_) => typed.next().cloned().unwrap_or_default(),
            None => true.to_string(),
        };
        found.insert(option.long, text);
    }
    found
}

/// Whether it is the address of a service that is called speicher: Kubernetes
/// and Docker's links set `SPEICHER_PORT=tcp://ADDRESS:PORT` for others to find
/// it.
fn is_link(option: ServeOption, value: &OsString) -> bool {
    let value = value.to_string_lossy();
    let is_address = value.starts_with("tcp://") || value.starts_with("udp://");
    option.long == "--port" && is_address
}

fn is_on(variable: &str, value: &str) -> Result<bool, String> {
    match value.to_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(format!(
            "{variable}: {value:?} is neither on nor off; write 1 or 0"
        )),
    }
}

/// argh's words about the option's value, as words about the variable's.
fn in_variable(given: &Given, args: &[String], mistake: &str) -> String {
    let text = given.text.as_deref().unwrap_or_default();
    let before = format!(
        "Error parsing option '{}' with value '{text}': ",
        given.option.long
    );
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let words = said(mistake.strip_prefix(&before).unwrap_or(mistake), &args);
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    format!(
        "{}: {}; speicher serve --help shows how",
        given.option.variable(),
        words.trim_end_matches('.')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given_by(typed: &[&str], variables: &[(&str, &str)]) -> Result<Vec<Given>, String> {
        let typed: Vec<_> = typed.iter().map(|arg| (*arg).to_owned()).collect();
        all_given(&typed, |name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| value.into())
        })
    }

    fn text_of(given: &[Given], long: &str) -> (Origin, Option<String>) {
        let given = given.iter().find(|given| given.option.long == long);
        let given = given.expect("there is such an option");
        (given.origin, given.text.clone())
    }

    #[test]
    fn the_command_line_wins_and_an_empty_variable_is_none() {
        let variables = [
            ("SPEICHER_PORT", "1"),
            ("SPEICHER_HOST", ""),
            ("SPEICHER_FRAME_MAX", "2M"),
            ("SPEICHER_VERBOSE", "Off"),
        ];
        let given = given_by(&["--port", "--frame-max", "--", "--host"], &variables);
        let given = given.expect("no mistake");
        let is = |origin, text: &str| (origin, Some(text.to_owned()));
        assert_eq!(
            text_of(&given, "--port"),
            is(Origin::CommandLine, "--frame-max")
        );
        assert_eq!(
            text_of(&given, "--frame-max"),
            is(Origin::Environment, "2M")
        );
        assert_eq!(
            text_of(&given, "--verbose"),
            is(Origin::Environment, "false")
        );
        assert_eq!(text_of(&given, "--host"), (Origin::Default, None));
    }

    #[test]
    fn the_address_of_a_service_is_no_port() {
        let variables = [("SPEICHER_PORT", "tcp://10.0.0.1:14567")];
        let given = given_by(&[], &variables).expect("no mistake");
        assert_eq!(text_of(&given, "--port"), (Origin::Default, None));
    }

    #[test]
    fn a_switch_takes_words_for_on_and_off_and_no_others() {
        assert!(given_by(&[], &[("SPEICHER_VERBOSE", "maybe")]).is_err());
        for (word, text) in [("1", "true"), ("YES", "true"), ("0", "false")] {
            let given = given_by(&[], &[("SPEICHER_VERBOSE", word)]).expect("no mistake");
            assert_eq!(text_of(&given, "--verbose").1.as_deref(), Some(text));
        }
    }
}
