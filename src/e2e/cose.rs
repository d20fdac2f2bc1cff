//! The COSE structures (RFC 9052), with the headers that they have here and no others: what carries more, or less, is not
//! ours and is refused, so that no header can change what a structure means.

use coset::iana::{self, EnumI64 as _};
use coset::{
    CborSerializable, CoseEncrypt, CoseEncrypt0, CoseEncrypt0Builder, CoseEncryptBuilder, CoseKey, CoseKeyBuilder,
    CoseRecipient, CoseRecipientBuilder, CoseSign1, CoseSign1Builder, Header, HeaderBuilder, Label, cbor::Value,
};

use crate::crypto::aead::{Key, NONCE_BYTES, TAG_BYTES};
use crate::crypto::ed25519::VerifyingKey;
use crate::crypto::secret::Secret;
use crate::model::Fingerprint;

/// A structure with an array of one recipient at its end: the byte between it and the recipient.
const ONE_RECIPIENT: u8 = 0x81;

/// Bytes that are no such structure, or do not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bad;

fn read<T: CborSerializable>(bytes: &[u8]) -> Result<T, Bad> {
    T::from_slice(bytes).map_err(|_| Bad)
}

/// Fails for no structure that is made here.
fn write(structure: impl CborSerializable) -> Vec<u8> {
    structure.to_vec().unwrap_or_default()
}

fn only(algorithm: iana::Algorithm) -> Header {
    HeaderBuilder::new().algorithm(algorithm).build()
}

/// The protected header of a statement: PS256 by the key of this fingerprint.
pub(super) fn statement_header(signer: Fingerprint) -> Header {
    HeaderBuilder::new().algorithm(iana::Algorithm::PS256).key_id(signer.0.to_vec()).build()
}

/// The protected header of a message: EdDSA.
pub(super) fn message_header() -> Header {
    only(iana::Algorithm::EdDSA)
}

/// A COSE_Sign1 that `sign` signs.
pub(super) fn sign<E>(
    header: Header,
    payload: Vec<u8>,
    context: &[u8],
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let signed = CoseSign1Builder::new().protected(header).payload(payload).try_create_signature(context, sign)?;
    Ok(write(signed.build()))
}

/// A COSE_Sign1 that was read and not checked.
pub(super) struct Signed(CoseSign1);

impl Signed {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Bad> {
        let signed: CoseSign1 = read(bytes)?;
        if signed.unprotected.is_empty() && signed.payload.is_some() { Ok(Self(signed)) } else { Err(Bad) }
    }

    /// The payload, to find out whose signature it should be.
    pub(super) fn unchecked_payload(&self) -> &[u8] {
        self.0.payload.as_deref().unwrap_or_default()
    }

