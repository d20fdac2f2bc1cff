//! The server's log: structured events on standard error, as text or as JSON.
//!
//! A thread of its own writes it, from a bounded queue: a reader that is slow or gone costs lines of the log, never the
//! service. What peers say about themselves reaches it only as fields, which are escaped; what people say, and keys,
//! never do.

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

use crate::cli::LogFormat;
use crate::term::Term;

/// Lines that wait to be written; with more, the newest are dropped.
const WAITING: usize = 16 * 1024;

/// Starts to write the log. What waits is written when the guard is dropped.
pub(super) fn start(format: LogFormat, term: &Term) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING)
        .thread_name("log")
        .finish(std::io::stderr());
    // The subscriber's own complaints would go to standard error, which may be what is broken.
    let builder = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_max_level(LevelFilter::INFO)
        .with_target(false)
        .log_internal_errors(false);
    match format {
        LogFormat::Text => builder.with_ansi(term.err_paint().is_on()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    guard
}
