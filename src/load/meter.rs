//! What a measurement costs the processes of this machine, from Linux' /proc. Elsewhere nothing is known.

use std::fs;
use std::time::{Duration, Instant};

use super::report::Cost;

/// A process.
#[derive(Debug, Clone, Copy)]
pub struct Process(pub u32);

/// What it has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Processor time of its threads, those excepted that have ended.
    pub processor: Duration,
    /// Resident memory, bytes.
    pub resident: u64,
    /// The most there ever was of it, bytes.
    pub most_resident: u64,
}

impl Process {
    /// What it has used up to now; nothing where there is no such process, or it belongs to somebody else.
    #[must_use]
    pub fn usage(self) -> Option<Usage> {
        let Self(pid) = self;
        // To the nanosecond, where /proc/PID/stat has hundredths of a second.
        let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let times = threads.map(|thread| {
            let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
        };
        Some(Usage {
            // A thread may end while this looks at it.
            processor: Duration::from_nanos(times.flatten().sum()),
            resident: bytes("VmRSS:")?,
            most_resident: bytes("VmHWM:")?,
        })
    }
}

/// A measurement that has begun.
#[derive(Debug)]
pub(super) struct Meter {
    start: Instant,
    server: Option<(Process, Usage)>,
    load: Option<Usage>,
}

/// What it found.
#[derive(Debug)]
pub(super) struct Measured {
    /// Seconds.
    pub(super) seconds: f64,
    /// What the server used, if its process is known.
    pub(super) server: Option<Cost>,
    /// What this process used, as a share of one core.
    pub(super) load_cores: Option<f64>,
}

impl Meter {
    pub(super) fn start(server: Option<Process>) -> Self {
        Self {
            start: Instant::now(),
            server: server.and_then(|process| Some((process, process.usage()?))),
            load: this().usage(),
        }
    }

    pub(super) fn stop(&self) -> Measured {
        let seconds = self.start.elapsed().as_secs_f64();
        let server = self.server.and_then(|(process, before)| Some(cost(before, process.usage()?, seconds)));
        let load = self.load.and_then(|before| Some(cost(before, this().usage()?, seconds)));
        Measured { seconds, server, load_cores: load.map(|load| load.cores) }
    }

    /// Resident memory that the server has more of than at the start, bytes.
    pub(super) fn growth(&self) -> Option<u64> {
        let (process, before) = self.server?;
        Some(process.usage()?.resident.saturating_sub(before.resident))
    }
}

fn this() -> Process {
    Process(std::process::id())
}

fn cost(before: Usage, after: Usage, seconds: f64) -> Cost {
    let cpu_s = after.processor.saturating_sub(before.processor).as_secs_f64();
    Cost { cpu_s, cores: cpu_s / seconds, rss_bytes: after.resident, rss_most_bytes: after.most_resident }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_uses_time_and_memory() {
        let this = Process(std::process::id());
        let before = this.usage().unwrap();
        let mut sum = 0_u64;
        while this.usage().unwrap().processor < before.processor + Duration::from_millis(20) {
            sum = (0..100_000).fold(sum, |sum, n| std::hint::black_box(sum.wrapping_add(n)));
        }
        let after = this.usage().unwrap();
        assert!(after.resident > 0 && after.most_resident >= after.resident);
        assert_eq!(Process(u32::MAX).usage(), None);
    }
}
