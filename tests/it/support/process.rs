//! A child process whose output is collected while it runs, and which never outlives its test.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;

/// A running process.
pub(crate) struct Process {
    child: Child,
    pub(crate) out: Collected,
    pub(crate) err: Collected,
}

/// How a process ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_remove("NO_COLOR").env("TERM", "dumb");
        let mut child = command.spawn().unwrap();
        let out = Collected::from(child.stdout.take().unwrap());
        let err = Collected::from(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(mut self) -> Ended {
        self.err.wait("the end of the process", |text| text.closed.then_some(()));
        let status = self.child.wait().unwrap();
        self.out.wait("the end of the output", |text| text.closed.then_some(()));
        Ended { status, out: self.out.text(), err: self.err.text() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process has written so far.
#[derive(Clone)]
pub(crate) struct Collected(Arc<(Mutex<Text>, Condvar)>);

#[derive(Default)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) closed: bool,
}

impl Collected {
    fn from(mut stream: impl Read + Send + 'static) -> Self {
        let collected = Self(Arc::default());
        let shared = Arc::clone(&collected.0);
        thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            loop {
                let count = stream.read(&mut buffer).unwrap_or(0);
                let mut text = shared.0.lock().unwrap();
                text.text.push_str(&String::from_utf8_lossy(&buffer[..count]));
                text.closed = count == 0;
                shared.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        collected
    }

    /// Waits until `look` finds what it looks for.
    pub(crate) fn wait<T>(&self, what: &str, mut look: impl FnMut(&Text) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut text = self.0.0.lock().unwrap();
        loop {
            if let Some(found) = look(&text) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}; so far:\n{}", text.text);
            text = self.0.1.wait_timeout(text, left).unwrap().0;
        }
    }

    /// Waits until `done`, but no longer than `patience`.
    pub(crate) fn wait_for(&self, patience: Duration, mut done: impl FnMut(&Text) -> bool) {
        let text = self.0.0.lock().unwrap();
        drop(self.0.1.wait_timeout_while(text, patience, |text| !done(text)).unwrap());
    }

    /// Waits for a whole line that contains all of `parts`, and returns it.
    pub(crate) fn line(&self, parts: &[&str]) -> String {
        self.wait(&format!("a line with {parts:?}"), |text| {
            let whole = text.text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let found = whole.map(str::trim_end).find(|line| parts.iter().all(|part| line.contains(part)));
            assert!(found.is_some() || !text.closed, "no line with {parts:?} in:\n{}", text.text);
            found.map(str::to_owned)
        })
    }

    pub(crate) fn text(&self) -> String {
        self.0.0.lock().unwrap().text.clone()
    }
}
