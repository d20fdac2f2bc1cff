//! Connections on which nothing happens: what they cost all the same.

use std::time::{Duration, Instant};

use super::crowd::{Crowd, Entry};
use super::fan_out::count;
use super::member::Happening;
use super::meter::{Meter, Process};
use super::report::IdleReport;
use super::{LoadError, PARALLEL, Progress, Stage};

/// How long to wait after the last connection: what belongs to their coming is over then.
const SETTLE: Duration = Duration::from_secs(2);

/// Makes `connections` connections, and leaves them alone for so long, but for the signs of life that both sides give.
///
/// # Errors
/// [`LoadError`] if one doesn't get in.
pub fn idle(
    crowd: &mut Crowd,
    connections: usize,
    time: Duration,
    server: Option<Process>,
    progress: Progress<'_>,
) -> Result<IdleReport, LoadError> {
    let empty = Meter::start(server);
    let mut entered = 0;
    crowd.enter(connections, PARALLEL, Entry::Resumed, |_, _| {
        entered += 1;
        progress(Stage::Connecting, count(entered) / count(connections as u64));
    })?;
    let mut disconnected = 0;
    wait(crowd, SETTLE, &mut disconnected, &mut |_| progress(Stage::WarmingUp, 1.0))?;
    let meter = Meter::start(server);
    wait(crowd, time, &mut disconnected, &mut |done| progress(Stage::Measuring, done))?;
    let measured = meter.stop();
    Ok(IdleReport {
        connections,
        seconds: measured.seconds,
        server: measured.server,
        rss_bytes_per_connection: empty.growth().map(|bytes| count(bytes) / count(connections as u64)),
        disconnected,
    })
}

fn wait(
    crowd: &mut Crowd,
    time: Duration,
    disconnected: &mut u64,
    progress: &mut dyn FnMut(f64),
) -> Result<(), LoadError> {
    let (start, step) = (Instant::now(), Duration::from_millis(100));
    while start.elapsed() < time {
        progress(start.elapsed().as_secs_f64() / time.as_secs_f64());
        // Sleeping is most of what there is to do: the last millisecond of each turn is not.
        crowd.turn(Instant::now() + step, |_, happening, _| {
            *disconnected += u64::from(matches!(happening, Happening::Gone(_)));
        })?;
    }
    Ok(())
}
