//! RSA with OAEP and PSS only: the one place that uses the `rsa` crate.
//!
//! Encryption is RSAES-OAEP with SHA-256 for both the hash and MGF1, under a [`Label`] that binds a ciphertext to its
//! purpose; signatures are RSASSA-PSS with SHA-256 and a salt of 32 bytes (RFC 8017, 7.1 and 8.1). Keys have 2048 to
//! 4096 bits and an odd public exponent of at least 65537. Private-key operations are always blinded, and a failed
//! decryption can't be told from one that worked: it gives a random secret.
//!
//! PKCS#1 v1.5 padding is not here, and never will be: its decryption failures have given keys away since 1998.

mod own;
mod pem;
mod private;
mod public;

pub use own::OwnKey;
pub use private::{OperationError, PrivateKey, PrivateKeyError};
pub use public::{BadSignature, PublicKey, PublicKeyError};

/// The smallest accepted modulus, in bits.
pub const MIN_BITS: u32 = 2048;

/// The largest accepted modulus, in bits.
pub const MAX_BITS: u32 = 4096;

/// The smallest accepted public exponent.
pub const MIN_EXPONENT: u64 = 65537;

/// The largest accepted public exponent: larger ones only make peers work (the bound of the `rsa` crate).
pub const MAX_EXPONENT: u64 = ::rsa::RsaPublicKey::MAX_PUB_EXPONENT;

/// Bytes of a PSS salt: as many as the hash has (RFC 8017, 9.1).
const SALT_BYTES: usize = 32;

/// The size of a key to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bits {
    /// 2048 bits.
    B2048,
    /// 3072 bits, about as strong as AES-128.
    #[default]
    B3072,
    /// 4096 bits.
    B4096,
}

impl Bits {
    const fn count(self) -> usize {
        match self {
            Self::B2048 => 2048,
            Self::B3072 => 3072,
            Self::B4096 => 4096,
        }
    }
}

/// What an OAEP ciphertext is for. A ciphertext made under one label does not open under another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// The client's secret for the server, in ClientHello.
    ServerHandshake,
    /// The server's secret for the client, in ServerHello.
    ClientHandshake,
    /// The content key of a sender key, for a member.
    SenderKey,
    /// The key of what a client remembers, for its own user.
    ClientMemory,
}

impl Label {
    const fn bytes(self) -> &'static [u8] {
        match self {
            Self::ServerHandshake => b"RSAC1 handshake server",
            Self::ClientHandshake => b"RSAC1 handshake client",
            // COSE has none (RFC 8230, section 3): and none is another one than those above.
            Self::SenderKey => b"",
            Self::ClientMemory => b"RSAC1 client memory",
        }
    }
}

/// Why a well-formed RSA key is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// The modulus is too small.
    #[error("{bits} bits: at least {MIN_BITS} are needed")]
    TooFewBits {
        /// Bits of the modulus.
        bits: u32,
    },
    /// The modulus is too large.
    #[error("{bits} bits: at most {MAX_BITS} are accepted")]
    TooManyBits {
        /// Bits of the modulus.
        bits: u32,
    },
    /// The modulus is even, so it is not a product of two large primes.
    #[error("its modulus is even")]
    EvenModulus,
    /// The public exponent is even, so nothing it encrypts can be decrypted.
    #[error("its public exponent is even")]
    EvenExponent,
    /// The public exponent is too small.
    #[error("its public exponent is {exponent}: at least {MIN_EXPONENT} is needed")]
    SmallExponent {
        /// The exponent.
        exponent: u64,
    },
    /// The public exponent is too large.
    #[error("its public exponent is larger than {MAX_EXPONENT}")]
    LargeExponent,
}

impl Weakness {
    /// Judges a public key by its big-endian modulus and exponent, which have no leading zeros.
    fn find(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let bits = bit_length(modulus);
        if bits < MIN_BITS {
            return Some(Self::TooFewBits { bits });
        }
        if bits > MAX_BITS {
            return Some(Self::TooManyBits { bits });
        }
        if is_even(modulus) {
            return Some(Self::EvenModulus);
        }
        if is_even(exponent) {
            return Some(Self::EvenExponent);
        }
        if bit_length(exponent) > u64::BITS {
            return Some(Self::LargeExponent);
        }
        let exponent = exponent.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        if exponent < MIN_EXPONENT {
            return Some(Self::SmallExponent { exponent });
        }
        (exponent > MAX_EXPONENT).then_some(Self::LargeExponent)
    }
}

/// Bits of a big-endian number without leading zero bytes; `u32::MAX` for what no key has.
fn bit_length(number: &[u8]) -> u32 {
    let unused = number.first().map_or(0, |byte| byte.leading_zeros());
    u32::try_from(number.len()).ok().and_then(|bytes| bytes.checked_mul(8)).map_or(u32::MAX, |bits| bits - unused)
}

fn is_even(number: &[u8]) -> bool {
    number.last().is_none_or(|byte| byte & 1 == 0)
}

/// The name of a key type that is not RSA encryption, for an error message.
fn algorithm_name(oid: pkcs8::ObjectIdentifier) -> String {
    match oid.to_string().as_str() {
        "1.2.840.10045.2.1" => "an elliptic-curve key".to_owned(),
        "1.3.101.112" => "an Ed25519 key".to_owned(),
        "1.3.101.110" => "an X25519 key".to_owned(),
        "1.2.840.10040.4.1" => "a DSA key".to_owned(),
        "1.2.840.113549.1.1.10" => "an RSA key for PSS signatures only".to_owned(),
        other => format!("a key of type {other}"),
    }
}

#[cfg(test)]
pub(crate) mod test_keys;
#[cfg(test)]
mod tests;
