//! The fuzz targets, without a fuzzer: over their corpora, over changed files of these, and over random bytes.

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "where it lives it is a library")]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn names(directory: PathBuf) -> BTreeSet<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| name.trim_end_matches(".rs").replace('_', "-")).collect()
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<_> =
        fs::read_dir(root().join("corpus").join(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Runs a target so that its failure names the bytes.
fn run(name: &str, target: fn(&[u8]), bytes: &[u8]) {
    if let Err(panic) = std::panic::catch_unwind(|| target(bytes)) {
        eprintln!("{name} fails for {bytes:02x?}");
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let targets: BTreeSet<String> = targets::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(root().join("fuzz_targets")), targets);
    assert_eq!(names(root().join("corpus")), targets);
}

#[test]
fn the_corpora_hold() {
    for (name, target) in targets::TARGETS {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        for bytes in corpus {
            run(name, target, &bytes);
        }
    }
}

fn check_random_bytes(names: &[&str], cases: u32) {
    for (name, target) in targets::TARGETS.into_iter().filter(|(name, _)| names.contains(name)) {
        let corpus = corpus(name);
        let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
        let changed = (prop::sample::select(corpus), changes, any::<prop::sample::Index>(), 0..4_u8).prop_map(
            |(mut bytes, changes, end, cut)| {
                for (at, byte) in changes {
                    if !bytes.is_empty() {
                        let at = at.index(bytes.len());
                        bytes[at] = byte;
                    }
                }
                if cut == 0 {
                    bytes.truncate(end.index(bytes.len() + 1));
                }
                bytes
            },
        );
        let random = prop::collection::vec(any::<u8>(), 0..400);
        let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
        let result =
            proptest::test_runner::TestRunner::new(config).run(&prop_oneof![3 => changed, 1 => random], |bytes| {
                target(&bytes);
                Ok(())
            });
        if let Err(error) = result {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn any_bytes_are_borne_by_parsers() {
    let parsers = [
        "frame-header",
        "client-hello",
        "resume-hello",
        "server-hello",
        "refusal",
        "key-reply",
        "request",
        "server-message",
        "close",
        "public-key",
        "address",
        "agent-request",
        "agent-answer",
        "statement",
        "sealed-message",
        "roster",
    ];
    check_random_bytes(&parsers, 1000);
}

#[test]
fn any_bytes_are_borne_by_links() {
    check_random_bytes(&["link-server", "link-client"], 60);
}

#[test]
fn any_bytes_are_borne_as_sender_keys() {
    check_random_bytes(&["sender-key"], 100);
}

#[test]
fn any_operations_are_borne_by_links() {
    check_random_bytes(&["link-operations"], 300);
}
