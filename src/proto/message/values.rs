//! How names, numbers and identifiers are written: texts, unsigned integers and byte strings of a fixed length.

use minicbor::bytes::ByteArray;
use minicbor::encode::Write;
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::crypto::invite::{InviteToken, TOKEN_BYTES};
use crate::model::{
    CHOICES, Choice, Choices, Epoch, Fingerprint, Incarnation, MessageId, QuestionHash, RoomName, RosterHash,
    SenderKeyId, Seq, Timestamp, UserName,
};

macro_rules! as_text {
    ($($name:ty),*) => {$(
        impl<C> Encode<C> for $name {
            fn encode<W: Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.str(self.as_str())?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                <$name>::from_wire(d.str()?).ok_or_else(|| minicbor::decode::Error::message("bad name"))
            }
        }
    )*};
}

macro_rules! as_bytes {
    ($($name:ident($size:literal)),*) => {$(
        impl<C> Encode<C> for $name {
            fn encode<W: Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
                let bytes: ByteArray<$size> = Decode::decode(d, ctx)?;
                Ok(Self(*bytes))
            }
        }
    )*};
}

macro_rules! as_number {
    ($($name:ident),*) => {$(
        impl<C> Encode<C> for $name {
            fn encode<W: Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.u64(self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                Ok(Self(d.u64()?))
            }
        }
    )*};
}

impl<C> Encode<C> for InviteToken {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(self.expose())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for InviteToken {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        let bytes: ByteArray<TOKEN_BYTES> = Decode::decode(d, ctx)?;
        Ok(Self::from_bytes(*bytes))
    }
}

as_text!(UserName, RoomName, Choice);
as_bytes!(MessageId(16), Fingerprint(32), SenderKeyId(32), RosterHash(32), Epoch(32), QuestionHash(32));
as_number!(Seq, Incarnation, Timestamp);

impl<C> Encode<C> for Choices {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(self.iter().len() as u64)?;
        self.iter().try_for_each(|choice| choice.encode(e, ctx))
    }
}

impl<'b, C> Decode<'b, C> for Choices {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        let bad = || minicbor::decode::Error::message("bad choices");
        let count = d.array()?.and_then(|count| usize::try_from(count).ok()).filter(|count| *count <= CHOICES);
        let choices: Result<Vec<Choice>, _> = (0..count.ok_or_else(bad)?).map(|_| Choice::decode(d, ctx)).collect();
        Self::new(choices?).map_err(|_| bad())
    }
}
