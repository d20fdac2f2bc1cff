//! What a measurement found, for people and programs: the fields are those of `rsachat bench --json`.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Promises that the server broke. All of them are 0 after a good run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Deliveries of acknowledged messages that never came.
    pub lost: u64,
    /// Messages that came twice to a connection.
    pub duplicated: u64,
    /// Messages that came out of their order, or under different numbers to different connections.
    pub disordered: u64,
    /// Messages that the server refused.
    pub refused: u64,
    /// Messages that the server never answered.
    pub unacknowledged: u64,
    /// Connections that the server, or the network, ended.
    pub disconnected: u64,
    /// Why the first message was refused, or the first connection ended.
    pub first_reason: Option<String>,
}

impl Faults {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How long something took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// How often it was measured.
    pub count: u64,
    /// On average.
    pub mean_ms: f64,
    /// What half of them stayed below.
    pub p50_ms: f64,
    /// Nine in ten.
    pub p90_ms: f64,
    /// 99 in a hundred.
    pub p99_ms: f64,
    /// 999 in a thousand.
    pub p99_9_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Latency {
    /// Of nanoseconds.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let ms = |nanoseconds: u64| Duration::from_nanos(nanoseconds).as_secs_f64() * 1e3;
        Self {
            count: histogram.len(),
            mean_ms: histogram.mean() / 1e6,
            p50_ms: ms(histogram.value_at_quantile(0.5)),
            p90_ms: ms(histogram.value_at_quantile(0.9)),
            p99_ms: ms(histogram.value_at_quantile(0.99)),
            p99_9_ms: ms(histogram.value_at_quantile(0.999)),
            max_ms: ms(histogram.max()),
        }
    }
}

/// What the server's process used for a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// Processor time, seconds.
    pub cpu_s: f64,
    /// The same, as a share of one core.
    pub cores: f64,
    /// Resident memory at the end, bytes.
    pub rss_bytes: u64,
    /// The most there ever was, bytes.
    pub rss_most_bytes: u64,
}

/// Of [`fan_out`](super::fan_out()).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FanOutReport {
    /// Connections in the room.
    pub clients: usize,
    /// How many of them sent.
    pub senders: usize,
    /// Of each message, bytes.
    pub size: usize,
    /// How long it took, from the first message to the last delivery.
    pub seconds: f64,
    /// Messages that the server acknowledged: they are on its disk.
    pub accepted: u64,
    /// The same, a second.
    pub accepted_per_s: f64,
    /// Messages that reached a connection.
    pub delivered: u64,
    /// The same, a second.
    pub delivered_per_s: f64,
    /// From when a message was to be sent until a connection had it.
    pub delivery: Latency,
    /// From when a message was to be sent until its sender had the acknowledgement.
    pub acceptance: Latency,
    /// What `delivery` is of, in nanoseconds: percentiles of several measurements together can only be had from it.
    #[serde(skip)]
    pub delivery_times: Histogram<u64>,
    /// Likewise, of `acceptance`.
    #[serde(skip)]
    pub acceptance_times: Histogram<u64>,
    /// What the server used, if its process is known.
    pub server: Option<Cost>,
    /// The server's processor time, seconds for a million deliveries.
    pub cpu_s_per_million: Option<f64>,
    /// Processor time of the load itself, as a share of one core: near 1, it is the load that limits.
    pub load_cores: Option<f64>,
    /// What went wrong.
    pub faults: Faults,
}

/// Of [`storm`](super::storm()) and [`come_back`](super::come_back).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StormReport {
    /// Connections that came in.
    pub connections: usize,
    /// Attempts that it took.
    pub attempts: u64,
    /// From the first to the last.
    pub seconds: f64,
    /// Connections a second.
    pub per_s: f64,
    /// From the beginning of each, or from the fall of the server, until it was in the room.
    pub entering: Latency,
    /// What the server used, if its process is known.
    pub server: Option<Cost>,
    /// The server's processor time, milliseconds for a connection.
    pub cpu_ms_per_connection: Option<f64>,
    /// Processor time of the load itself, as a share of one core.
    pub load_cores: Option<f64>,
}

/// Of [`idle`](super::idle()).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IdleReport {
    /// Connections that were open.
    pub connections: usize,
    /// How long they were left alone.
    pub seconds: f64,
    /// What the server used meanwhile, if its process is known.
    pub server: Option<Cost>,
    /// Resident memory that the connections added, bytes for each.
    pub rss_bytes_per_connection: Option<f64>,
    /// Connections that ended meanwhile.
    pub disconnected: u64,
}
