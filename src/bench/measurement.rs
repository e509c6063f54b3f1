//! What a load found: counts, latencies, and who used what.

mod errors;
mod tally;

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
use serde::{Serialize, Serializer};

use super::figures;
use super::process::ServerUse;

pub use errors::{ErrorCount, ErrorKind, Errors};
pub(super) use tally::Tally;

/// Significant decimal digits of a latency.
const LATENCY_DIGITS: u8 = 3;

/// The longest latency that is told from longer ones, in nanoseconds: 1000 s.
const LATENCY_NS_MAX: u64 = 1_000_000_000_000;

/// From this share of its time on, a generator that never has to wait is what
/// bounds a closed loop.
const BUSY_SHARE_MAX: f64 = 0.95;

/// From this share of its time on a processor, such a generator is bounded by
/// itself, and not by others that take the processors from it.
const SATURATED_SHARE_MIN: f64 = 0.85;

/// The share of an open loop's requests that may leave late by the generator's
/// own fault, or never leave.
const LATE_SHARE_MAX: f64 = 0.05;

/// An empty histogram of latencies in nanoseconds.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, LATENCY_DIGITS).expect("the bounds are in order")
}

/// What a load found.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// `closed`, or `open` with arrivals at a rate.
    pub r#loop: &'static str,
    /// What the open loop was to send, in requests a second.
    pub rate_wanted: Option<f64>,
    /// How long was measured, in seconds.
    pub seconds: f64,
    /// Replies that came in that time, or of an open loop to what was due in
    /// that time.
    pub operations: u64,
    /// Operations a second.
    pub rate: f64,
    /// Percentiles of the time from a request to its reply, in nanoseconds. Of an open
    /// loop it begins when the request was due.
    pub latency_ns: Percentiles,
    /// Of these, GETs that found nothing.
    pub misses: u64,
    /// Bytes of requests that left in that time.
    pub bytes_sent: u64,
    /// Bytes of replies that came in that time, or of an open loop and of counted
    /// requests until the last came.
    pub bytes_received: u64,
    /// What went wrong.
    pub errors: Errors,
    /// Connections on which a good reply came, warm-up included.
    pub connections_served: usize,
    /// Open loop: requests that left more than
    /// [`LATE_AFTER`](super::generator::LATE_AFTER) after they were due,
    /// because every connection was full.
    pub late_connection: u64,
    /// Open loop: requests that left as late although a connection was free.
    pub late_generator: u64,
    /// Open loop: requests that were due and never left, to the planned end if
    /// no connection was left.
    pub unsent: u64,
    /// That an open loop could not send what was due: a sentence.
    pub overload: Option<String>,
    /// What the generator used.
    pub generator: GeneratorUse,
    /// What others used of the time of the CPUs of the server and of the
    /// generator, from 0 to 1, if the server's process is known.
    pub others_share: Option<f64>,
    /// What the server used, if its process is known.
    pub server: Option<ServerUse>,
    /// When the server stopped answering, or that it was too slow for the requests: a
    /// sentence.
    pub stopped_answering: Option<String>,
    /// Whether it was ended early by who started it.
    pub interrupted: bool,
    /// All latencies in nanoseconds, in HDR's own format (V2, deflated,
    /// base64).
    #[serde(serialize_with = "serialize_histogram")]
    pub histogram: Histogram<u64>,
}

/// What the generator used, of all that its threads could have.
#[derive(Clone, Debug, Serialize)]
pub struct GeneratorUse {
    /// Threads that sent requests.
    pub threads: usize,
    /// The share of the time that they were on a processor, from 0 to 1.
    pub cpu_share: f64,
    /// The share of the time that they were on a processor or waited for one:
    /// when they did not wait for the server.
    pub busy_share: f64,
    /// Whether it was the generator that bounded the figures: a sentence.
    pub bottleneck: Option<String>,
}

