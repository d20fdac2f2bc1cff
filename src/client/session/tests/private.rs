//! The private room #ops, as alice's session sees it.

mod deciding;
mod lies;

use super::*;
use crate::crypto::rsa::PublicKey;
use crate::e2e::{Change, Context as Place, Head, Invalid, Member, Membership, OpenedKey, Roster, SenderKey, Unusable};
use crate::proto::message::{
    self, Act, Acted, ErrorCode, Invite, KeyChanged, KeyList, Kick, RosterEntry, RosterPage, SetTopic, UserKey,
};

fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

fn ops() -> RoomName {
    "#ops".parse().unwrap()
}

fn member(user: &str, identity: &PrivateKey) -> Member {
    Member { user: name(user), key: identity.public().fingerprint() }
}

fn alice() -> Member {
    member("alice", test_keys::alice())
}

fn bob() -> Member {
    member("bob", test_keys::bob())
}

/// The one key that is left over: mallory's, or bob's next one.
fn third() -> &'static PrivateKey {
    test_keys::server()
}

/// A roster, with its statements as the server keeps them.
#[derive(Clone)]
struct Kept {
    roster: Roster,
    statements: Vec<Vec<u8>>,
}

impl Kept {
    /// Made by one, with the other in it.
    fn new(owner: Member, identity: &PrivateKey, other: Member) -> Self {
        let mut kept = Self { roster: Roster::new(ops()), statements: Vec::new() };
        kept.add(Change::Found { owner }, identity);
        kept.add(Change::Add { member: other }, identity);
        kept
    }

    /// Bob's, with alice in it.
    fn bobs() -> Self {
        Self::new(bob(), test_keys::bob(), alice())
    }

    /// Alice's, with bob in it.
    fn alices() -> Self {
        Self::new(alice(), test_keys::alice(), bob())
    }

    fn add(&mut self, change: Change, identity: &PrivateKey) {
        let statement = self.roster.draft(change).sign(identity, &mut rand::rng()).unwrap();
        self.roster.append(&statement).unwrap();
        self.statements.push(statement);
    }

    /// A statement of somebody else.
    fn take(&mut self, statement: &[u8]) -> Change {
        self.statements.push(statement.to_vec());
        self.roster.append(statement).unwrap()
    }

    fn length(&self) -> u64 {
        self.roster.length()
    }

    fn page(&self, after: u64) -> RosterPage {
        let statements = self.statements.iter().skip(usize::try_from(after).unwrap());
        let members = self.roster.members().map(|member| member.user).collect();
        RosterPage { statements: statements.map(|one| one.clone().into()).collect(), length: self.length(), members }
    }
}

fn known(head: Option<Head>) -> Settings {
    let mut known = Known::default();
    if let Some(head) = head {
        known.has_roster(ops(), head);
    }
    Settings { known, ..settings() }
}

impl World {
    /// Alice's session, in the lobby and entering #ops, which has so many statements.
    fn entering_ops(settings: Settings, length: u64) -> Self {
        let mut world = Self::with(settings);
        world.run();
        world.let_in(0);
        world.command(Command::Join { room: ops() });
        world.let_into_ops(length);
        world
    }

    fn let_into_ops(&mut self, length: u64) {
        let (id, _) = self.take(|request| matches!(request, Request::Join(_)));
        let info = RoomInfo { roster: length, ..RoomInfo::new(ops()) };
        let joined = Joined { info, caught_up: true, last: Seq(0), gone: 0, withdrawn_after: None };
        self.tell(&[ServerMessage::Reply(id, Reply::Joined(joined))]);
    }

    fn in_ops(kept: &Kept) -> Self {
        let mut world = Self::entering_ops(settings(), kept.length());
        world.tell_roster(kept.page(0));
        world.events();
        world
    }

    fn tell_roster(&mut self, page: RosterPage) {
        let (id, _) = self.take(|request| matches!(request, Request::Roster(_)));
        self.tell(&[ServerMessage::Reply(id, Reply::Roster(page))]);
    }

    /// The server is asked for keys, and tells these.
    fn tell_keys(&mut self, keys: &[(&str, &PublicKey)]) {
        let (id, _) = self.take(|request| matches!(request, Request::Keys(_)));
        let key = |(user, key): &(&str, &PublicKey)| UserKey { user: name(user), key: key.spki_der().to_vec().into() };
        let list = KeyList { keys: keys.iter().map(key).collect() };
        self.tell(&[ServerMessage::Reply(id, Reply::Keys(list))]);
    }

