//! Everything that a server tells about itself, gathered when somebody asks.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};
use prometheus_client::registry::{Registry, Unit};

use super::families::Family;
use super::process::Process;
use crate::memory;
#[cfg(feature = "cluster")]
use crate::server::counts::RemoteSums;
use crate::server::counts::{ConnectionSums, Counts, Sums};
use crate::server::{Config, Model, StoreConfig};
use crate::store::{COMMANDS, STATUSES, StoreSize};

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// That of Prometheus, 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What one server has to tell.
pub(crate) struct Exposition {
    counts: Arc<Counts>,
    model: Model,
    /// Whether the store is elsewhere.
    is_remote: bool,
}

impl Exposition {
    pub(crate) fn new(counts: &Arc<Counts>, config: &Config) -> Self {
        Self {
            counts: Arc::clone(counts),
            model: config.model,
            is_remote: !matches!(config.store, StoreConfig::Memory),
        }
    }

    /// All metrics as they are now.
    pub(super) fn text(&self, format: Format) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Gathered(self.families())));
        let mut written = String::new();
        match format {
            Format::Prometheus => prometheus_text::encode(&mut written, &registry)?,
            Format::OpenMetrics => text::encode(&mut written, &registry)?,
        }
        Ok(written)
    }

    fn families(&self) -> Vec<Family> {
        let mut families = vec![Family::info(
            "speicher",
            "The version of this server, and how it moves bytes; always 1.",
            vec![
                ("version", env!("CARGO_PKG_VERSION")),
                ("model", self.model.name()),
            ],
        )];
        let sums = self.counts.sums();
        families.extend(requests(&sums));
        families.extend(connections(self.counts.connection_sums()));
        let size = self.counts.store_size();
        families.extend(size.map(store).into_iter().flatten());
        let entries_len = match self.is_remote {
            true => Some(0),
            false => size.map(|size| size.bytes),
        };
        families.extend(memory(&memory::usage(), entries_len));
        #[cfg(feature = "cluster")]
        if self.is_remote {
            families.extend(remote(self.counts.remote_sums()));
        }
        families.extend(self.model(&sums));
        families.extend(process(&Process::look()));
        families
    }

    /// What only some models have.
    fn model(&self, sums: &Sums) -> Vec<Family> {
        if self.model != Model::Threads {
            return vec![Family::times(
                "speicher_drive",
                "How long it takes to serve those that are ready, during which others wait: with \
                 the epoll model each round of a loop, with tokio each time that a connection \
                 is driven. Of many, some are measured, which stand for all.",
                sums.drive_times.clone(),
            )];
        }
        let mut families = vec![
            Family::times(
                "speicher_worker_wait",
                "From a connection's arrival to a worker that serves it.",
                sums.worker_waits.clone(),
            ),
            Family::times(
                "speicher_store_wait",
                "A batch's way to the store thread and back, its execution included. Of many, some \
                 are measured, which stand for all.",
                sums.store_waits.clone(),
            ),
        ];
        if let Some(counts) = self.counts.workers() {
            families.extend([
                Family::gauge(
                    "speicher_workers",
                    "Threads that serve one connection each.",
                    counts.workers as u64,
                ),
                Family::gauge(
                    "speicher_workers_busy",
                    "Workers that have a connection.",
                    counts.busy as u64,
                ),
                Family::gauge(
                    "speicher_connections_waiting",
                    "Connections that wait for a worker.",
                    counts.waiting as u64,
                ),
            ]);
        }
        families
    }
}

fn requests(sums: &Sums) -> Vec<Family> {
    // What can't be has no place in the list.
    let is_possible = |command, status| match command {
        "invalid" => matches!(status, "400" | "503"),
        "set" | "reset" => matches!(status, "200" | "503"),
        _ => status != "400",
    };
    let kinds = COMMANDS
        .iter()
        .flat_map(|command| STATUSES.iter().map(move |status| (*command, *status)));
    let answers = kinds
        .zip(sums.answers)
        .filter(|((command, status), count)| *count > 0 || is_possible(command, status))
        .map(|((command, status), count)| (vec![("command", command), ("status", status)], count));
    vec![
        Family::counters(
            "speicher_requests",
            "Requests that were answered, by their command and the status of the reply; invalid \
             is what was no request.",
            answers,
        ),
        Family::histogram(
            "speicher_batch_requests",
            "Requests that were executed together.",
            sums.batch_sizes.clone(),
        ),
        Family::times(
            "speicher_batch",
            "From a batch of requests that is complete to its replies, encoded. Of many, some are \
             measured, which stand for all.",
            sums.batch_times.clone(),
        ),
        Family::counter(
            "speicher_received",
            "Bytes that were read from connections.",
            sums.received,
        )
        .in_unit(Unit::Bytes),
        Family::counter(
            "speicher_sent",
            "Bytes that were written to connections, without those to refused ones.",
            sums.sent,
        )
        .in_unit(Unit::Bytes),
    ]
}

