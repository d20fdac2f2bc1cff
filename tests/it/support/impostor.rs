//! Handshakes that no honest client makes, from the same parts as the library's own.

use rsachat::crypto::aead::{Key, NONCE_BYTES, TAG_BYTES};
use rsachat::crypto::kdf::{Label, Transcript, expand, extract};
use rsachat::crypto::kem::EphemeralKey;
use rsachat::crypto::rsa::{Label as OaepLabel, PublicKey};
use rsachat::crypto::secret::Secret;
use rsachat::model::UserName;
use rsachat::proto::frame::{HEADER_BYTES, Kind};
use rsachat::proto::handshake::wire::{self, ClientHello, ServerHello};

use super::data_dir::{Identity, server_key};

/// A client's first message, and what it needs for its last one.
pub(crate) struct Hello {
    pub(crate) frame: Vec<u8>,
    early: Secret,
    key: EphemeralKey,
    transcript: Transcript,
}

/// A hello that says it comes from `identity`.
pub(crate) fn hello(identity: &Identity) -> Hello {
    hello_of(identity.user, identity.key.public())
}

/// A hello that says it comes from this user, with this key.
pub(crate) fn hello_of(user: UserName, own: &PublicKey) -> Hello {
    let rng = &mut rand::rng();
    let k_s = Secret::random(rng);
    let key = EphemeralKey::generate(rng);
    let mut content = Vec::new();
    let fingerprint = minicbor::bytes::ByteArray::from(own.fingerprint().0);
    minicbor::Encoder::new(&mut content)
        .map(2)
        .and_then(|e| e.u8(0)?.str(user.as_str())?.u8(1)?.encode(fingerprint))
        .unwrap();
    let block = wire::pad(&content, wire::SHORT_BLOCK).unwrap();
    let encrypted = server_key().encrypt(OaepLabel::ServerHandshake, &k_s, rng);
    let mut frame =
        ClientHello::head(&server_key().fingerprint().0, &key.public(), &encrypted, block.len() + TAG_BYTES);
    let early = extract(&zeros(), &k_s);
    let mut transcript = Transcript::new(b"RSAC1");
    seal(&early, Label::Identity, &mut transcript, &mut frame, &block);
    Hello { frame, early, key, transcript }
}

impl Hello {
    /// The last message, after the server's hello, from a client that calls itself `software`.
    pub(crate) fn finish(mut self, server_hello: &[u8], identity: &Identity, software: &str) -> Vec<u8> {
        let rng = &mut rand::rng();
        let hello = ServerHello::parse(&server_hello[HEADER_BYTES..], false).unwrap();
        let secret = mix(&self.early, &self.key.decapsulate(hello.kem_ciphertext));
        self.transcript.update(&server_hello[..server_hello.len() - hello.sealed.len()]);
        let hash = self.transcript.hash();
        let (block, tag) = hello.sealed.split_last_chunk::<TAG_BYTES>().unwrap();
        let mut block = block.to_vec();
        let key = Key::new(&expand(&secret, Label::ServerHello, &hash));
        key.open(&[0; NONCE_BYTES], &hash, &mut block, tag).unwrap();
        self.transcript.update(hello.sealed);
        let k_c = identity.key.decrypt(OaepLabel::ClientHandshake, wire::unpad(&block).unwrap(), rng);
        let auth = mix(&secret, &k_c);

        let mut content = Vec::new();
        minicbor::Encoder::new(&mut content).map(2).and_then(|e| e.u8(0)?.str(software)?.u8(1)?.array(0)).unwrap();
        let block = wire::pad(&content, wire::SHORT_BLOCK).unwrap();
        let mut frame = wire::head(Kind::ClientFinish, &[], block.len() + TAG_BYTES);
        seal(&auth, Label::ClientFinish, &mut self.transcript, &mut frame, &block);
        frame
    }
}

fn zeros() -> Secret {
    Secret::filled_by(|_| ())
}

fn mix(secret: &Secret, next: &Secret) -> Secret {
    extract(&expand(secret, Label::Derived, &[0; 32]), next)
}

fn seal(secret: &Secret, label: Label, transcript: &mut Transcript, frame: &mut Vec<u8>, block: &[u8]) {
    transcript.update(frame);
    let hash = transcript.hash();
    let start = frame.len();
    frame.extend_from_slice(block);
    let tag = Key::new(&expand(secret, label, &hash)).seal(&[0; NONCE_BYTES], &hash, &mut frame[start..]);
    frame.extend_from_slice(&tag);
    transcript.update(&frame[start..]);
}