    /// The payload, if the header is this one and `verify` accepts the signature over it.
    pub(super) fn check<E>(
        self,
        header: &Header,
        context: &[u8],
        verify: impl FnOnce(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<Vec<u8>, Bad> {
        if self.0.protected.header != *header {
            return Err(Bad);
        }
        self.0.verify_signature(context, |signature, signed| verify(signed, signature)).map_err(|_| Bad)?;
        self.0.payload.ok_or(Bad)
    }
}

fn seal(key: &Key, nonce: &[u8; NONCE_BYTES], plaintext: &[u8], associated_data: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(plaintext.len() + TAG_BYTES);
    buffer.extend_from_slice(plaintext);
    let tag = key.seal(nonce, associated_data, &mut buffer);
    buffer.extend_from_slice(&tag);
    buffer
}

fn open(key: &Key, nonce: &[u8; NONCE_BYTES], ciphertext: &[u8], associated_data: &[u8]) -> Result<Vec<u8>, Bad> {
    let (text, tag) = ciphertext.split_last_chunk::<TAG_BYTES>().ok_or(Bad)?;
    let mut buffer = text.to_vec();
    key.open(nonce, associated_data, &mut buffer, tag).map_err(|_| Bad)?;
    Ok(buffer)
}

/// A COSE_Encrypt0 under a key with a base IV: the partial IV is the message's number, in 8 bytes.
pub(super) fn encrypt_message(
    key: &Key,
    base_iv: &[u8; NONCE_BYTES],
    index: u64,
    plaintext: &[u8],
    context: &[u8],
) -> Vec<u8> {
    let sealed = CoseEncrypt0Builder::new()
        .protected(only(iana::Algorithm::A256GCM))
        .unprotected(HeaderBuilder::new().partial_iv(index.to_be_bytes().to_vec()).build())
        .create_ciphertext(plaintext, context, |plaintext, aad| seal(key, &nonce(base_iv, index), plaintext, aad));
    write(sealed.build())
}

/// A COSE_Encrypt0 of a message, with the number that it gives itself.
pub(super) struct SealedMessage {
    pub(super) index: u64,
    sealed: CoseEncrypt0,
}

impl SealedMessage {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Bad> {
        let sealed: CoseEncrypt0 = read(bytes)?;
        let partial_iv = sealed.unprotected.partial_iv.as_slice();
        let index = u64::from_be_bytes(partial_iv.try_into().map_err(|_| Bad)?);
        let unprotected = HeaderBuilder::new().partial_iv(partial_iv.to_vec()).build();
        if sealed.unprotected != unprotected || sealed.protected.header != only(iana::Algorithm::A256GCM) {
            return Err(Bad);
        }
        Ok(Self { index, sealed })
    }

    pub(super) fn decrypt(&self, key: &Key, base_iv: &[u8; NONCE_BYTES], context: &[u8]) -> Result<Vec<u8>, Bad> {
        let nonce = nonce(base_iv, self.index);
        self.sealed.decrypt_ciphertext(context, || Bad, |ciphertext, aad| open(key, &nonce, ciphertext, aad))
    }
}

/// RFC 9052, section 3.1: the partial IV, filled up on the left, exclusive-or the base IV.
fn nonce(base_iv: &[u8; NONCE_BYTES], index: u64) -> [u8; NONCE_BYTES] {
    let mut nonce = *base_iv;
    for (byte, number) in nonce.iter_mut().rev().zip(index.to_be_bytes().iter().rev()) {
        *byte ^= number;
    }
    nonce
}

/// A COSE_Encrypt under a content key, in two parts: what all recipients have in common, and for each what only it needs,
/// its COSE_recipient. A head, the byte 81 and a recipient are a COSE_Encrypt for that one.
pub(super) fn encrypt_statement(
    key: &Secret,
    iv: &[u8; NONCE_BYTES],
    plaintext: &[u8],
    context: &[u8],
    wrapped: impl Iterator<Item = (Fingerprint, Vec<u8>)>,
) -> (Vec<u8>, Vec<(Fingerprint, Vec<u8>)>) {
    let recipients = wrapped.map(|(member, ciphertext)| {
        let recipient = CoseRecipientBuilder::new().unprotected(recipient_header(member)).ciphertext(ciphertext);
        (member, write(recipient.build()))
    });
    // Its recipient is taken off again: it says only where the head ends.
    let placeholder = write(CoseRecipient::default());
    let sealed = CoseEncryptBuilder::new()
        .protected(only(iana::Algorithm::A256GCM))
        .unprotected(HeaderBuilder::new().iv(iv.to_vec()).build())
        .create_ciphertext(plaintext, context, |plaintext, aad| seal(&Key::new(key), iv, plaintext, aad))
        .add_recipient(CoseRecipient::default());
    let mut head = write(sealed.build());
    head.truncate(head.len().saturating_sub(1 + placeholder.len()));
    (head, recipients.collect())
}

/// RSAES-OAEP with SHA-256 (RFC 8230, section 3) for the key of this fingerprint.
fn recipient_header(member: Fingerprint) -> Header {
    HeaderBuilder::new().algorithm(iana::Algorithm::RSAES_OAEP_SHA_256).key_id(member.0.to_vec()).build()
}

/// A COSE_Encrypt for one recipient.
pub(super) struct SealedStatement {
    sealed: CoseEncrypt,
    wrapped: Vec<u8>,
}

impl SealedStatement {
    /// Joins the two parts again. The recipient has to be this one.
    pub(super) fn read(head: &[u8], recipient: &[u8], member: Fingerprint) -> Result<Self, Bad> {
        let mut sealed: CoseEncrypt = read(&[head, &[ONE_RECIPIENT], recipient].concat())?;
        let recipient = sealed.recipients.pop().filter(|_| sealed.recipients.is_empty()).ok_or(Bad)?;
        let wrapped = recipient.ciphertext.ok_or(Bad)?;
        let sound = recipient.protected.is_empty()
            && recipient.unprotected == recipient_header(member)
            && recipient.recipients.is_empty()
            && sealed.protected.header == only(iana::Algorithm::A256GCM)
            && sealed.unprotected == HeaderBuilder::new().iv(sealed.unprotected.iv.clone()).build();
        if sound { Ok(Self { sealed, wrapped }) } else { Err(Bad) }
    }

    /// The content key, encrypted for the recipient.
    pub(super) fn wrapped(&self) -> &[u8] {
        &self.wrapped
    }

    pub(super) fn decrypt(&self, key: &Secret, context: &[u8]) -> Result<Vec<u8>, Bad> {
        let iv = self.sealed.unprotected.iv.as_slice().try_into().map_err(|_| Bad)?;
        let key = Key::new(key);
        self.sealed.decrypt_ciphertext(context, || Bad, |ciphertext, aad| open(&key, iv, ciphertext, aad))
    }
}

/// A COSE_Key: symmetric, for A256GCM, with its base IV.
pub(super) fn symmetric_key(key: &Secret, base_iv: &[u8; NONCE_BYTES]) -> Vec<u8> {
    let key = CoseKeyBuilder::new_symmetric_key(key.expose().to_vec())
        .algorithm(iana::Algorithm::A256GCM)
        .base_iv(base_iv.to_vec());
    write(key.build())
}

/// Reads [`symmetric_key`]'s.
pub(super) fn read_symmetric_key(bytes: &[u8]) -> Result<(Secret, [u8; NONCE_BYTES]), Bad> {
    let read: CoseKey = read(bytes)?;
    let base_iv = read.base_iv.as_slice().try_into().map_err(|_| Bad)?;
    let bytes: [u8; 32] = parameter(&read, iana::SymmetricKeyParameter::K.to_i64())?.try_into().map_err(|_| Bad)?;
    let expected = CoseKeyBuilder::new_symmetric_key(bytes.to_vec())
        .algorithm(iana::Algorithm::A256GCM)
        .base_iv(read.base_iv.clone());
    let key = Secret::filled_by(|out| out.copy_from_slice(&bytes));
    if read == expected.build() { Ok((key, base_iv)) } else { Err(Bad) }
}

/// A COSE_Key: an Ed25519 public key, for EdDSA.
pub(super) fn verifying_key(key: &VerifyingKey) -> Vec<u8> {
    write(okp(key))
}

fn okp(key: &VerifyingKey) -> CoseKey {
    CoseKeyBuilder::new_okp_key()
        .algorithm(iana::Algorithm::EdDSA)
        .param(iana::OkpKeyParameter::Crv.to_i64(), Value::from(iana::EllipticCurve::Ed25519.to_i64()))
        .param(iana::OkpKeyParameter::X.to_i64(), Value::Bytes(key.to_bytes().to_vec()))
        .build()
}

/// Reads [`verifying_key`]'s.
pub(super) fn read_verifying_key(bytes: &[u8]) -> Result<VerifyingKey, Bad> {
    let read: CoseKey = read(bytes)?;
    let key = VerifyingKey::from_bytes(parameter(&read, iana::OkpKeyParameter::X.to_i64())?).map_err(|_| Bad)?;
    if read == okp(&key) { Ok(key) } else { Err(Bad) }
}

fn parameter(key: &CoseKey, label: i64) -> Result<&[u8], Bad> {
    let value = key.params.iter().find(|(other, _)| *other == Label::Int(label)).map(|(_, value)| value);
    value.and_then(Value::as_bytes).map(Vec::as_slice).ok_or(Bad)
}
