//! The table that `bench` ends with.

use comfy_table::{CellAlignment, Table, presets};
use speicher::bench::figures;
use speicher::bench::generator::{LATE_AFTER, Load};
use speicher::bench::measurement::{ErrorKind, Measurement};

/// The figures, and what has to be said about them.
pub(super) fn table(load: &Load, measurement: &Measurement) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut row = |name: &str, value: String| {
        table.add_row([name, &value]);
    };
    row("loop", loop_kind(load));
    row(
        "rate",
        format!(
            "{} operations/s{}",
            figures::count(measurement.rate),
            on_how_many(load, measurement)
        ),
    );
    let latency = &measurement.latency_ns;
    for (name, nanoseconds) in [
        ("p50", latency.p50),
        ("p90", latency.p90),
        ("p99", latency.p99),
        ("p99.9", latency.p99_9),
        ("max", latency.max),
    ] {
        row(
            name,
            match measurement.operations {
                0 => "unknown".to_owned(),
                _ => figures::time(nanoseconds as f64),
            },
        );
    }
    row(
        "operations",
        format!(
            "{} in {:.2} s",
            figures::count(measurement.operations as f64),
            measurement.seconds
        ),
    );
    row("misses", figures::count(measurement.misses as f64));
    row(
        "bytes",
        format!(
            "{} sent, {} received",
            figures::bytes(measurement.bytes_sent as f64),
            figures::bytes(measurement.bytes_received as f64)
        ),
    );
    if load.rate.is_some() {
        row("late", late(measurement));
        row("unsent", figures::count(measurement.unsent as f64));
    }
    let generator = &measurement.generator;
    row(
        "generator",
        format!(
            "{:.0} % CPU of {}, something to do {:.0} % of the time",
            generator.cpu_share * 100.0,
            figures::counted(generator.threads, "thread"),
            generator.busy_share * 100.0
        ),
    );
    if let Some(server) = &measurement.server {
        let resident = figures::bytes(server.rss_bytes as f64);
        row(
            "server",
            match measurement.operations {
                0 => format!("{resident} resident"),
                _ => format!(
                    "{} CPU and {:.2} context switches an operation, {resident} resident",
                    figures::time_of_us(server.cpu_us_per_operation),
                    server.switches_per_operation
                ),
            },
        );
    }
    row("errors", errors(measurement));
    if let Some(column) = table.column_mut(0) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let notes = [
        measurement.stopped_answering.clone(),
        unserved(load, measurement),
        nothing_came(measurement),
        measurement.overload.clone(),
        generator.bottleneck.clone(),
    ];
    let notes = notes.into_iter().flatten().map(|note| format!("\n{note}"));
    format!("{}{}", table.trim_fmt(), notes.collect::<String>())
}

/// Whether connections had errors in place of replies.
fn has_unserved(load: &Load, measurement: &Measurement) -> bool {
    measurement.connections_served < load.connections && !measurement.errors.is_empty()
}

/// On how many connections a rate was reached, if not on all.
fn on_how_many(load: &Load, measurement: &Measurement) -> String {
    match has_unserved(load, measurement) {
        true => format!(
            ", on {} of {} connections",
            figures::count(measurement.connections_served as f64),
            figures::count(load.connections as f64)
        ),
        false => String::new(),
    }
}

/// Why it was not all, in the server's words.
fn unserved(load: &Load, measurement: &Measurement) -> Option<String> {
    let unserved = load.connections - measurement.connections_served;
    let mut errors = measurement.errors.iter();
    let (_, refused) = errors.find(|(kind, _)| *kind == ErrorKind::Unavailable)?;
    has_unserved(load, measurement).then(|| {
        format!(
            "{} had no reply but a refusal, so the rate is that of the others; the server said: {}",
            figures::counted(unserved, "connection"),
            refused.first
        )
    })
}

fn nothing_came(measurement: &Measurement) -> Option<String> {
    let is_open = measurement.rate_wanted.is_some();
    let is_told = measurement.interrupted || measurement.stopped_answering.is_some();
    (measurement.operations == 0 && !is_told).then(|| {
        match is_open && measurement.unsent == 0 && measurement.errors.is_empty() {
            true => {
                "no request was due in the time that was measured; ask for a higher --rate, or \
                     a longer --duration"
            }
            false => {
                "no reply that counts came in the time that was measured, so there is no \
                      latency; measure for longer, or see what the errors say"
            }
        }
        .to_owned()
    })
}

fn loop_kind(load: &Load) -> String {
    let Load {
        connections,
        pipeline,
        ..
    } = load;
    match load.rate {
        None => format!(
            "closed: {}, {pipeline} deep",
            figures::counted(*connections, "connection")
        ),
        Some(rate) => format!(
            "open: {}/s to arrive, {}, at most {pipeline} deep",
            figures::count(rate),
            figures::counted(*connections, "connection")
        ),
    }
}

fn late(measurement: &Measurement) -> String {
    format!(
        "{} for want of a connection, {} by the generator's fault (more than {} late)",
        figures::count(measurement.late_connection as f64),
        figures::count(measurement.late_generator as f64),
        figures::time(LATE_AFTER.as_nanos() as f64)
    )
}

fn errors(measurement: &Measurement) -> String {
    let each = measurement.errors.iter().map(|(kind, errors)| {
        let count = figures::count(errors.count as f64);
        format!("{} {count} (first: {})", kind.name(), errors.first)
    });
    match each.collect::<Vec<_>>() {
        none if none.is_empty() => "none".to_owned(),
        some => some.join("; "),
    }
}
