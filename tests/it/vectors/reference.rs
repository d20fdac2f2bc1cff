//! The handshake and the records as rsachat-protocol(7) tells them, written a second time, for clarity and not for use:
//! from the libraries below this program's own wrappers, and with none of its code.

use aes_gcm::aead::AeadInOut as _;
use aes_gcm::{Aes256Gcm, KeyInit as _};
use hkdf::hmac::{Hmac, Mac as _};
use pkcs8::DecodePrivateKey as _;
use rsa::{Oaep, RsaPrivateKey};
use sha2::{Digest as _, Sha256};
use x_wing::kem::Decapsulate as _;

pub(super) const ZERO: [u8; 32] = [0; 32];

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

pub(super) fn extract(salt: &[u8; 32], input: &[u8; 32]) -> [u8; 32] {
    hmac(salt, &[input])
}

pub(super) fn expand(secret: &[u8; 32], label: &str, context: &[u8; 32]) -> [u8; 32] {
    let length = u8::try_from(label.len()).unwrap();
    hmac(secret, &[&[0, 32, length], label.as_bytes(), &[32], context, &[1]])
}

pub(super) fn mix(secret: &[u8; 32], input: &[u8; 32]) -> [u8; 32] {
    extract(&expand(secret, "rsac1 derived", &ZERO), input)
}

pub(super) fn seal(key: &[u8; 32], nonce: &[u8; 12], associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut out = plaintext.to_vec();
    let cipher = Aes256Gcm::new(key.into());
    let tag = cipher.encrypt_inout_detached(nonce.into(), associated, out.as_mut_slice().into()).unwrap();
    out.extend_from_slice(&tag);
    out
}

pub(super) fn open(key: &[u8; 32], nonce: &[u8; 12], associated: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (ciphertext, tag) = sealed.split_last_chunk::<16>()?;
    let mut out = ciphertext.to_vec();
    let cipher = Aes256Gcm::new(key.into());
    cipher.decrypt_inout_detached(nonce.into(), associated, out.as_mut_slice().into(), tag.into()).ok()?;
    Some(out)
}

pub(super) fn oaep(pem: &str, label: &str, ciphertext: &[u8]) -> [u8; 32] {
    let key = RsaPrivateKey::from_pkcs8_pem(pem).unwrap();
    key.decrypt(Oaep::<Sha256>::new_with_label(label.as_bytes()), ciphertext).unwrap().try_into().unwrap()
}

pub(super) fn xwing(seed: [u8; 32], ciphertext: &[u8]) -> [u8; 32] {
    let ciphertext: &x_wing::Ciphertext = ciphertext.try_into().unwrap();
    x_wing::DecapsulationKey::from(seed).decapsulate(ciphertext).0
}

/// `content` in a block of `size` bytes.
pub(super) fn block(content: &[u8], size: usize) -> Vec<u8> {
    let mut block = u16::try_from(content.len()).unwrap().to_be_bytes().to_vec();
    block.extend_from_slice(content);
    block.resize(size, 0);
    block
}

/// What a block holds; everything has to be right.
pub(super) fn content(block: &[u8]) -> &[u8] {
    let (length, rest) = block.split_first_chunk().unwrap();
    let (content, padding) = rest.split_at(u16::from_be_bytes(*length).into());
    assert!(padding.iter().all(|&byte| byte == 0));
    content
}

/// A frame's header.
pub(super) fn header(kind: u8, length: usize) -> [u8; 4] {
    let [_, a, b, c] = u32::try_from(length).unwrap().to_be_bytes();
    [kind, a, b, c]
}

pub(super) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&header(kind, payload.len()), payload].concat()
}

/// A sealed block, and what sealed it.
pub(super) struct Sealed {
    pub(super) hash: [u8; 32],
    pub(super) key: [u8; 32],
    pub(super) block: Vec<u8>,
}

/// The transcript, kept whole.
#[derive(Clone)]
pub(super) struct Transcript(pub(super) Vec<u8>);

impl Transcript {
    pub(super) fn new() -> Self {
        Self(b"RSAC1".to_vec())
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }

    /// Opens a frame whose sealed part is `sealed` bytes long.
    pub(super) fn open(&mut self, secret: &[u8; 32], label: &str, frame: &[u8], sealed: usize) -> Sealed {
        let (head, sealed) = frame.split_at(frame.len() - sealed);
        self.0.extend_from_slice(head);
        let hash = self.hash();
        let key = expand(secret, label, &hash);
        let block = open(&key, &[0; 12], &hash, sealed).unwrap();
        self.0.extend_from_slice(sealed);
        Sealed { hash, key, block }
    }

    /// Makes a frame of `payload` and a sealed `block`.
    pub(super) fn seal(&mut self, secret: &[u8; 32], label: &str, kind: u8, payload: &[u8], block: &[u8]) -> Vec<u8> {
        let start = self.0.len();
        self.0.extend_from_slice(&header(kind, payload.len() + block.len() + 16));
        self.0.extend_from_slice(payload);
        let hash = self.hash();
        let sealed = seal(&expand(secret, label, &hash), &[0; 12], &hash, block);
        self.0.extend_from_slice(&sealed);
        self.0[start..].to_vec()
    }
}

/// Seals or opens the records of one direction.
pub(super) struct Direction {
    pub(super) key: [u8; 32],
    pub(super) iv: [u8; 12],
}

impl Direction {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        let iv = expand(secret, "rsac1 iv", &ZERO);
        Self { key: expand(secret, "rsac1 key", &ZERO), iv: *iv.first_chunk().unwrap() }
    }

    fn nonce(&self, count: u64) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, count) in nonce[4..].iter_mut().zip(count.to_be_bytes()) {
            *byte ^= count;
        }
        nonce
    }

    pub(super) fn seal(&self, count: u64, kind: u8, plaintext: &[u8]) -> Vec<u8> {
        let header = header(kind, plaintext.len() + 16);
        [&header[..], &seal(&self.key, &self.nonce(count), &header, plaintext)].concat()
    }

    pub(super) fn open(&self, count: u64, frame: &[u8]) -> Option<Vec<u8>> {
        let (header, sealed) = frame.split_first_chunk::<4>()?;
        open(&self.key, &self.nonce(count), header, sealed)
    }
}
