//! Signals that ask a client to end: the first for an order, the second for none.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};
use signal_hook::iterator::Signals;

use crate::error::{Error, Exit};

/// Tells of each signal, from a thread. The first one asks for an orderly end; the second one ends the program, unless a
/// terminal has to be given back first (`terminal`).
///
/// What it returns is true from the moment at which the first one comes: before any thread is told.
///
/// # Errors
/// What the system says.
pub(crate) fn watch(terminal: bool, tell: impl Fn(Exit) + Send + 'static) -> Result<Arc<AtomicBool>, Error> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(Error::failure)?;
    let came = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if !terminal {
            // Whatever the program is doing then: it may be writing to somebody who doesn't read.
            let code = exit_of(signal).code().into();
            register_conditional_shutdown(signal, code, Arc::clone(&came)).map_err(Error::failure)?;
        }
        register(signal, Arc::clone(&came)).map_err(Error::failure)?;
    }
    std::thread::spawn(move || signals.forever().for_each(|signal| tell(exit_of(signal))));
    Ok(came)
}

fn exit_of(signal: i32) -> Exit {
    if signal == SIGINT { Exit::Interrupted } else { Exit::Terminated }
}
