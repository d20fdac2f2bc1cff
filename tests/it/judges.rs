//! OpenSSL and ssh-keygen as outside judges: what we write they read, what they write we read, and both sides mean the
//! same by it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rsachat::crypto::rsa::{Bits, PrivateKey, PrivateKeyError, PublicKey, PublicKeyError};
use rsachat::keys::file::Existing;
use rsachat::keys::identity::{self, IdentityError, KeyFile, Problem};
use rsachat::model::Fingerprint;
use tempfile::TempDir;

/// Not ASCII: both sides have to take its UTF-8.
const PASSPHRASE: &str = "kørrect-hørse";

/// A directory that the judges work in.
struct Court(TempDir);

impl Court {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a judge in the directory, with arguments that are separated by spaces; its standard output.
    fn run(&self, program: &str, package: &str, arguments: &str) -> Vec<u8> {
        let output = Command::new(program).args(arguments.split(' ')).current_dir(self.0.path()).output();
        let output: Output =
            output.unwrap_or_else(|error| panic!("this test needs {program}: install the package {package} ({error})"));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments}: {complaint}");
        output.stdout
    }

    fn openssl(&self, arguments: &str) -> Vec<u8> {
        self.run("openssl", "openssl", arguments)
    }

    fn ssh_keygen(&self, arguments: &str) -> Vec<u8> {
        self.run("ssh-keygen", "openssh-client", arguments)
    }

    /// Has OpenSSL make a key, and tells its fingerprint as OpenSSL sees it.
    fn new_key(&self, name: &str, bits: u32) -> Fingerprint {
        self.openssl(&format!("genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:{bits} -out {name}"));
        self.fingerprint(name, "")
    }

    /// The fingerprint of the key in a file, as OpenSSL sees it: with its encoding and its SHA-256.
    fn fingerprint(&self, name: &str, options: &str) -> Fingerprint {
        self.openssl(format!("pkey -in {name} -pubout -outform DER -out spki.der {options}").trim_end());
        Fingerprint(self.openssl("dgst -sha256 -binary spki.der").try_into().unwrap())
    }

    fn private(&self, name: &str, passphrase: Option<&str>) -> Result<Fingerprint, IdentityError> {
        fs::set_permissions(self.file(name), fs::Permissions::from_mode(0o600)).unwrap();
        KeyFile::read(&self.file(name))?.open(passphrase).map(|key| key.public().fingerprint())
    }

    fn public(&self, name: &str) -> Fingerprint {
        identity::read_public(&self.file(name)).unwrap().fingerprint()
    }
}

fn private_problem(error: IdentityError) -> PrivateKeyError {
    match error.problem {
        Problem::Private(problem) => problem,
        other => panic!("{other}"),
    }
}

#[test]
fn openssl_reads_what_we_write() {
    let court = Court::new();
    let rng = &mut rand::rng();
    let key = PrivateKey::generate(Bits::default(), rng).unwrap();
    for (name, passphrase) in [("plain.pem", None), ("encrypted.pem", Some(PASSPHRASE))] {
        identity::write_private(&court.file(name), &key, passphrase, Existing::Keep, rng).unwrap();
    }
    identity::write_public(&court.file("public.pem"), key.public(), Existing::Keep).unwrap();

    court.openssl("pkey -in plain.pem -check -noout");
    court.openssl("pkey -pubin -in public.pem -pubcheck -noout");
    let fingerprint = key.public().fingerprint();
    assert_eq!(court.fingerprint("plain.pem", ""), fingerprint);
    assert_eq!(court.fingerprint("encrypted.pem", &format!("-passin pass:{PASSPHRASE}")), fingerprint);
    assert_eq!(court.fingerprint("public.pem", "-pubin"), fingerprint);
    assert_eq!(court.openssl("pkey -in plain.pem -pubout"), fs::read(court.file("public.pem")).unwrap());
    // The scheme that was promised.
    let asn1 = String::from_utf8(court.openssl("asn1parse -in encrypted.pem")).unwrap();
    for part in ["PBES2", "scrypt", "INTEGER           :4000", "INTEGER           :08", "INTEGER           :05"] {
        assert!(asn1.contains(part), "{part} in {asn1}");
    }
    assert!(asn1.contains("aes-256-cbc"), "{asn1}");
}

