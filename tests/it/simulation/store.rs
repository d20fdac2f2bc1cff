//! What the store's thread does: group commits that take their time, fail for a while, and are lost with the server.

use std::time::Duration;

use rsachat::hub::Input;
use rsachat::journal::{StoreCommand, StoreEvent};

use super::plan::{Fault, up_to};
use super::world::{Happening, World};

/// How long the thread waits before it tries a failed batch again.
const RETRY: Duration = Duration::from_secs(1);
/// Most commands in one transaction.
const BATCH: usize = 1024;

impl World {
    /// There is something for the store, or there may be.
    pub(super) fn wake_store(&mut self) {
        let Some(process) = &mut self.process else { return };
        let (run, store) = (process.run, &mut process.store);
        if store.busy || store.failing || !store.reports.is_empty() || store.waiting.is_empty() {
            return;
        }
        store.busy = true;
        store.batch = store.waiting.drain(..store.waiting.len().min(BATCH)).collect();
        let takes = self.takes(self.plan.commit);
        self.at_in(takes, Happening::Commit { run });
        if self.happens_here(Fault::Crash, 0.05) {
            let late = up_to(&mut self.rng, takes * 2);
            self.at_in(late, Happening::Crash { run });
        }
    }

    /// A transaction ends.
    pub(super) fn commit(&mut self, run: u64) {
        let Some(process) = self.process.as_mut().filter(|process| process.run == run) else { return };
        let store = &mut process.store;
        store.busy = false;
        if self.disk.full {
            self.seen.failed_commits += 1;
            if !std::mem::replace(&mut store.failing, true) {
                store.reports.push_back(StoreEvent::Failing { text: "the disk is full".to_owned() });
            }
            // Those that only read are answered all the same.
            let disk = &self.disk;
            store.batch.retain(|command| match command {
                StoreCommand::Read { token, span } => {
                    store.reports.push_back(disk.read(*token, span));
                    false
                }
                _ => true,
            });
            self.at_in(RETRY, Happening::Retry { run });
        } else {
            let batch = std::mem::take(&mut store.batch);
            if std::mem::take(&mut store.failing) {
                store.reports.push_back(StoreEvent::Recovered);
            }
            store.reports.extend(self.disk.commit(&batch, self.plan.keep));
            self.committed(&batch);
        }
        self.at(self.now, Happening::Report { run });
    }

    /// The store tries again what it could not do, and what came meanwhile.
    pub(super) fn retry(&mut self, run: u64) {
        let Some(process) = self.process.as_mut().filter(|process| process.run == run) else { return };
        let store = &mut process.store;
        let more = store.waiting.drain(..store.waiting.len().min(BATCH.saturating_sub(store.batch.len())));
        store.batch.extend(more);
        store.busy = true;
        let takes = self.takes(self.plan.commit);
        self.at_in(takes, Happening::Commit { run });
    }

    /// The store tells one thing after the other; others may come between.
    pub(super) fn report(&mut self, run: u64) {
        let Some(process) = self.process.as_mut().filter(|process| process.run == run) else { return };
        if let Some(report) = process.store.reports.pop_front() {
            self.step(None, vec![Input::Store(report)]);
            self.end_if_stopped();
            let late = up_to(&mut self.rng, Duration::from_millis(2));
            self.at_in(late, Happening::Report { run });
        } else {
            self.wake_store();
        }
    }

    /// The server ends as it should: what waits is committed, if the disk takes it.
    pub(super) fn stop_store(&mut self) {
        let Some(process) = &mut self.process else { return };
        let store = &mut process.store;
        let batch: Vec<StoreCommand> = store.batch.drain(..).chain(store.waiting.drain(..)).collect();
        if !self.disk.full {
            self.disk.commit(&batch, self.plan.keep);
            self.committed(&batch);
        }
    }

    /// kill -9: a transaction under way is on the disk, or it isn't.
    pub(super) fn crash_store(&mut self, is_on_disk: bool) {
        let Some(process) = &mut self.process else { return };
        if process.store.busy && !self.disk.full && is_on_disk {
            let batch = std::mem::take(&mut process.store.batch);
            self.disk.commit(&batch, self.plan.keep);
            self.committed(&batch);
            self.seen.committed_untold += u32::from(!batch.is_empty());
        }
    }

    /// Checks what is on the disk now.
    fn committed(&mut self, batch: &[StoreCommand]) {
        for command in batch {
            match command {
                StoreCommand::Append { record, .. } => {
                    self.say(|| format!("    on disk: {} {} of {}", record.seq, record.message, record.sender));
                    let stored = self.disk.at(record.seq).map(|(_, stored)| stored);
                    assert_eq!(stored, Some(record), "a gap or a repeat in what is stored");
                    let first = self.disk.find(record.sender, record.message).map(|(seq, _)| seq);
                    assert_eq!(first, Some(record.seq), "{} is stored twice", record.message);
                }
                StoreCommand::Lookup { user, message, .. } => {
                    self.seen.lookups += 1;
                    self.seen.found += u32::from(self.disk.find(*user, *message).is_some());
                }
                StoreCommand::Read { .. } => self.seen.reads += 1,
                StoreCommand::Change { .. } | StoreCommand::ReadKeys { .. } | StoreCommand::ReadRoster { .. } => {
                    panic!("nobody decides anything")
                }
            }
        }
    }
}
