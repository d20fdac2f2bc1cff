//! What becomes of the program when its output has nowhere to go.

use std::fs::File;
use std::process::{Command, Stdio};

fn completions() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rsachat"));
    command.args(["completions", "bash"]).stderr(Stdio::piped());
    command
}

#[test]
fn a_reader_that_has_gone_away_ends_it_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = completions().stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error() {
    let output = completions().stdout(File::create("/dev/full").unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "rsachat: error: can't write to standard output: No space left on device (os error 28)\n"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn messages_that_nobody_reads_do_no_harm() {
    let output = Command::new(env!("CARGO_BIN_EXE_rsachat"))
        .arg("conect")
        .stderr(File::create("/dev/full").unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
