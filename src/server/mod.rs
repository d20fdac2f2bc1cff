//! The server: the hub and the protocol on real sockets, threads and disks.
//!
//! ```text
//! reactors   each an event loop over its own connections            reactor.rs, connection.rs, turn.rs
//! acceptor   takes new connections for them                         acceptor.rs, admission.rs
//! workers    RSA and X-Wing operations of handshakes, invitations   workers.rs, context.rs, enrolment.rs
//! store      one thread that writes messages to the database        crate::store
//! watcher    one thread that watches the keys directory             crate::keys::watch
//! ```
//!
//! They meet in the `Switchboard` (effects.rs), which holds the hub. Whoever starts a [`Server`] decides what
//! to do about signals and the operator's terminal; nothing here does.

mod acceptor;
mod admission;
mod connection;
mod context;
mod effects;
mod enrolment;
mod listen;
mod mailbox;
mod message_log;
mod outbox;
mod pacing;
mod reactor;
mod session_ids;
mod strangers;
mod ticks;
mod workers;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Poll, Waker};

use admission::{Admission, Bounds};
use context::Contexts;
use effects::Switchboard;
use enrolment::Enrolment;
pub use listen::ListenError;
pub(crate) use listen::raise_file_limit;
use mailbox::{Mail, Mailbox};
pub use message_log::OpenError as MessageLogError;
use reactor::{Reactor, Shared, WAKER};
use workers::Workers;

use crate::config::ServerConfig;
use crate::crypto::rsa::{PrivateKey, PublicKey};
use crate::hub::{self, ConsoleCommand, Hub, Input};
use crate::keys::registry::{Change, Loaded};
use crate::keys::watch::{Update, Watch};
use crate::model::{Fingerprint, Timestamp, UserName};
use crate::proto::handshake::client::SOFTWARE;
use crate::proto::link::Limits;
use crate::proto::message::longest_request;
use crate::store::{self, OpenError, Running, Store};
use crate::term::sanitise;

/// What a server starts with.
pub struct Options<'a> {
    /// Its settings.
    pub config: &'a ServerConfig,
    /// Its key.
    pub key: PrivateKey,
    /// The directory of the registered keys.
    pub keys: &'a Path,
    /// What is in it.
    pub registered: Loaded,
    /// The directory of the invitations.
    pub invites: &'a Path,
    /// The messages.
    pub database: &'a Path,
    /// The keys of resumption tickets.
    pub ticket_keys: &'a Path,
    /// Where the message log is, if there is one.
    pub directory: &'a Path,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It can't listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Its database is not usable.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Its message log can't be written.
    #[error(transparent)]
    MessageLog(#[from] message_log::OpenError),
    /// The system gives it no threads or no poll.
    #[error("the system gives the server no thread or poll: {0}")]
    System(#[source] io::Error),
}

/// What a running server tells.
#[derive(Debug)]
pub enum Event {
    /// A line for the operator's terminal.
    Console(String),
    /// A shutdown has begun.
    Stopping,
    /// A shutdown is complete: nobody is connected, and all that was accepted is on disk.
    Stopped,
    /// A thread that the server can't do without has ended.
    Failed(String),
}

/// Says so if the thread that holds it panics: a server that has lost one must not go on as if nothing were.
struct Alarm {
    thread: &'static str,
    tell: Sender<Event>,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Nobody listens any more once the server has ended.
            let _ = self.tell.send(Event::Failed(format!("a thread of the server has panicked ({})", self.thread)));
        }
    }
}

/// Tells a running server what to do.
#[derive(Clone)]
pub struct Control(Arc<Shared>);

/// A running server.
pub struct Server {
    shared: Arc<Shared>,
    contexts: Arc<Contexts>,
    addresses: Vec<SocketAddr>,
    events: Receiver<Event>,
    threads: Vec<JoinHandle<()>>,
    store: Running,
    message_log: Option<message_log::Running>,
    watch: Watch,
}

impl Control {
    /// Does what the operator typed.
    pub fn console(&self, command: ConsoleCommand) {
        self.0.switchboard.step(None, [Input::Console(command)]);
    }

    /// Has the message log go on in what its name stands for now: after somebody has moved the file away.
    pub fn reopen_message_log(&self) {
        self.0.switchboard.reopen_message_log();
    }

