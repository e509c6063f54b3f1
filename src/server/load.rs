//! The entries of a journal, brought into memory before anybody is served.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::config::DataConfig;
use super::log::{Event, Log};
use super::shutdown::Shutdown;
use crate::journal::{self, Journal, OpenError, Progress};
use crate::memory::ceiling;
use crate::protocol::{KeyRef, Reply, Request};
use crate::store::Garbage;

/// How often the log says how far it has come.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// Changes between two looks at the memory, the clock and the stop.
const LOOK_INTERVAL: u64 = 4096;

/// Opens the journal, and makes all its changes in an empty store.
///
/// Fails with a sentence if the journal can't be used, if the ceiling leaves no
/// room for the entries, and at a stop.
pub(super) fn load<S>(
    store: &mut S,
    apply: impl Fn(&mut S, Request<KeyRef<'_>>, &mut Garbage) -> Reply,
    data: &DataConfig,
    log: &Log,
    shutdown: &Shutdown,
) -> io::Result<Journal> {
    let begun = Instant::now();
    let mut told = Told::begin(log);
    let mut garbage = Garbage::default();
    let changes = Cell::new(0_u64);
    let journal = Journal::open(
        &data.dir,
        |change| {
            changes.update(|changes| changes + 1);
            if changes.get().is_multiple_of(LOOK_INTERVAL) {
                garbage = Garbage::default();
                if shutdown.is_triggered() {
                    return Err(OpenError::Stopped);
                }
                if ceiling::is_full() {
                    return Err(OpenError::Full);
                }
            }
            journal::make(change, |request| apply(store, request, &mut garbage))
        },
        |progress| told.tell(progress, changes.get()),
    );
    told.end();
    let journal = journal.map_err(|error| io::Error::other(error.to_string()))?;
    log.write(Event::loaded(&data.dir, changes.get(), begun.elapsed()));
    Ok(journal)
}

/// Who is told how far it has come: a terminal by a bar, the log by a line now
/// and then.
struct Told<'a> {
    bar: ProgressBar,
    log: &'a Log,
    told_at: Instant,
}

impl<'a> Told<'a> {
    fn begin(log: &'a Log) -> Self {
        let bar = match io::stderr().is_terminal() && !log.is_off() {
            true => ProgressBar::new(0),
            false => ProgressBar::hidden(),
        };
        let style = ProgressStyle::with_template("loading {bar:40} {percent}% {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        Self {
            bar: bar.with_style(style),
            log,
            told_at: Instant::now(),
        }
    }

    fn tell(&mut self, progress: Progress, changes: u64) {
        if !self.bar.is_hidden() {
            self.bar.set_length(progress.total);
            self.bar.set_position(progress.len);
        } else if self.told_at.elapsed() >= LOG_INTERVAL {
            self.told_at = Instant::now();
            let percent = 100 * progress.len / progress.total.max(1);
            self.log.write(Event::loading(percent, changes));
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}