#[test]
fn we_read_what_openssl_writes() {
    let court = Court::new();
    for bits in [2048, 2050, 4096] {
        let fingerprint = court.new_key("pkcs8.pem", bits);
        assert_eq!(court.private("pkcs8.pem", None).unwrap(), fingerprint, "{bits}");
    }
    let fingerprint = court.new_key("pkcs8.pem", 2048);
    court.openssl("rsa -in pkcs8.pem -traditional -out pkcs1.pem");
    assert!(fs::read_to_string(court.file("pkcs1.pem")).unwrap().contains("BEGIN RSA PRIVATE KEY"));
    assert_eq!(court.private("pkcs1.pem", None).unwrap(), fingerprint);
    court.openssl("genrsa -out genrsa.pem 2048");
    assert_eq!(court.private("genrsa.pem", None).unwrap(), court.fingerprint("genrsa.pem", ""));

    court.openssl("rsa -in pkcs8.pem -pubout -out spki.pem");
    court.openssl("rsa -in pkcs8.pem -RSAPublicKey_out -out rsa_public.pem");
    assert!(fs::read_to_string(court.file("rsa_public.pem")).unwrap().contains("BEGIN RSA PUBLIC KEY"));
    assert_eq!(court.public("spki.pem"), fingerprint);
    assert_eq!(court.public("rsa_public.pem"), fingerprint);
    // With the key in words before it.
    court.openssl("pkey -in pkcs8.pem -pubout -text -out worded.pem");
    let worded = fs::read_to_string(court.file("worded.pem")).unwrap();
    let (block, words) = worded.split_once("-----END PUBLIC KEY-----\n").unwrap();
    fs::write(court.file("worded.pem"), format!("{words}{block}-----END PUBLIC KEY-----\n")).unwrap();
    assert_eq!(court.public("worded.pem"), fingerprint);
}

#[test]
fn we_read_what_openssl_encrypts() {
    let court = Court::new();
    let fingerprint = court.new_key("plain.pem", 2048);
    for scheme in [
        "-v2 aes256",
        "-v2 aes-128-cbc",
        "-v2 aes-192-cbc",
        "-v2 aes256 -v2prf hmacWithSHA512",
        "-v2 aes256 -iter 100000",
        "-scrypt",
        "-scrypt -scrypt_N 2048 -scrypt_r 16 -scrypt_p 2",
    ] {
        court.openssl(&format!("pkcs8 -topk8 {scheme} -in plain.pem -out key.pem -passout pass:{PASSPHRASE}"));
        assert_eq!(court.private("key.pem", Some(PASSPHRASE)).unwrap(), fingerprint, "{scheme}");
        let wrong = private_problem(court.private("key.pem", Some("guess")).unwrap_err());
        assert_eq!(wrong, PrivateKeyError::WrongPassphrase, "{scheme}");
        let none = private_problem(court.private("key.pem", None).unwrap_err());
        assert_eq!(none, PrivateKeyError::NeedsPassphrase, "{scheme}");
    }
    court.openssl(&format!("genrsa -aes256 -passout pass:{PASSPHRASE} -out key.pem 2048"));
    let fingerprint = court.fingerprint("key.pem", &format!("-passin pass:{PASSPHRASE}"));
    assert_eq!(court.private("key.pem", Some(PASSPHRASE)).unwrap(), fingerprint);
}

#[test]
fn what_we_refuse_to_read_can_be_converted_as_we_say() {
    let court = Court::new();
    let fingerprint = court.new_key("plain.pem", 2048);
    for (command, problem) in [
        ("rsa -traditional -aes256", PrivateKeyError::LegacyEncryption),
        ("pkcs8 -topk8 -v1 PBE-SHA1-3DES", PrivateKeyError::OtherEncryption),
        ("pkcs8 -topk8 -v2 des3", PrivateKeyError::OtherEncryption),
        ("pkcs8 -topk8 -v2 aes256 -v2prf hmacWithSHA1", PrivateKeyError::OtherEncryption),
    ] {
        court.openssl(&format!("{command} -in plain.pem -out old.pem -passout pass:{PASSPHRASE}"));
        let error = court.private("old.pem", Some(PASSPHRASE)).unwrap_err();
        let hint = error.hint().unwrap();
        assert_eq!(private_problem(error), problem, "{command}");
        let said = hint.strip_prefix("convert it: openssl ").unwrap().replace("NEW_FILE", "new.pem");
        court.openssl(&format!("{said} -passin pass:{PASSPHRASE} -passout pass:{PASSPHRASE}"));
        assert_eq!(court.private("new.pem", Some(PASSPHRASE)).unwrap(), fingerprint, "{command}");
    }
}

