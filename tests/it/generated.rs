//! The man pages and completions in the tree are what the program writes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// Writes the files of the tree anew.
const UPDATE: &str = "RSACHAT_UPDATE=1 cargo test --test it generated";

/// Written by hand, and so not by the program.
const BY_HAND: &str = "rsachat-protocol.7";

fn rsachat(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_rsachat")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).into_iter().flatten().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn same(name: &str, generated: &BTreeMap<String, Vec<u8>>) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if env::var_os("RSACHAT_UPDATE").is_some() {
        fs::create_dir_all(&dir).unwrap();
        for file in files(&dir).keys().filter(|file| *file != BY_HAND) {
            fs::remove_file(dir.join(file)).unwrap();
        }
        for (file, text) in generated {
            fs::write(dir.join(file), text).unwrap();
        }
    }
    let mut found = files(&dir);
    found.remove(BY_HAND);
    let differ: Vec<&String> =
        found.keys().chain(generated.keys()).filter(|file| found.get(*file) != generated.get(*file)).collect();
    assert!(differ.is_empty(), "{name}/ is not what the program writes: {differ:?}. To write it anew: {UPDATE}");
}

#[test]
fn man_pages_are_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    rsachat(&["man", dir.path().to_str().unwrap()]);
    let mut generated = files(dir.path());
    generated.remove(BY_HAND);
    same("man", &generated);
}

#[test]
fn completions_are_up_to_date() {
    let shells =
        [("bash", "rsachat.bash"), ("fish", "rsachat.fish"), ("powershell", "_rsachat.ps1"), ("zsh", "_rsachat")];
    let scripts = shells.into_iter().map(|(shell, file)| (file.to_owned(), rsachat(&["completions", shell])));
    same("completions", &scripts.collect());
}
