//! Carries out what the hub decides, and feeds it what happened: the one place where the hub, the store and the
//! reactors meet.
//!
//! Any thread may [`step`](Switchboard::step). The hub's lock is held while its outputs are queued, so that they reach
//! every reactor and the store in the order in which the hub gave them; nothing under the lock waits or grows with the
//! number of a room's members.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::Event;
use super::mailbox::{Mail, Mailbox};
use super::message_log::Recorder;
use super::session_ids::reactor_of;
use crate::hub::{Hub, Input, Invitation, LogEvent, Output};
use crate::model::Timestamp;
use crate::store;

/// Ties the hub to the rest of the server.
pub(super) struct Switchboard {
    hub: Mutex<Hub>,
    reactors: Vec<Arc<Mailbox>>,
    store: store::StoreSender,
    events: std::sync::mpsc::Sender<Event>,
    recorder: Option<Recorder>,
}

impl Switchboard {
    pub(super) fn new(
        hub: Hub,
        reactors: Vec<Arc<Mailbox>>,
        store: store::StoreSender,
        events: std::sync::mpsc::Sender<Event>,
        recorder: Option<Recorder>,
    ) -> Self {
        Self { hub: Mutex::new(hub), reactors, store, events, recorder }
    }

    /// Tells the hub what happened, and queues what follows. `own` is the reactor that this thread is: it looks into its
    /// mailbox anyway, and gets to know when the hub wants to be told that time has passed. For a thread that is none,
    /// the first reactor keeps that time.
    pub(super) fn step(&self, own: Option<usize>, inputs: impl IntoIterator<Item = Input>) -> Option<Instant> {
        let now = Instant::now();
        let wall = Timestamp::now();
        let mut outputs = Vec::new();
        let mut concerned = vec![false; self.reactors.len()];
        let mut logged = Vec::new();
        let mut commands = Vec::new();
        let mut hub = self.hub.lock().unwrap_or_else(PoisonError::into_inner);
        for input in inputs {
            hub.handle(input, now, wall);
        }
        while let Some(output) = hub.poll() {
            match output {
                Output::ToRoom { .. } => {
                    concerned.fill(true);
                    outputs.push(output);
                }
                Output::To { session, .. }
                | Output::Enter { session, .. }
                | Output::Exit { session, .. }
                | Output::Invite(Invitation { session, .. })
                | Output::Close { session, .. } => {
                    if let Some(concerned) = concerned.get_mut(reactor_of(session)) {
                        *concerned = true;
                    }
                    outputs.push(output);
                }
                Output::Store(command) => commands.push(command),
                Output::Log(event) => {
                    if let LogEvent::ShutdownBegun { .. } = event {
                        self.tell(Event::Stopping);
                    }
                    logged.push(event);
                }
                Output::Record(record) => {
                    if let Some(recorder) = &self.recorder {
                        recorder.write(wall, record);
                    }
                }
                Output::Console(line) => self.tell(Event::Console(line)),
                Output::Stopped => self.tell(Event::Stopped),
            }
        }
        let outputs: Arc<[Output]> = outputs.into();
        for (index, (mailbox, concerned)) in self.reactors.iter().zip(concerned).enumerate() {
            if concerned && mailbox.leave(Mail::Outputs(Arc::clone(&outputs))) && own != Some(index) {
                mailbox.wake();
            }
        }
        // After the reactors: woken first, the store's thread would take the core on which one of them could send, and
        // half a room would wait for a commit.
        self.store.send(commands);
        let due = hub.poll_timeout();
        drop(hub);
        logged.into_iter().for_each(log);
        if let (None, Some(due), Some(first)) = (own, due, self.reactors.first()) {
            first.post(Mail::HubDue(due));
        }
        due
    }

    /// The message log goes on in what its name stands for now.
    pub(super) fn reopen_message_log(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.reopen();
        }
    }

    fn tell(&self, event: Event) {
        // Nobody listens any more once the server has ended.
        let _ = self.events.send(event);
    }
}

fn log(event: LogEvent) {
    match event {
        LogEvent::SessionRefused { session, user, reason } => {
            tracing::warn!(session = session.0, %user, reason = reason.text, "session refused");
        }
        LogEvent::RequestRefused { session, user, code } => {
            tracing::info!(session = session.0, %user, ?code, "request refused");
        }
        LogEvent::KeyRemoved { user, sessions } => tracing::info!(%user, sessions, "key removed"),
        LogEvent::Kicked { user, sessions } => tracing::info!(%user, sessions, "kicked by the operator"),
        LogEvent::ShutdownBegun { by, sessions } => tracing::info!(by, sessions, "shutting down"),
        LogEvent::StoreFailing { text } => {
            tracing::error!(error = text, "messages can't be stored: new ones are refused until they can");
        }
        LogEvent::StoreRecovered => tracing::info!("messages can be stored again"),
    }
}
