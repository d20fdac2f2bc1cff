//! How long a message is, hidden: lengths are rounded up so that few are left. Padmé ("Reducing Metadata Leakage from
//! Encrypted Files and Communication with PURBs", K. Nikitin et al., 2019, section 4), with a floor under which all are the
//! same. The padding itself is that of ISO/IEC 7816-4: the byte 80, then zeros.

/// What is shorter is as long.
const FLOOR: usize = 128;

/// How long `length` bytes are when they are padded: at most an eighth more, above the floor.
fn padded_length(length: usize) -> usize {
    // Of a length of e + 1 bits, as many bits stay as it takes to write e: the others are rounded up.
    let length = length.saturating_add(1).max(FLOOR);
    let exponent = length.ilog2();
    let dropped = exponent - (exponent.ilog2() + 1);
    length.next_multiple_of(1 << dropped)
}

/// `payload`, padded.
pub(super) fn pad(payload: &[u8]) -> Vec<u8> {
    let mut padded = Vec::with_capacity(padded_length(payload.len()));
    padded.extend_from_slice(payload);
    padded.push(0x80);
    padded.resize(padded_length(payload.len()), 0);
    padded
}

/// What was padded; nothing if that is not what it was.
pub(super) fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let marker = padded.iter().rposition(|byte| *byte != 0)?;
    let payload = padded.get(..marker).filter(|_| padded.get(marker) == Some(&0x80))?;
    (padded.len() == padded_length(payload.len())).then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn these_are_the_lengths() {
        for (length, padded) in [
            (0, 128),
            (1, 128),
            (127, 128),
            (128, 144),
            (143, 144),
            (144, 160),
            (1000, 1024),
            (16_000, 16_384),
            (65_536, 67_584),
        ] {
            assert_eq!(padded_length(length), padded, "{length}");
        }
    }

    proptest! {
        #[test]
        fn padding_comes_off_again_and_is_never_much(payload in prop::collection::vec(any::<u8>(), 0..3000)) {
            let padded = pad(&payload);
            prop_assert_eq!(unpad(&padded), Some(&payload[..]));
            prop_assert!(padded.len() <= FLOOR.max(payload.len() + 1 + payload.len() / 8));
            // Neither longer nor shorter.
            let longer = [&padded[..], &[0]].concat();
            prop_assert_eq!(unpad(&longer), None);
        }

        #[test]
        fn what_was_not_padded_is_nothing(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(payload) = unpad(&bytes) {
                prop_assert_eq!(pad(payload), bytes);
            }
        }
    }
}
