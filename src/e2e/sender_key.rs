//! Sender keys: what a sender's messages in an epoch are sealed and signed with, and how the members come to have it.

use std::sync::Arc;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use rand::CryptoRng;

use super::cose::{self, Bad, SealedStatement, Signed};
use super::{Context, Member, Membership};
use crate::crypto::aead::{Key, NONCE_BYTES};
use crate::crypto::ed25519::{SigningKey, VerifyingKey};
use crate::crypto::kdf;
use crate::crypto::rsa::{Label, OperationError, OwnKey, PublicKey};
use crate::crypto::secret::Secret;
use crate::model::{Fingerprint, RoomName, SenderKeyId, UserName};

/// Most messages under one sender key.
pub const MESSAGES_PER_KEY: u64 = 10_000;

/// The secret half of a sender key: with its sender alone.
#[derive(Debug)]
pub struct SenderKey {
    pub(super) opened: Arc<OpenedKey>,
    pub(super) signing: SigningKey,
    /// The number of the next message.
    pub(super) next: u64,
}

/// What members have of a sender key: they can open what it seals.
#[derive(Debug)]
pub struct OpenedKey {
    pub(super) id: SenderKeyId,
    pub(super) context: Context,
    pub(super) key: Key,
    pub(super) base_iv: [u8; NONCE_BYTES],
    pub(super) verifying: VerifyingKey,
    membership: Membership,
    signer: PublicKey,
}

/// A sender key on its way to the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub id: SenderKeyId,
    /// What all members need, encrypted.
    pub head: Vec<u8>,
    /// What else each needs: the content key, encrypted with the key of this fingerprint.
    pub recipients: Vec<(Fingerprint, Vec<u8>)>,
}

/// Why a sender key is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It was encrypted for no key that is ours, or something else than what was encrypted came.
    #[error("it was not sealed to the key that you use")]
    Undecryptable,
    /// It is not what its name stands for.
    #[error("the sender's key for it is not the one that was announced")]
    OtherKey,
    /// It is no statement by the rules, or not for this room, epoch and sender.
    #[error("the sender's key for it does not belong here")]
    Foreign,
    /// Its sender has sealed it to another key in the place of ours. Whoever has that one has passed it on to us.
    #[error("its sender has sealed it to another key than yours, which somebody else has")]
    Misdirected,
    /// The signature is not that of the key that it names.
    #[error("the sender's key for it was not signed by its sender")]
    Forged,
    /// It is for a membership that the private room's roster does not have.
    #[error("it was sealed for a membership that this room never had")]
    OtherRoster,
    /// Its sender is not in the private room, or not with this key.
    #[error("its sender was not in the room, or with another key")]
    NotMember,
}

/// What a sender says of a sender key, and signs.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Statement {
    /// COSE_Key: what messages are encrypted with.
    #[n(0)]
    symmetric: ByteVec,
    /// COSE_Key: what messages are signed with.
    #[n(1)]
    verifying: ByteVec,
    /// Who it is sealed to.
    #[n(2)]
    membership: Membership,
    /// The DER SubjectPublicKeyInfo of the key that signs this: who looks back may find another one registered.
    #[n(3)]
    signer: ByteVec,
}

