//! How many lines of a kind are written, so that no peer can fill the log.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::event::{Event, Pace};

/// A series of events has its burst of lines, and then one in so much time. Of
/// what comes meanwhile the last is written when that is over, so that the log
/// ends with what is so.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// Series that are kept although they have nothing to say.
const IDLE_SERIES_MAX: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Limiter(HashMap<String, Series>);

#[derive(Debug)]
struct Series {
    burst: u32,
    /// Lines that may be written now.
    left: u32,
    counted_at: Instant,
    /// The last that was left out, and how many before it.
    waiting: Option<(Event, u64)>,
}

impl Limiter {
    /// The event, if its line may be written now.
    pub(super) fn admit(&mut self, event: Event, now: Instant) -> Option<Event> {
        let Pace::Limited { series, burst } = &event.pace else {
            return Some(event);
        };
        if self.0.len() >= IDLE_SERIES_MAX && !self.0.contains_key(series) {
            self.0.retain(|_, series| !series.is_idle(now));
        }
        let series = self.0.entry(series.clone()).or_insert_with(|| Series {
            burst: *burst,
            left: *burst,
            counted_at: now,
            waiting: None,
        });
        series.refill(now);
        if series.left > 0 && series.waiting.is_none() {
            series.left -= 1;
            return Some(event);
        }
        let left_out = match &series.waiting {
            Some((_, left_out)) => left_out + 1,
            None => 0,
        };
        series.waiting = Some((event, left_out));
        None
    }

    /// The events that were left out and may be written now, oldest first.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Event> {
        let mut due = Vec::new();
        for series in self.0.values_mut() {
            series.refill(now);
            if series.left > 0
                && let Some(waiting) = series.waiting.take()
            {
                series.left -= 1;
                due.push(told(waiting));
            }
        }
        due.sort_by_key(|event| event.at);
        due
    }

    /// All that were left out and not yet written, oldest first.
    pub(super) fn take_all(&mut self) -> Vec<Event> {
        let waiting = self.0.values_mut().filter_map(|it| it.waiting.take());
        let mut waiting: Vec<_> = waiting.map(told).collect();
        waiting.sort_by_key(|event| event.at);
        waiting
    }

    /// When there is something due, if there will be.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let waiting = self.0.values().filter(|series| series.waiting.is_some());
        waiting.map(|series| series.counted_at + INTERVAL).min()
    }
}

impl Series {
    fn refill(&mut self, now: Instant) {
        while self.left < self.burst && self.counted_at + INTERVAL <= now {
            self.left += 1;
            self.counted_at += INTERVAL;
        }
        if self.left == self.burst {
            self.counted_at = now;
        }
    }

    fn is_idle(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.left == self.burst && self.waiting.is_none()
    }
}

fn told((mut event, left_out): (Event, u64)) -> Event {
    if left_out > 0 {
        event.message += &format!(" ({left_out} more like it left out)");
        event = event.with("left_out", left_out);
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(number: u64) -> Event {
        let error = std::io::Error::other(number.to_string());
        Event::accept_failed(&error, "")
    }

    #[test]
    fn a_series_has_one_line_in_ten_seconds_and_ends_with_the_last_event() {
        let begun = Instant::now();
        let mut limiter = Limiter::default();
        assert!(limiter.admit(failed(0), begun).is_some());
        assert_eq!(limiter.next_due(), None);
        for number in 1..=1000 {
            let now = begun + Duration::from_millis(number);
            assert!(limiter.admit(failed(number), now).is_none());
            assert!(limiter.due(now).is_empty());
        }
        let due_at = limiter.next_due().expect("some were left out");
        assert_eq!(due_at, begun + INTERVAL);
        let due = limiter.due(due_at);
        assert_eq!(due.len(), 1);
        assert_eq!(
            due[0].message,
            "can't accept connections: 1000 (999 more like it left out)"
        );
        assert!(limiter.admit(failed(1), due_at).is_none(), "too soon");
        assert_eq!(limiter.take_all().len(), 1, "at the end nothing waits");
        let later = due_at + INTERVAL;
        assert!(limiter.admit(failed(2), later).is_some());
    }

    #[cfg(feature = "cluster")]
    #[test]
    fn nodes_do_not_hide_each_other_and_a_burst_is_written_at_once() {
        let now = Instant::now();
        let mut limiter = Limiter::default();
        let mut written = 0;
        for number in 0..10 {
            for node in ["a:1", "b:1"] {
                let event = match number % 2 {
                    0 => Event::store_unreachable(node, "refused"),
                    _ => Event::store_reachable(node),
                };
                written += usize::from(limiter.admit(event, now).is_some());
            }
        }
        assert_eq!(written, 12);
        let due = limiter.due(now + INTERVAL);
        assert_eq!(due.len(), 2);
        assert!(due.iter().all(|event| event.kind == "store_reachable"));
    }

    #[test]
    fn what_was_named_by_others_is_forgotten() {
        let now = Instant::now();
        let mut limiter = Limiter::default();
        for number in 0..10_000 {
            let now = now + 2 * INTERVAL * number;
            let place = number.to_string();
            let event = Event::panicked("worker", &place, "the fault of this test");
            assert!(limiter.admit(event, now).is_some());
        }
        assert!(limiter.0.len() <= IDLE_SERIES_MAX);
    }
}