impl Measurement {
    /// Whether every request was answered as it should be.
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty() && self.stopped_answering.is_none()
    }

    /// Whether that is so, and what was to be measured was: something, and in an open loop at the
    /// rate.
    pub fn is_as_asked(&self) -> bool {
        self.is_clean() && self.operations > 0 && self.overload.is_none()
    }

    pub(super) fn new(
        tally: Tally,
        seconds: f64,
        threads: usize,
        rate_wanted: Option<f64>,
        server: Option<ServerUse>,
    ) -> Self {
        let of_elapsed = |time: Duration| match tally.elapsed.as_secs_f64() {
            0.0 => 0.0,
            elapsed => time.as_secs_f64() / elapsed,
        };
        let mut measurement = Self {
            r#loop: if rate_wanted.is_some() {
                "open"
            } else {
                "closed"
            },
            rate_wanted,
            seconds,
            operations: tally.operations,
            rate: tally.operations as f64 / seconds,
            latency_ns: Percentiles::of(&tally.latencies),
            misses: tally.misses,
            bytes_sent: tally.bytes_sent,
            bytes_received: tally.bytes_received,
            errors: tally.errors,
            connections_served: tally.served,
            late_connection: tally.late_connection,
            late_generator: tally.late_generator,
            unsent: tally.unsent,
            overload: None,
            others_share: None,
            generator: GeneratorUse {
                threads,
                cpu_share: of_elapsed(tally.used.running),
                busy_share: of_elapsed(tally.used.running + tally.used.waiting),
                bottleneck: None,
            },
            server,
            stopped_answering: tally.stopped_answering,
            interrupted: false,
            histogram: tally.latencies,
        };
        measurement.generator.bottleneck = measurement.bottleneck(tally.unsent_unconnected);
        measurement.overload = measurement.overload(tally.unsent_unconnected);
        measurement
    }

    fn bottleneck(&self, unconnected: u64) -> Option<String> {
        let GeneratorUse {
            threads,
            cpu_share,
            busy_share,
            ..
        } = self.generator;
        let threads = match threads {
            1 => "its thread".to_owned(),
            several => format!("its {several} threads"),
        };
        if self.rate_wanted.is_none() {
            if busy_share <= BUSY_SHARE_MAX {
                return None;
            }
            let waited = (busy_share - cpu_share) * 100.0;
            return Some(match cpu_share > SATURATED_SHARE_MIN {
                true => format!(
                    "the generator was the bottleneck: {threads} kept a processor busy {:.0} % of \
                     the time, so the server may be faster than this; more --threads help where \
                     cores are free",
                    cpu_share * 100.0
                ),
                false => format!(
                    "the generator was part of the bottleneck: {threads} always had something to \
                     do, and waited for a processor {waited:.0} % of the time; with more cores \
                     the server may be faster than this"
                ),
            });
        }
        let due = self.due();
        let missed = self.late_generator + self.unsent_by_generator(unconnected);
        let share = missed as f64 / due.max(1) as f64;
        (share > LATE_SHARE_MAX).then(|| {
            format!(
                "the generator was the bottleneck: it sent {:.0} % of the requests late, or not \
                 at all, although connections were free; ask for a lower --rate, or more \
                 --threads where cores are free",
                share * 100.0
            )
        })
    }

    /// Of an open loop: requests that were due.
    fn due(&self) -> u64 {
        self.operations + self.unsent + self.errors.total()
    }

    fn overload(&self, unconnected: u64) -> Option<String> {
        let (due, unsent) = (self.due() as f64, self.unsent as f64);
        if self.rate_wanted.is_none() || unsent <= LATE_SHARE_MAX * due {
            return None;
        }
        let why = match (unconnected, self.unsent_by_generator(unconnected)) {
            (lost, _) if lost >= self.unsent.div_ceil(2) => "no connection was left",
            (_, 0) => "every connection waited for as many replies as --pipeline allows",
            (_, _) => "the generator could not send as fast",
        };
        Some(format!(
            "the open loop could not keep up: of {} requests that were due, {} never left, because \
             {why}; the rate is that of the replies that came, and the latencies are those of a \
             queue; ask for a lower --rate",
            figures::count(due),
            figures::count(unsent)
        ))
    }

    /// What never left waited for the generator if that never had to wait, or if
    /// most of what was late did; and for a connection otherwise.
    fn unsent_by_generator(&self, unconnected: u64) -> u64 {
        let is_busy = self.generator.busy_share > BUSY_SHARE_MAX;
        if is_busy || self.late_generator >= self.late_connection {
            self.unsent - unconnected
        } else {
            0
        }
    }
}

/// Percentiles in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Percentiles {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
    pub max: u64,
}

impl Percentiles {
    /// Those of a histogram; zeros when it is empty.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p99_9: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        }
    }
}

fn serialize_histogram<S: Serializer>(
    histogram: &Histogram<u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .map_err(serde::ser::Error::custom)?;
    serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The percentiles of two halves, merged, are those of the whole; the
    /// mean of the halves' percentiles is far off.
    #[test]
    fn merged_histograms_have_the_percentiles_of_all_latencies() {
        let (mut fast, mut slow, mut whole) = (Tally::new(), Tally::new(), latencies());
        for index in 1..=10_000u64 {
            fast.latencies.record(index).expect("in bounds");
            slow.latencies.record(index * 1000).expect("in bounds");
            whole.record(index).expect("in bounds");
            whole.record(index * 1000).expect("in bounds");
        }
        fast.operations = 10_000;
        slow.operations = 10_000;
        fast.merge(slow);
        assert_eq!(fast.operations, 20_000);
        assert_eq!(fast.latencies, whole);
        let p50 = Percentiles::of(&fast.latencies).p50;
        assert!((9_900..=10_100).contains(&p50), "{p50}");
    }

    fn measured(tally: Tally, rate_wanted: Option<f64>) -> Measurement {
        Measurement::new(tally, 1.0, 1, rate_wanted, None)
    }

    #[test]
    fn a_generator_that_never_waits_is_the_bottleneck_of_a_closed_loop() {
        for (waiting, is_bottleneck) in [(0, false), (40, true)] {
            let mut tally = Tally::new();
            tally.used.running = Duration::from_millis(940);
            tally.used.waiting = Duration::from_millis(waiting);
            tally.elapsed = Duration::from_secs(1);
            let bottleneck = measured(tally, None).generator.bottleneck;
            assert_eq!(bottleneck.is_some(), is_bottleneck);
        }
    }

    #[test]
    fn late_requests_are_the_generators_fault_only_where_connections_were_free() {
        for (late_generator, late_connection, is_bottleneck) in [
            (10, 0, false),
            (100, 0, true),
            (0, 900, false),
            (10, 900, false),
        ] {
            let mut tally = Tally::new();
            tally.operations = 1000;
            tally.late_generator = late_generator;
            tally.late_connection = late_connection;
            let bottleneck = measured(tally, Some(1000.0)).generator.bottleneck;
            assert_eq!(bottleneck.is_some(), is_bottleneck);
        }
    }
}