    /// Begins to end the server; [`Event::Stopping`] and [`Event::Stopped`] follow.
    pub fn shut_down(&self, reason: &str) {
        self.0.switchboard.step(None, [Input::Shutdown { reason: reason.to_owned() }]);
    }
}

impl Server {
    /// Opens the database, listens, and serves.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub fn start(options: Options<'_>) -> Result<Self, StartError> {
        let Options { config, key, keys, registered, invites, database, ticket_keys, directory } = options;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = |wanted: Option<NonZeroU32>| wanted.map_or(cores, |threads| threads.get() as usize);
        let reactors = count(config.reactors).min(session_ids::MAX_REACTORS);

        raise_file_limit(config.max_connections);
        let listeners = listen::listen(&config.listen())?;
        let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let settings = store::Settings {
            path: database.to_owned(),
            window: config.history_limit,
            window_bytes: hub::WINDOW_BYTES,
            keep: config.history_keep,
            direct_days: config.direct_days,
        };
        let (store, restored) = Store::open(&settings, Timestamp::now())?;
        // Nothing is asked of the store before all is in place, and so nothing is told.
        let reports: Arc<OnceLock<Arc<Shared>>> = Arc::default();
        let reported = Arc::clone(&reports);
        let (tell, events) = channel();
        let alarm = |thread| Alarm { thread, tell: tell.clone() };
        let held = alarm("store");
        let store = store.start(move |event| {
            let _ = &held;
            if let Some(shared) = reported.get() {
                shared.switchboard.step(None, [Input::Store(event)]);
            }
        });
        let store = store.map_err(StartError::System)?;

        let enrolment = Enrolment::new(invites, keys);
        enrolment.are_registered(&registered.registry);
        let contexts = Arc::new(Contexts::new(key, Arc::new(registered.registry.clone()), enrolment, ticket_keys));
        let mut polls = Vec::new();
        let mut mailboxes = Vec::new();
        for _ in 0..reactors {
            let poll = Poll::new().map_err(StartError::System)?;
            let waker = Waker::new(poll.registry(), WAKER).map_err(StartError::System)?;
            mailboxes.push(Arc::new(Mailbox::new(waker)));
            polls.push(poll);
        }

        let hub = Hub::new(hub_settings(config), restored);
        let message_log = config
            .message_log
            .as_ref()
            .map(|settings| message_log::Running::start(settings, directory, alarm("message log")))
            .transpose()?;
        let recorder = message_log.as_ref().map(message_log::Running::recorder);
        let switchboard = Switchboard::new(hub, mailboxes.clone(), store.sender(), tell.clone(), recorder);
        let users = registered.registry.iter();
        switchboard.step(None, users.map(|(user, key)| registered_with(user, key)));
        let (workers, threads) =
            Workers::start(count(config.workers), &contexts, || alarm("worker")).map_err(StartError::System)?;
        let shared = Arc::new(Shared {
            switchboard,
            workers,
            admission: Admission::new(Bounds {
                connections: config.max_connections,
                connections_per_address: config.max_connections_per_address,
                handshakes_per_second_per_address: config.handshakes_per_second_per_address,
                handshake_burst_per_address: config.handshake_burst_per_address,
            }),
            limits: Arc::new(limits(config)),
            public_key: contexts.public_key().spki_der().into(),
            outbound_queue_bytes: config.outbound_queue_bytes,
            mailboxes,
        });

