//! A server that does what it likes with what it has: it knows all that was sent to it, has a key of its own, and the help of
//! nobody. Each of its lies is one of those that SECURITY.md says are found out, or do no harm.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rsachat::crypto::rsa::PrivateKey;
use rsachat::e2e::{Change, Member, Roster};
use rsachat::model::{MessageId, UserName};
use rsachat::proto::message::{
    Act, Acted, Body, KeyChanged, Membership, Reply, Request, RequestId, ServerMessage, Stored,
};

use super::world::pick;

/// Of so many messages and requests one is lied about.
const ONE_IN: u32 = 12;

#[derive(Debug)]
pub(super) struct Liar {
    key: PrivateKey,
    users: Vec<UserName>,
    /// What was said, as it came.
    heard: Vec<Stored>,
    /// What is kept back, to come after what comes next.
    late: Vec<(UserName, ServerMessage)>,
    pub(super) told: u64,
}

impl Liar {
    /// One with this key, among these users.
    pub(super) fn new(key: PrivateKey, users: Vec<UserName>) -> Self {
        Self { key, users, heard: Vec::new(), late: Vec::new(), told: 0 }
    }

    fn lies(&mut self, rng: &mut StdRng) -> bool {
        let lies = rng.random_ratio(1, ONE_IN);
        self.told += u64::from(lies);
        lies
    }

    /// Says that something is done, and does nothing.
    pub(super) fn pretends(&mut self, rng: &mut StdRng, id: RequestId, request: &Request) -> Option<ServerMessage> {
        let decides =
            matches!(request, Request::Kick(_) | Request::Invite(_) | Request::HandOver(_) | Request::AddSenderKey(_));
        (decides && self.lies(rng)).then_some(ServerMessage::Reply(id, Reply::Done))
    }

    /// What a user gets instead of what is for him.
    pub(super) fn twists(
        &mut self,
        rng: &mut StdRng,
        user: UserName,
        messages: Vec<ServerMessage>,
    ) -> Vec<ServerMessage> {
        let mut twisted = Vec::new();
        for message in messages {
            if let ServerMessage::Message(said) | ServerMessage::Part(_, said) = &message {
                self.heard.push(said.clone());
            }
            if let ServerMessage::Welcome(_) | ServerMessage::Ticket(_) = message {
                // What was kept back is for a connection that is no more.
                self.late.retain(|(whose, _)| *whose != user);
                twisted.push(message);
            } else if rng.random_ratio(1, 4 * ONE_IN) {
                self.told += 1;
                self.late.push((user, message));
                continue;
            } else if self.lies(rng) {
                twisted.extend(self.twist(rng, user, message));
            } else {
                twisted.push(message);
            }
            twisted.extend(self.late.extract_if(.., |(whose, _)| *whose == user).map(|(_, message)| message));
        }
        twisted
    }

    fn twist(&mut self, rng: &mut StdRng, user: UserName, message: ServerMessage) -> Vec<ServerMessage> {
        match message {
            ServerMessage::Message(said) => {
                self.twist_said(rng, said).into_iter().map(ServerMessage::Message).collect()
            }
            ServerMessage::Part(id, said) => {
                // Of what is read back the numbers have to fit, else all of it is refused.
                let (room, seq) = (said.room, said.seq);
                let twisted = self.twist_said(rng, said).into_iter().take(1);
                twisted.map(|said| ServerMessage::Part(id, Stored { room, seq, ..said })).collect()
            }
            ServerMessage::Reply(id, reply) => vec![ServerMessage::Reply(id, self.twist_reply(rng, user, reply))],
            // Somebody says what he has not; or nothing comes.
            ServerMessage::Acted(Acted { room, .. }) => {
                let (by, other) = (pick(rng, &self.users), pick(rng, &self.users));
                let act = match rng.random_range(0..4) {
                    0 => return Vec::new(),
                    1 => Act::Invited { user: other },
                    2 => Act::Kicked { user: other, reason: None },
                    _ => Act::HandedOver { user: other },
                };
                vec![ServerMessage::Acted(Acted { room, by, act: Some(act) })]
            }
            ServerMessage::Membership(membership) => match rng.random_range(0..2) {
                0 => Vec::new(),
                _ => vec![ServerMessage::Membership(Membership { member: !membership.member, ..membership })],
            },
            other => match rng.random_range(0..3) {
                0 => Vec::new(),
                1 => vec![ServerMessage::KeyChanged(KeyChanged { user: pick(rng, &self.users) }), other],
                _ => vec![other],
            },
        }
    }