    /// The server keeps alice's sender key: for whom it is, and what bob makes of it.
    fn keep_key_there(&mut self) -> (Vec<Fingerprint>, OpenedKey) {
        let (id, request) = self.take(|request| matches!(request, Request::AddSenderKey(_)));
        let Request::AddSenderKey(add) = request else { panic!() };
        self.tell(&[ServerMessage::Reply(id, Reply::Done)]);
        let to: Vec<Fingerprint> = add.recipients.iter().map(|recipient| recipient.member).collect();
        let (place, own) = (Place { room: ops(), epoch: add.epoch, sender: name("alice") }, bob().key);
        // Where she is left alone, she has to do.
        let (own, identity) =
            if to.contains(&own) { (own, test_keys::bob()) } else { (alice().key, test_keys::alice()) };
        let part = &add.recipients.iter().find(|recipient| recipient.member == own).unwrap().part;
        let opened = OpenedKey::open(add.id, place, (&add.head, part), identity, &mut rand::rng());
        (to, opened.unwrap().unwrap())
    }

    fn speak(&mut self, what: &str) {
        self.command(Command::Post { room: ops(), body: text(what), urgent: false });
    }

    /// What was posted in #ops, as the holder of this key reads it.
    fn sent_there(&mut self, key: &OpenedKey) -> Body {
        let (id, Request::Post(post)) = self.take(|request| matches!(request, Request::Post(_))) else { panic!() };
        let Body::Sealed { sealed, .. } = &post.body else { panic!("it is not sealed: {post:?}") };
        let (_, payload) = key.open_message(post.message, sealed).unwrap();
        self.accept(id, 1);
        Body::from_cbor(&payload).unwrap()
    }

    /// What is said can't be, for this reason.
    fn does_not_send(&mut self, why: BadRoster) {
        assert!(self.events().contains(&Event::BadRoster { room: ops(), why }));
        self.speak("secret");
        let refused = |event: &Event| matches!(event, Event::Refused { .. });
        assert!(self.events().iter().any(refused));
        assert_eq!(self.requests, []);
    }

    fn seals(&mut self) -> Vec<Seal> {
        let seals = self.events().into_iter().filter_map(|event| match event {
            Event::Message { seal, .. } => Some(seal),
            _ => None,
        });
        seals.collect()
    }

    fn acted(&mut self, act: message::Act) {
        self.tell(&[ServerMessage::Acted(Acted { room: ops(), by: name("bob"), act: Some(act) })]);
    }
}

/// A sender key as the server keeps it for alice, and something said under it.
fn speech(roster: &Roster, sender: &str, identity: &PrivateKey) -> (KeptSenderKey, ServerMessage) {
    let (kept, [message]) = speeches(roster, sender, identity);
    (kept, message)
}

/// The same with several messages, under one key.
fn speeches<const N: usize>(
    roster: &Roster,
    sender: &str,
    identity: &PrivateKey,
) -> (KeptSenderKey, [ServerMessage; N]) {
    let membership = Membership::Roster { head: roster.head().unwrap() };
    let recipients = [test_keys::alice().public().clone()];
    let made = SenderKey::make(ops(), name(sender), &membership, &recipients, identity, &mut rand::rng());
    let (mut key, package) = made.unwrap();
    let kept = KeptSenderKey {
        id: key.id(),
        epoch: key.context().epoch,
        sender: name(sender),
        head: package.head.into(),
        part: Some(package.recipients[0].1.clone().into()),
    };
    let messages = std::array::from_fn(|number| {
        let seq = Seq(number as u64 + 1);
        let message = MessageId([u8::try_from(seq.0).unwrap(); 16]);
        let sealed = key.seal(message, &text("hello").to_cbor()).unwrap();
        let body = Some(Body::Sealed { key: key.id(), sealed: sealed.into() });
        let (room, time, sender) = (ops(), Timestamp(1), name(sender));
        ServerMessage::Message(Stored { room, seq, time, sender, message, body })
    });
    (kept, messages)
}

