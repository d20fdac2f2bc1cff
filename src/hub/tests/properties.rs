//! Anything, in any order. The world checks at every step what it says it checks.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Register(u8),
    Unregister(u8),
    ReplaceKey(u8),
    Open(u8),
    Gone(u8),
    Join(u8, Option<(u64, u64)>),
    CatchUp(u8),
    Adopt(u8, u8),
    Post(u8, u16),
    Retry(u8, u8),
    History(u8, Option<u64>, u32),
    People(u8),
    Whois(u8, u8),
    Unknown(u8),
    AskForEnd(u8),
    Store(u8),
    Failing,
    Recovered,
    StaleStored(u64),
    StaleFound(u64),
    Kick(u8),
    List,
    Pass(u16),
    Crash,
    Shutdown,
}

fn step() -> impl Strategy<Value = Step> {
    let session = 0..12u8;
    let user = 0..4u8;
    prop_oneof![
        2 => user.clone().prop_map(Step::Register),
        1 => user.clone().prop_map(Step::Unregister),
        1 => user.clone().prop_map(Step::ReplaceKey),
        6 => user.clone().prop_map(Step::Open),
        3 => session.clone().prop_map(Step::Gone),
        3 => (session.clone(), proptest::option::of((0..5u64, 0..40u64))).prop_map(|(s, a)| Step::Join(s, a)),
        8 => session.clone().prop_map(Step::CatchUp),
        4 => (session.clone(), any::<u8>()).prop_map(|(s, v)| Step::Adopt(s, v)),
        16 => (session.clone(), prop_oneof![8 => 0..5u16, 4 => Just(LONG), 1 => Just(LONG + 1)])
            .prop_map(|(s, l)| Step::Post(s, l)),
        6 => (session.clone(), any::<u8>()).prop_map(|(s, m)| Step::Retry(s, m)),
        2 => (session.clone(), proptest::option::of(0..40u64), 0..200u32).prop_map(|(s, b, l)| Step::History(s, b, l)),
        1 => session.clone().prop_map(Step::People),
        1 => (session.clone(), user.clone()).prop_map(|(s, u)| Step::Whois(s, u)),
        1 => session.clone().prop_map(Step::Unknown),
        1 => session.prop_map(Step::AskForEnd),
        10 => (1..6u8).prop_map(Step::Store),
        1 => Just(Step::Failing),
        2 => Just(Step::Recovered),
        1 => (0..60u64).prop_map(Step::StaleStored),
        1 => (0..60u64).prop_map(Step::StaleFound),
        1 => user.prop_map(Step::Kick),
        1 => Just(Step::List),
        8 => (0..400u16).prop_map(Step::Pass),
        1 => Just(Step::Crash),
        1 => Just(Step::Shutdown),
    ]
}

/// The longest text: a few of them fill a page.
const LONG: u16 = 60_000;
const USERS: [&str; 4] = ["admin", "alice", "bob", "carol"];

/// A run, and what it remembers beyond the world.
struct Run {
    world: World,
    /// Every message that was ever posted, and by whom.
    posted: Vec<(UserName, MessageId)>,
    users: BTreeMap<SessionId, UserName>,
    /// What clients knew when their connection or the server ended.
    views: Vec<View>,
}

impl Run {
    fn session(&self, number: u8) -> Option<SessionId> {
        let live: Vec<SessionId> =
            self.world.peers.iter().filter(|(_, peer)| !peer.gone).map(|(session, _)| *session).collect();
        (!live.is_empty()).then(|| live[usize::from(number) % live.len()])
    }

    fn request(&mut self, number: u8, request: Request) {
        if let Some(session) = self.session(number) {
            let is_post = matches!(request, Request::Post(_));
            let id = self.world.request(session, request);
            let waiting = self.world.peers[&session].open.contains(&id);
            let reads = self.world.disk.waiting.iter().any(|command| matches!(command, StoreCommand::Read { .. }));
            assert!(is_post || reads || !waiting || self.world.closed(session).is_some(), "no answer");
        }
    }

