//! What was measured, as a table for people.

use crate::load::{Cost, FanOutReport, IdleReport, Latency, StormReport};

pub(super) fn fan_out(report: &FanOutReport) -> String {
    let FanOutReport { clients, senders, size, seconds, accepted, delivered, faults, .. } = report;
    let mut lines = vec![
        format!("{clients} connections, {senders} senders, {size} bytes, {seconds:.1} s"),
        row("accepted", format_args!("{accepted}, {:.0} a second", report.accepted_per_s)),
        row("delivered", format_args!("{delivered}, {:.0} a second", report.delivered_per_s)),
        row("delivery", latency(&report.delivery)),
        row("acceptance", latency(&report.acceptance)),
    ];
    if let (Some(server), Some(cost)) = (report.server, report.cpu_s_per_million) {
        lines.push(row("server", format_args!("{cost:.3} CPU s per million deliveries, {:.2} cores", server.cores)));
        lines.push(row("memory", memory(&server)));
    }
    lines.extend(load(report.load_cores));
    lines.push(row(
        "faults",
        format_args!(
            "{} lost, {} duplicated, {} out of order, {} refused",
            faults.lost, faults.duplicated, faults.disordered, faults.refused
        ),
    ));
    lines.join("\n")
}

pub(super) fn storm(report: &StormReport) -> String {
    let StormReport { connections, attempts, seconds, per_s, .. } = report;
    let mut lines = vec![
        format!("{connections} connections in {seconds:.2} s, {per_s:.0} a second, {attempts} attempts"),
        row("entering", latency(&report.entering)),
    ];
    if let (Some(server), Some(cost)) = (report.server, report.cpu_ms_per_connection) {
        lines.push(row("server", format_args!("{cost:.2} CPU ms per connection, {:.2} cores", server.cores)));
        lines.push(row("memory", memory(&server)));
    }
    lines.extend(load(report.load_cores));
    lines.join("\n")
}

pub(super) fn idle(report: &IdleReport) -> String {
    let IdleReport { connections, seconds, disconnected, .. } = report;
    let mut lines = vec![format!("{connections} connections, {seconds:.0} s")];
    if let Some(server) = report.server {
        lines.push(row("server", format_args!("{:.2} % of a core", server.cores * 100.0)));
        lines.push(row("memory", memory(&server)));
    }
    if let Some(bytes) = report.rss_bytes_per_connection {
        lines.push(row("each", format_args!("{:.1} KiB", bytes / 1024.0)));
    }
    lines.push(row("faults", format_args!("{disconnected} ended")));
    lines.join("\n")
}

fn row(name: &str, text: impl std::fmt::Display) -> String {
    format!("{name:<11} {text}")
}

fn latency(latency: &Latency) -> String {
    let Latency { p50_ms, p90_ms, p99_ms, p99_9_ms, max_ms, .. } = latency;
    format!("p50 {p50_ms:.2}  p90 {p90_ms:.2}  p99 {p99_ms:.2}  p99.9 {p99_9_ms:.2}  max {max_ms:.2} ms")
}

fn memory(cost: &Cost) -> String {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    format!("{} MiB resident, {} at most", mib(cost.rss_bytes), mib(cost.rss_most_bytes))
}

fn load(cores: Option<f64>) -> Option<String> {
    cores.map(|cores| row("load", format_args!("{cores:.2} cores")))
}
