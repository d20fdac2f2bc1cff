//! Private keys: making, reading, writing, decrypting and signing with them.
//!
//! Decryption is what a server does for every handshake, and has two backends. The rest is the `rsa` crate's in both.

#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(not(feature = "aws-lc"))]
mod rustcrypto;

use std::fmt;

use ::rsa::pkcs1::DecodeRsaPrivateKey as _;
use ::rsa::{Pss, RsaPrivateKey, pkcs1};
use pkcs8::der::Decode as _;
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::pkcs5::{self, pbes2, scrypt};
use pkcs8::{EncodePrivateKey as _, EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument};
use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

#[cfg(feature = "aws-lc")]
use self::aws_lc::Key;
#[cfg(not(feature = "aws-lc"))]
use self::rustcrypto::Key;
use super::pem::Armor;
use super::{Bits, Label, PublicKey, SALT_BYTES, Weakness, algorithm_name};
use crate::crypto::secret::Secret;

/// scrypt's cost for the files written here, as a power of two: N = 2^14, the largest that OpenSSL reads.
const SCRYPT_LOG_N: u8 = 14;
/// scrypt's block size.
const SCRYPT_R: u32 = 8;
/// scrypt's parallelization, to make up for the bounded N.
const SCRYPT_P: u32 = 5;
/// The most memory, in bytes, that the scrypt parameters of a file may ask for.
const SCRYPT_MEMORY: u64 = 1 << 30;
/// How often that memory may be gone through in all, at most: some ten seconds.
const SCRYPT_WORK: u64 = 8 * SCRYPT_MEMORY;
/// The most rounds of PBKDF2 that a file may ask for: some ten seconds.
const PBKDF2_ROUNDS: u32 = 20_000_000;

/// Why something is not an acceptable private key, or could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrivateKeyError {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// A PEM block without its end.
    #[error("it ends before the END line of its PEM block")]
    Unfinished,
    /// A public key.
    #[error("it holds a public key, where the private key is expected")]
    PublicKey,
    /// The key is encrypted, and no passphrase was given.
    #[error("it is protected by a passphrase")]
    NeedsPassphrase,
    /// The passphrase does not open it.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// PKCS#1 with OpenSSL's old encryption (`Proc-Type: 4,ENCRYPTED`), whose key derivation is one MD5.
    #[error("it is encrypted in the old OpenSSL format, which is too weak to be read here")]
    LegacyEncryption,
    /// PKCS#8 under an encryption that is not read here.
    #[error("it is encrypted in a way that is not read here")]
    OtherEncryption,
    /// ssh's own format.
    #[error("it is in ssh's own format, where PEM is expected")]
    OpenSsh,
    /// A PEM block of another kind.
    #[error("it is a PEM file with a {0}, where a PRIVATE KEY is expected")]
    OtherBlock(String),
    /// No PEM file.
    #[error("it is not a PEM file")]
    NotPem,
    /// A key of another type than RSA.
    #[error("it is {0}, where an RSA key is expected")]
    NotRsa(String),
    /// Not a well-formed key, or its parts do not fit each other.
    #[error("its contents are not a well-formed RSA private key")]
    Malformed,
    /// An RSA key, but not one to trust.
    #[error(transparent)]
    Weak(#[from] Weakness),
}

/// Why an operation with a private key gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// The arithmetic did not check out (a fault of the machine), or something could not be encoded.
    #[error("the RSA operation failed on this machine")]
    Failed,
    /// The key is with somebody else, who does not answer any more. Only of an [`OwnKey`](super::OwnKey).
    #[error("the agent that holds your key does not answer any more: it has ended, or its time is over")]
    OutOfReach,
}

/// An RSA private key. Wiped when dropped.
pub struct PrivateKey {
    pub(super) key: Key,
    public: PublicKey,
}

impl PrivateKey {
    /// Makes a new key, with the public exponent 65537. Takes from a fraction of a second to many seconds.
    ///
    /// # Errors
    /// Never in practice.
    pub fn generate(bits: Bits, rng: &mut dyn CryptoRng) -> Result<Self, OperationError> {
        let key = RsaPrivateKey::new(rng, bits.count()).map_err(|_| OperationError::Failed)?;
        Self::from_rsa(key).ok_or(OperationError::Failed)
    }