    fn take(&mut self, step: &Step) {
        let room = RoomName::lobby();
        match *step {
            Step::Register(user) => self.world.register(USERS[usize::from(user)]),
            Step::Unregister(user) => {
                self.world.handle(Input::Unregistered { user: name(USERS[usize::from(user)]) });
            }
            Step::ReplaceKey(user) => {
                let user = name(USERS[usize::from(user)]);
                self.world.handle(registered(user, Fingerprint([1; 32])));
            }
            Step::Open(user) => {
                let user = USERS[usize::from(user)];
                let session = self.world.open(user);
                self.users.insert(session, name(user));
            }
            Step::Gone(number) => {
                if let Some(session) = self.session(number) {
                    self.world.gone(session);
                    self.views.push(self.world.peers[&session].view.clone());
                }
            }
            Step::Join(number, after) => {
                let backlog = after.is_some_and(|(_, seq)| seq % 2 == 0);
                let after =
                    after.map(|(incarnation, seq)| Position { incarnation: Incarnation(incarnation), seq: Seq(seq) });
                self.request(number, Request::Join(Join { room, after, backlog }));
            }
            Step::CatchUp(number) => {
                if let Some(session) = self.session(number) {
                    let after = self.world.peers[&session].view.position;
                    self.request(number, Request::Join(Join { room, after, backlog: false }));
                }
            }
            // A client that was here before is back, on a session that has seen nothing yet.
            Step::Adopt(number, view) => {
                if let Some(session) = self.session(number)
                    && !self.views.is_empty()
                {
                    let backlog = view % 2 == 0;
                    let view = self.views[usize::from(view) % self.views.len()].clone();
                    let peer = self.world.peers.get_mut(&session).unwrap();
                    if peer.view.position.is_none() {
                        let after = view.position;
                        peer.view = view;
                        self.request(number, Request::Join(Join { room, after, backlog }));
                    }
                }
            }
            Step::Post(number, length) => {
                if let Some(session) = self.session(number) {
                    let message = self.world.message_id();
                    self.posted.push((self.users[&session], message));
                    let body = text(&"x".repeat(length.into()));
                    self.request(
                        number,
                        Request::Post(Post { room, message, body, retry: false, after: None, urgent: false }),
                    );
                }
            }
            Step::Retry(number, which) => {
                if let Some(session) = self.session(number) {
                    let user = self.users[&session];
                    let own: Vec<MessageId> =
                        self.posted.iter().filter(|(sender, _)| *sender == user).map(|(_, id)| *id).collect();
                    if !own.is_empty() {
                        let message = own[usize::from(which) % own.len()];
                        self.request(
                            number,
                            Request::Post(Post {
                                room,
                                message,
                                body: text("again"),
                                retry: true,
                                after: None,
                                urgent: false,
                            }),
                        );
                    }
                }
            }
            Step::History(number, before, limit) => {
                self.request(number, Request::History(History { room, before: before.map(Seq), limit }));
            }
            Step::People(number) => self.request(number, Request::People(People { room })),
            Step::Whois(number, user) => {
                self.request(number, Request::Whois(Whois { user: name(USERS[usize::from(user)]) }));
            }
            Step::Unknown(number) => self.request(number, Request::Unknown(20)),
            Step::AskForEnd(number) => {
                let is_admin = self.session(number).is_some_and(|session| self.users[&session] == name("admin"));
                if !is_admin || number == 0 {
                    self.request(number, Request::Shutdown(crate::proto::message::Shutdown {}));
                }
            }
            Step::Store(count) => {
                for _ in 0..count {
                    self.world.store_step();
                }
            }
            Step::Failing => self.world.handle(Input::Store(StoreEvent::Failing { text: "no space".to_owned() })),
            Step::Recovered => self.world.handle(Input::Store(StoreEvent::Recovered)),
            // Only tokens that were never given: the store itself doesn't lie.
            Step::StaleStored(ahead) => {
                let token = StoreToken(self.world.hub.next_token + ahead);
                self.world.handle(Input::Store(StoreEvent::Stored { tokens: vec![token] }));
            }
            Step::StaleFound(ahead) => {
                let token = StoreToken(self.world.hub.next_token + ahead);
                self.world.handle(Input::Store(StoreEvent::Found { token, place: Some((Seq(1), Timestamp(1))) }));
            }
            Step::Kick(user) => {
                self.world.handle(Input::Console(ConsoleCommand::Kick(name(USERS[usize::from(user)]))));
            }
            Step::List => self.world.handle(Input::Console(ConsoleCommand::List)),
            Step::Pass(millis) => self.world.pass(Duration::from_millis(millis.into())),
            Step::Crash => {
                let world = std::mem::replace(&mut self.world, World::new());
                self.views.extend(world.peers.values().map(|peer| peer.view.clone()));
                self.world = world.restart();
                self.users.clear();
                for user in USERS {
                    self.world.register(user);
                }
            }
            Step::Shutdown => self.world.handle(Input::Shutdown { reason: "SIGTERM".to_owned() }),
        }
    }

    /// Lets everything come to an end, and looks at what is left.
    fn finish(mut self) {
        self.world.handle(Input::Store(StoreEvent::Recovered));
        self.world.commit();
        for (session, peer) in &self.world.peers {
            assert!(
                peer.open.is_empty() || peer.gone || peer.closed.is_some(),
                "{session:?} has no answer to {:?}",
                peer.open
            );
        }
        let mut seen = BTreeSet::new();
        for record in &self.world.disk.records {
            assert!(seen.insert((record.sender, record.message)), "stored twice: {record:?}");
        }
        self.world.handle(Input::Shutdown { reason: "SIGTERM".to_owned() });
        let left: Vec<SessionId> =
            self.world.peers.iter().filter(|(_, peer)| !peer.gone).map(|(session, _)| *session).collect();
        for session in left {
            assert!(!self.world.stopped);
            self.world.gone(session);
        }
        assert!(self.world.stopped);
        assert!(self.world.hub.poll_timeout().is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_promises_hold(steps in proptest::collection::vec(step(), 1..200)) {
        let settings = Settings { history_limit: 12, message_bytes: LONG.into(), message_rate: NonZeroU32::new(50).unwrap(), ..settings() };
        let mut world = World::with(settings);
        for user in USERS {
            world.register(user);
        }
        let mut run = Run { world, posted: Vec::new(), users: BTreeMap::new(), views: Vec::new() };
        for step in &steps {
            run.take(step);
            if run.world.stopped {
                break;
            }
        }
        if !run.world.stopped {
            run.finish();
        }
    }
}
