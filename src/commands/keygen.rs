//! `rsachat keygen`: a new key pair, a user's or the server's.

use std::fs;
use std::path::{Path, PathBuf};

use super::key_files::{NewPassphrase, replace};
use crate::cli::KeygenArgs;
use crate::config::ServerPaths;
use crate::crypto::rsa::PrivateKey;
use crate::error::{Context as _, Error};
use crate::keys::{identity, registry};
use crate::term::Term;

/// A new pair, and where it is.
pub(super) struct Made {
    pub(super) key: PrivateKey,
    pub(super) private: PathBuf,
    pub(super) public: PathBuf,
}

pub(super) fn run(term: &Term, args: &KeygenArgs) -> Result<(), Error> {
    let Made { key, private, public } = make(term, args, "--passphrase-file FILE or --no-passphrase")?;
    term.out(format_args!("private key  {}", private.display()))?;
    term.out(format_args!("public key   {}", public.display()))?;
    term.out(format_args!("fingerprint  {}", key.public().fingerprint()))?;
    let Some(user) = &args.user else {
        term.hint(format_args!("give {} or the fingerprint to your users", public.display()));
        return Ok(());
    };
    let file = registry::file_of(Path::new(""), user);
    term.hint(format_args!("give {} to the server's admin: rsachat keys add {}", public.display(), file.display()));
    Ok(())
}

/// Makes a pair and writes it. `flags`: those by which a passphrase is given where nobody can be asked.
pub(super) fn make(term: &Term, args: &KeygenArgs, flags: &str) -> Result<Made, Error> {
    let (private, public) = files(args);
    fs::create_dir_all(&args.out_dir).context(|| format!("can't make {}", args.out_dir.display()))?;
    let existing = replace(term, &[&private, &public], args.force)?;
    let passphrase = NewPassphrase {
        // The server has to start without anybody there.
        none: args.no_passphrase || args.server,
        file: args.passphrase_file.as_deref(),
        flags,
    };
    let passphrase = passphrase.get(term, &private)?;
    let rng = &mut rand::rng();
    let key = {
        let _spinner = term.spinner("searching for two large primes");
        PrivateKey::generate(args.bits, rng).context(|| "can't make the key")?
    };
    let passphrase = passphrase.as_ref().map(|text| text.as_str());
    identity::write_pair(&private, &public, &key, passphrase, existing, rng)?;
    Ok(Made { key, private, public })
}

/// The private and the public file.
fn files(args: &KeygenArgs) -> (PathBuf, PathBuf) {
    let Some(user) = &args.user else {
        let paths = ServerPaths::new(&args.out_dir, None);
        return (paths.private_key, paths.public_key);
    };
    let public = registry::file_of(&args.out_dir, user);
    let public = public.strip_prefix(".").map_or(public.clone(), PathBuf::from);
    (public.with_extension("private.pem"), public)
}
