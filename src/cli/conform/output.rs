//! What `speicher conform` prints: the list of cases, and what comes of them.

use std::io::{self, IsTerminal, Write};

use speicher::conformance::report::Format;
use speicher::conformance::report::human::{self, Style};
use speicher::conformance::{Case, ClientCase, Level, Record, Report};

/// A case in a list.
pub(super) struct Line<'a> {
    level: Level,
    id: &'a str,
    clauses: &'a [&'static str],
    claim: &'a str,
    needs: &'static str,
}

impl<'a> Line<'a> {
    pub(super) fn of_server(case: &'a Case) -> Self {
        Self {
            level: case.level,
            id: case.id,
            clauses: &case.clauses,
            claim: case.claim,
            needs: match (case.needs_spawn(), case.needs_memory_option()) {
                (_, true) => " (needs --spawn and --memory-option)",
                (true, false) => " (needs --spawn)",
                (false, false) => "",
            },
        }
    }

    pub(super) fn of_client(case: &'a ClientCase) -> Self {
        Self {
            level: case.level,
            id: case.id,
            clauses: &case.clauses,
            claim: case.claim,
            needs: "",
        }
    }
}

pub(super) fn list<'a>(lines: impl Iterator<Item = Line<'a>>) -> Result<Option<Report>, String> {
    let mut text = String::new();
    for line in lines {
        let Line {
            level,
            id,
            claim,
            needs,
            ..
        } = line;
        let clauses = line.clauses.join(" ");
        text += &format!("{level:6}  {id:40} {clauses:8} {claim}{needs}\n");
    }
    write_out(&text)?;
    Ok(None)
}

fn write_out(text: &str) -> Result<(), String> {
    match io::stdout().write_all(text.as_bytes()) {
        // Whoever reads may have seen enough, as `head` does.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("can't write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}

/// What is printed while the cases run.
pub(super) struct Lines {
    format: Format,
    /// Whether only what counts is told, at the end.
    is_quiet: bool,
    style: Style,
    /// Whether standard error is a terminal, on which a line can be taken back.
    shows_progress: bool,
    group: &'static str,
    begun: usize,
    total: usize,
}

impl Lines {
    pub(super) fn new(format: Format, is_quiet: bool, total: usize) -> Self {
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            format,
            is_quiet,
            style: match io::stdout().is_terminal() && takes_escapes() && !is_plain {
                true => Style::Colour,
                false => Style::Plain,
            },
            shows_progress: io::stderr().is_terminal() && takes_escapes() && !is_quiet,
            group: "",
            begun: 0,
            total,
        }
    }

    /// A case begins, or has ended with the record.
    pub(super) fn tell(&mut self, id: &'static str, record: Option<&Record>) {
        match record {
            None => self.begin(id),
            Some(record) => self.end(record),
        }
    }

    fn begin(&mut self, id: &'static str) {
        self.begun += 1;
        let group = id.split('/').next().unwrap_or(id);
        if self.tells_each() && self.group != group {
            self.group = group;
            print(&format!("\n{group}\n"));
        }
        if self.shows_progress {
            eprint!("\r\x1b[K{} of {}: {id}", self.begun, self.total);
        }
    }

    fn end(&self, record: &Record) {
        if self.shows_progress {
            eprint!("\r\x1b[K");
        }
        if self.tells_each() {
            print(&human::line(record, self.style));
        }
    }

    /// Whether each case has its line when it ends.
    fn tells_each(&self) -> bool {
        self.format == Format::Human && !self.is_quiet
    }

    pub(super) fn finish(&self, report: Report) -> Result<Option<Report>, String> {
        let text = match self.format {
            Format::Human if self.is_quiet => human::quiet(&report, self.style),
            Format::Human => human::failures(&report, self.style) + &human::summary(&report),
            format => report.render(format),
        };
        write_out(&text)?;
        Ok(Some(report))
    }
}

/// Whether the terminal, if it is one, knows what escapes mean.
fn takes_escapes() -> bool {
    std::env::var_os("TERM").is_none_or(|name| name != "dumb")
}

/// Whoever stopped reading gets the exit code all the same.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}
