//! An event as one line.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;

use super::event::{Event, Figure, Level};
use super::timestamp::timestamp;

/// The name of the figure that has where a panic came from.
pub(super) const BACKTRACE: &str = "backtrace";

/// What a line looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A time stamp, `speicher:`, and a sentence.
    #[default]
    Text,
    /// A JSON object, with the same sentence and the figures in it.
    Json,
}

impl LogFormat {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl std::str::FromStr for LogFormat {
    type Err = String;

    /// Fails with a sentence.
    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("a log is text or json, not {name:?}")),
        }
    }
}

/// Who puts a time before each line of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    Ours,
    /// The journal, which is told the level instead.
    Journal,
}

impl Clock {
    /// The journal's, if standard error goes there: systemd then says which
    /// socket that is.
    pub(super) fn of_standard_error() -> Self {
        let stream = std::env::var("JOURNAL_STREAM").ok();
        let stderr = fs::metadata("/proc/self/fd/2").ok();
        let stderr = stderr.map(|it| format!("{}:{}", it.dev(), it.ino()));
        match stream.is_some() && stream == stderr {
            true => Self::Journal,
            false => Self::Ours,
        }
    }
}

/// The line with its end. Whatever others have written a part of, there is no
/// other end in it, and nothing that steers a terminal.
pub(super) fn line(event: &Event, format: LogFormat, clock: Clock) -> String {
    match format {
        LogFormat::Text => text(event, clock),
        LogFormat::Json => json(event),
    }
}

fn text(event: &Event, clock: Clock) -> String {
    let mut line = match clock {
        Clock::Ours => timestamp(event.at) + " ",
        Clock::Journal => format!("<{}>", priority(event.level)),
    };
    line += "speicher: ";
    for c in event.message.chars() {
        match c.is_control() {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line.push('\n');
    // The one figure that has lines of its own, which somebody has asked for.
    let is_backtrace = |(name, _): &&(_, Figure)| name == BACKTRACE;
    if let Some((_, Figure::Text(backtrace))) = event.figures.iter().find(is_backtrace) {
        line += backtrace;
    }
    line
}

/// As syslog numbers them.
fn priority(level: Level) -> u32 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
    }
}

fn json(event: &Event) -> String {
    let mut line = format!(
        r#"{{"time":"{}","level":"{}","event":"{}","message":{}"#,
        timestamp(event.at),
        event.level.name(),
        event.kind,
        quoted(&event.message)
    );
    for (name, figure) in &event.figures {
        // A String takes all.
        let _ = write!(line, ",{}:", quoted(name));
        let _ = match figure {
            Figure::Count(count) => write!(line, "{count}"),
            Figure::Seconds(seconds) => write!(line, "{seconds}"),
            Figure::Flag(flag) => write!(line, "{flag}"),
            Figure::Text(text) => write!(line, "{}", quoted(text)),
        };
    }
    line + "}\n"
}

/// A JSON string. serde_json leaves DEL and C1 as they are.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for c in serde_json::Value::from(text).to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn event() -> Event {
        let event = Event::failed("it has \"failed\"\n\u{1b}[2J\u{9b}")
            .with("count", 3_usize)
            .with("seconds", Duration::from_millis(1500))
            .with("is_so", true)
            .with("text", "a\tb");
        Event {
            at: UNIX_EPOCH + Duration::from_millis(1_795_891_200_123),
            ..event
        }
    }

    #[test]
    fn a_line_of_text_has_a_time_unless_the_journal_has_one() {
        assert_eq!(
            line(&event(), LogFormat::Text, Clock::Ours),
            "2026-11-28T18:40:00.123Z speicher: it has \"failed\"\\n\\u{1b}[2J\\u{9b}\n"
        );
        assert_eq!(
            line(&event(), LogFormat::Text, Clock::Journal),
            "<3>speicher: it has \"failed\"\\n\\u{1b}[2J\\u{9b}\n"
        );
    }

    #[test]
    fn a_line_of_json_is_one_object_with_the_figures_behind_the_sentence() {
        for clock in [Clock::Ours, Clock::Journal] {
            assert_eq!(
                line(&event(), LogFormat::Json, clock),
                "{\"time\":\"2026-11-28T18:40:00.123Z\",\"level\":\"error\",\"event\":\"failed\",\
                 \"message\":\"it has \\\"failed\\\"\\n\\u001b[2J\\u009b\",\"count\":3,\
                 \"seconds\":1.5,\"is_so\":true,\"text\":\"a\\tb\"}\n"
            );
        }
    }
}