#[test]
fn what_is_said_is_sealed_to_those_in_the_roster_and_to_nobody_whom_the_server_adds() {
    let kept = Kept::bobs();
    let mut world = World::entering_ops(settings(), kept.length());
    let mut page = kept.page(0);
    page.members.push(name("mallory"));
    world.tell_roster(page);
    world.speak("secret");
    world.tell_keys(&[("bob", test_keys::bob().public()), ("mallory", third().public())]);
    let (to, key) = world.keep_key_there();
    assert_eq!(to, [alice().key, bob().key]);
    assert_eq!(*key.membership(), Membership::Roster { head: kept.roster.head().unwrap() });
    assert_eq!(world.sent_there(&key), text("secret"));
}

#[test]
fn nothing_is_sent_before_the_roster_is_there() {
    let kept = Kept::bobs();
    let mut world = World::entering_ops(settings(), kept.length());
    world.speak("secret");
    assert!(matches!(&world.requests[..], [(_, Request::Roster(_))]), "{:?}", world.requests);
    // In two pages.
    let page = kept.page(0);
    world.tell_roster(RosterPage { statements: page.statements[..1].to_vec(), ..page.clone() });
    assert!(matches!(&world.requests[..], [(_, Request::Roster(asked))] if asked.after == 1), "{:?}", world.requests);
    world.tell_roster(RosterPage { statements: page.statements[1..].to_vec(), ..page });
    world.tell_keys(&[("bob", test_keys::bob().public())]);
    let (_, key) = world.keep_key_there();
    assert_eq!(world.sent_there(&key), text("secret"));
}

#[test]
fn who_is_put_out_reads_nothing_more_and_is_not_believed() {
    let mut kept = Kept::alices();
    let mut world = World::in_ops(&kept);
    let (bobs_key, before) = speech(&kept.roster, "bob", test_keys::bob());
    world.speak("one");
    world.tell_keys(&[("bob", test_keys::bob().public())]);
    let (to, key) = world.keep_key_there();
    assert_eq!(to.len(), 2);
    world.sent_there(&key);
    kept.add(Change::Remove { user: name("bob") }, test_keys::alice());
    world.acted(message::Act::Kicked { user: name("bob"), reason: None });
    world.speak("two");
    world.tell_roster(kept.page(2));
    let (to, key) = world.keep_key_there();
    assert_eq!(to, [alice().key]);
    assert_eq!(world.sent_there(&key), text("two"));
    world.events();
    // With a sender key from when he was there.
    world.tell(&[before]);
    assert_eq!(world.seals(), [Seal::Unreadable(Unreadable::PutOut)]);
    drop(bobs_key);
}

#[test]
fn who_is_put_out_is_not_believed_while_the_roster_is_on_its_way() {
    let mut kept = Kept::alices();
    let mut world = World::in_ops(&kept);
    let (key, [first, second]) = speeches(&kept.roster, "bob", test_keys::bob());
    world.tell(&[first]);
    world.give(vec![key]);
    assert!(matches!(world.seals()[..], [Seal::Sealed(_)]));
    kept.add(Change::Remove { user: name("bob") }, test_keys::alice());
    world.acted(Act::Kicked { user: name("bob"), reason: None });
    // The server keeps the statement back, and passes on what he still says, under the key that is known.
    world.tell(&[second]);
    assert_eq!(world.seals(), []);
    world.tell_roster(kept.page(2));
    assert_eq!(world.seals(), [Seal::Unreadable(Unreadable::PutOut)]);
}

#[test]
fn who_is_put_out_after_he_spoke_is_believed() {
    let mut kept = Kept::alices();
    let mut world = World::in_ops(&kept);
    let (key, [first, second]) = speeches(&kept.roster, "bob", test_keys::bob());
    world.tell(&[first]);
    world.give(vec![key]);
    let carol = member("carol", third());
    world.acted(Act::Invited { user: carol.user });
    world.tell(&[second]);
    kept.add(Change::Add { member: carol }, test_keys::alice());
    kept.add(Change::Remove { user: name("bob") }, test_keys::alice());
    world.tell_roster(kept.page(2));
    assert!(matches!(world.seals()[..], [Seal::Sealed(_), Seal::Sealed(_)]));
}

#[test]
fn who_has_left_reads_nothing_more() {
    let kept = Kept::alices();
    let mut world = World::in_ops(&kept);
    world.acted(message::Act::Left {});
    world.speak("secret");
    world.tell_roster(RosterPage { members: vec![name("alice")], ..kept.page(2) });
    let (to, _) = world.keep_key_there();
    assert_eq!(to, [alice().key]);
}

