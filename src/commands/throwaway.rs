//! Keys that are made for one run of the program, and what has to be cleared away after it.

use std::thread::JoinHandle;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::crypto::rsa::{Bits, OperationError, PrivateKey};
use crate::error::{Error, Exit};
use crate::term::Term;

/// Makes keys, each on a thread of its own: finding primes is a matter of luck.
pub(super) fn keys(term: &Term, count: usize) -> Result<Vec<PrivateKey>, Error> {
    let _spinner = term.spinner(&format!("making {count} RSA key pairs"));
    let make = || std::thread::spawn(|| PrivateKey::generate(Bits::B3072, &mut rand::rng()));
    let threads: Vec<_> = (0..count).map(|_| make()).collect();
    let join = |thread: JoinHandle<Result<PrivateKey, OperationError>>| {
        thread.join().map_err(|_| Error::failure("a key could not be made"))?.map_err(Error::failure)
    };
    threads.into_iter().map(join).collect()
}

/// Whoever ends the program with a signal finds nothing left behind either.
pub(super) fn at_signals(clean_up: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(Error::failure)?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            clean_up();
            let exit = if signal == SIGINT { Exit::Interrupted } else { Exit::Terminated };
            std::process::exit(exit.code().into());
        }
    });
    Ok(())
}
