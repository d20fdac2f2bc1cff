//! The server's log: structured events on standard error, as text or as JSON.
//!
//! What peers say about themselves reaches it only as fields, which both formats escape; what people say, and keys,
//! never do.

use crate::cli::LogFormat;
use crate::term::Term;
use tracing::level_filters::LevelFilter;

/// Starts to write the log.
pub(super) fn start(format: LogFormat, term: &Term) {
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(LevelFilter::INFO);
    match format {
        LogFormat::Text => builder.with_ansi(term.err_paint().is_on()).with_target(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).with_target(false).init(),
    }
}