#[test]
fn keys_that_are_not_for_rsa_encryption_are_named() {
    let court = Court::new();
    for (algorithm, name) in [
        ("EC -pkeyopt ec_paramgen_curve:P-256", "an elliptic-curve key"),
        ("ED25519", "an Ed25519 key"),
        ("X25519", "an X25519 key"),
        ("RSA-PSS -pkeyopt rsa_keygen_bits:2048", "an RSA key for PSS signatures only"),
    ] {
        court.openssl(&format!("genpkey -quiet -algorithm {algorithm} -out key.pem"));
        let private = private_problem(court.private("key.pem", None).unwrap_err());
        assert_eq!(private, PrivateKeyError::NotRsa(name.to_owned()));
        let public = String::from_utf8(court.openssl("pkey -in key.pem -pubout")).unwrap();
        assert_eq!(PublicKey::from_pem(&public).unwrap_err(), PublicKeyError::NotRsa(name.to_owned()));
    }
}

#[test]
fn openssl_and_we_agree_on_signatures() {
    let court = Court::new();
    court.new_key("key.pem", 2048);
    let key = KeyFile::read(&court.file("key.pem")).unwrap().open(None).unwrap();
    let message = b"what was signed";
    fs::write(court.file("message"), message).unwrap();
    fs::write(court.file("ours"), key.sign(message, &mut rand::rng()).unwrap()).unwrap();
    let options = "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sigopt rsa_mgf1_md:sha256";
    court.openssl("pkey -in key.pem -pubout -out public.pem");
    court.openssl(&format!("dgst {options} -verify public.pem -signature ours message"));
    court.openssl(&format!("dgst {options} -sign key.pem -out theirs message"));
    let theirs = fs::read(court.file("theirs")).unwrap();
    assert!(key.public().verify(message, &theirs).is_ok());
    assert!(key.public().verify(b"something else", &theirs).is_err());
}

#[test]
fn openssl_and_we_agree_on_encryption() {
    use rsachat::crypto::rsa::Label;
    use rsachat::crypto::secret::Secret;

    let court = Court::new();
    court.new_key("key.pem", 3072);
    let key = KeyFile::read(&court.file("key.pem")).unwrap().open(None).unwrap();
    let rng = &mut rand::rng();
    let secret = Secret::random(rng);
    // "RSAC1 handshake server".
    let label = "52534143312068616e647368616b6520736572766572";
    let options = format!(
        "-inkey key.pem -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256 \
         -pkeyopt rsa_oaep_label:{label}"
    );
    fs::write(court.file("ours"), key.public().encrypt(Label::ServerHandshake, &secret, rng)).unwrap();
    assert_eq!(court.openssl(&format!("pkeyutl -decrypt -in ours {options}")), secret.expose());
    fs::write(court.file("secret"), secret.expose()).unwrap();
    let theirs = court.openssl(&format!("pkeyutl -encrypt -in secret {options}"));
    assert_eq!(key.decrypt(Label::ServerHandshake, &theirs, rng).expose(), secret.expose());
    assert_ne!(key.decrypt(Label::ClientHandshake, &theirs, rng).expose(), secret.expose());
}

/// Has ssh-keygen make a key in its own format.
fn ssh_key(court: &Court, passphrase: &str) {
    let arguments = ["-q", "-t", "rsa", "-b", "2048", "-C", "test", "-N", passphrase, "-f", "id_rsa"];
    for file in ["id_rsa", "id_rsa.pub"] {
        let _ = fs::remove_file(court.file(file));
    }
    let status = Command::new("ssh-keygen").args(arguments).current_dir(court.0.path()).status();
    let status = status.unwrap_or_else(|error| {
        panic!("this test needs ssh-keygen: install the package openssh-client ({error})");
    });
    assert!(status.success());
}

