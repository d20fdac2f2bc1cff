//! Alice writes to bob; the server and others do what they can.

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::crypto::rsa::{PrivateKey, PublicKey, test_keys};
use crate::model::{Epoch, MessageId, RoomName, SenderKeyId, UserName};
use crate::proto::message::{Body, sealed_bytes};

fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

fn room() -> RoomName {
    RoomName::direct(user("alice"), user("bob")).unwrap()
}

fn member(name: &str, key: &PublicKey) -> Member {
    Member { user: user(name), key: key.fingerprint() }
}

fn both() -> Membership {
    let (alice, bob) = (test_keys::alice().public(), test_keys::bob().public());
    Membership::direct(room(), member("bob", bob), member("alice", alice)).unwrap()
}

fn make() -> (SenderKey, Package) {
    make_as("alice", test_keys::alice(), &both())
}

fn make_as(sender: &str, identity: &PrivateKey, membership: &Membership) -> (SenderKey, Package) {
    let recipients = [test_keys::alice().public().clone(), test_keys::bob().public().clone()];
    SenderKey::make(room(), user(sender), membership, &recipients, identity, &mut rand::rng()).unwrap()
}

fn open(package: &Package, context: Context, identity: &PrivateKey) -> Result<OpenedKey, Unusable> {
    let own = identity.public().fingerprint();
    let recipient = package.recipients.iter().find(|(member, _)| *member == own).map_or(&[][..], |(_, bytes)| bytes);
    OpenedKey::open(package.id, context, (&package.head, recipient), identity, &mut rand::rng()).unwrap()
}

fn id(number: u8) -> MessageId {
    MessageId([number; 16])
}

#[test]
fn every_member_opens_what_one_seals_and_sees_who_and_how_many() {
    let (mut key, package) = make();
    let sealed: Vec<_> = (0..3).map(|n| key.seal(id(n), format!("message {n}").as_bytes()).unwrap()).collect();
    for identity in [test_keys::alice(), test_keys::bob()] {
        let opened = open(&package, key.context(), identity).unwrap();
        assert_eq!(opened.signer(), test_keys::alice().public());
        assert_eq!((opened.id(), opened.context(), opened.membership()), (key.id(), key.context(), &both()));
        for (n, sealed) in (0..).zip(&sealed) {
            let expected = (u64::from(n), format!("message {n}").into_bytes());
            assert_eq!(opened.open_message(id(n), sealed), Ok(expected));
        }
    }
    assert_eq!(key.opened().open_message(id(1), &sealed[1]), Ok((1, b"message 1".to_vec())));
}

#[test]
fn who_is_no_member_opens_nothing() {
    let (key, package) = make();
    assert_eq!(open(&package, key.context(), test_keys::server()).unwrap_err(), Unusable::Undecryptable);
    // With a member's part, but not his key.
    let part = (&*package.head, &*package.recipients[1].1);
    let opened = OpenedKey::open(package.id, key.context(), part, test_keys::server(), &mut rand::rng());
    assert_eq!(opened.unwrap().unwrap_err(), Unusable::Undecryptable);
}

#[test]
fn nothing_opens_elsewhere_than_where_it_was_sealed() {
    let (mut key, package) = make();
    let here = key.context();
    let elsewhere = [
        Context { room: RoomName::direct(user("alice"), user("carol")).unwrap(), ..here },
        Context { epoch: Epoch([7; 32]), ..here },
        Context { sender: user("bob"), ..here },
    ];
    for context in elsewhere {
        assert_eq!(open(&package, context, test_keys::bob()).unwrap_err(), Unusable::Undecryptable, "{context:?}");
    }
    let renamed = Package { id: SenderKeyId([1; 32]), ..package.clone() };
    assert_eq!(open(&renamed, here, test_keys::bob()).unwrap_err(), Unusable::Undecryptable);
    let sealed = key.seal(id(1), b"hello").unwrap();
    let opened = open(&package, here, test_keys::bob()).unwrap();
    assert_eq!(opened.open_message(id(2), &sealed), Err(Unopened));
    let (other, package) = make();
    let other = open(&package, other.context(), test_keys::bob()).unwrap();
    assert_eq!(other.open_message(id(1), &sealed), Err(Unopened));
}

#[test]
fn a_member_cant_pass_another_ones_statement_on_as_sealed_to_somebody_else() {
    // Bob has what alice said of her key, and encrypts it for the server under the same name and context.
    let (key, package) = make();
    let bob = test_keys::bob();
    let part = &package.recipients.iter().find(|(member, _)| *member == bob.public().fingerprint()).unwrap().1;
    let sealed = cose::SealedStatement::read(&package.head, part, bob.public().fingerprint()).ok().unwrap();
    let content_key = bob.decrypt(crate::crypto::rsa::Label::SenderKey, sealed.wrapped(), &mut rand::rng());
    let statement = sealed.decrypt(&content_key, &key.context().of_package(key.id())).ok().unwrap();
    let other = test_keys::server();
    let seal = |context: Context| {
        let wrapped = other.public().encrypt(crate::crypto::rsa::Label::SenderKey, &content_key, &mut rand::rng());
        let recipient = std::iter::once((other.public().fingerprint(), wrapped));
        let aad = context.of_package(key.id());
        let (head, recipients) = cose::encrypt_statement(&content_key, &[0; 12], &statement, &aad, recipient);
        open(&Package { id: key.id(), head, recipients }, context, other)
    };
    // As it is, it says that it was sealed to alice and bob, and to nobody else.
    assert_eq!(seal(key.context()).unwrap_err(), Unusable::Misdirected);
    let carol = Context { room: RoomName::direct(user("alice"), user("carol")).unwrap(), ..key.context() };
    assert_eq!(seal(carol).unwrap_err(), Unusable::Forged);
}

