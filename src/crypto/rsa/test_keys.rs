//! Fixed keys for tests: making a key takes long, and a fixed one gives fixed results. They are in tests/data/keys,
//! where everyone can read them: of no use for anything else.

use std::sync::LazyLock;

use super::PrivateKey;

fn read(text: &str) -> PrivateKey {
    PrivateKey::from_pem(text, None).unwrap()
}

/// The server of the tests.
pub(crate) fn server() -> &'static PrivateKey {
    static KEY: LazyLock<PrivateKey> =
        LazyLock::new(|| read(include_str!("../../../tests/data/keys/test_server.private.pem")));
    &KEY
}

/// A user of the tests.
pub(crate) fn alice() -> &'static PrivateKey {
    static KEY: LazyLock<PrivateKey> =
        LazyLock::new(|| read(include_str!("../../../tests/data/keys/test_alice.private.pem")));
    &KEY
}

/// Another user of the tests.
pub(crate) fn bob() -> &'static PrivateKey {
    static KEY: LazyLock<PrivateKey> =
        LazyLock::new(|| read(include_str!("../../../tests/data/keys/test_bob.private.pem")));
    &KEY
}
