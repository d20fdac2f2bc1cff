//! Users and their sessions: who may be here, who is, and who has to go.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::io::{ConsoleCommand, LogEvent, Output};
use super::limits::{Bucket, Reading};
use super::shutdown::Phase;
use super::{At, Hub, PEOPLE, Record};
use crate::model::{Fingerprint, MessageId, RoomName, SessionId, Timestamp, UserName};
use crate::proto::close::{CloseCode, CloseReason};
use crate::proto::message::{ErrorCode, ServerMessage, Welcome};

/// Longest part of a client's description of itself that is kept, bytes.
const CLIENT_BYTES: usize = 64;

/// A registered user, or one who is no longer and whose posts still wait for the store.
#[derive(Debug, Default)]
pub(super) struct User {
    /// Of the registered key.
    pub(super) key: Option<Fingerprint>,
    /// The last registered key, as DER SubjectPublicKeyInfo.
    pub(super) spki: Arc<[u8]>,
    /// The user's sessions, oldest first, with when they began.
    pub(super) sessions: BTreeMap<u64, (SessionId, Timestamp)>,
    /// What the user may post.
    pub(super) posting: Bucket,
    /// What the user may read, over all sessions.
    pub(super) reading: Reading,
    /// What the user asks for and is refused, over all sessions.
    pub(super) refused: Bucket,
    /// Answers to posts that wait for the store.
    pub(super) unacknowledged: u32,
    /// Pages that wait for the store.
    pub(super) reads: u32,
    /// The key in `sessions` of the newest one that has posted a retry.
    pub(super) retried: u64,
}

impl User {
    /// Since when the user is connected.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.sessions.first_key_value().map(|(_, &(_, since))| since)
    }

    /// How many connections the user has.
    pub(super) fn session_count(&self) -> u32 {
        u32::try_from(self.sessions.len()).unwrap_or(u32::MAX)
    }
}

/// A connection that authenticated.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) user: UserName,
    /// Its key in [`User::sessions`].
    pub(super) opened: u64,
    /// Software and version, as the client says; printable.
    pub(super) client: Box<str>,
    /// The rooms it is in.
    pub(super) rooms: Vec<RoomName>,
    /// The last post in each room that was refused for now.
    pub(super) put_off: Vec<(RoomName, MessageId)>,
    /// Refusals that are in the log already.
    pub(super) logged: Vec<ErrorCode>,
    /// Nobody is at it, as its client says.
    pub(super) idle: bool,
    /// An invitation that it asked for is being made.
    pub(super) inviting: bool,
}

impl Hub {
    pub(super) fn registered(&mut self, user: UserName, fingerprint: Fingerprint, spki: Arc<[u8]>, at: At) {
        let known = self.users.entry(user).or_default();
        known.spki = spki;
        let before = known.key.replace(fingerprint);
        if before.is_some_and(|before| before != fingerprint) {
            self.close_for_key(user, "your key was replaced by another one in the server's keys directory", at);
        }
        if before != Some(fingerprint) {
            self.tell_key_changed(user);
        }
    }

    pub(super) fn unregistered(&mut self, user: UserName, at: At) {
        let Some(known) = self.users.get_mut(&user) else { return };
        let was_registered = known.key.take().is_some();
        self.close_for_key(user, "your key was removed from the server's keys directory", at);
        if was_registered {
            // Nothing is sealed to him any more.
            self.tell_key_changed(user);
        }
        self.forget_if_idle(user);
    }

    fn close_for_key(&mut self, user: UserName, text: &str, at: At) {
        let sessions = self.close_user(user, &CloseReason::new(CloseCode::KeyRemoved, text), at);
        if sessions > 0 {
            self.log(LogEvent::KeyRemoved { user, sessions });
        }
    }

    pub(super) fn opened(
        &mut self,
        session: SessionId,
        user: UserName,
        fingerprint: Fingerprint,
        client: &str,
        at: At,
    ) {
        if self.closing.contains(&session) || self.sessions.contains_key(&session) {
            return;
        }
        if let Some(reason) = self.why_refuse(user, fingerprint, at.wall) {
            self.closing.insert(session);
            self.log(LogEvent::SessionRefused { session, user, reason: reason.clone() });
            self.outputs.push_back(Output::Close { session, reason });
            return;
        }
        let before = self.status(user, at.wall);
        self.opened += 1;
        let opened = self.opened;
        let mut oldest = None;
        if let Entry::Occupied(mut known) = self.users.entry(user) {
            let sessions = &mut known.get_mut().sessions;
            sessions.insert(opened, (session, at.wall));
            let too_many = sessions.len() > self.settings.connections_per_user as usize;
            oldest = sessions.first_key_value().map(|(_, &(oldest, _))| oldest).filter(|_| too_many);
        }
        self.online.insert(user);
        let client: Box<str> =
            client.chars().filter(char::is_ascii_graphic).take(CLIENT_BYTES).collect::<String>().into();
        let (rooms, put_off, logged) = (Vec::new(), Vec::new(), Vec::new());
        let new =
            Session { user, opened, client: Box::clone(&client), rooms, put_off, logged, idle: false, inviting: false };
        self.sessions.insert(session, new);
        self.record(|| Record::Connected { session, user, client });
        self.compare_status(user, &before, at);
        self.send(
            session,
            &ServerMessage::Welcome(Welcome {
                server: self.settings.server.clone(),
                user,
                admin: self.settings.admins.contains(&user),
                incarnation: self.incarnation,
                time: at.wall,
                message_bytes: self.settings.message_bytes,
                history_limit: self.settings.history_limit,
                rooms: self.rooms_of(user),
                waiting: self.waiting_for(user),
            }),
        );
        if let Some(oldest) = oldest {
            // Most likely one whose other end is gone.
            let text = format!("you have more than {} connections", self.settings.connections_per_user);
            self.close(oldest, CloseReason::new(CloseCode::Kicked, text), at);
        }
    }

