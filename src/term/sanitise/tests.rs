use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

/// The corpus: (name, text) of the files with that extension.
fn corpus(extension: &str) -> Vec<(PathBuf, String)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/terminal-attacks");
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| (path.clone(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() > 10, "the corpus is in {dir}");
    files
}

fn harmless(text: &str) -> bool {
    !text.chars().any(|char| {
        char.is_control()
            || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
            || matches!(char, '\u{2028}' | '\u{2029}' | '\u{200b}' | '\u{feff}' | '\u{2060}' | '\u{ad}')
    })
}

/// At most `MARKS` characters without width follow each other, and none comes first.
fn stacks_are_low(text: &str) -> bool {
    let mut run = MARKS + 1;
    text.chars().all(|char| {
        run = if char.width() == Some(0) { run + 1 } else { 0 };
        // The tags of a flag are a known sequence.
        run <= MARKS || ('\u{e0020}'..='\u{e007f}').contains(&char)
    })
}

fn check(text: &str) {
    let shown = sanitise(text);
    assert!(harmless(&shown), "{text:?} -> {shown:?}");
    assert!(stacks_are_low(&shown), "{text:?} -> {shown:?}");
    match sanitise(&shown) {
        Cow::Borrowed(again) => assert_eq!(again, shown, "{text:?}"),
        Cow::Owned(again) => panic!("{text:?} -> {shown:?} -> {again:?}"),
    }
    let lines = sanitise_lines(text, "  | ");
    for (number, line) in lines.split('\n').enumerate() {
        assert!(harmless(line), "{text:?} -> {line:?}");
        assert!(number == 0 || line.starts_with("  | "), "{text:?} -> {line:?}");
    }
}

#[test]
fn terminal_attacks_are_shown_not_obeyed() {
    for (path, text) in corpus("attack") {
        check(&text);
        let shown = sanitise(&text);
        assert_ne!(shown, text, "{} is no attack", path.display());
        let expected = path.with_extension("shown");
        if std::env::var_os("RSACHAT_UPDATE").is_some() {
            std::fs::write(&expected, format!("{shown}\n")).unwrap();
        }
        let expected = std::fs::read_to_string(expected).unwrap();
        assert_eq!(format!("{shown}\n"), expected, "{}", path.display());
    }
}

#[test]
fn writing_comes_through_unchanged_and_unallocated() {
    for (path, text) in corpus("clean") {
        check(&text);
        assert!(matches!(sanitise(&text), Cow::Borrowed(_)), "{}: {:?}", path.display(), sanitise(&text));
    }
}

#[test]
fn lines_after_the_first_are_indented() {
    let shown = sanitise_lines("if x:\r\n\tfoo()\n\n[12:00] bob> yes\x1b[2J\n\n", "      ");
    assert_eq!(shown, "if x:\n          foo()\n      \n      [12:00] bob> yes\\x1b[2J");
    assert_eq!(sanitise_lines("\u{301}a\n\u{301}b", " "), "◌\u{301}a\n ◌\u{301}b");
    assert!(matches!(sanitise_lines("one line", "  "), Cow::Borrowed("one line")));
}

#[test]
fn every_character_alone_and_after_a_letter_is_harmless() {
    for char in '\0'..=char::MAX {
        let alone = char.to_string();
        check(&alone);
        check(&format!("a{char}{char}b"));
    }
}

proptest! {
    #[test]
    fn any_text_becomes_harmless(text in any::<String>()) {
        check(&text);
    }

    /// Text made of nothing but the characters that decisions are made about.
    #[test]
    fn any_mixture_of_special_characters_becomes_harmless(
        chars in proptest::collection::vec(prop::sample::select(SPECIAL.chars().collect::<Vec<_>>()), 0..24),
    ) {
        check(&chars.into_iter().collect::<String>());
    }
}

const SPECIAL: &str = "a \u{1b}\n\r\t\u{9b}\u{202e}\u{2066}\u{200b}\u{200c}\u{200d}\u{fe0f}\u{fe0e}\u{e0100}\u{301}\u{302}\
    \u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e007f}\u{1f468}\u{1f308}\u{2620}\u{627}\u{64b}\u{6cc}\u{915}\u{94d}\
    \u{9cd}\u{182d}\u{180b}\u{1160}\u{1161}\u{11ab}\u{1112}\u{20e3}…◌";