    /// Reads a PEM file: `PRIVATE KEY` and `ENCRYPTED PRIVATE KEY` (PKCS#8, RFC 5958; encrypted with PBES2 from
    /// PBKDF2 or scrypt and AES) or `RSA PRIVATE KEY` (PKCS#1). The passphrase is not looked at where none is needed.
    ///
    /// # Errors
    /// What the file is instead, what is wrong with the key, or with the passphrase.
    pub fn from_pem(text: &str, passphrase: Option<&str>) -> Result<Self, PrivateKeyError> {
        let label = match Armor::of(text) {
            Armor::Empty => return Err(PrivateKeyError::Empty),
            Armor::Unfinished => return Err(PrivateKeyError::Unfinished),
            Armor::OpenSshPublic => return Err(PrivateKeyError::PublicKey),
            Armor::Unknown => return Err(PrivateKeyError::NotPem),
            Armor::Block(label) => label,
        };
        match label {
            "PRIVATE KEY" => Self::from_pkcs8(decode(text)?.as_bytes()),
            "ENCRYPTED PRIVATE KEY" => Self::from_encrypted_pkcs8(decode(text)?.as_bytes(), passphrase),
            "RSA PRIVATE KEY" if text.contains("Proc-Type:") => Err(PrivateKeyError::LegacyEncryption),
            "RSA PRIVATE KEY" => Self::from_pkcs1(decode(text)?.as_bytes()),
            "OPENSSH PRIVATE KEY" => Err(PrivateKeyError::OpenSsh),
            "PUBLIC KEY" | "RSA PUBLIC KEY" => Err(PrivateKeyError::PublicKey),
            other => Err(PrivateKeyError::OtherBlock(other.to_owned())),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, PrivateKeyError> {
        let info = PrivateKeyInfoRef::try_from(der).map_err(|_| PrivateKeyError::Malformed)?;
        if info.algorithm.oid != pkcs1::ALGORITHM_OID {
            return Err(PrivateKeyError::NotRsa(algorithm_name(info.algorithm.oid)));
        }
        Self::from_pkcs1(info.private_key.as_bytes())
    }

    fn from_encrypted_pkcs8(der: &[u8], passphrase: Option<&str>) -> Result<Self, PrivateKeyError> {
        let info = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| PrivateKeyError::OtherEncryption)?;
        check_cost(&info.encryption_algorithm)?;
        let passphrase = passphrase.ok_or(PrivateKeyError::NeedsPassphrase)?;
        let document = info.decrypt(passphrase).map_err(|error| match error {
            pkcs8::Error::EncryptedPrivateKey(pkcs5::Error::DecryptFailed) => PrivateKeyError::WrongPassphrase,
            pkcs8::Error::EncryptedPrivateKey(_) => PrivateKeyError::OtherEncryption,
            // The padding came out right by chance (one time in 256), the contents did not.
            _ => PrivateKeyError::WrongPassphrase,
        })?;
        match Self::from_pkcs8(document.as_bytes()) {
            Err(PrivateKeyError::Malformed) if PrivateKeyInfoRef::try_from(document.as_bytes()).is_err() => {
                Err(PrivateKeyError::WrongPassphrase)
            }
            result => result,
        }
    }

    /// Reads a DER RSAPrivateKey (RFC 8017, A.1.2). The primes must multiply to the modulus and the exponents must be
    /// each other's inverse; what speeds up the arithmetic is computed anew, not taken from the file.
    fn from_pkcs1(der: &[u8]) -> Result<Self, PrivateKeyError> {
        let parts = pkcs1::RsaPrivateKeyRef::from_der(der).map_err(|_| PrivateKeyError::Malformed)?;
        if let Some(weakness) = Weakness::find(parts.modulus.as_bytes(), parts.public_exponent.as_bytes()) {
            return Err(weakness.into());
        }
        let key = RsaPrivateKey::from_pkcs1_der(der).map_err(|_| PrivateKeyError::Malformed)?;
        Self::from_rsa(key).ok_or(PrivateKeyError::Malformed)
    }

    /// Wraps a key that has been checked; `None` if it can't be encoded.
    fn from_rsa(key: RsaPrivateKey) -> Option<Self> {
        let public = PublicKey::from_rsa(key.to_public_key())?;
        Some(Self { key: Key::new(key)?, public })
    }

    /// The PEM file without encryption, `PRIVATE KEY`.
    ///
    /// # Errors
    /// Never in practice.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, OperationError> {
        self.key.rsa().to_pkcs8_pem(LineEnding::LF).map_err(|_| OperationError::Failed)
    }

