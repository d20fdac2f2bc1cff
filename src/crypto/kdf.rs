//! HKDF with SHA-256 (RFC 5869), and labels in the manner of TLS 1.3 (RFC 8446, section 7.1).

use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};

use crate::crypto::secret::Secret;

/// HKDF-Extract: mixes `input` into what `salt` already holds.
#[must_use]
pub fn extract(salt: &Secret, input: &Secret) -> Secret {
    let (mixed, _) = Hkdf::<Sha256>::extract(Some(salt.expose()), input.expose());
    Secret::filled_by(|out| out.copy_from_slice(&mixed))
}

/// HKDF-Expand to 32 bytes. The info is, as in TLS 1.3's HkdfLabel, the length wanted (2 bytes), the length of the
/// label (1 byte), the label `rsac1 ` + `label`, the length of the context (1 byte), the context.
///
/// # Panics
/// Never: both lengths are constants within HKDF's limits.
#[must_use]
#[expect(clippy::expect_used, reason = "see Panics")]
pub fn expand(secret: &Secret, label: Label, context: &[u8; 32]) -> Secret {
    let label = label.text();
    let length = u8::try_from(label.len()).expect("a label is short");
    let info = [&[0, 32, length], label.as_bytes(), &[32], context].concat();
    let hkdf = Hkdf::<Sha256>::from_prk(secret.expose()).expect("a pseudorandom key of one hash length");
    Secret::filled_by(|out| hkdf.expand(&info, out).expect("an output of one hash length"))
}

/// What a derived key is for. Two purposes never share a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// Between two extractions.
    Derived,
    /// Seals the client's identity in its hello.
    Identity,
    /// Proves possession of a ticket's secret in a resuming hello.
    Binder,
    /// Seals the server's hello.
    ServerHello,
    /// Seals the client's last handshake message.
    ClientFinish,
    /// The first traffic secret from client to server.
    ClientTraffic,
    /// The first traffic secret from server to client.
    ServerTraffic,
    /// The secret that a ticket carries.
    Resumption,
    /// The next traffic secret in the same direction.
    Ratchet,
    /// The AEAD key of a traffic secret.
    Key,
    /// The static IV of a traffic secret, its first 12 bytes.
    Iv,
}

impl Label {
    /// Every label, for the tests that hold them apart.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 11] = [
        Self::Derived,
        Self::Identity,
        Self::Binder,
        Self::ServerHello,
        Self::ClientFinish,
        Self::ClientTraffic,
        Self::ServerTraffic,
        Self::Resumption,
        Self::Ratchet,
        Self::Key,
        Self::Iv,
    ];

    fn text(self) -> &'static str {
        match self {
            Self::Derived => "rsac1 derived",
            Self::Identity => "rsac1 identity",
            Self::Binder => "rsac1 binder",
            Self::ServerHello => "rsac1 server hello",
            Self::ClientFinish => "rsac1 client finish",
            Self::ClientTraffic => "rsac1 client traffic",
            Self::ServerTraffic => "rsac1 server traffic",
            Self::Resumption => "rsac1 resumption",
            Self::Ratchet => "rsac1 ratchet",
            Self::Key => "rsac1 key",
            Self::Iv => "rsac1 iv",
        }
    }
}

/// SHA-256.
#[must_use]
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A hash over everything said so far (SHA-256).
#[derive(Debug, Clone)]
pub struct Transcript(Sha256);

impl Transcript {
    /// A transcript that starts with the protocol's name.
    #[must_use]
    pub fn new(protocol: &[u8]) -> Self {
        Self(Sha256::new_with_prefix(protocol))
    }

    /// Appends `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash as of now.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 5869, appendix A.3 has the extraction with an empty salt; a salt of 32 zeros is the same HMAC key.
    #[test]
    fn extract_is_hkdf_extract() {
        use hkdf::hmac::{Hmac, KeyInit as _, Mac as _};
        let (salt, input) = (Secret::filled_by(|b| b.fill(1)), Secret::filled_by(|b| b.fill(2)));
        let mut mac = Hmac::<Sha256>::new_from_slice(salt.expose()).unwrap();
        mac.update(input.expose());
        assert_eq!(extract(&salt, &input).expose()[..], mac.finalize().into_bytes()[..]);
    }

    #[test]
    fn every_label_and_context_gives_its_own_secret() {
        let secret = Secret::filled_by(|b| b.fill(3));
        let mut seen = std::collections::HashSet::new();
        for label in Label::ALL {
            for context in [[0; 32], [1; 32]] {
                assert!(seen.insert(*expand(&secret, label, &context).expose()), "{label:?}");
            }
        }
    }
}
