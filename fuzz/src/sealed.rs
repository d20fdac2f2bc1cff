//! What a client gets of a sealed room: rosters, sender keys and messages.

use std::sync::LazyLock;

use rsachat::crypto::rsa::PrivateKey;
use rsachat::e2e::{Context, OpenedKey, Roster};
use rsachat::model::{Epoch, MessageId, RoomName, SenderKeyId};

static BOB: LazyLock<PrivateKey> = LazyLock::new(|| {
    let pem = include_str!("../../tests/data/keys/test_bob.private.pem");
    PrivateKey::from_pem(pem, None).expect("a key")
});

/// The sender key of the corpus, as bob opens it.
static OPENED: LazyLock<OpenedKey> =
    LazyLock::new(|| open(include_bytes!("../corpus/sender-key/bob")).expect("the first file of the corpus opens"));

fn context(epoch: Epoch) -> Option<Context> {
    let (alice, bob) = ("alice".parse().ok()?, "bob".parse().ok()?);
    Some(Context { room: RoomName::direct(alice, bob)?, epoch, sender: alice })
}

/// Key id (32) | epoch (32) | length of the head (2) | head | part.
fn open(data: &[u8]) -> Option<OpenedKey> {
    let (id, rest) = data.split_first_chunk()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (head, part) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    OpenedKey::open(SenderKeyId(*id), context(Epoch(*epoch))?, (head, part), &*BOB, &mut rand::rng()).ok()?.ok()
}

/// What opens is what was made.
pub fn sender_key(data: &[u8]) {
    if let Some(opened) = open(data) {
        assert_eq!(opened.signer(), OPENED.signer());
    }
}

/// What is inside, as who made it could have sealed it: it has to be signed all the same.
pub fn statement(data: &[u8]) {
    let read = OpenedKey::from_statement(OPENED.context(), data);
    assert!(read.is_err() || data == include_bytes!("../corpus/statement/signed"), "it is signed by nobody");
}

/// What opens is what alice has sealed under this identifier.
pub fn sealed_message(data: &[u8]) {
    let Some((id, sealed)) = data.split_first_chunk() else { return };
    if let Ok((index, _)) = OPENED.open_message(MessageId(*id), sealed) {
        assert_eq!(id, &[u8::try_from(index).expect("a low number"); 16]);
    }
}

/// The second statement of a roster is the one that alice has signed; to the first one, as to any, nobody adds another.
pub fn roster(data: &[u8]) {
    static FOUNDED: LazyLock<Roster> = LazyLock::new(|| {
        let mut roster = Roster::new("#ops".parse().expect("a name"));
        roster.append(include_bytes!("../corpus/roster/the-room-is-made")).expect("the first statement");
        roster
    });
    let mut roster = FOUNDED.clone();
    let read = roster.append(data);
    let added = include_bytes!("../corpus/roster/somebody-is-let-in");
    assert!(read.is_err() || data == added, "it is signed by nobody");
}