    /// The PEM file under a passphrase, `ENCRYPTED PRIVATE KEY`: PBES2 with scrypt (N=2^14, r=8, p=5) and AES-256-CBC,
    /// which OpenSSL 3 reads too.
    ///
    /// # Errors
    /// Never in practice.
    pub fn to_encrypted_pem(
        &self,
        passphrase: &str,
        rng: &mut dyn CryptoRng,
    ) -> Result<Zeroizing<String>, OperationError> {
        let (mut salt, mut iv) = ([0; 16], [0; 16]);
        rng.fill_bytes(&mut salt);
        rng.fill_bytes(&mut iv);
        let cost = scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P).map_err(|_| OperationError::Failed)?;
        let scheme =
            pbes2::Parameters::generate_scrypt_aes256cbc(cost, &salt, iv).map_err(|_| OperationError::Failed)?;
        let der = self.key.rsa().to_pkcs8_der().map_err(|_| OperationError::Failed)?;
        let ciphertext = scheme.encrypt(passphrase, der.as_bytes()).map_err(|_| OperationError::Failed)?;
        let info = EncryptedPrivateKeyInfoRef {
            encryption_algorithm: scheme.into(),
            encrypted_data: OctetStringRef::new(&ciphertext).map_err(|_| OperationError::Failed)?,
        };
        let document = SecretDocument::try_from(info).map_err(|_| OperationError::Failed)?;
        document.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).map_err(|_| OperationError::Failed)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Decrypts a secret that was encrypted for this purpose. Whatever is wrong with the ciphertext, the result is a
    /// random secret, drawn before anything is known (implicit rejection): the caller goes down the same path with it
    /// and fails where a peer with a wrong key fails.
    #[must_use]
    pub fn decrypt(&self, label: Label, ciphertext: &[u8], rng: &mut dyn CryptoRng) -> Secret {
        let random = Secret::random(rng);
        // Of its own, and drawn by both backends: what one of them needs for its blinding moves nothing that the caller
        // draws afterwards.
        let mut blinding = StdRng::from_rng(rng);
        let plaintext = self.key.decrypt(label.bytes(), ciphertext, &mut blinding);
        let secret = plaintext.as_ref().and_then(|text| text.as_slice().try_into().ok()).unwrap_or(random.expose());
        // A copy in both cases, so that both take the same steps.
        Secret::filled_by(|bytes| *bytes = *secret)
    }

    /// Signs `message`; [`PublicKey::size`] bytes.
    ///
    /// # Errors
    /// If the machine miscalculated: a wrong signature would give the key away.
    pub fn sign(&self, message: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, OperationError> {
        let padding = Pss::<Sha256>::new_with_salt(SALT_BYTES);
        self.key.rsa().sign_with_rng(rng, padding, &Sha256::digest(message)).map_err(|_| OperationError::Failed)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:?}, ..)", self.public)
    }
}

fn decode(text: &str) -> Result<SecretDocument, PrivateKeyError> {
    SecretDocument::from_pem(text.trim()).map(|(_, document)| document).map_err(|_| PrivateKeyError::Malformed)
}

/// Refuses encryption parameters that no program writes: they would take all memory or time, or make the crates below
/// panic.
fn check_cost(scheme: &pkcs5::EncryptionScheme) -> Result<(), PrivateKeyError> {
    let pkcs5::EncryptionScheme::Pbes2(parameters) = scheme else {
        return Err(PrivateKeyError::OtherEncryption);
    };
    let acceptable = match &parameters.kdf {
        pbes2::Kdf::Pbkdf2(cost) => cost.iteration_count <= PBKDF2_ROUNDS,
        pbes2::Kdf::Scrypt(cost) => {
            let memory = u64::from(cost.block_size).saturating_mul(128).saturating_mul(cost.cost_parameter);
            let work = memory.saturating_mul(cost.parallelization.into());
            cost.cost_parameter > 0 && memory <= SCRYPT_MEMORY && work <= SCRYPT_WORK
        }
        _ => false,
    };
    if acceptable { Ok(()) } else { Err(PrivateKeyError::OtherEncryption) }
}
