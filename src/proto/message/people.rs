//! The bodies of what concerns people: who is here, and whether they want to be talked to.

use minicbor::encode::Write;
use minicbor::{Decode, Decoder, Encode, Encoder};

use super::{Malformed, decode_whole};
use crate::crypto::invite::InviteToken;
use crate::model::{RoomName, Timestamp, UserName};

/// Body of request 18: say whether one wants to be talked to, with all of one's sessions. Answered by
/// [`Reply::Done`](super::Reply::Done).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SetStatus {
    /// Whether.
    #[n(0)]
    pub availability: Availability,
    /// One line, at most 256 bytes.
    #[n(1)]
    pub text: Option<String>,
    /// For so many seconds; without it, until it is said anew.
    #[n(2)]
    pub seconds: Option<u32>,
}

/// Body of request 19: whether somebody is at this session. Who has said nothing else is away when nobody is at any of
/// his. Answered by [`Reply::Done`](super::Reply::Done).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SetIdle {
    /// Nobody is.
    #[n(0)]
    pub idle: bool,
}

/// Body of request 25: an invitation for somebody who is not registered, to be let in by. Answered by [`Invited`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct InviteUser {
    /// Who.
    #[n(0)]
    pub user: UserName,
    /// Good for so many seconds; without it, for a day.
    #[n(1)]
    pub seconds: Option<u32>,
}

/// Body of answer 42.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Invited {
    /// Who.
    #[n(0)]
    pub user: UserName,
    /// By what the server will know him; a secret.
    #[n(1)]
    pub token: InviteToken,
    /// Good until then.
    #[n(2)]
    pub until: Timestamp,
}

/// Whether somebody wants to be talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// 0: yes.
    Online,
    /// 1: later.
    Away,
    /// 2: not now.
    DoNotDisturb,
    /// Any other number, from a newer server.
    Other(u64),
}

/// What somebody says of himself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Status {
    /// Whether he wants to be talked to.
    #[n(0)]
    pub availability: Availability,
    /// What else he says.
    #[n(1)]
    pub text: Option<String>,
    /// Until then; without it, until it is said anew.
    #[n(2)]
    pub until: Option<Timestamp>,
}

impl Status {
    /// Of who has said nothing.
    pub const ONLINE: Self = Self { availability: Availability::Online, text: None, until: None };

    /// The status alone, as the database keeps it.
    #[must_use]
    pub fn to_cbor(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // Writing into a Vec can't fail, and no encoder here refuses a value.
        let _ = Encoder::new(&mut out).encode(self);
        out
    }

    /// Reads what [`Status::to_cbor`] wrote.
    ///
    /// # Errors
    /// [`Malformed`] for anything but one status.
    pub fn from_cbor(bytes: &[u8]) -> Result<Self, Malformed> {
        decode_whole(bytes)
    }
}

/// Body of event 67: changes of a short while, together; the user's own coming is among them. A room of more than 500
/// users sends none: there a client asks with [`People`](super::People) when it wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Presence {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// Who came.
    #[n(1)]
    pub came: Vec<UserName>,
    /// Who left.
    #[n(2)]
    pub left: Vec<UserName>,
    /// Whose status is another one; of those who came, whose is another than online.
    #[n(3)]
    pub changed: Vec<Changed>,
}

/// Somebody's new status.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Changed {
    /// Whose.
    #[n(0)]
    pub user: UserName,
    /// What it is.
    #[n(1)]
    pub status: Status,
}

impl<C> Encode<C> for Availability {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        let number = match self {
            Self::Online => 0,
            Self::Away => 1,
            Self::DoNotDisturb => 2,
            Self::Other(number) => *number,
        };
        e.u64(number)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Availability {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(match d.u64()? {
            0 => Self::Online,
            1 => Self::Away,
            2 => Self::DoNotDisturb,
            number => Self::Other(number),
        })
    }
}