#[test]
fn a_member_with_another_key_is_left_out_and_that_is_told_once() {
    let kept = Kept::bobs();
    let mut world = World::in_ops(&kept);
    world.speak("one");
    world.tell_keys(&[("bob", third().public())]);
    let (to, key) = world.keep_key_there();
    assert_eq!(to, [alice().key]);
    world.sent_there(&key);
    // Who is to read it is found out anew, and is the same.
    world.acted(message::Act::Topic { topic: "x".to_owned() });
    world.tell_roster(kept.page(2));
    world.speak("two");
    assert_eq!(world.sent_there(&key), text("two"));
    let shut_out = Event::ShutOut { room: ops(), user: name("bob") };
    assert_eq!(world.events().into_iter().filter(|event| *event == shut_out).count(), 1);
}

#[test]
fn who_is_not_in_the_roster_with_his_key_does_not_speak() {
    let mut kept = Kept::bobs();
    kept.add(Change::Add { member: member("alice", third()) }, test_keys::bob());
    let mut world = World::in_ops(&kept);
    world.speak("secret");
    assert!(world.events().iter().any(|event| matches!(event, Event::Refused { .. })));
    assert_eq!(world.requests, []);
}

#[test]
fn a_message_is_opened_if_its_sender_was_in_the_room() {
    let kept = Kept::bobs();
    let mut world = World::in_ops(&kept);
    let (key, said) = speech(&kept.roster, "bob", test_keys::bob());
    world.tell(&[said]);
    world.give(vec![key]);
    assert_eq!(world.seals(), [Seal::Sealed(Trust::Pinned)]);
    // With a key that is not bob's, though the server says that it comes from him.
    let mut world = World::in_ops(&kept);
    let (key, said) = speech(&kept.roster, "bob", third());
    world.tell(&[said]);
    world.give(vec![key]);
    assert_eq!(world.seals(), [Seal::Unreadable(Unreadable::Unusable(Unusable::NotMember))]);
}

#[test]
fn what_was_said_before_one_came_is_counted() {
    let kept = Kept::bobs();
    let mut world = World::with(settings());
    world.run();
    world.let_in(0);
    world.command(Command::Join { room: ops() });
    let (id, _) = world.take(|request| matches!(request, Request::Join(_)));
    let (key, said) = speech(&kept.roster, "bob", test_keys::bob());
    let ServerMessage::Message(said) = said else { panic!() };
    let info = RoomInfo { roster: 2, ..RoomInfo::new(ops()) };
    let joined = Joined { info, caught_up: true, last: Seq(1), gone: 0, withdrawn_after: None };
    world.tell(&[ServerMessage::Part(id, said), ServerMessage::Reply(id, Reply::Joined(joined))]);
    world.tell_roster(kept.page(0));
    world.give(vec![KeptSenderKey { part: None, ..key }]);
    let events = world.events();
    let at = |is: &dyn Fn(&Event) -> bool| events.iter().position(is);
    let before = at(&|event| *event == Event::BeforeYou { room: ops(), count: 1 });
    assert!(
        before.is_some() && before < at(&|event| matches!(event, Event::Entered { info, .. } if info.room == ops())),
        "{events:?}"
    );
}

