//! The table that `bench` ends with.

use comfy_table::{CellAlignment, Table, presets};
use speicher::bench::figures;
use speicher::bench::generator::{LATE_AFTER, Load};
use speicher::bench::measurement::Measurement;

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
        format!("{} operations/s", figures::count(measurement.rate)),
    );
    let latency = &measurement.latency_ns;
    for (name, nanoseconds) in [
        ("p50", latency.p50),
        ("p90", latency.p90),
        ("p99", latency.p99),
        ("p99.9", latency.p99_9),
        ("max", latency.max),
    ] {
        row(name, figures::time(nanoseconds as f64));
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
            "{:.0} % CPU of {} thread{}, something to do {:.0} % of the time",
            generator.cpu_share * 100.0,
            generator.threads,
            if generator.threads == 1 { "" } else { "s" },
            generator.busy_share * 100.0
        ),
    );
    if let Some(server) = &measurement.server {
        row(
            "server",
            format!(
                "{} CPU and {:.2} context switches an operation, {} resident",
                figures::time(server.cpu_us_per_operation * 1e3),
                server.switches_per_operation,
                figures::bytes(server.rss_bytes as f64)
            ),
        );
    }
    row("errors", errors(measurement));
    if let Some(column) = table.column_mut(0) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let notes = [&measurement.stopped_answering, &generator.bottleneck];
    let notes = notes.into_iter().flatten().map(|note| format!("\n{note}"));
    format!("{}{}", table.trim_fmt(), notes.collect::<String>())
}

fn loop_kind(load: &Load) -> String {
    let Load {
        connections,
        pipeline,
        ..
    } = load;
    match load.rate {
        None => format!("closed: {connections} connections, {pipeline} deep"),
        Some(rate) => format!(
            "open: {}/s to arrive, {connections} connections, at most {pipeline} deep",
            figures::count(rate)
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
