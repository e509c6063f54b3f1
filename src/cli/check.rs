//! What the options of `serve` come to, one by one: for `--check`, and for the
//! log when the server starts.

use std::net::SocketAddr;
use std::time::Duration;

use speicher::memory::{self, Size};
use speicher::server::{Config, Event, Figure, Model, StoreConfig};

use super::environment::{Given, given};
use super::system_limits::warnings;
use super::units::{parse_duration, parse_size};

/// What `--check` prints, with the outcome as the last line.
pub(super) fn told(config: &Config, outcome: &str) -> String {
    let rows = &rows(config);
    let width_of = |cell: fn(&Row) -> &str| {
        let cells = rows.iter().map(cell);
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let (names, values) = (width_of(|row| row.name), width_of(|row| &row.shown));
    let mut told = concat!(
        "speicher ",
        env!("CARGO_PKG_VERSION"),
        " would serve with\n"
    )
    .to_owned();
    for Row {
        name,
        shown,
        origin,
        ..
    } in rows
    {
        told += &format!("  {name:names$}  {shown:values$}  {origin}\n");
    }
    for warning in warnings(config) {
        told += &format!("warning: {warning}\n");
    }
    told + outcome
}

/// What the log says about the server when it is ready: all that it does not do
/// without a limit, and how it does its work.
pub(super) fn started(address: SocketAddr, config: &Config) -> Event {
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    // The address has them.
    let of_address = ["host", "port"];
    let rows = rows(config).into_iter();
    let rows: Vec<_> = rows.filter(|row| !of_address.contains(&row.name)).collect();
    let told: Vec<_> = rows
        .iter()
        .map(|row| format!("{} {}", row.name, row.shown))
        .collect();
    let message = format!("started {VERSION} on {address} with {}", told.join(", "));
    let event = Event::started(message)
        .with("version", VERSION)
        .with("address", address.to_string());
    rows.into_iter()
        .map(|row| row.figure)
        .fold(event, |event, (name, figure)| event.with(name, figure))
}

/// An option that has an effect.
struct Row {
    /// Without dashes before it.
    name: &'static str,
    /// Its value for people, with a unit.
    shown: String,
    /// The same for programs, in bytes and seconds, and what to call it.
    figure: (String, Figure),
    /// Where its value came from.
    origin: String,
}

/// The options that have an effect with this configuration, in the order of the
/// help.
fn rows(config: &Config) -> Vec<Row> {
    let all = given().into_iter();
    let with_effect = all.filter(|given| has_effect(given.option.long, config));
    with_effect.map(|given| row(&given, config)).collect()
}

fn has_effect(long: &str, config: &Config) -> bool {
    match long {
        "--check" => false,
        "--workers" => config.model == Model::Threads,
        "--connections-max" => config.model != Model::Threads,
        #[cfg(feature = "data")]
        "--data" | "--sync" => config.data.is_some(),
        _ if long.starts_with("--store-") => !matches!(config.store, StoreConfig::Memory),
        _ => true,
    }
}

fn row(given: &Given, config: &Config) -> Row {
    let name = given.option.long.trim_start_matches('-');
    let (default, meanings) = of_help(given.option.help);
    let text = match name {
        "model" => config.model.to_string(),
        "memory-max" => memory::usage().max.unwrap_or(0).to_string(),
        "store" => store(config),
        _ => given.text.clone().unwrap_or(default),
    };
    let (shown, unit, figure) = match given.option.takes {
        None => switch(text == "true"),
        Some("time") => time(&text),
        Some("size") => size(&text),
        Some(_) => plain(&text),
    };
    let is_zero = matches!(figure, Figure::Count(0)) || figure == Figure::Seconds(0.0);
    let meaning = meanings.iter().find(|(value, _)| *value == "0");
    let shown = match meaning.filter(|_| is_zero) {
        Some((_, meaning)) => format!("{shown} ({meaning})"),
        None => shown,
    };
    Row {
        name,
        shown,
        figure: (name.replace('-', "_") + unit, figure),
        origin: given.origin_told(),
    }
}

fn store(config: &Config) -> String {
    match &config.store {
        StoreConfig::Memory => "memory".to_owned(),
        // Without the password.
        #[cfg(feature = "cluster")]
        StoreConfig::Remote(remote) => remote.address.to_string(),
    }
}

/// The default in the parentheses at the end of an option's help, and what some
/// values mean: `(10s; 0: it keeps it)`.
fn of_help(help: &str) -> (String, Vec<(&str, &str)>) {
    let help = help.trim_end();
    let inside = help.strip_suffix(')').and_then(|help| {
        let (_, inside) = help.rsplit_once('(')?;
        Some(inside)
    });
    let Some(inside) = inside else {
        return ("not set".to_owned(), Vec::new());
    };
    let parts = || inside.split("; ");
    let meanings = parts().filter_map(|part| part.split_once(": ")).collect();
    let default = parts().next().unwrap_or_default();
    let default = default.split(": ").next().unwrap_or_default();
    (default.to_owned(), meanings)
}

/// For people, what the figure's name ends with, and the figure.
type Told = (String, &'static str, Figure);

fn switch(is_on: bool) -> Told {
    let shown = if is_on { "on" } else { "off" };
    (shown.to_owned(), "", is_on.into())
}

fn time(text: &str) -> Told {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;

    let Ok(time) = parse_duration(text) else {
        return plain(text);
    };
    let shown = match (time.as_secs(), time.subsec_nanos()) {
        (0, 0) => "0".to_owned(),
        (0, _) => format!("{} ms", time.as_secs_f64() * 1000.0),
        (seconds, 0) if seconds % HOUR == 0 => format!("{} h", seconds / HOUR),
        (seconds, 0) if seconds % MINUTE == 0 => format!("{} min", seconds / MINUTE),
        _ => format!("{} s", time.as_secs_f64()),
    };
    (shown, "_seconds", Figure::from(time.max(rounded(time))))
}

/// At least a millisecond, if it is not zero: figures have no finer times.
fn rounded(time: Duration) -> Duration {
    match time.is_zero() {
        true => time,
        false => Duration::from_millis(1),
    }
}

fn size(text: &str) -> Told {
    let Ok(len) = parse_size(text) else {
        return plain(text);
    };
    let shown = match len {
        0 => "0".to_owned(),
        _ => Size(len).to_string(),
    };
    (shown, "_bytes", len.into())
}

fn plain(text: &str) -> Told {
    let number = text.parse::<u64>().map(Figure::from);
    (text.to_owned(), "", number.unwrap_or_else(|_| text.into()))
}

#[cfg(test)]
mod tests {
    use argh::FromArgs;

    use super::super::environment::ServeOption;
    use super::super::serve::Serve;
    use super::*;

    #[test]
    fn values_have_their_units() {
        for (text, shown) in [
            ("1", "1 s"),
            ("1500ms", "1.5 s"),
            ("250ms", "250 ms"),
            ("90", "90 s"),
            ("120", "2 min"),
            ("2h", "2 h"),
            ("0", "0"),
        ] {
            assert_eq!(time(text).0, shown);
        }
        for (text, shown) in [
            ("64M", "64 MiB"),
            ("2048", "2 KiB"),
            ("1000", "1000 bytes"),
            ("3G", "3 GiB"),
            ("0", "0"),
        ] {
            assert_eq!(size(text).0, shown);
        }
    }

    #[test]
    fn a_help_text_has_the_default_and_what_zero_means() {
        let (default, meanings) = of_help("how long (a while) it may be silent (10s; 0: for ever)");
        assert_eq!(default, "10s");
        assert_eq!(meanings, [("0", "for ever")]);
        assert_eq!(of_help("what keys begin with (speicher:)").0, "speicher:");
        assert_eq!(of_help("without a default").0, "not set");
    }

    /// To give an option what its help calls the default changes nothing.
    #[test]
    fn the_defaults_in_the_help_are_those_of_the_server() {
        let config = |args: &[&str]| {
            let serve = Serve::from_args(&["serve"], args).map_err(|exit| exit.output)?;
            Ok::<_, String>(format!("{:?}", serve.config()))
        };
        let default = config(&[]).expect("no mistake");
        let mut tried = 0;
        for option in ServeOption::all() {
            let text = of_help(option.help).0;
            // Options of a remote store or a journal need one, and any word is a
            // directory.
            let is_apart =
                option.long.starts_with("--store-") || ["--data", "--sync"].contains(&option.long);
            if option.takes.is_some() && !is_apart && config(&[option.long, &text]).is_ok() {
                let with = config(&[option.long, &text]).expect("it was read just now");
                assert_eq!(with, default, "{} {text}", option.long);
                tried += 1;
            }
        }
        assert!(tried >= 10, "{tried}");
    }
}
