//! How names, numbers and identifiers are written: texts, unsigned integers and byte strings of a fixed length.

use minicbor::bytes::ByteArray;
use minicbor::encode::Write;
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::crypto::invite::{InviteToken, TOKEN_BYTES};
use crate::model::{
    Epoch, Fingerprint, Incarnation, MessageId, RoomName, RosterHash, SenderKeyId, Seq, Timestamp, UserName,
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

as_text!(UserName, RoomName);
as_bytes!(MessageId(16), Fingerprint(32), SenderKeyId(32), RosterHash(32), Epoch(32));
as_number!(Seq, Incarnation, Timestamp);
