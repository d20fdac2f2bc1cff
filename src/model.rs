//! The vocabulary of the chat: names, numbers and identifiers.
//!
//! Every type here is validated on the way in and never re-checked: whoever holds a [`UserName`] holds a valid one.
//! This module does no input or output but to read the clock, where it is asked to, and knows nothing of keys, sockets or
//! storage.

mod choices;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::CryptoRng;

pub use self::choices::{CHOICE_BYTES, CHOICES, Choice, Choices, ChoicesError, QuestionHash};

/// Longest user or room name, in bytes (the room's `#` not counted).
pub const NAME_BYTES: usize = 32;

/// Why a text is not a user or room name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("a name needs at least one character")]
    Empty,
    /// More than [`NAME_BYTES`] bytes.
    #[error("a name has at most {NAME_BYTES} characters")]
    TooLong,
    /// The first character is not a letter or digit.
    #[error("a name starts with a letter or a digit")]
    BadStart,
    /// A character outside `a-z 0-9 . _ -`.
    #[error("a name has only letters a-z, digits, dots, underscores and hyphens")]
    BadCharacter,
    /// A room without its `#`.
    #[error("a room's name starts with #")]
    NoHash,
}

/// The characters of a name, inline: names are copied around freely, so they own no heap memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Name<const SIZE: usize> {
    // Unused bytes are zero, so that the derived comparisons order names as their texts.
    bytes: [u8; SIZE],
    len: u8,
}

impl<const SIZE: usize> Hash for Name<SIZE> {
    // A post is hashed by names several times: in one piece, and without what the bytes say anyway.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.as_bytes());
    }
}

impl<const SIZE: usize> Name<SIZE> {
    /// A text that is known to be short enough.
    fn of(parts: &[&[u8]]) -> Self {
        let mut bytes = [0; SIZE];
        let mut len = 0;
        for part in parts {
            let Some(slot) = bytes.get_mut(len..len + part.len()) else { break };
            slot.copy_from_slice(part);
            len += part.len();
        }
        Self { bytes, len: u8::try_from(len).unwrap_or_default() }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// A name by the rules of a [`UserName`]. `SIZE` is at least [`NAME_BYTES`].
    fn parse(text: &str) -> Result<Self, NameError> {
        let first = text.bytes().next().ok_or(NameError::Empty)?;
        if text.len() > NAME_BYTES {
            return Err(NameError::TooLong);
        }
        let mut bytes = [0; SIZE];
        for (slot, byte) in bytes.iter_mut().zip(text.bytes()) {
            *slot = match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => byte,
                b'A'..=b'Z' => byte.to_ascii_lowercase(),
                _ => return Err(NameError::BadCharacter),
            };
        }
        if !first.is_ascii_alphanumeric() {
            return Err(NameError::BadStart);
        }
        let len = u8::try_from(text.len()).map_err(|_| NameError::TooLong)?;
        Ok(Self { bytes, len })
    }

    /// One in which nothing has to be folded.
    fn parse_folded(text: &str) -> Option<Self> {
        Self::parse(text).ok().filter(|name| name.as_bytes() == text.as_bytes())
    }
}

/// A user's name: 1 to 32 of `a-z 0-9 . _ -`, starting with a letter or digit; upper case is folded on the way in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(Name<NAME_BYTES>);

impl UserName {
    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Reads a name as a peer sends it: already folded, without anything else.
    #[must_use]
    pub fn from_wire(text: &str) -> Option<Self> {
        Name::parse_folded(text).map(Self)
    }
}

impl FromStr for UserName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Name::parse(text).map(Self)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserName({self})")
    }
}

/// A room's name. A shared room has one by the rules of a [`UserName`], written with a leading `#`, which is not stored. A
/// direct room is that of two users, and named after them: `@alice@bob`, in the order of their names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName(Name<ROOM_BYTES>);

/// Bytes of the longest direct room's name.
const ROOM_BYTES: usize = 2 * (NAME_BYTES + 1);

impl RoomName {
    /// The room that everyone is in.
    #[must_use]
    pub fn lobby() -> Self {
        Self(Name::of(&[b"common"]))
    }

    /// The room of two users; nothing for one and the same.
    #[must_use]
    pub fn direct(one: UserName, other: UserName) -> Option<Self> {
        let (first, second) = (one.min(other), one.max(other));
        (first != second).then(|| Self(Name::of(&[b"@", first.0.as_bytes(), b"@", second.0.as_bytes()])))
    }

    /// Whose direct room it is; nothing for a shared one.
    #[must_use]
    pub fn pair(&self) -> Option<(UserName, UserName)> {
        let (first, second) = self.as_str().strip_prefix('@')?.split_once('@')?;
        Some((UserName::from_wire(first)?, UserName::from_wire(second)?))
    }

