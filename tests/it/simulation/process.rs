//! What a run of the server has in memory: all of it is gone after a crash. It behaves as the threads of `src/server` do
//! around the same hub and the same links.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use rsachat::hub::{Hub, Input, Output};
use rsachat::journal::{StoreCommand, StoreEvent};
use rsachat::model::{SessionId, UserName};
use rsachat::proto::close::CloseReason;
use rsachat::proto::frame::RECORD_BYTES;
use rsachat::proto::link::{Link, Server};

use super::judge::Judge;
use super::wire::WireId;

/// A run of the server.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) run: u64,
    pub(super) hub: Hub,
    pub(super) connections: BTreeMap<SessionId, Served>,
    pub(super) next_session: u64,
    pub(super) reactors: Vec<Reactor>,
    pub(super) store: StoreThread,
    /// It was told to end, and may take so long.
    pub(super) ending: Option<Instant>,
    pub(super) stopped: bool,
    pub(super) judge: Judge,
}

/// One of its threads for connections.
#[derive(Debug, Default)]
pub(super) struct Reactor {
    /// What the hub wants done, with the outputs' numbers.
    pub(super) mail: VecDeque<(u64, Output)>,
    /// It will look into its mailbox.
    pub(super) woken: bool,
    /// What it will tell the hub.
    pub(super) inputs: Vec<Input>,
    pub(super) dirty: BTreeSet<SessionId>,
    pub(super) paused: Option<Instant>,
}

/// Its thread for the store.
#[derive(Debug, Default)]
pub(super) struct StoreThread {
    pub(super) waiting: VecDeque<StoreCommand>,
    /// What is being committed, or was tried in vain.
    pub(super) batch: Vec<StoreCommand>,
    pub(super) busy: bool,
    pub(super) failing: bool,
    /// What it has done and not yet told.
    pub(super) reports: VecDeque<StoreEvent>,
}

/// A connection, as the server sees it.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) wire: WireId,
    pub(super) reactor: usize,
    pub(super) link: Link<Server>,
    pub(super) user: Option<UserName>,
    pub(super) in_room: bool,
    pub(super) serving: Serving,
    /// Messages that are not sealed yet, the first from `started` on.
    queue: VecDeque<Arc<[u8]>>,
    started: usize,
    /// Sealed, and not sent.
    pub(super) unsent: Vec<u8>,
}

/// Whether a connection is to go on.
#[derive(Debug)]
pub(super) enum Serving {
    Yes,
    /// It gets what is queued, then the reason, then it ends.
    Draining(CloseReason, Instant),
    /// It may hang up.
    Leaving(Instant),
}

impl Process {
    /// Which thread has a connection.
    pub(super) fn reactor_of(&self, session: SessionId) -> usize {
        usize::try_from(session.0).unwrap() % self.reactors.len()
    }
}

impl Served {
    pub(super) fn new(wire: WireId, reactor: usize, link: Link<Server>) -> Self {
        let (queue, unsent) = (VecDeque::new(), Vec::new());
        Self { wire, reactor, link, user: None, in_room: false, serving: Serving::Yes, queue, started: 0, unsent }
    }

    pub(super) fn is_serving(&self) -> bool {
        matches!(self.serving, Serving::Yes)
    }

    pub(super) fn deliver(&mut self, bytes: &Arc<[u8]>) {
        self.queue.push_back(Arc::clone(bytes));
    }

    pub(super) fn drop_queue(&mut self) {
        self.queue.clear();
        self.started = 0;
    }

    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Bytes that wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.unsent.len() + self.queue.iter().map(|bytes| bytes.len()).sum::<usize>() - self.started
    }

    /// Seals what fits into one record.
    pub(super) fn seal(&mut self) {
        let Self { link, queue, started, unsent, .. } = self;
        link.seal(unsent, |out| {
            let mut room = RECORD_BYTES;
            while let Some(first) = queue.front() {
                let rest = &first[*started..];
                let taken = &rest[..rest.len().min(room)];
                out.extend_from_slice(taken);
                room -= taken.len();
                if taken.len() < rest.len() {
                    *started += taken.len();
                    return;
                }
                queue.pop_front();
                *started = 0;
            }
        });
    }
}