    /// The rooms that a user is in: first those that everyone is in.
    fn rooms_of(&self, user: UserName) -> Vec<RoomName> {
        let own = self.memberships.get(&user).into_iter().flatten();
        self.settings.default_rooms.iter().chain(own).copied().collect()
    }

    fn why_refuse(&self, user: UserName, fingerprint: Fingerprint, wall: Timestamp) -> Option<CloseReason> {
        if self.phase != Phase::Running {
            return Some(CloseReason::new(CloseCode::Shutdown, "the server is ending"));
        }
        if let Some(how_long) = self.banned.in_force(user, wall) {
            return Some(CloseReason::new(CloseCode::Kicked, format!("you are banned from this server {how_long}")));
        }
        // The keys directory may have changed while the handshake was under way.
        let key = self.users.get(&user).and_then(|user| user.key);
        (key != Some(fingerprint))
            .then(|| CloseReason::new(CloseCode::KeyRemoved, "your key is no longer in the server's keys directory"))
    }

    pub(super) fn gone(&mut self, session: SessionId, at: At) {
        if !self.closing.remove(&session) {
            self.remove_session(session, at);
        }
    }

    /// Tells a session to close; from here on nothing it asks is heard.
    pub(super) fn close(&mut self, session: SessionId, reason: CloseReason, at: At) {
        if self.remove_session(session, at) {
            self.closing.insert(session);
            self.outputs.push_back(Output::Close { session, reason });
        }
    }

    pub(super) fn close_user(&mut self, user: UserName, reason: &CloseReason, at: At) -> usize {
        let Some(known) = self.users.get(&user) else { return 0 };
        let sessions: Vec<SessionId> = known.sessions.values().map(|&(session, _)| session).collect();
        for session in &sessions {
            self.close(*session, reason.clone(), at);
        }
        sessions.len()
    }

    fn remove_session(&mut self, session: SessionId, at: At) -> bool {
        let Some(before) = self.sessions.get(&session).map(|session| self.status(session.user, at.wall)) else {
            return false;
        };
        let Some(Session { user, opened, rooms, .. }) = self.sessions.remove(&session) else { return false };
        self.record(|| Record::Disconnected { session, user });
        for name in rooms {
            if let Some(room) = self.rooms.get_mut(&name) {
                room.leave(user);
                self.presence_changed(name, at.now);
                self.tidy_direct(name);
            }
        }
        if let Some(known) = self.users.get_mut(&user) {
            known.sessions.remove(&opened);
            if known.sessions.is_empty() {
                self.online.remove(&user);
            }
        }
        self.compare_status(user, &before, at);
        self.forget_if_idle(user);
        true
    }

    /// Forgets a user who is not registered and for whom nothing is under way any more.
    pub(super) fn forget_if_idle(&mut self, user: UserName) {
        if let Entry::Occupied(known) = self.users.entry(user) {
            let User { key, sessions, unacknowledged, .. } = known.get();
            if key.is_none() && sessions.is_empty() && *unacknowledged == 0 {
                known.remove();
            }
        }
    }

    pub(super) fn console(&mut self, command: &ConsoleCommand, at: At) {
        match command {
            ConsoleCommand::List => self.list(at.wall),
            ConsoleCommand::Kick(user) => {
                let reason = CloseReason::new(CloseCode::Kicked, "the operator of the server closed your connection");
                let sessions = self.close_user(*user, &reason, at);
                if sessions == 0 {
                    self.say(format!("{user} is not connected; /list shows who is"));
                } else {
                    self.log(LogEvent::Kicked { user: *user, sessions });
                    self.say(format!("{user} is out: {} closed", count(sessions, "connection")));
                }
            }
            ConsoleCommand::Shutdown => self.begin_shutdown("by the operator".to_owned(), at),
        }
    }

    fn list(&mut self, wall: Timestamp) {
        let mut lines = Vec::new();
        for name in self.online.iter().take(PEOPLE) {
            let Some(user) = self.users.get(name) else { continue };
            let connections = count(user.sessions.len(), "connection");
            let since = elapsed(user.since().unwrap_or(wall), wall);
            let newest = user.sessions.last_key_value().and_then(|(_, (session, _))| self.sessions.get(session));
            let client = newest.map_or("", |session| &*session.client);
            lines.push(format!("{name:<32}  {connections}, {since}  {client}").trim_end().to_owned());
        }
        if self.online.len() > lines.len() {
            lines.push(format!("... and {} more", self.online.len() - lines.len()));
        }
        let connections = count(self.sessions.len(), "connection");
        lines.push(match self.online.len() {
            0 => "nobody is connected".to_owned(),
            users => format!("{}, {connections}", count(users, "user")),
        });
        for line in lines {
            self.say(line);
        }
    }

    fn say(&mut self, line: String) {
        self.outputs.push_back(Output::Console(line));
    }
}

pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn elapsed(since: Timestamp, wall: Timestamp) -> String {
    let seconds = wall.0.saturating_sub(since.0) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
