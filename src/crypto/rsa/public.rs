//! Public keys: reading, naming, encrypting to them, verifying with them.

use std::fmt;
use std::sync::Arc;

use ::rsa::{BoxedUint, Oaep, Pss, RsaPublicKey, pkcs1};
use pkcs8::der::{Decode as _, Document};
use pkcs8::{EncodePublicKey as _, LineEnding, SubjectPublicKeyInfoRef};
use rand::CryptoRng;
use sha2::{Digest as _, Sha256};

use super::pem::Armor;
use super::{Label, SALT_BYTES, Weakness, algorithm_name};
use crate::crypto::secret::Secret;
use crate::model::Fingerprint;

/// Why something is not an acceptable public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// A PEM block without its end: truncated, or still being written.
    #[error("it ends before the END line of its PEM block")]
    Unfinished,
    /// A private key, which must not be given away.
    #[error("it holds a private key, where a public key is expected")]
    PrivateKey,
    /// A public key in ssh's own format.
    #[error("it is in ssh's own format, where PEM is expected")]
    OpenSsh,
    /// A PEM block of another kind.
    #[error("it is a PEM file with a {0}, where a PUBLIC KEY is expected")]
    OtherBlock(String),
    /// No PEM file.
    #[error("it is not a PEM file")]
    NotPem,
    /// A key of another type than RSA.
    #[error("it is {0}, where an RSA key is expected")]
    NotRsa(String),
    /// Neither a SubjectPublicKeyInfo nor an RSAPublicKey in DER, or not exactly one.
    #[error("its contents are not a well-formed RSA public key")]
    Malformed,
    /// An RSA key, but not one to trust.
    #[error(transparent)]
    Weak(#[from] Weakness),
}

/// The signature is not one of this key over this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not match")]
pub struct BadSignature;

/// An RSA public key, with its encoding and fingerprint. Cloning shares it.
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    key: RsaPublicKey,
    spki: Box<[u8]>,
    fingerprint: Fingerprint,
    bits: u32,
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo (RFC 5280, 4.1.2.7) with the algorithm `rsaEncryption`, in the one encoding
    /// that DER allows and with nothing after it: equal keys have equal bytes, and so equal fingerprints.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, PublicKeyError> {
        let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| PublicKeyError::Malformed)?;
        if info.algorithm.oid != pkcs1::ALGORITHM_OID {
            return Err(PublicKeyError::NotRsa(algorithm_name(info.algorithm.oid)));
        }
        let pkcs1 = info.subject_public_key.as_bytes().ok_or(PublicKeyError::Malformed)?;
        let key = Self::from_pkcs1_der(pkcs1)?;
        if key.spki_der() == der { Ok(key) } else { Err(PublicKeyError::Malformed) }
    }

    /// Reads a DER RSAPublicKey (RFC 8017, A.1.1).
    fn from_pkcs1_der(der: &[u8]) -> Result<Self, PublicKeyError> {
        let parts = pkcs1::RsaPublicKeyRef::from_der(der).map_err(|_| PublicKeyError::Malformed)?;
        let (modulus, exponent) = (parts.modulus.as_bytes(), parts.public_exponent.as_bytes());
        if let Some(weakness) = Weakness::find(modulus, exponent) {
            return Err(weakness.into());
        }
        let modulus = BoxedUint::from_be_slice_vartime(modulus);
        let exponent = BoxedUint::from_be_slice_vartime(exponent);
        let key = RsaPublicKey::new(modulus, exponent).map_err(|_| PublicKeyError::Malformed)?;
        Self::from_rsa(key).ok_or(PublicKeyError::Malformed)
    }

    /// Wraps a key that has been checked; `None` if it can't be encoded.
    pub(super) fn from_rsa(key: RsaPublicKey) -> Option<Self> {
        use ::rsa::traits::PublicKeyParts as _;
        let spki = key.to_public_key_der().ok()?.into_vec().into_boxed_slice();
        let fingerprint = Fingerprint(Sha256::digest(&spki).into());
        let bits = key.n().bits_vartime();
        Some(Self(Arc::new(Inner { key, spki, fingerprint, bits })))
    }

    /// Reads a PEM file: `PUBLIC KEY` (SubjectPublicKeyInfo) or `RSA PUBLIC KEY` (PKCS#1).
    ///
    /// # Errors
    /// What the file is instead, or what is wrong with the key.
    pub fn from_pem(text: &str) -> Result<Self, PublicKeyError> {
        // Before all else, and wherever it stands: whoever handed this over has to hear about it.
        if text.contains("PRIVATE KEY-----") {
            return Err(PublicKeyError::PrivateKey);
        }
        let label = match Armor::of(text) {
            Armor::Empty => return Err(PublicKeyError::Empty),
            Armor::Unfinished => return Err(PublicKeyError::Unfinished),
            Armor::OpenSshPublic => return Err(PublicKeyError::OpenSsh),
            Armor::Unknown => return Err(PublicKeyError::NotPem),
            Armor::Block(label) => label,
        };
        let read = match label {
            "PUBLIC KEY" => Self::from_spki_der,
            "RSA PUBLIC KEY" => Self::from_pkcs1_der,
            other => return Err(PublicKeyError::OtherBlock(other.to_owned())),
        };
        let (_, document) = Document::from_pem(text.trim()).map_err(|_| PublicKeyError::Malformed)?;
        read(document.as_bytes())
    }

    /// The DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.0.spki
    }

    /// The PEM file, `PUBLIC KEY`.
    ///
    /// # Panics
    /// Never: every key here has been encoded once, by its constructor.
    #[must_use]
    pub fn to_pem(&self) -> String {
        #[expect(clippy::expect_used, reason = "the constructor has encoded this very key")]
        self.0.key.to_public_key_pem(LineEnding::LF).expect("a checked key has an encoding")
    }

    /// SHA-256 over [`PublicKey::spki_der`].
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// Bits of the modulus.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.0.bits
    }

    /// Bytes of the modulus: as long are this key's ciphertexts and signatures.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.bits.div_ceil(8) as usize
    }

    /// Encrypts a secret to this key for one purpose; [`PublicKey::size`] bytes.
    ///
    /// # Panics
    /// Never: 32 bytes fit the modulus of every key that has been checked, as all here have.
    #[must_use]
    pub fn encrypt(&self, label: Label, secret: &Secret, rng: &mut dyn CryptoRng) -> Vec<u8> {
        let padding = Oaep::<Sha256>::new_with_label(label.bytes());
        #[expect(
            clippy::expect_used,
            reason = "fails only for a message too long or a key out of bounds: every key here has at least 2048 bits"
        )]
        self.0.key.encrypt(rng, padding, secret.expose()).expect("32 bytes fit any checked key")
    }

    /// Checks a signature over `message`.
    ///
    /// # Errors
    /// If it is not this key's signature over these bytes.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let padding = Pss::<Sha256>::new_with_salt(SALT_BYTES);
        self.0.key.verify(padding, &Sha256::digest(message), signature).map_err(|_| BadSignature)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki_der() == other.spki_der()
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} bits, {})", self.bits(), self.fingerprint())
    }
}
