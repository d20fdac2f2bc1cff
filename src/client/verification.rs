//! What two users compare to know that each has the other's key, and not one that the server has put in its place: over the
//! phone, or face to face.
//!
//! The first 99 bits of SHA-256 over both names and fingerprints, as 30 digits and as 9 words: either is enough. A server
//! that wants two users to see the same code for keys of its own has to try some 2^49 keys for each of them.

use bip39::Language;

use crate::crypto::kdf;
use crate::model::{Fingerprint, UserName};

/// Bits of a word, and how many words.
const WORD_BITS: u32 = 11;
const WORDS: u32 = 9;
/// Digits in a group, and how many groups: 99 bits are less than 10^30.
const GROUP: usize = 5;
const DIGITS: usize = 30;

/// The code of two users with their keys, the same whoever comes first: a line of digits and one of words.
#[must_use]
pub fn code(one: (UserName, Fingerprint), other: (UserName, Fingerprint)) -> [String; 2] {
    let (first, second) = (one.min(other), one.max(other));
    let mut text = b"rsachat verification 1\0".to_vec();
    for (user, Fingerprint(fingerprint)) in [first, second] {
        text.extend_from_slice(user.as_str().as_bytes());
        text.push(0);
        text.extend_from_slice(&fingerprint);
    }
    let bits =
        kdf::digest(&text).first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes)) >> (128 - WORDS * WORD_BITS);
    let digits = format!("{bits:0DIGITS$}");
    let groups: Vec<&str> =
        (0..DIGITS / GROUP).filter_map(|group| digits.get(group * GROUP..(group + 1) * GROUP)).collect();
    let words = (0..WORDS).rev().filter_map(|word| {
        let index = usize::try_from(bits >> (word * WORD_BITS) & ((1 << WORD_BITS) - 1)).ok()?;
        Language::English.word_list().get(index).copied()
    });
    [groups.join(" "), words.collect::<Vec<_>>().join(" ")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, number: u8) -> (UserName, Fingerprint) {
        (name.parse().unwrap(), Fingerprint([number; 32]))
    }

    #[test]
    fn both_see_the_same_and_nobody_else() {
        let [digits, words] = code(user("alice", 1), user("bob", 2));
        // Computed apart from this, from what the module says.
        assert_eq!(digits, "20107 21805 45229 08754 69651 03035");
        assert_eq!(words, "eye reason beach clip leaf little cloth success danger");
        assert_eq!(code(user("bob", 2), user("alice", 1)), [digits.clone(), words]);
        for other in [
            code(user("alice", 1), user("bob", 3)),
            code(user("alice", 2), user("bob", 1)),
            code(user("alice", 1), user("carol", 2)),
        ] {
            assert_ne!(other[0], digits);
        }
    }

    #[test]
    fn digits_and_words_are_as_many_as_they_should_be() {
        for number in 0..=255 {
            let [digits, words] = code(user("alice", 1), user("bob", number));
            assert_eq!((digits.len(), digits.split(' ').count(), words.split(' ').count()), (35, 6, 9));
        }
    }
}
