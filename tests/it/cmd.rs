//! What commands print and how they end, a file a case: `tests/cmd/*.toml`. To write new ones, or see what changed:
//! `TRYCMD=overwrite cargo test --test it cmd`, then read the difference.

#[test]
fn cases() {
    trycmd::TestCases::new()
        .case("tests/cmd/*.toml")
        // The same wherever the tests run.
        .env("COLUMNS", "100")
        .env("TERM", "xterm")
        .env("HOME", "/nonexistent");
}
