//! Layouts: what parses is what it encodes to, whatever the bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::wire::{self, ClientHello, LayoutError, Preamble, Refusal, ResumeHello, ServerHello};
use crate::proto::frame::HEADER_BYTES;

proptest! {
    #[test]
    fn a_block_holds_one_content_and_nothing_else(content in vec(any::<u8>(), 0..130), change in 0..128_usize) {
        let Ok(block) = wire::pad(&content, wire::SHORT_BLOCK) else {
            prop_assert!(content.len() > wire::SHORT_BLOCK - 2);
            return Ok(());
        };
        prop_assert_eq!(block.len(), wire::SHORT_BLOCK);
        prop_assert_eq!(wire::unpad(&block), Ok(&content[..]));
        let mut changed = block;
        changed[change] ^= 1;
        if let Ok(other) = wire::unpad(&changed) {
            prop_assert_eq!(wire::pad(other, wire::SHORT_BLOCK), Ok(changed.clone()));
            prop_assert_ne!(other, &content[..]);
        }
    }

    #[test]
    fn any_block_is_an_error_or_pads_to_itself(block in vec(0..4_u8, 0..600)) {
        if let Ok(content) = wire::unpad(&block) {
            prop_assert_eq!(wire::pad(content, block.len()), Ok(block.clone()));
        }
    }

    #[test]
    fn a_client_hello_that_parses_encodes_to_itself(
        rest in vec(any::<u8>(), 1254), key in vec(any::<u8>(), 0..520), length in option_of_length(), sealed in lengths(144)
    ) {
        let length = length.unwrap_or(u16::try_from(key.len()).unwrap()).to_be_bytes();
        let rest = [&rest[6..], &length, &key, &vec![7; sealed]].concat();
        if let Ok(hello) = ClientHello::parse(&rest) {
            let ClientHello { server_key_id, kem_key, encrypted_key, sealed } = hello;
            let frame = [&ClientHello::head(server_key_id, kem_key, encrypted_key, sealed.len())[..], sealed].concat();
            prop_assert_eq!(&frame[HEADER_BYTES..], [&Preamble::ours()[..], &rest].concat());
            prop_assert_eq!(sealed.len(), 144);
        }
    }

    #[test]
    fn a_resume_hello_that_parses_encodes_to_itself(
        rest in vec(any::<u8>(), 1216), ticket in vec(any::<u8>(), 0..300), length in option_of_length(), sealed in lengths(16)
    ) {
        let length = length.unwrap_or(u16::try_from(ticket.len()).unwrap()).to_be_bytes();
        let rest = [&rest, &length[..], &ticket, &vec![7; sealed]].concat();
        if let Ok(ResumeHello { kem_key, ticket, sealed }) = ResumeHello::parse(&rest) {
            let frame = [&ResumeHello::head(kem_key, ticket)[..], sealed].concat();
            prop_assert_eq!(&frame[HEADER_BYTES..], [&Preamble::ours()[..], &rest].concat());
        }
    }

    #[test]
    fn a_server_hello_that_parses_encodes_to_itself(version in 0..3_u8, length in lengths(1120 + 530), resuming: bool) {
        let length = if resuming { length.saturating_sub(514) } else { length };
        let payload = [&[version][..], &vec![9; length]].concat();
        let parsed = ServerHello::parse(&payload, resuming);
        let right = if resuming { 1136 } else { 1650 };
        prop_assert_eq!(parsed.is_ok(), (version, length) == (1, right));
        if let Ok(ServerHello { kem_ciphertext, sealed }) = parsed {
            let frame = [&ServerHello::head(kem_ciphertext, sealed.len())[..], sealed].concat();
            prop_assert_eq!(&frame[HEADER_BYTES..], payload);
        }
    }

    #[test]
    fn a_refusal_is_read_and_what_follows_it_is_not(payload in vec(any::<u8>(), 0..8)) {
        match Refusal::parse(&payload) {
            Ok(refusal) => prop_assert_eq!(&refusal.frame()[HEADER_BYTES..], &payload[..5]),
            Err(LayoutError(_)) => prop_assert!(payload.len() < 5),
        }
    }
}

/// About `right`, and often just that.
fn lengths(right: usize) -> impl Strategy<Value = usize> {
    prop_oneof![2 => Just(right), 1 => right - 2..right + 3, 1 => 0..right]
}

/// A length that is mostly the true one.
fn option_of_length() -> impl Strategy<Value = Option<u16>> {
    proptest::option::weighted(0.3, any::<u16>())
}
