//! Connections: how many a server takes in a second, and how long they wait.

use std::time::Instant;

use hdrhistogram::Histogram;

use super::crowd::{Crowd, Entry};
use super::fan_out::count;
use super::meter::{Measured, Meter, Process};
use super::report::{Latency, StormReport};
use super::tally::{histogram, record};
use super::{LoadError, Progress, Stage};

/// Makes `connections` connections, `parallel` of them at a time, which stay. If by ticket, each user's first one, which
/// has none, is made before and not measured.
///
/// # Errors
/// [`LoadError`] if one doesn't get in.
pub fn storm(
    crowd: &mut Crowd,
    connections: usize,
    parallel: usize,
    entry: Entry,
    server: Option<Process>,
    progress: Progress<'_>,
) -> Result<StormReport, LoadError> {
    if entry == Entry::Resumed {
        crowd.get_tickets()?;
    }
    let mut times = histogram();
    let meter = Meter::start(server);
    crowd.enter(connections, parallel, entry, |_, time| {
        record(&mut times, time);
        progress(Stage::Connecting, share(&times, connections));
    })?;
    Ok(report(connections, connections as u64, &times, &meter.stop()))
}

/// After the fall of a server that had the whole crowd, and while it is started again: how long after it all are back by
/// their tickets.
///
/// # Errors
/// [`LoadError`] if they don't all come back.
pub fn come_back(crowd: &mut Crowd, fallen: Instant, progress: Progress<'_>) -> Result<StormReport, LoadError> {
    let mut times = histogram();
    let connections = crowd.len();
    let meter = Meter::start(None);
    let attempts = crowd.come_back(fallen, |time| {
        record(&mut times, time);
        progress(Stage::Connecting, share(&times, connections));
    })?;
    Ok(report(connections, attempts, &times, &meter.stop()))
}

fn share(times: &Histogram<u64>, all: usize) -> f64 {
    count(times.len()) / count(all as u64)
}

fn report(connections: usize, attempts: u64, times: &Histogram<u64>, measured: &Measured) -> StormReport {
    let all = count(connections as u64);
    StormReport {
        connections,
        attempts,
        seconds: measured.seconds,
        per_s: all / measured.seconds,
        entering: Latency::of(times),
        server: measured.server,
        cpu_ms_per_connection: measured.server.map(|cost| cost.cpu_s * 1e3 / all),
        load_cores: measured.load_cores,
    }
}