        let _ = reports.set(Arc::clone(&shared));
        let (updated, admitting) = (Arc::clone(&shared), Arc::clone(&contexts));
        let held = alarm("watcher of the keys directory");
        let watch = Watch::start(keys, &registered, move |update| {
            let _ = &held;
            apply(update, &updated, &admitting);
        })
        .map_err(StartError::System)?;
        contexts.registered.enrolment.noticed_by(watch.looker());
        let mut server = Self { shared, contexts, addresses, events, threads, store, message_log, watch };
        match server.start_reactors(polls, listeners, &tell) {
            Ok(()) => Ok(server),
            Err(error) => {
                server.end();
                Err(StartError::System(error))
            }
        }
    }

    fn start_reactors(
        &mut self,
        polls: Vec<Poll>,
        mut listeners: Vec<TcpListener>,
        tell: &Sender<Event>,
    ) -> io::Result<()> {
        for (index, poll) in polls.into_iter().enumerate() {
            // The first accepts for all.
            let listeners = std::mem::take(&mut listeners);
            let reactor = Reactor::new(index, Arc::clone(&self.shared), poll, listeners)?;
            let alarm = Alarm { thread: "reactor", tell: tell.clone() };
            self.threads.push(std::thread::Builder::new().name(format!("reactor-{index}")).spawn(move || {
                if let Err(error) = reactor.run() {
                    // Nobody listens any more once the server has ended.
                    let _ = alarm.tell.send(Event::Failed(format!("an event loop has failed: {error}")));
                }
            })?);
        }
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Of its key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.contexts.public_key().fingerprint()
    }

    /// For those who tell it what to do.
    #[must_use]
    pub fn control(&self) -> Control {
        Control(Arc::clone(&self.shared))
    }

    /// What it has to tell, waiting for at most `patience`.
    #[must_use]
    pub fn next_event(&self, patience: Duration) -> Option<Event> {
        self.contexts.rotate_tickets();
        self.events.recv_timeout(patience).ok()
    }

    /// Ends all threads. To be called after [`Event::Stopped`], or when there is no more time to wait for that; what was
    /// accepted is on disk in either case.
    pub fn end(self) {
        drop(self.watch);
        for mailbox in &self.shared.mailboxes {
            mailbox.post(Mail::Stop);
        }
        self.shared.workers.close();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread has panicked");
            }
        }
        if let Err(error) = self.store.stop() {
            tracing::error!(%error, "what was not acknowledged is lost");
        }
        if let Some(message_log) = self.message_log {
            message_log.stop();
        }
    }
}

/// The keys directory has changed. Those who handshake from now on find the new registry before the hub ends the
/// sessions of those who are no longer in it, so that nobody slips in between.
fn apply(update: Update, shared: &Shared, contexts: &Contexts) {
    contexts.register(Arc::clone(&update.registry));
    if update.changes.iter().any(|change| !matches!(change, Change::Added { .. })) {
        // Else the tickets of a key that was removed would be good again when it comes back.
        contexts.revoke_tickets();
    }
    for refusal in &update.refusals {
        // Whoever may write there names the files.
        let [file, reason] = [refusal.path.display().to_string(), refusal.reason.to_string()];
        tracing::warn!(file = &*sanitise(&file), reason = &*sanitise(&reason), "key file refused");
    }
    let inputs = update.changes.into_iter().map(|change| {
        let user = change.user();
        if !matches!(change, Change::Removed { .. }) {
            contexts.registered.enrolment.is_registered(&user);
        }
        match change {
            Change::Added { key, .. } => {
                tracing::info!(%user, fingerprint = %key.fingerprint(), "user registered");
                registered_with(user, &key)
            }
            Change::Replaced { key, .. } => {
                tracing::info!(%user, fingerprint = %key.fingerprint(), "user's key replaced");
                registered_with(user, &key)
            }
            Change::Removed { .. } => {
                tracing::info!(%user, "user removed");
                Input::Unregistered { user }
            }
        }
    });
    shared.switchboard.step(None, inputs.collect::<Vec<_>>());
}

fn registered_with(user: UserName, key: &PublicKey) -> Input {
    Input::Registered { user, fingerprint: key.fingerprint(), spki: Arc::from(key.spki_der()) }
}

fn hub_settings(config: &ServerConfig) -> hub::Settings {
    hub::Settings {
        server: SOFTWARE.to_owned(),
        connections_per_user: config.max_connections_per_user,
        message_bytes: config.message_bytes,
        message_rate: config.message_rate,
        message_burst: config.message_burst,
        direct_quota: config.direct_quota,
        history_limit: config.history_limit,
        join_backlog: config.join_backlog,
        default_rooms: config.default_rooms.clone(),
        records: config.message_log.is_some(),
        creation: config.room_creation,
        max_rooms: config.max_rooms,
        max_rooms_per_user: config.max_rooms_per_user,
        admins: config.admins.clone(),
    }
}

fn limits(config: &ServerConfig) -> Limits {
    Limits {
        handshake_bytes: config.handshake_bytes,
        handshake: config.handshake_time,
        message_bytes: longest_request(config.message_bytes as usize),
        // Clients ask first, after less silence; a server that still hears nothing asks too.
        ping: config.idle_time * 3 / 5,
        idle: config.idle_time,
        linger: Duration::from_secs(2),
    }
}
