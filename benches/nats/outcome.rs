//! What one round, or several, of one of the servers found.

use std::time::Instant;

use hdrhistogram::Histogram;
use rsachat::load::{FanOutReport, Latency, Process};

/// Sums over the rounds.
pub(crate) struct Outcome {
    pub(crate) seconds: f64,
    pub(crate) delivered: u64,
    // Nanoseconds.
    delivery: Histogram<u64>,
    // NATS acknowledges nothing.
    acceptance: Option<Histogram<u64>>,
    pub(crate) server_cpu_s: f64,
    pub(crate) client_cpu_s: f64,
    /// Resident memory of the server, at the end of a round, bytes.
    pub(crate) resident: u64,
}

impl Outcome {
    /// What `rsachat::load` found.
    pub(crate) fn of(report: FanOutReport) -> Self {
        assert!(report.faults.is_empty(), "{:?}", report.faults);
        let server = report.server.unwrap();
        Self {
            seconds: report.seconds,
            delivered: report.delivered,
            delivery: report.delivery_times,
            acceptance: Some(report.acceptance_times),
            server_cpu_s: server.cpu_s,
            client_cpu_s: report.load_cores.unwrap() * report.seconds,
            resident: server.rss_bytes,
        }
    }

    /// Several rounds as one.
    pub(crate) fn merge(rounds: &[Self]) -> Self {
        let delivered = rounds.iter().map(|round| round.delivered).sum();
        let sum = |of: fn(&Self) -> f64| rounds.iter().map(of).sum();
        let acceptance = rounds.iter().map(|round| round.acceptance.as_ref()).collect::<Option<Vec<_>>>();
        Self {
            seconds: sum(|round| round.seconds),
            delivered,
            delivery: together(rounds.iter().map(|round| &round.delivery)),
            acceptance: acceptance.map(|histograms| together(histograms.into_iter())),
            server_cpu_s: sum(|round| round.server_cpu_s),
            client_cpu_s: sum(|round| round.client_cpu_s),
            resident: rounds.iter().map(|round| round.resident).max().unwrap(),
        }
    }

    pub(crate) fn delivery(&self) -> Latency {
        Latency::of(&self.delivery)
    }

    pub(crate) fn acceptance(&self) -> Option<Latency> {
        self.acceptance.as_ref().map(Latency::of)
    }

    /// Seconds for a million deliveries.
    pub(crate) fn per_million(&self, seconds: f64) -> f64 {
        seconds / self.delivered as f64 * 1e6
    }
}

fn together<'a>(mut histograms: impl Iterator<Item = &'a Histogram<u64>>) -> Histogram<u64> {
    let mut sum = histograms.next().unwrap().clone();
    for histogram in histograms {
        sum.add(histogram).unwrap();
    }
    sum
}

/// What a round costs, as it is measured where `rsachat::load` does not.
pub(crate) struct Usage {
    start: Instant,
    server: Process,
    before: [f64; 2],
}

impl Usage {
    pub(crate) fn start(server: Process) -> Self {
        Self { start: Instant::now(), server, before: processor_times(server) }
    }

    pub(crate) fn stop(self, delivered: u64, delivery: Histogram<u64>) -> Outcome {
        let seconds = self.start.elapsed().as_secs_f64();
        let [server, client] = processor_times(self.server);
        let [server_before, client_before] = self.before;
        Outcome {
            seconds,
            delivered,
            delivery,
            acceptance: None,
            server_cpu_s: server - server_before,
            client_cpu_s: client - client_before,
            resident: self.server.usage().unwrap().resident,
        }
    }
}

/// Of the server and of this process, seconds.
fn processor_times(server: Process) -> [f64; 2] {
    [server, Process(std::process::id())].map(|process| process.usage().unwrap().processor.as_secs_f64())
}