    /// Nothing, something else, or something more.
    fn twist_said(&self, rng: &mut StdRng, said: Stored) -> Vec<Stored> {
        let earlier = pick(rng, &self.heard.iter().collect::<Vec<_>>()[..]).clone();
        let forged = match rng.random_range(0..9) {
            0 => return Vec::new(),
            // Once more, as a new one.
            1 => {
                let again = Stored { seq: said.seq.next(), ..said.clone() };
                return vec![said, again];
            }
            2 => Stored { body: earlier.body, ..said },
            3 => Stored { body: earlier.body, message: earlier.message, sender: earlier.sender, ..said },
            4 => Stored { sender: pick(rng, &self.users), ..said },
            5 => Stored { message: MessageId(rng.random()), ..said },
            6 => Stored { room: earlier.room, ..said },
            7 => Stored { body: Some(Body::Text { text: "I agree".to_owned() }), ..said },
            _ => match said.body {
                Some(Body::Sealed { key, sealed }) => {
                    let mut bytes = sealed.to_vec();
                    let at = rng.random_range(0..bytes.len());
                    bytes[at] ^= 1 << rng.random_range(0..8);
                    Stored { body: Some(Body::Sealed { key, sealed: bytes.into() }), ..said }
                }
                body => Stored { body, ..said },
            },
        };
        vec![forged]
    }

    fn twist_reply(&mut self, rng: &mut StdRng, user: UserName, mut reply: Reply) -> Reply {
        match &mut reply {
            Reply::Keys(list) => {
                for key in &mut list.keys {
                    // Its own key in somebody's place.
                    if key.user != user && rng.random() {
                        key.key = self.key.public().spki_der().to_vec().into();
                    }
                }
            }
            Reply::SenderKeys(list) => match rng.random_range(0..4) {
                0 => list.keys.clear(),
                1 => list.keys.iter_mut().for_each(|key| key.part = None),
                2 => list.keys.iter_mut().for_each(|key| key.sender = pick(rng, &self.users)),
                _ => list.keys.iter_mut().for_each(|key| {
                    let mut head = key.head.to_vec();
                    let at = rng.random_range(0..head.len());
                    head[at] ^= 1;
                    key.head = head.into();
                }),
            },
            Reply::Roster(page) => match rng.random_range(0..4) {
                // Less than there is.
                0 => {
                    page.statements.pop();
                    page.length = page.length.saturating_sub(1);
                }
                // Somebody whom nobody has let in.
                1 => page.members.extend(self.users.iter().copied()),
                // A statement of its own, or of another room.
                2 => {
                    let ghost = Member { user: pick(rng, &self.users), key: self.key.public().fingerprint() };
                    let draft = Roster::new("#ghosts".parse().unwrap()).draft(Change::Found { owner: ghost });
                    page.statements.push(draft.sign(&self.key, rng).unwrap().into());
                    page.length += 1;
                }
                _ => {
                    page.members.pop();
                }
            },
            Reply::Joined(joined) => match rng.random_range(0..3) {
                0 => joined.info.roster = 0,
                1 => joined.info.roster += 1,
                _ => joined.info.owner = Some(pick(rng, &self.users)),
            },
            _ => {}
        }
        reply
    }
}