fn connections(sums: ConnectionSums) -> Vec<Family> {
    vec![
        Family::gauge(
            "speicher_connections",
            "Connections that are served now.",
            sums.open,
        ),
        Family::counter(
            "speicher_connections_accepted",
            "Connections that came, those that were refused included.",
            sums.accepted,
        ),
        Family::counters(
            "speicher_connections_refused",
            "Connections that were not served but told why, by the reason.",
            labelled("reason", sums.refused),
        ),
        Family::counters(
            "speicher_connections_ended",
            "Connections that were served and have ended, by who ended them and why.",
            labelled("end", sums.ended),
        ),
    ]
}

fn store(size: StoreSize) -> Vec<Family> {
    vec![
        Family::gauge(
            "speicher_entries",
            "Keys that have a value.",
            size.entries as u64,
        ),
        Family::gauge(
            "speicher_entries",
            "Memory that the entries take, with the tables that they are in.",
            size.bytes as u64,
        )
        .in_unit(Unit::Bytes),
    ]
}

/// What the allocator has given out, if it is one that counts, and the most that
/// it may be.
fn memory(usage: &memory::Usage, entries_len: Option<usize>) -> Vec<Family> {
    let gauge =
        |name, help, bytes: usize| Family::gauge(name, help, bytes as u64).in_unit(Unit::Bytes);
    let used = Some(usage.used).filter(|used| *used > 0);
    let families = [
        used.map(|used| {
            let help = "Memory that is in use, entries and all else, as the allocator counts it.";
            gauge("speicher_memory_used", help, used)
        }),
        used.zip(entries_len).map(|(used, entries_len)| {
            let help = "Memory in use that is not the entries': buffers, replies that wait, and \
                        what the allocator adds to each block.";
            gauge("speicher_buffers", help, used.saturating_sub(entries_len))
        }),
        usage.max.map(|max| {
            let help = "The ceiling on memory, --memory-max; at it, SET gets 503.";
            gauge("speicher_memory_max", help, max)
        }),
    ];
    families.into_iter().flatten().collect()
}

#[cfg(feature = "cluster")]
fn remote(sums: RemoteSums) -> Vec<Family> {
    vec![
        Family::counters(
            "speicher_store_errors",
            "Commands that the store's nodes did not execute, or are not known to have; those that \
             were redirected are sent again.",
            labelled("kind", sums.errors),
        ),
        Family::times(
            "speicher_store_round_trip",
            "From commands that are sent together to a node of the store to all their answers.",
            sums.round_trips,
        ),
    ]
}

fn labelled(
    label: &'static str,
    counts: Vec<(&'static str, u64)>,
) -> impl Iterator<Item = (Vec<(&'static str, &'static str)>, u64)> {
    let labelled = move |(value, count)| (vec![(label, value)], count);
    counts.into_iter().map(labelled)
}

fn process(process: &Process) -> Vec<Family> {
    let families = [
        process.cpu_seconds.map(|seconds| {
            let help = "Processor time that this process has used.";
            Family::counter_of("process_cpu", help, seconds).in_unit(Unit::Seconds)
        }),
        process.resident_bytes.map(|bytes| {
            let help = "Memory of this process that is in use.";
            Family::gauge("process_resident_memory", help, bytes).in_unit(Unit::Bytes)
        }),
        process.virtual_bytes.map(|bytes| {
            let help = "Addresses that this process has taken.";
            Family::gauge("process_virtual_memory", help, bytes).in_unit(Unit::Bytes)
        }),
        process.open_fds.map(|count| {
            let help = "File descriptors that this process has open.";
            Family::gauge("process_open_fds", help, count)
        }),
        process.max_fds.map(|count| {
            let help = "File descriptors that this process may have open.";
            Family::gauge("process_max_fds", help, count)
        }),
        process.start_seconds.map(|seconds| {
            let help = "When this process began, since 1970.";
            Family::gauge_of("process_start_time", help, seconds).in_unit(Unit::Seconds)
        }),
    ];
    families.into_iter().flatten().collect()
}

/// What was gathered, as the encoder takes it.
#[derive(Debug)]
struct Gathered(Vec<Family>);

impl Collector for Gathered {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &self.0 {
            family.encode(&mut encoder)?;
        }
        Ok(())
    }
}
