//! `rsachat key`: what a key file holds, its public half, another passphrase for it.

use std::fs;
use std::path::Path;

use super::key_files::{AnyKey, NewPassphrase, unlock};
use crate::cli::{KeyArgs, KeyCommand, KeyFileArgs, KeyPasswdArgs};
use crate::error::{Context as _, Error};
use crate::keys::file::Existing;
use crate::keys::identity;
use crate::term::Term;

pub(super) fn run(term: &Term, args: &KeyArgs) -> Result<(), Error> {
    match &args.command {
        KeyCommand::Show(args) => show(term, args),
        KeyCommand::Passwd(args) => passwd(term, args),
        KeyCommand::Public(args) => public(term, args),
    }
}

fn show(term: &Term, args: &KeyFileArgs) -> Result<(), Error> {
    let key = AnyKey::read(term, &args.file, args.passphrase_file.as_deref())?;
    let kind = match &key {
        AnyKey::Public(_) => "public",
        AnyKey::Private(_) => "private",
    };
    let key = key.public();
    term.out(format_args!("{} {} {} (RSA, {kind})", key.bits(), key.fingerprint(), args.file.display()))
}

fn public(term: &Term, args: &KeyFileArgs) -> Result<(), Error> {
    let key = AnyKey::read(term, &args.file, args.passphrase_file.as_deref())?;
    term.write_out(key.public().to_pem().as_bytes())
}

fn passwd(term: &Term, args: &KeyPasswdArgs) -> Result<(), Error> {
    let stdin = |file: &Option<std::path::PathBuf>| file.as_deref() == Some(Path::new("-"));
    if stdin(&args.key.passphrase_file) && stdin(&args.new_passphrase_file) {
        return Err(Error::usage("only one of the two passphrases can come from standard input"));
    }
    let file = &args.key.file;
    let key = unlock(term, file, args.key.passphrase_file.as_deref())?;
    let passphrase = NewPassphrase {
        none: args.no_passphrase,
        file: args.new_passphrase_file.as_deref(),
        flags: "--new-passphrase-file FILE or --no-passphrase",
    };
    let passphrase = passphrase.get(term, file)?;
    // A link stays one: the file it leads to is written anew.
    let target = fs::canonicalize(file).context(|| file.display().to_string())?;
    let new = passphrase.as_ref().map(|text| text.as_str());
    identity::write_private(&target, &key, new, Existing::Replace, &mut rand::rng())?;
    term.note(match passphrase {
        Some(_) => format!("{} has a new passphrase", file.display()),
        None => format!("{} is not encrypted any more", file.display()),
    });
    Ok(())
}