#[test]
fn what_is_said_is_for_those_who_were_in_the_room_when_it_was_said() {
    let mut kept = Kept { roster: Roster::new(ops()), statements: Vec::new() };
    kept.add(Change::Found { owner: alice() }, test_keys::alice());
    let mut world = World::in_ops(&kept);
    let invite = Ask::Do(Request::Invite(Invite { room: ops(), user: name("bob"), roster: None }));
    let kick = Ask::Do(Request::Kick(Box::new(Kick { room: ops(), user: name("bob"), reason: None, roster: None })));
    world.speak("before");
    world.command(Command::Ask(invite));
    world.speak("while");
    world.command(Command::Ask(kick));
    world.speak("after");
    let (to, key) = world.keep_key_there();
    assert_eq!(to, [alice().key]);
    assert_eq!(world.sent_there(&key), text("before"));
    world.tell_keys(&[("bob", test_keys::bob().public())]);
    let (id, Request::Invite(asked)) = world.take(|request| matches!(request, Request::Invite(_))) else { panic!() };
    kept.roster.append(&asked.roster.as_ref().unwrap().statement).unwrap();
    kept.statements.push(asked.roster.unwrap().statement.into());
    assert_eq!(world.requests, []);
    world.tell(&[ServerMessage::Reply(id, Reply::Done)]);
    world.tell_roster(kept.page(1));
    world.tell_keys(&[("bob", test_keys::bob().public())]);
    let (to, key) = world.keep_key_there();
    assert_eq!(to, [alice().key, bob().key]);
    assert_eq!(world.sent_there(&key), text("while"));
    let (id, Request::Kick(asked)) = world.take(|request| matches!(request, Request::Kick(_))) else { panic!() };
    kept.roster.append(&asked.roster.as_ref().unwrap().statement).unwrap();
    kept.statements.push(asked.roster.unwrap().statement.into());
    assert_eq!(world.requests, []);
    world.tell(&[ServerMessage::Reply(id, Reply::Done)]);
    world.tell_roster(kept.page(2));
    let (to, key) = world.keep_key_there();
    assert_eq!(to, [alice().key]);
    assert_eq!(world.sent_there(&key), text("after"));
}

#[test]
fn a_key_that_changes_meanwhile_is_asked_for_before_the_next_message() {
    let kept = Kept::bobs();
    let mut world = World::in_ops(&kept);
    world.speak("one");
    world.tell_keys(&[("bob", test_keys::bob().public())]);
    let (_, key) = world.keep_key_there();
    world.sent_there(&key);
    world.tell(&[ServerMessage::KeyChanged(KeyChanged { user: name("bob") })]);
    world.speak("two");
    world.tell_keys(&[("bob", third().public())]);
    assert_eq!(world.keep_key_there().0, [alice().key]);
    let shut_out = Event::ShutOut { room: ops(), user: name("bob") };
    assert!(world.events().contains(&shut_out));
}

#[test]
fn what_waits_for_its_key_when_one_is_put_out_is_told_all_the_same() {
    let kept = Kept::bobs();
    let mut world = World::in_ops(&kept);
    let (_, message) = speech(&kept.roster, "bob", test_keys::bob());
    world.tell(&[message]);
    assert_eq!(world.seals(), []);
    let (room, by, reason) = (ops(), name("bob"), None);
    world.tell(&[ServerMessage::Membership(message::Membership { room, member: false, by, reason })]);
    assert_eq!(world.seals(), [Seal::Unreadable(Unreadable::NoKey)]);
}

#[test]
fn a_room_that_is_being_left_need_not_tell_who_is_in_it() {
    let kept = Kept::bobs();
    let mut world = World::in_ops(&kept);
    let leave = Ask::Do(Request::Leave(message::Leave { room: ops() }));
    world.command(Command::Ask(leave));
    let (id, _) = world.take(|request| matches!(request, Request::Leave(_)));
    let act = Some(Act::Invited { user: name("carol") });
    world.tell(&[ServerMessage::Acted(Acted { room: ops(), by: name("bob"), act })]);
    let (asked, _) = world.take(|request| matches!(request, Request::Roster(_)));
    let refused = Refused { code: ErrorCode::NotFound, text: "no".to_owned(), hint: None, retry_after_ms: None };
    world.tell(&[ServerMessage::Reply(asked, Reply::Error(refused)), ServerMessage::Reply(id, Reply::Done)]);
    let events = world.events();
    assert!(events.contains(&Event::Left { room: ops() }), "{events:?}");
    assert!(!events.iter().any(|event| matches!(event, Event::BadRoster { .. })), "{events:?}");
}

#[test]
fn a_room_that_was_left_may_come_again_with_another_roster() {
    let kept = Kept::bobs();
    let mut world = World::in_ops(&kept);
    let leave = Request::Leave(message::Leave { room: ops() });
    world.command(Command::Ask(Ask::Do(leave)));
    let (id, _) = world.take(|request| matches!(request, Request::Leave(_)));
    world.tell(&[ServerMessage::Reply(id, Reply::Done)]);
    world.command(Command::Join { room: ops() });
    world.let_into_ops(2);
    world.tell_roster(Kept::alices().page(0));
    assert!(!world.events().iter().any(|event| matches!(event, Event::BadRoster { .. })));
}
