//! Typing at a (pseudo-)terminal.

use std::time::Instant;

use expectrl::Expect as _;
use expectrl::process::Termios as _;
use expectrl::session::OsSession;

use super::PATIENCE;

/// Types a secret once nothing is echoed any more: what is typed before that is thrown away by the terminal. To be used where
/// the terminal echoes first.
pub(crate) fn type_secret(session: &mut OsSession, prompt: &str, secret: &str) {
    session.expect(prompt).unwrap();
    let start = Instant::now();
    while session.get_process().is_echo().unwrap() {
        assert!(start.elapsed() < PATIENCE, "the terminal still echoes");
        std::thread::yield_now();
    }
    session.send_line(secret).unwrap();
}