    /// Whether it is a direct one.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.0.as_bytes().first() == Some(&b'@')
    }

    /// Who else is in a direct room of this user.
    #[must_use]
    pub fn partner(&self, user: UserName) -> Option<UserName> {
        match self.pair()? {
            (first, second) if first == user => Some(second),
            (first, second) if second == user => Some(first),
            _ => None,
        }
    }

    /// The name as this user sees it: of a direct room, `@` and who else is in it.
    #[must_use]
    pub fn seen_by(&self, user: UserName) -> String {
        self.partner(user).map_or_else(|| self.to_string(), |partner| format!("@{partner}"))
    }

    /// The name's text; of a shared room without the `#`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Reads a name as a peer sends it, already folded: [`RoomName::as_str`]'s.
    #[must_use]
    pub fn from_wire(text: &str) -> Option<Self> {
        if let Some(pair) = text.strip_prefix('@') {
            let (first, second) = pair.split_once('@')?;
            let (first, second) = (UserName::from_wire(first)?, UserName::from_wire(second)?);
            return Self::direct(first, second).filter(|_| first < second);
        }
        Name::parse_folded(text).map(Self)
    }
}

impl FromStr for RoomName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let name = text.strip_prefix('#').ok_or(NameError::NoHash)?;
        Name::parse(name).map(Self)
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_direct() { "" } else { "#" }, self.as_str())
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoomName({self})")
    }
}

/// A message's identifier, made by the client that wrote it: a retry under the same identifier is stored once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageId(pub [u8; 16]);

impl MessageId {
    /// A new one: six bytes of `time`, which is the writer's, and ten random ones. It begins with the time so that an index
    /// of identifiers grows at its end, where a page is at hand, and not at a random place (as UUIDs do: RFC 9562,
    /// section 5.7).
    pub fn new(time: Timestamp, rng: &mut impl CryptoRng) -> Self {
        let mut id = (u128::from(time.0) << 80).to_be_bytes();
        let (_, random) = id.split_at_mut(6);
        rng.fill_bytes(random);
        Self(id)
    }
}

impl Hash for MessageId {
    // Its length is always the same, and need not be hashed.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A text that is not so many hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{digits} hexadecimal digits are expected")]
pub struct HexError {
    digits: usize,
}

/// Reads the bytes that so many hexadecimal digits stand for.
fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let error = HexError { digits: 2 * N };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or(error);
    let mut bytes = [0; N];
    let (pairs, []) = text.as_bytes().as_chunks() else { return Err(error) };
    if pairs.len() != N {
        return Err(error);
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Ok(bytes)
}

impl FromStr for MessageId {
    type Err = HexError;
    fn from_str(text: &str) -> Result<Self, HexError> {
        from_hex(text).map(Self)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

/// SHA-256 over a public key's DER SubjectPublicKeyInfo; shown as ssh shows its own, `SHA256:` and base64 without
/// padding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

/// Names a sender key: SHA-256 over the statement that tells it, so that nobody, not even who made it, can show different
/// members different keys under one name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SenderKeyId(pub [u8; 32]);

impl fmt::Debug for SenderKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SenderKeyId({:02x?}..)", self.0.first_chunk::<4>().unwrap_or(&[0; 4]))
    }
}

/// Most statements of a private room's roster.
pub const LONGEST_ROSTER: u64 = 4096;
/// Most bytes of a statement.
pub const STATEMENT_BYTES: usize = 4096;
/// Most users in a private room, and in its roster.
pub const PRIVATE_MEMBERS: usize = 256;

/// A statement of a private room's roster: SHA-256 over it as it was signed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RosterHash(pub [u8; 32]);

impl fmt::Debug for RosterHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RosterHash({:02x?}..)", self.0.first_chunk::<4>().unwrap_or(&[0; 4]))
    }
}

/// A time in which a sealed room has the same members with the same keys: SHA-256 over who they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub [u8; 32]);

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({:02x?}..)", self.0.first_chunk::<4>().unwrap_or(&[0; 4]))
    }
}

/// A text that is not `SHA256:` and 43 characters of base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is SHA256: followed by 43 characters of base64")]
pub struct FingerprintError;

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use base64ct::Encoding as _;
        let mut text = [0; 43];
        let encoded = base64ct::Base64Unpadded::encode(&self.0, &mut text).map_err(|_| fmt::Error)?;
        write!(f, "SHA256:{encoded}")
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        use base64ct::Encoding as _;
        let encoded = text.strip_prefix("SHA256:").ok_or(FingerprintError)?;
        let mut bytes = [0; 32];
        match base64ct::Base64Unpadded::decode(encoded, &mut bytes) {
            Ok(decoded) if decoded.len() == 32 => Ok(Self(bytes)),
            _ => Err(FingerprintError),
        }
    }
}

/// A message's place in its conversation: 1, 2, 3 ..., without gaps or repeats. 0 stands before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Seq(pub u64);

