//! What a server has done between two readings.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::reading::Reading;

const REQUESTS: &str = "speicher_requests_total";

/// Two readings of the same run of a server.
pub(super) struct Interval<'a> {
    before: &'a Reading,
    after: &'a Reading,
}

impl<'a> Interval<'a> {
    pub(super) fn between(before: &'a Reading, after: &'a Reading) -> Self {
        Self { before, after }
    }

    /// How long it was, and never nothing.
    pub(super) fn seconds(&self) -> f64 {
        let time = self
            .after
            .taken
            .saturating_duration_since(self.before.taken);
        time.max(Duration::from_millis(1)).as_secs_f64()
    }

    /// How much a counter has grown, without what a server that lies lets it fall; `None` if the server
    /// has no such metric.
    pub(super) fn growth(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let after = self.after.sum(name, labels)?;
        let before = self.before.sum(name, labels).unwrap_or(0.0);
        Some((after - before).max(0.0))
    }

    /// How many requests there were with these labels.
    pub(super) fn requests(&self, labels: &[(&str, &str)]) -> f64 {
        self.growth(REQUESTS, labels).unwrap_or(0.0)
    }

    pub(super) fn refused(&self) -> f64 {
        let name = "speicher_connections_refused_total";
        self.growth(name, &[]).unwrap_or(0.0)
    }

    /// What a gauge says at the end.
    pub(super) fn gauge(&self, name: &str) -> Option<f64> {
        self.after.sum(name, &[])
    }

    /// What of the ceiling is used; `None` without one.
    pub(super) fn fullness(&self) -> Option<f64> {
        let used = self.gauge("speicher_memory_used_bytes")?;
        Some(used / self.gauge("speicher_memory_max_bytes")?)
    }

    /// Processor time a second, in cores.
    pub(super) fn cores(&self) -> Option<f64> {
        let cpu = self.growth("process_cpu_seconds_total", &[])?;
        Some(cpu / self.seconds())
    }

    /// The quantile of the time of a batch, in seconds; `None` if there was none. It is estimated within
    /// its bucket as Prometheus does.
    pub(super) fn batch_seconds(&self, quantile: f64) -> Option<f64> {
        let name = "speicher_batch_seconds_bucket";
        let before = self.before.buckets(name);
        let grown = self.after.buckets(name).into_iter();
        let grown = grown.filter_map(|(bound, count)| {
            let grown = count - before.get(bound).unwrap_or(&0.0);
            Some((bound.parse::<f64>().ok()?, grown))
        });
        estimate(grown.collect(), quantile)
    }

    /// Everything as an object. Counts are of the interval; what the server does not have is null.
    pub(super) fn json(&self, now: SystemTime) -> Value {
        let time = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let command = |name| whole(self.requests(&[("command", name)]));
        let status = |name| whole(self.requests(&[("status", name)]));
        let gauge = |name| self.gauge(name).map(whole);
        let growth = |name| self.growth(name, &[]).map(whole);
        json!({
            "time": time.as_secs_f64(),
            "seconds": self.seconds(),
            "operations": whole(self.requests(&[])),
            "get": command("get"),
            "set": command("set"),
            "delete": command("delete"),
            "reset": command("reset"),
            "invalid": command("invalid"),
            "status_200": status("200"),
            "status_400": status("400"),
            "status_404": status("404"),
            "status_503": status("503"),
            "batches": growth("speicher_batch_requests_count"),
            "batch_seconds_p50": self.batch_seconds(0.5),
            "batch_seconds_p99": self.batch_seconds(0.99),
            "batch_seconds_p999": self.batch_seconds(0.999),
            "received_bytes": growth("speicher_received_bytes_total"),
            "sent_bytes": growth("speicher_sent_bytes_total"),
            "connections": gauge("speicher_connections"),
            "connections_accepted": growth("speicher_connections_accepted_total"),
            "connections_refused": whole(self.refused()),
            "connections_ended": growth("speicher_connections_ended_total"),
            "entries": gauge("speicher_entries"),
            "entries_bytes": gauge("speicher_entries_bytes"),
            "buffers_bytes": gauge("speicher_buffers_bytes"),
            "memory_used_bytes": gauge("speicher_memory_used_bytes"),
            "memory_max_bytes": gauge("speicher_memory_max_bytes"),
            "resident_bytes": gauge("process_resident_memory_bytes"),
            "cpu_seconds": self.growth("process_cpu_seconds_total", &[]),
        })
    }
}

/// A count as a whole number, as which it was counted.
fn whole(number: f64) -> u64 {
    number as u64
}

/// The quantile of what the buckets have counted, each all that is not over its bound.
fn estimate(mut buckets: Vec<(f64, f64)>, quantile: f64) -> Option<f64> {
    buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let (_, total) = buckets.last()?;
    let rank = quantile * total;
    let at = buckets
        .iter()
        .position(|(_, count)| *count >= rank && rank > 0.0)?;
    let (bound, count) = buckets[at];
    let (bound_below, count_below) = match at {
        0 => (0.0, 0.0),
        _ => buckets[at - 1],
    };
    if bound.is_infinite() {
        return Some(bound_below);
    }
    let share = (rank - count_below) / (count - count_below);
    Some(bound_below + share * (bound - bound_below)).filter(|seconds| seconds.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reading::tests::reading;
    use super::*;

    #[test]
    fn the_object_has_what_was_counted_between() {
        let before = reading("speicher_requests_total{command=\"set\",status=\"200\"} 10\n");
        let after = reading(
            "speicher_requests_total{command=\"set\",status=\"200\"} 13\n\
             speicher_requests_total{command=\"set\",status=\"503\"} 2\n\
             speicher_connections 7\n",
        );
        let object = Interval::between(&before, &after).json(SystemTime::now());
        assert_eq!(object["set"], 5);
        assert_eq!(
            (&object["status_200"], &object["status_503"]),
            (&json!(3), &json!(2))
        );
        assert_eq!(
            (&object["connections"], &object["entries"]),
            (&json!(7), &Value::Null)
        );
        assert_eq!(object["batch_seconds_p50"], Value::Null);
    }

    #[test]
    fn quantiles_are_estimated_as_prometheus_does() {
        let buckets = || vec![(1.0, 10.0), (f64::INFINITY, 100.0), (2.0, 90.0)];
        assert_eq!(estimate(buckets(), 0.05), Some(0.5));
        assert_eq!(estimate(buckets(), 0.5), Some(1.5));
        assert_eq!(
            estimate(buckets(), 0.99),
            Some(2.0),
            "more than the last bound"
        );
        assert_eq!(estimate(vec![(1.0, 0.0), (f64::INFINITY, 0.0)], 0.5), None);
        assert_eq!(estimate(Vec::new(), 0.5), None);
    }

    proptest! {
        #[test]
        fn no_buckets_are_too_odd(buckets in prop::collection::vec(any::<(f64, f64)>(), 0..8), quantile in 0.0..1.0) {
            let _ = estimate(buckets, quantile);
        }
    }
}