#[test]
fn a_statement_holds_for_its_signer_alone() {
    // The server's key as alice's: as long as the membership says so, only a pin tells.
    let server = test_keys::server();
    let bob = member("bob", test_keys::bob().public());
    let false_alice = Membership::direct(room(), member("alice", server.public()), bob).unwrap();
    let (key, package) = make_as("alice", server, &false_alice);
    let opened = open(&package, key.context(), test_keys::bob()).unwrap();
    assert_ne!(opened.signer(), test_keys::alice().public());
    // With alice's key in the membership, and signed by another.
    let (key, package) = make_as("alice", server, &both());
    assert_eq!(open(&package, key.context(), test_keys::bob()).unwrap_err(), Unusable::Foreign);
    // A sender who is no member.
    let (key, package) = make_as("carol", test_keys::alice(), &both());
    assert_eq!(open(&package, key.context(), test_keys::bob()).unwrap_err(), Unusable::Foreign);
}

#[test]
fn who_is_told_a_false_key_of_bobs_seals_nothing_that_reaches_him_unnoticed() {
    // The server has told alice a key of its own as bob's; opens what she seals; and seals it for bob again.
    let server = test_keys::server();
    let (alice, false_bob) = (member("alice", test_keys::alice().public()), member("bob", server.public()));
    let membership = Membership::direct(room(), alice, false_bob).unwrap();
    let recipients = [test_keys::alice().public().clone(), server.public().clone(), test_keys::bob().public().clone()];
    let (key, package) =
        SenderKey::make(room(), user("alice"), &membership, &recipients, test_keys::alice(), &mut rand::rng()).unwrap();
    assert!(open(&package, key.context(), server).is_ok());
    assert_eq!(open(&package, key.context(), test_keys::bob()).unwrap_err(), Unusable::Misdirected);
}

#[test]
fn a_key_seals_no_more_than_it_may() {
    let (mut key, _) = make();
    key.next = MESSAGES_PER_KEY - 1;
    assert!(key.seal(id(1), b"the last one").is_some());
    assert_eq!(key.seal(id(2), b"one more"), None);
    assert_eq!(key.seal(id(2), b"one more"), None);
}

#[test]
fn lengths_say_little_and_are_bounded() {
    let (mut key, _) = make();
    let mut length = |payload: usize| key.seal(id(1), &vec![1; payload]).unwrap().len();
    assert_eq!(length(1), length(127));
    assert_eq!(length(1000), length(1020));
    for text in [0, 1, 100, 127, 128, 1000, 16_000, 100_000, 1 << 20] {
        let body = Body::Action { text: "x".repeat(text) }.to_cbor();
        let length = length(body.len());
        assert!(length <= sealed_bytes(text), "{text}: {length}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let (key, _) = make();
    let shown = format!("{key:?}");
    assert!(shown.contains("Key(..)") && shown.contains("SigningKey(..)"), "{shown}");
}

#[test]
fn two_memberships_have_two_epochs() {
    let (alice, bob) = (member("alice", test_keys::alice().public()), member("bob", test_keys::bob().public()));
    let changed = Member { key: test_keys::server().public().fingerprint(), ..bob };
    let changed = Membership::direct(room(), alice, changed).unwrap();
    assert_ne!(both().epoch(room()), changed.epoch(room()));
    assert_eq!(Membership::direct(room(), alice, alice), None);
    assert_eq!(Membership::direct(RoomName::lobby(), alice, bob), None);
    assert!(!both().fits(RoomName::lobby()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_byte_opens_nothing(at: prop::sample::Index, flip in 1..=255_u8, cut: prop::sample::Index) {
        let mut rng = StdRng::seed_from_u64(1);
        let recipients = [test_keys::bob().public().clone()];
        let (mut key, package) =
            SenderKey::make(room(), user("alice"), &both(), &recipients, test_keys::alice(), &mut rng).unwrap();
        let sealed = key.seal(id(1), b"hello").unwrap();
        let mut changed = sealed.clone();
        changed[at.index(sealed.len())] ^= flip;
        prop_assert_eq!(key.opened().open_message(id(1), &changed), Err(Unopened));
        prop_assert_eq!(key.opened().open_message(id(1), &sealed[..cut.index(sealed.len())]), Err(Unopened));
        let mut changed = package.clone();
        let (head, recipient) = (changed.head.len(), changed.recipients[0].1.len());
        match at.index(head + recipient) {
            at if at < head => changed.head[at] ^= flip,
            at => changed.recipients[0].1[at - head] ^= flip,
        }
        prop_assert!(open(&changed, key.context(), test_keys::bob()).is_err());
    }

    #[test]
    fn any_bytes_are_refused(head in prop::collection::vec(any::<u8>(), 0..200), part in prop::collection::vec(any::<u8>(), 0..200)) {
        let (key, package) = make();
        prop_assert_eq!(key.opened().open_message(id(1), &head), Err(Unopened));
        let garbled = Package { head, recipients: vec![(test_keys::bob().public().fingerprint(), part)], ..package };
        prop_assert!(open(&garbled, key.context(), test_keys::bob()).is_err());
    }
}