impl Seq {
    /// The place after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One start of a server on its database; each is greater than all before it, not always by one. A message that was
/// delivered but not yet on disk when the server was killed is known by it: sequence numbers above the last one on disk
/// begin anew in the next incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Incarnation(pub u64);

/// Wall-clock time, milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// What this machine's clock says.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// So much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// A connection that has authenticated, as the hub and the shell around it name it. Never reused while the server
/// runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// Ties the answer of the store to what the hub asked of it. Never reused while the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreToken(pub u64);

/// A message as the database keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// The room.
    pub room: RoomName,
    /// Its number in the room.
    pub seq: Seq,
    /// When the server got it.
    pub time: Timestamp,
    /// Who said it.
    pub sender: UserName,
    /// The sender's identifier for it.
    pub message: MessageId,
    /// What it says, encoded as on the wire; the store doesn't look inside.
    pub body: Vec<u8>,
}

impl fmt::Debug for StoredRecord {
    // Without what it says, so that a log can't hold it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredRecord")
            .field("room", &self.room)
            .field("seq", &self.seq)
            .field("sender", &self.sender)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fold_upper_case_and_refuse_the_rest() {
        assert_eq!("Alice".parse::<UserName>().unwrap().as_str(), "alice");
        assert_eq!("a".repeat(32).parse::<UserName>().unwrap().as_str().len(), 32);
        for (text, error) in [
            ("", NameError::Empty),
            (&*"a".repeat(33), NameError::TooLong),
            (".a", NameError::BadStart),
            ("-a", NameError::BadStart),
            ("a b", NameError::BadCharacter),
            ("ä", NameError::BadCharacter),
            ("a/b", NameError::BadCharacter),
        ] {
            assert_eq!(text.parse::<UserName>(), Err(error), "{text:?}");
        }
        assert_eq!("common".parse::<RoomName>(), Err(NameError::NoHash));
        assert_eq!("#common".parse::<RoomName>().unwrap(), RoomName::lobby());
        assert_eq!(RoomName::lobby().to_string(), "#common");
    }

    #[test]
    fn a_direct_room_is_named_after_its_two_users_in_their_order() {
        let user = |name: &str| name.parse::<UserName>().unwrap();
        let (alice, bob, carol) = (user("alice"), user("bob"), user("carol"));
        let room = RoomName::direct(bob, alice).unwrap();
        assert_eq!((room.as_str(), room.to_string().as_str()), ("@alice@bob", "@alice@bob"));
        assert_eq!(RoomName::direct(alice, bob), Some(room));
        assert_eq!(RoomName::from_wire("@alice@bob"), Some(room));
        assert_eq!(room.pair(), Some((alice, bob)));
        assert_eq!([alice, bob, carol].map(|user| room.partner(user)), [Some(bob), Some(alice), None]);
        assert_eq!(RoomName::direct(alice, alice), None);
        for text in
            ["@bob@alice", "@alice@alice", "@alice", "@alice@", "@@bob", "@alice@bob@carol", "@Alice@bob", "alice@bob"]
        {
            assert_eq!(RoomName::from_wire(text), None, "{text:?}");
        }
        let longest = RoomName::direct(user(&"a".repeat(32)), user(&"b".repeat(32))).unwrap();
        assert_eq!(RoomName::from_wire(longest.as_str()), Some(longest));
        assert!(room.is_direct() && !RoomName::lobby().is_direct() && RoomName::lobby().pair().is_none());
    }

    #[test]
    fn names_order_as_their_texts() {
        let mut names: Vec<UserName> = ["b", "a.b", "a", "aa", "0"].iter().map(|n| n.parse().unwrap()).collect();
        names.sort();
        let texts: Vec<&str> = names.iter().map(UserName::as_str).collect();
        assert_eq!(texts, ["0", "a", "a.b", "aa", "b"]);
    }

    #[test]
    fn a_fingerprint_reads_back_what_it_shows() {
        let fingerprint = Fingerprint([7; 32]);
        let text = fingerprint.to_string();
        assert_eq!(text.len(), "SHA256:".len() + 43);
        assert_eq!(text.parse(), Ok(fingerprint));
        let (cut, without) = (text.get(..text.len() - 1).unwrap(), text.strip_prefix('S').unwrap());
        for bad in ["", "SHA256:", without, cut, &format!("{text}A")] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(FingerprintError), "{bad:?}");
        }
    }

    #[test]
    fn identifiers_are_ordered_by_time_and_differ_within_a_moment() {
        let id = |time| MessageId::new(Timestamp(time), &mut rand::rng());
        let time = 1_700_000_000_000;
        assert!(id(time) < id(time + 1) && id(time + 255) < id(time + 256));
        assert_eq!(id(time).0[..6], time.to_be_bytes()[2..]);
        assert_ne!(id(time), id(time));
    }
}
