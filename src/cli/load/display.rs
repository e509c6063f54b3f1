//! How far loading has come, on a terminal.

use std::io::{IsTerminal, stderr};
use std::time::Instant;

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};

use super::super::units::shown_duration;

/// A bar if it is known how much there is to come; else counts alone.
pub(super) struct Display {
    bar: ProgressBar,
    begun: Instant,
    /// Bytes of the input.
    total: Option<u64>,
    read: u64,
}

impl Display {
    /// One that shows nothing unless standard error is a terminal.
    pub(super) fn begin(total: Option<u64>) -> Self {
        let bar = match (stderr().is_terminal(), total) {
            (true, Some(total)) => ProgressBar::new(total),
            (true, None) => ProgressBar::no_length(),
            (false, _) => ProgressBar::hidden(),
        };
        let template = match total {
            Some(_) => "{wide_bar} {msg}",
            None => "{spinner} {msg}",
        };
        let style = ProgressStyle::with_template(template).expect("the template is right");
        Self {
            bar: bar.with_style(style),
            begun: Instant::now(),
            total,
            read: 0,
        }
    }

    /// So many entries are stored, and so many more bytes of the input done.
    pub(super) fn tell(&mut self, stored: u64, lines_len: u64) {
        self.read += lines_len;
        if self.bar.is_hidden() {
            return;
        }
        let count = HumanCount(stored);
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let rate = HumanCount((stored as f64 / seconds) as u64);
        let left = self
            .total
            .filter(|_| self.read > 0 && seconds > 1.0)
            .map(|total| {
                let left = total.saturating_sub(self.read) as f64 / self.read as f64 * seconds;
                HumanDuration(std::time::Duration::from_secs(left.ceil() as u64))
            });
        self.bar.set_position(self.read);
        self.bar.set_message(match left {
            Some(left) => format!("{count} entries, {rate}/s: {left} left"),
            None => format!("{count} entries, {rate}/s"),
        });
    }

    /// Nothing has come; the spinner goes on.
    pub(super) fn wait(&self) {
        self.bar.tick();
    }

    /// Takes the bar away, and says what came of it.
    pub(super) fn end(self, stored: u64) -> String {
        self.bar.finish_and_clear();
        let time = self.begun.elapsed();
        let seconds = time.as_secs_f64();
        let stored_in = match seconds < 100.0 {
            true => format!("{} stored in {seconds:.1} s", entries(stored)),
            false => format!("{} stored in {}", entries(stored), shown_duration(time)),
        };
        match seconds >= 1.0 && stored > 1 {
            true => {
                let rate = HumanCount((stored as f64 / seconds) as u64);
                format!("{stored_in}, {rate} a second")
            }
            false => stored_in,
        }
    }
}

/// So many entries, in words.
pub(super) fn entries(count: u64) -> String {
    match count {
        1 => "1 entry".to_owned(),
        count => format!("{} entries", HumanCount(count)),
    }
}
