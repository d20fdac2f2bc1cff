//! Signals that ask a client to end: the first for an order, the second for none.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};
use signal_hook::iterator::Signals;

use crate::error::{Error, Exit};

/// Tells of each signal. The first one asks for an orderly end; the second one ends the program, unless a terminal has to be
/// given back first (`terminal`).
///
/// # Errors
/// What the system says.
pub(crate) fn watch(terminal: bool, tell: impl Fn(Exit) + Send + 'static) -> Result<(), Error> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(Error::failure)?;
    if !terminal {
        // Whatever the program is doing then: it may be writing to somebody who doesn't read.
        let armed = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            register_conditional_shutdown(signal, exit_of(signal).code().into(), Arc::clone(&armed))
                .and_then(|_| register(signal, Arc::clone(&armed)))
                .map_err(Error::failure)?;
        }
    }
    std::thread::spawn(move || signals.forever().for_each(|signal| tell(exit_of(signal))));
    Ok(())
}

fn exit_of(signal: i32) -> Exit {
    if signal == SIGINT { Exit::Interrupted } else { Exit::Terminated }
}
