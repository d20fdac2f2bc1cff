//! What the fuzz targets do with their bytes, in one place: `cargo fuzz` runs it, and so does the program's own test
//! suite, over the corpora and over random bytes.
//!
//! Each function takes any bytes and panics if the program does something with them that it must not.

mod link;
mod sealed;

pub use link::{link_client, link_operations, link_server};
pub use sealed::{roster, sealed_message, sender_key, statement};

use rsachat::agent::wire;
use rsachat::client::address::Address;
use rsachat::crypto::rsa::PublicKey;
use rsachat::proto::close::CloseReason;
use rsachat::proto::frame::{HEADER_BYTES, Header};
use rsachat::proto::handshake::client;
use rsachat::proto::handshake::wire::{ClientHello, LayoutError, Preamble, Refusal, ResumeHello, ServerHello};
use rsachat::proto::message::{PREFIX_BYTES, Request, ServerMessage};

/// A target by its name, which is that of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 20] = [
    ("frame-header", frame_header),
    ("client-hello", client_hello),
    ("resume-hello", resume_hello),
    ("server-hello", server_hello),
    ("refusal", refusal),
    ("key-reply", key_reply),
    ("request", request),
    ("server-message", server_message),
    ("close", close),
    ("public-key", public_key),
    ("address", address),
    ("agent-request", agent_request),
    ("agent-answer", agent_answer),
    ("sender-key", sender_key),
    ("statement", statement),
    ("sealed-message", sealed_message),
    ("roster", roster),
    ("link-server", link_server),
    ("link-client", link_client),
    ("link-operations", link_operations),
];

/// A header reads back.
pub fn frame_header(data: &[u8]) {
    if let Ok(Some(header)) = Header::read(data) {
        assert_eq!(header.bytes(), data[..HEADER_BYTES]);
    }
}

/// What follows the preamble, if that is this version's.
fn ours(payload: &[u8]) -> Result<&[u8], LayoutError> {
    let (_, rest) = Preamble::split(payload)?;
    if payload.starts_with(&Preamble::ours()) { Ok(rest) } else { Err(LayoutError("other")) }
}

/// A payload that parses is the one that its value encodes to.
pub fn client_hello(payload: &[u8]) {
    if let Ok(hello) = ours(payload).and_then(ClientHello::parse) {
        let ClientHello { server_key_id, kem_key, encrypted_key, sealed } = hello;
        let mut again = ClientHello::head(server_key_id, kem_key, encrypted_key, sealed.len());
        again.extend_from_slice(sealed);
        assert_eq!(&again[HEADER_BYTES..], payload);
    }
}

/// As [`client_hello`].
pub fn resume_hello(payload: &[u8]) {
    if let Ok(hello) = ours(payload).and_then(ResumeHello::parse) {
        let ResumeHello { kem_key, ticket, sealed } = hello;
        let mut again = ResumeHello::head(kem_key, ticket);
        again.extend_from_slice(sealed);
        assert_eq!(&again[HEADER_BYTES..], payload);
    }
}

/// As [`client_hello`].
pub fn server_hello(payload: &[u8]) {
    for resuming in [false, true] {
        if let Ok(ServerHello { kem_ciphertext, sealed }) = ServerHello::parse(payload, resuming) {
            let mut again = ServerHello::head(kem_ciphertext, sealed.len());
            again.extend_from_slice(sealed);
            assert_eq!(&again[HEADER_BYTES..], payload);
        }
    }
}

/// A refusal is the start of its payload.
pub fn refusal(payload: &[u8]) {
    if let Ok(refusal) = Refusal::parse(payload) {
        let _ = refusal.code.to_string();
        assert!(payload.starts_with(&refusal.frame()[HEADER_BYTES..]));
    }
}

/// A key that is accepted has one encoding.
pub fn key_reply(payload: &[u8]) {
    if let Ok(der) = client::key_reply(payload)
        && let Ok(key) = PublicKey::from_spki_der(der)
    {
        assert_eq!(key.spki_der(), der);
    }
}

/// A request that is accepted means the same when it is encoded again.
pub fn request(message: &[u8]) {
    if let Ok((id, request)) = Request::decode(message) {
        let again = request.encode(id);
        assert_eq!(Request::decode(&again[PREFIX_BYTES..]), Ok((id, request)));
    }
}

/// As [`request`].
pub fn server_message(message: &[u8]) {
    if let Ok(message) = ServerMessage::decode(message) {
        let again = message.encode();
        assert_eq!(ServerMessage::decode(&again[PREFIX_BYTES..]), Ok(message));
    }
}

/// As [`request`].
pub fn close(plaintext: &[u8]) {
    if let Ok(reason) = CloseReason::decode(plaintext) {
        assert_eq!(CloseReason::decode(&reason.encode()), Ok(reason));
    }
}

/// A public key file that is accepted reads back, and can be used.
pub fn public_key(text: &[u8]) {
    if let Ok(text) = std::str::from_utf8(text)
        && let Ok(key) = PublicKey::from_pem(text)
    {
        assert_eq!(PublicKey::from_pem(&key.to_pem()).as_ref(), Ok(&key));
        assert_eq!(PublicKey::from_spki_der(key.spki_der()).as_ref(), Ok(&key));
        assert!((256..=512).contains(&key.size()));
        let _ = key.verify(b"message", &vec![1; key.size()]);
    }
}

/// An address that is accepted has one way to be written, and can be typed in a shell between quotes.
pub fn address(text: &[u8]) {
    if let Ok(text) = std::str::from_utf8(text)
        && let Ok(address) = Address::parse(text)
    {
        let written = address.to_string();
        assert!(!written.contains(|char: char| char == '\'' || char.is_control() || char.is_whitespace()));
        let again = Address::parse(&written).unwrap();
        assert_eq!(again.to_string(), written);
        assert_eq!(
            (again.user, again.fingerprint, &again.invite),
            (address.user, address.fingerprint, &address.invite)
        );
    }
}

/// A request to an agent that is accepted is written as it can be read.
pub fn agent_request(frame: &[u8]) {
    if let Ok(Some(content)) = wire::content(frame)
        && let Ok(request) = wire::read::<wire::Request<'_>>(content)
    {
        let again = wire::frame(&request);
        let content = wire::content(&again).unwrap().unwrap();
        assert_eq!(wire::read::<wire::Request<'_>>(content), Ok(request));
    }
}

/// As [`agent_request`]; of secrets, what they are written as is compared.
pub fn agent_answer(frame: &[u8]) {
    if let Ok(Some(content)) = wire::content(frame)
        && let Ok(answer) = wire::read::<wire::Answer>(content)
    {
        let again = wire::frame(&answer);
        let content = wire::content(&again).unwrap().unwrap();
        assert_eq!(*wire::frame(&wire::read::<wire::Answer>(content).unwrap()), *again);
    }
}