#[test]
fn a_key_of_ssh_is_as_good_as_ours_once_converted_as_we_say() {
    let court = Court::new();
    for passphrase in ["", PASSPHRASE] {
        ssh_key(&court, passphrase);
        let error = court.private("id_rsa", None).unwrap_err();
        let hint = error.hint().unwrap();
        assert_eq!(private_problem(error), PrivateKeyError::OpenSsh);
        let (_, said) = hint.split_once(": ssh-keygen ").unwrap();
        let mut arguments: Vec<&str> = said.split(' ').collect();
        arguments.extend(["-q", "-P", passphrase, "-N", passphrase]);
        let status = Command::new("ssh-keygen").args(arguments).status().unwrap();
        assert!(status.success(), "{said}");
        let private = court.private("id_rsa", Some(passphrase)).unwrap();

        let error = identity::read_public(&court.file("id_rsa.pub")).unwrap_err();
        let hint = error.hint().unwrap();
        assert!(matches!(error.problem, Problem::Public(PublicKeyError::OpenSsh)));
        assert!(hint.starts_with("convert it: ssh-keygen -e -m PKCS8 -f "), "{hint}");
        fs::write(court.file("spki.pem"), court.ssh_keygen("-e -m PKCS8 -f id_rsa.pub")).unwrap();
        fs::write(court.file("pkcs1.pem"), court.ssh_keygen("-e -m PEM -f id_rsa.pub")).unwrap();
        assert_eq!(court.public("spki.pem"), private);
        assert_eq!(court.public("pkcs1.pem"), private);
        assert_eq!(court.fingerprint("spki.pem", "-pubin"), private);
    }
}

#[test]
fn ssh_keygen_reads_what_we_write() {
    let court = Court::new();
    let rng = &mut rand::rng();
    let key = PrivateKey::generate(Bits::B2048, rng).unwrap();
    identity::write_private(&court.file("key.pem"), &key, None, Existing::Keep, rng).unwrap();
    let ssh_public = court.ssh_keygen("-y -f key.pem");
    fs::write(court.file("key.pub"), ssh_public).unwrap();
    fs::write(court.file("spki.pem"), court.ssh_keygen("-e -m PKCS8 -f key.pub")).unwrap();
    assert_eq!(court.public("spki.pem"), key.public().fingerprint());
}

#[test]
fn the_commands_agree_with_openssl() {
    let court = Court::new();
    let rsachat = |arguments: &str| -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rsachat"));
        let output = command.args(arguments.split(' ')).current_dir(court.0.path()).output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    fs::write(court.file("passphrase"), format!("{PASSPHRASE}\n")).unwrap();
    let made = rsachat("keygen alice --bits 2048 --passphrase-file passphrase");
    let passin = format!("-passin pass:{PASSPHRASE}");
    let fingerprint = court.fingerprint("key_alice.private.pem", &passin);
    assert!(made.contains(&fingerprint.to_string()), "{made}");
    assert_eq!(court.fingerprint("key_alice.pem", "-pubin"), fingerprint);
    assert_eq!(
        rsachat("key show key_alice.private.pem --passphrase-file passphrase"),
        format!("2048 {fingerprint} key_alice.private.pem (RSA, private)\n")
    );
    let public = fs::read_to_string(court.file("key_alice.pem")).unwrap();
    assert_eq!(rsachat("key public key_alice.private.pem --passphrase-file passphrase"), public);

    fs::write(court.file("new"), "another one").unwrap();
    rsachat("key passwd key_alice.private.pem --passphrase-file passphrase --new-passphrase-file new");
    assert_eq!(court.private("key_alice.private.pem", Some("another one")).unwrap(), fingerprint);
    rsachat("key passwd key_alice.private.pem --passphrase-file new --no-passphrase");
    assert_eq!(court.fingerprint("key_alice.private.pem", ""), fingerprint);
    assert_eq!(mode(&court.file("key_alice.private.pem")), 0o600);

    court.openssl("pkey -in key_alice.private.pem -pubout -out theirs.pem");
    rsachat("keys add theirs.pem --user bob --data-dir .");
    assert_eq!(court.public("keys/key_bob.pem"), fingerprint);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
