//! Judges every step of the hub by what it was told.

use rsachat::hub::{Input, Output};
use rsachat::journal::StoreCommand;
use rsachat::model::{Fingerprint, PostToken, SessionId, UserName};
use rsachat::proto::message::{PREFIX_BYTES, Reply, Request, RequestId, ServerMessage};

use super::disk::Disk;
use super::process::Process;
use super::said::Said;
use super::world::Seen;

impl Process {
    /// Notes what the hub is about to be told.
    pub(super) fn before(&mut self, input: &Input) {
        match input {
            Input::Registered { user, fingerprint } => {
                self.registered.insert(*user, *fingerprint);
                self.bar(|(of, key)| of == user && key != fingerprint);
            }
            Input::Unregistered { user } => {
                self.registered.remove(user);
                self.bar(|(of, _)| of == user);
            }
            Input::Opened { session, user, fingerprint, .. } => {
                if self.registered.get(user) == Some(fingerprint) {
                    self.sessions.insert(*session, (*user, *fingerprint));
                } else {
                    self.barred.insert(*session, self.outputs);
                }
            }
            Input::Request { session, id, request }
                if self.sessions.contains_key(session) && !self.told_to_close.contains(session) =>
            {
                let post = match request {
                    Request::Post(post) => Some(post.message),
                    _ => None,
                };
                assert_eq!(self.open.insert((*session, *id), post), None, "a request's id is used twice");
            }
            Input::Gone { session } => {
                self.sessions.remove(session);
                self.forget_requests(*session);
            }
            _ => {}
        }
    }

    fn bar(&mut self, concerns: impl Fn(&(UserName, Fingerprint)) -> bool) {
        let out = self.sessions.iter().filter(|(_, session)| concerns(session)).map(|(id, _)| (*id, self.outputs));
        out.for_each(|(id, since)| {
            self.barred.entry(id).or_insert(since);
        });
    }

    fn forget_requests(&mut self, session: SessionId) {
        self.open.retain(|(of, _), _| *of != session);
    }

    /// Judges what the hub wants done.
    pub(super) fn judge(&mut self, output: &Output, disk: &Disk, said: &mut Said, seen: &mut Seen) {
        match output {
            Output::To { session, bytes } => {
                assert!(!self.barred.contains_key(session), "{session:?} is out, and is told something");
                assert!(self.sessions.contains_key(session), "{session:?} is unknown, and is told something");
                assert!(!self.told_to_close.contains(session), "something after the close of {session:?}");
                for message in decode(bytes) {
                    match message {
                        ServerMessage::Reply(id, reply) => self.answered(*session, id, &reply, disk, seen),
                        ServerMessage::Part(id, _) => {
                            assert!(self.open.contains_key(&(*session, id)), "a part of no answer");
                        }
                        _ => {}
                    }
                }
            }
            Output::ToRoom { bytes, .. } => {
                for message in decode(bytes) {
                    if let ServerMessage::Message(message) = message {
                        assert_eq!(message.seq, self.last.next(), "a number was left out or used twice");
                        self.last = message.seq;
                        said.add(self.incarnation, message, &self.registered);
                    }
                }
            }
            Output::Enter { session, .. } => {
                assert!(self.sessions.contains_key(session) && !self.barred.contains_key(session));
            }
            Output::Close { session, .. } => {
                self.told_to_close.insert(*session);
                self.forget_requests(*session);
            }
            Output::Store(StoreCommand::Append { record, .. }) => {
                assert_eq!(record.seq, self.last, "stored under another number than said");
            }
            Output::Store(StoreCommand::Lookup { token: PostToken(_), .. })
            | Output::Console(_)
            | Output::Log(_)
            | Output::Stopped => {}
        }
    }

    fn answered(&mut self, session: SessionId, id: RequestId, reply: &Reply, disk: &Disk, seen: &mut Seen) {
        let asked = self.open.remove(&(session, id));
        let asked = asked.unwrap_or_else(|| panic!("{session:?} got an answer to {id} twice, or to no request"));
        match reply {
            Reply::Accepted(accepted) => {
                let (user, _) = self.sessions[&session];
                let message = asked.expect("only posts are accepted");
                let place = disk.find(user, message);
                assert_eq!(place, Some((accepted.seq, accepted.time)), "acknowledged and not on disk");
            }
            Reply::Joined(joined) => {
                seen.pages += u32::from(!joined.caught_up);
                seen.gone += u32::from(joined.gone > 0);
                seen.withdrawals += u32::from(joined.withdrawn_after.is_some());
            }
            Reply::HistoryEnd(end) => seen.more += u32::from(end.more),
            Reply::Error(refused) => *seen.refusals.entry(format!("{:?}", refused.code)).or_default() += 1,
            _ => {}
        }
    }
}

/// The messages in a buffer.
fn decode(mut bytes: &[u8]) -> Vec<ServerMessage> {
    let mut messages = Vec::new();
    while let Some((&[a, b, c], rest)) = bytes.split_first_chunk::<PREFIX_BYTES>() {
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        messages.push(ServerMessage::decode(&rest[..length]).unwrap());
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty(), "half a message");
    messages
}
