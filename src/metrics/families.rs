//! Families of metrics, as Prometheus knows them: their names, what they mean,
//! and how they are written.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Unit;

use crate::server::counts::Distribution;

/// One label of a metric.
pub(super) type Label = (&'static str, &'static str);

/// Metrics of one name.
#[derive(Debug)]
pub(super) struct Family {
    /// Without its unit, and without `_total`.
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    metrics: Metrics,
}

#[derive(Debug)]
enum Metrics {
    Counters(Vec<(Vec<Label>, u64)>),
    CounterOf(f64),
    Gauge(u64),
    GaugeOf(f64),
    Info(Vec<Label>),
    /// Its values are so many of the unit.
    Histogram(Distribution, f64),
}

impl Family {
    fn new(name: &'static str, help: &'static str, metrics: Metrics) -> Self {
        Self {
            name,
            help,
            unit: None,
            metrics,
        }
    }

    /// Some counters with labels.
    pub(super) fn counters(
        name: &'static str,
        help: &'static str,
        counters: impl IntoIterator<Item = (Vec<Label>, u64)>,
    ) -> Self {
        let counters = counters.into_iter().collect();
        Self::new(name, help, Metrics::Counters(counters))
    }

    /// One counter without labels.
    pub(super) fn counter(name: &'static str, help: &'static str, count: u64) -> Self {
        Self::counters(name, help, [(Vec::new(), count)])
    }

    /// One counter that has fractions.
    pub(super) fn counter_of(name: &'static str, help: &'static str, count: f64) -> Self {
        Self::new(name, help, Metrics::CounterOf(count))
    }

    pub(super) fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        Self::new(name, help, Metrics::Gauge(value))
    }

    /// A gauge that has fractions.
    pub(super) fn gauge_of(name: &'static str, help: &'static str, value: f64) -> Self {
        Self::new(name, help, Metrics::GaugeOf(value))
    }

    pub(super) fn info(name: &'static str, help: &'static str, labels: Vec<Label>) -> Self {
        Self::new(name, help, Metrics::Info(labels))
    }

    /// A histogram of numbers.
    pub(super) fn histogram(
        name: &'static str,
        help: &'static str,
        distribution: Distribution,
    ) -> Self {
        Self::new(name, help, Metrics::Histogram(distribution, 1.0))
    }

    /// A histogram of times that were counted in nanoseconds.
    pub(super) fn times(
        name: &'static str,
        help: &'static str,
        distribution: Distribution,
    ) -> Self {
        Self::new(name, help, Metrics::Histogram(distribution, 1e9)).in_unit(Unit::Seconds)
    }

    pub(super) fn in_unit(self, unit: Unit) -> Self {
        Self {
            unit: Some(unit),
            ..self
        }
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let unit = self.unit.as_ref();
        let metric_type = match &self.metrics {
            Metrics::Counters(_) | Metrics::CounterOf(_) => MetricType::Counter,
            Metrics::Gauge(_) | Metrics::GaugeOf(_) => MetricType::Gauge,
            Metrics::Info(_) => MetricType::Info,
            Metrics::Histogram(..) => MetricType::Histogram,
        };
        let mut encoder = encoder.encode_descriptor(self.name, self.help, unit, metric_type)?;
        match &self.metrics {
            Metrics::Counters(counters) => {
                for (labels, count) in counters {
                    match labels.is_empty() {
                        true => encode_counter(&mut encoder, count)?,
                        false => encode_counter(&mut encoder.encode_family(labels)?, count)?,
                    }
                }
                Ok(())
            }
            Metrics::CounterOf(count) => encoder.encode_counter(count, NO_EXEMPLAR),
            Metrics::Gauge(value) => encoder.encode_gauge(value),
            Metrics::GaugeOf(value) => encoder.encode_gauge(value),
            Metrics::Info(labels) => encoder.encode_info(labels),
            Metrics::Histogram(distribution, per_unit) => {
                encode_histogram(&mut encoder, distribution, *per_unit)
            }
        }
    }
}

const NO_EXEMPLAR: Option<&Exemplar<Vec<Label>, f64>> = None;

fn encode_counter(encoder: &mut MetricEncoder<'_>, count: &u64) -> fmt::Result {
    encoder.encode_counter(count, NO_EXEMPLAR)
}

fn encode_histogram(
    encoder: &mut MetricEncoder<'_>,
    distribution: &Distribution,
    per_unit: f64,
) -> fmt::Result {
    let mut bound = 2_f64.powi(distribution.first as i32);
    let mut buckets: Vec<(f64, u64)> = distribution
        .buckets
        .iter()
        .map(|count| {
            let bucket = (bound / per_unit, *count);
            bound *= 2.0;
            bucket
        })
        .collect();
    if let Some(last) = buckets.last_mut() {
        last.0 = f64::INFINITY;
    }
    let count = distribution.buckets.iter().sum();
    let sum = distribution.sum as f64 / per_unit;
    encoder.encode_histogram::<Vec<Label>>(sum, count, &buckets, None)
}