impl SenderKey {
    /// Makes a sender key for a room with these members, whose keys `recipients` are; the sender's own is among them.
    /// Some milliseconds of work, and less than one more for each member.
    ///
    /// # Errors
    /// If the identity does not sign.
    pub fn make(
        room: RoomName,
        sender: UserName,
        membership: &Membership,
        recipients: &[PublicKey],
        identity: &dyn OwnKey,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Self, Package), OperationError> {
        let context = Context { room, epoch: membership.epoch(room), sender };
        let (secret, signing) = (Secret::random(rng), SigningKey::generate(rng));
        let mut base_iv = [0; NONCE_BYTES];
        rng.fill_bytes(&mut base_iv);
        let statement = Statement {
            symmetric: cose::symmetric_key(&secret, &base_iv).into(),
            verifying: cose::verifying_key(&signing.public()).into(),
            membership: membership.clone(),
            signer: identity.public().spki_der().to_vec().into(),
        };
        let statement = minicbor::to_vec(&statement).map_err(|_| OperationError::Failed)?;
        let header = cose::statement_header(identity.public().fingerprint());
        let signed = cose::sign(header, statement, &context.of_statement(), |bytes| identity.sign(bytes, rng))?;
        let id = SenderKeyId(kdf::digest(&signed));
        let content_key = Secret::random(rng);
        let mut iv = [0; NONCE_BYTES];
        rng.fill_bytes(&mut iv);
        let wrapped =
            recipients.iter().map(|member| (member.fingerprint(), member.encrypt(Label::SenderKey, &content_key, rng)));
        let wrapped: Vec<_> = wrapped.collect();
        let (head, recipients) =
            cose::encrypt_statement(&content_key, &iv, &signed, &context.of_package(id), wrapped.into_iter());
        let opened = OpenedKey {
            id,
            context,
            key: Key::new(&secret),
            base_iv,
            verifying: signing.public(),
            membership: membership.clone(),
            signer: identity.public().clone(),
        };
        Ok((Self { opened: Arc::new(opened), signing, next: 0 }, Package { id, head, recipients }))
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> SenderKeyId {
        self.opened.id
    }

    /// Where it belongs.
    #[must_use]
    pub fn context(&self) -> Context {
        self.opened.context
    }

    /// What opens the sender's own messages when they come back.
    #[must_use]
    pub fn opened(&self) -> &Arc<OpenedKey> {
        &self.opened
    }
}

impl OpenedKey {
    /// Opens a sender key that came from the server, with one's private key. `context` is where it is said to belong. A few milliseconds of work.
    /// Whether [`OpenedKey::signer`] is the sender's is for the caller to decide.
    ///
    /// # Errors
    /// [`OperationError`] if the private key is out of reach; else what came is judged: [`Unusable`], by its reason.
    pub fn open(
        id: SenderKeyId,
        context: Context,
        (head, recipient): (&[u8], &[u8]),
        identity: &dyn OwnKey,
        rng: &mut dyn CryptoRng,
    ) -> Result<Result<Self, Unusable>, OperationError> {
        let own = identity.public().fingerprint();
        let Ok(sealed) = SealedStatement::read(head, recipient, own) else { return Ok(Err(Unusable::Undecryptable)) };
        let content_key = identity.decrypt(Label::SenderKey, sealed.wrapped(), rng)?;
        Ok(Self::from_sealed(id, context, &sealed, &content_key, own))
    }

    /// `own` is the fingerprint of the key for which it was sealed.
    fn from_sealed(
        id: SenderKeyId,
        context: Context,
        sealed: &SealedStatement,
        content_key: &Secret,
        own: Fingerprint,
    ) -> Result<Self, Unusable> {
        let signed = sealed.decrypt(content_key, &context.of_package(id)).map_err(|Bad| Unusable::Undecryptable)?;
        if SenderKeyId(kdf::digest(&signed)) != id {
            return Err(Unusable::OtherKey);
        }
        let opened = Self::from_statement(context, &signed)?;
        // Who was told another key as ours, by a server that has that one, would never hear of it.
        if opened.membership.may_have_key(own) { Ok(opened) } else { Err(Unusable::Misdirected) }
    }

    /// Reads what was encrypted: a statement that its sender has signed. Whom it was sealed to is not looked at.
    ///
    /// # Errors
    /// [`Unusable`], by its reason.
    pub fn from_statement(context: Context, signed: &[u8]) -> Result<Self, Unusable> {
        let id = SenderKeyId(kdf::digest(signed));
        let foreign = |Bad| Unusable::Foreign;
        let signed = Signed::read(signed).map_err(foreign)?;
        let statement: Statement = minicbor::decode(signed.unchecked_payload()).map_err(|_| Unusable::Foreign)?;
        let signer = PublicKey::from_spki_der(&statement.signer).map_err(|_| Unusable::Foreign)?;
        let header = cose::statement_header(signer.fingerprint());
        signed
            .check(&header, &context.of_statement(), |bytes, signature| signer.verify(bytes, signature))
            .map_err(|Bad| Unusable::Forged)?;
        let (secret, base_iv) = cose::read_symmetric_key(&statement.symmetric).map_err(foreign)?;
        let verifying = cose::read_verifying_key(&statement.verifying).map_err(foreign)?;
        let membership = statement.membership;
        let belongs = membership.fits(context.room)
            && membership.epoch(context.room) == context.epoch
            && membership.may_have(Member { user: context.sender, key: signer.fingerprint() });
        let key = Key::new(&secret);
        if belongs {
            Ok(Self { id, context, key, base_iv, verifying, membership, signer })
        } else {
            Err(Unusable::Foreign)
        }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> SenderKeyId {
        self.id
    }

    /// Where it belongs.
    #[must_use]
    pub fn context(&self) -> Context {
        self.context
    }

    /// Who it was sealed to.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Who has signed it. To be compared with the key that is pinned for the sender.
    #[must_use]
    pub fn signer(&self) -> &PublicKey {
        &self.signer
    }
}
