//! The command line: what can be typed, and what `--help`, the man pages and the completions say about it.
//!
//! Declarations only. What a command does is in the file of its name in [`crate::commands`].

mod agent;
mod ask;
mod bench;
mod send;
mod tail;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

pub use self::agent::AgentArgs;
pub use self::ask::AskArgs;
pub use self::bench::{BenchArgs, BenchCommand, FanOutArgs, IdleArgs, LoadArgs, StormArgs};
pub use self::send::{SendArgs, Wait};
pub use self::tail::{Since, TailArgs};
use crate::client::commands::Place;
use crate::config::ServerFlags;
use crate::crypto::rsa::Bits;
use crate::model::{Fingerprint, UserName};
use crate::term::Colour;
use crate::time::parse_duration;

/// Encrypted chat for a team, from the shell
///
/// A server that you run, a client in your terminal, and RSA keys that say who is who. Everything that travels is
/// encrypted, with keys that are thrown away afterwards.
#[derive(Debug, Parser)]
#[command(name = "rsachat", version, disable_help_subcommand = true)]
#[command(after_help = ROOT_EXAMPLES, after_long_help = ROOT_MORE)]
pub struct Cli {
    /// What applies to every command
    #[command(flatten)]
    pub global: Global,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

const ROOT_EXAMPLES: &str = "\
Examples:
  rsachat demo                       try it: a server, you, and a companion, on this machine
  rsachat keygen alice               make a key pair
  rsachat keys add key_alice.pem     let alice in (on the server)
  rsachat serve                      run the server
  rsachat connect chat.example.org   chat
  rsachat send --to bob hello        say something, from a script";

const ROOT_MORE: &str = "\
Examples:
  rsachat demo                       try it: a server, you, and a companion, on this machine
  rsachat keygen alice               make a key pair
  rsachat keys add key_alice.pem     let alice in (on the server)
  rsachat serve                      run the server
  rsachat connect chat.example.org   chat
  rsachat send --to bob hello        say something, from a script

Exit status:
  0     done
  1     failure that none of the others describes
  2     wrong command line or configuration
  3     no connection, or no answer in time
  4     not authenticated, or a key could not be unlocked
  5     a key is not the one that was trusted before
  6     refused by the server, or not delivered
  7     no such user
  8     not a member of the room
  9     the other one does not want to be disturbed
  10    stored, but not delivered, read or answered in time
  20+   the answer of rsachat ask: 21 for the second choice
  130   interrupted (Ctrl-C)
  143   terminated (SIGTERM)

Environment:
  NO_COLOR          if set, no colour
  TERM              if dumb, no colour
  XDG_CONFIG_HOME   where the client's user_config.json is, in rsachat/ (~/.config)
  XDG_DATA_HOME     where the client's keys are, in rsachat/ (~/.local/share)
  XDG_RUNTIME_DIR   where the agent listens, in rsachat/ (/run/user/UID)";

/// What applies to every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// When to use colour
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Colour::Auto,
          hide_possible_values = true, display_order = 900,
          help = "When to use colour: auto, always, never")]
    pub color: Colour,
    /// Ask nothing: fail, and name the option that was missing
    #[arg(long, global = true, display_order = 901)]
    pub no_input: bool,
}

/// The commands. What is said about one without a text here stands with its arguments.
#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum Command {
    Keygen(KeygenArgs),
    Key(KeyArgs),
    Keys(KeysArgs),
    Invite(InviteArgs),
    Serve(ServeArgs),
    Connect(ConnectArgs),
    Send(SendArgs),
    Tail(TailArgs),
    Ask(AskArgs),
    Agent(AgentArgs),
    Trust(TrustArgs),
    Bench(BenchArgs),
    Demo(DemoArgs),
    /// Print which known names a word that is being typed may become
    #[command(hide = true)]
    KnownNames(KnownNamesArgs),
    /// Print a shell's completion script
    #[command(hide = true)]
    Completions(CompletionsArgs),
    /// Write the man pages into a directory
    #[command(hide = true)]
    Man(ManArgs),
}

/// Make a key pair
///
/// Writes key_USER.pem, the public key, to give to the admin of the server, and key_USER.private.pem, the private key,
/// encrypted with a passphrase, to keep. Prints both paths and the fingerprint. Any RSA key of 2048 to 4096 bits that
/// OpenSSL or ssh-keygen made is as good.
#[derive(Debug, Args)]
#[command(after_help = KEYGEN_EXAMPLES)]
pub struct KeygenArgs {
    /// Whose key: 1 to 32 of a-z 0-9 . _ -, starting with a letter or a digit
    #[arg(required_unless_present = "server", conflicts_with = "server")]
    pub user: Option<UserName>,
    /// Make the server's pair instead: server_private_key.pem, not encrypted, and server_public_key.pem
    #[arg(long, conflicts_with_all = ["passphrase_file", "no_passphrase"])]
    pub server: bool,
    /// Size of the key: 2048, 3072 or 4096
    #[arg(long, default_value = "3072", value_parser = bits, value_name = "BITS")]
    pub bits: Bits,
    /// Where to write the files
    #[arg(long, default_value = ".", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out_dir: PathBuf,
    /// Read the passphrase from the first line of FILE, or of standard input if FILE is -
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub passphrase_file: Option<PathBuf>,
    /// Don't encrypt the private key
    #[arg(long, conflicts_with = "passphrase_file")]
    pub no_passphrase: bool,
    /// Replace files that exist
    #[arg(long)]
    pub force: bool,
}

const KEYGEN_EXAMPLES: &str = "\
Examples:
  rsachat keygen alice
  rsachat keygen alice --out-dir ~/.local/share/rsachat --passphrase-file secret.txt
  rsachat keygen --server --bits 4096";

/// Look at a key, change its passphrase, or print its public half
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// What to do with it
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// What can be done with a key file.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Print a key's size, fingerprint and kind (as ssh-keygen -l)
    #[command(after_help = "Example:\n  rsachat key show key_alice.pem")]
    Show(KeyFileArgs),
    /// Change a private key's passphrase (as ssh-keygen -p)
    #[command(after_help = "Example:\n  rsachat key passwd key_alice.private.pem")]
    Passwd(KeyPasswdArgs),
    /// Print the public key of a private key (as ssh-keygen -y)
    #[command(after_help = "Example:\n  rsachat key public key_alice.private.pem > key_alice.pem")]
    Public(KeyFileArgs),
}

/// A key file and what opens it.
#[derive(Debug, Args)]
pub struct KeyFileArgs {
    /// The key, public or private, in PEM
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Read the passphrase from the first line of FILE, or of standard input if FILE is -
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub passphrase_file: Option<PathBuf>,
}

/// A key file, what opens it, and what will.
#[derive(Debug, Args)]
pub struct KeyPasswdArgs {
    /// The key and its passphrase
    #[command(flatten)]
    pub key: KeyFileArgs,
    /// Read the new passphrase from the first line of FILE, or of standard input if FILE is -
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub new_passphrase_file: Option<PathBuf>,
    /// Don't encrypt the private key any more
    #[arg(long, conflicts_with = "new_passphrase_file")]
    pub no_passphrase: bool,
}

/// List, add or remove the users of a server
///
/// A server lets in whoever has a public key in its keys directory, as keys/key_USER.pem. It notices changes at once.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// What to do with them
    #[command(subcommand)]
    pub command: KeysCommand,
    /// The server's directory
    #[arg(long, global = true, default_value = ".", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_dir: PathBuf,
}

/// What can be done with the registered keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// List users with the fingerprints of their keys, who is invited, and what is wrong with the files that are refused
    #[command(after_help = "Example:\n  rsachat keys list --data-dir /var/lib/rsachat")]
    List,
    /// Let a user in: copy a public key into the keys directory
    #[command(after_help = "Example:\n  rsachat keys add key_alice.pem")]
    Add(KeysAddArgs),
    /// Put a user out: delete the public key, or take an invitation back; open sessions end at once
    #[command(after_help = "Example:\n  rsachat keys remove alice")]
    Remove(KeysRemoveArgs),
}

/// A key to add.
#[derive(Debug, Args)]
pub struct KeysAddArgs {
    /// The public key, in PEM
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Whose key it is, if the file's name is not key_USER.pem
    #[arg(long, value_name = "NAME")]
    pub user: Option<UserName>,
    /// Replace the key that the user has
    #[arg(long)]
    pub force: bool,
}

/// A user to remove.
#[derive(Debug, Args)]
pub struct KeysRemoveArgs {
    /// Whose key to delete
    pub user: UserName,
}

/// Let somebody in who has no key yet, by a link
///
/// Makes an invitation for USER and prints the one line that USER types. It works once: then the server has USER's key, as if
/// you had added it. Another invitation for the same user takes its place; rsachat keys remove takes it back. Whoever has
/// the line can become USER, so send it over a channel that you trust. A running server notices at once.
#[derive(Debug, Args)]
#[command(after_help = INVITE_EXAMPLES)]
pub struct InviteArgs {
    /// Whom to let in
    pub user: UserName,
    /// How long it is good, as 30m, 24h or 7d
    #[arg(long, default_value = "24h", value_parser = lifetime, value_name = "TIME")]
    pub expires: Duration,
    /// Under which address USER reaches the server
    #[arg(long, value_name = "HOST[:PORT]", value_hint = ValueHint::Hostname,
          help = "Under which address USER reaches the server [default: server_ip and server_port of its configuration]")]
    pub address: Option<String>,
    /// Where the server's files are
    #[arg(long, default_value = ".", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_dir: PathBuf,
}

const INVITE_EXAMPLES: &str = "\
Examples:
  rsachat invite bob
  rsachat invite bob --expires 7d --address chat.example.org --data-dir /var/lib/rsachat";

/// Run the server
///
/// Reads config.json, the registered keys in keys/, and its own key pair, which it makes if there is none; keeps
/// messages in rsachat.db. On a terminal it takes console lines: /list, /kick, /shutdown; with 2>>FILE the log
/// does not get in between. Ctrl-C or SIGTERM ends it in order; a second Ctrl-C at once.
#[derive(Debug, Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub struct ServeArgs {
    /// Where the server's files are
    #[arg(long, default_value = ".", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_dir: PathBuf,
    /// The configuration
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
          help = "The configuration [default: config.json in the server's directory]")]
    pub config: Option<PathBuf>,
    /// Check the configuration and the keys, say what is wrong with them, and end
    #[arg(long)]
    pub check: bool,
    /// How to write the log on standard error: text, json
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT", hide_possible_values = true)]
    pub log_format: LogFormat,
    /// Settings of the configuration
    #[command(flatten)]
    pub settings: ServerFlags,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  rsachat serve
  rsachat serve 2>>server.log
  rsachat serve --data-dir /var/lib/rsachat --log-format json
  rsachat serve --check";

/// How log events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people
    Text,
    /// A JSON object a line
    Json,
}

/// Chat
///
/// Connects to a server and shows the room. On a terminal you type into a line that stays whole while messages arrive;
/// /help lists what can be typed. Without a terminal each line of standard input is a message, and messages come out on
/// standard output. What is not said here comes from user_config.json.
#[derive(Debug, Args)]
#[command(after_help = CONNECT_EXAMPLES)]
pub struct ConnectArgs {
    /// The server
    #[arg(value_name = "HOST[:PORT]", value_hint = ValueHint::Hostname,
          help = "The server, as HOST, HOST:PORT or [IPV6]:PORT [default port: 5000], or all of an invitation: \
                  rsachat://USER@HOST:PORT/?server=SHA256:...&invite=...")]
    pub server: Option<String>,
    /// The room to be in, or the user to talk to alone; #common if nothing is said
    #[arg(long, value_name = "#ROOM|@USER")]
    pub room: Option<Place>,
    /// Take commands and tell what happens as JSON, an object a line: see rsachat-json(5)
    #[arg(long)]
    pub json: bool,
    /// Who connects.
    #[command(flatten)]
    pub link: LinkArgs,
}

/// Who connects to a server, and which keys the two have.
#[derive(Debug, Args)]
pub struct LinkArgs {
    /// Your name on the server
    #[arg(long, value_name = "NAME")]
    pub user: Option<UserName>,
    /// Your private key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub identity: Option<PathBuf>,
    /// The server's public key; any other is refused
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "fingerprint")]
    pub server_key: Option<PathBuf>,
    /// The fingerprint of the server's key; any other is refused
    #[arg(long, value_name = "SHA256:...")]
    pub fingerprint: Option<Fingerprint>,
    /// Read the passphrase from the first line of FILE, or of standard input if FILE is -
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub passphrase_file: Option<PathBuf>,
}

/// Which server, and who connects to it: for the commands that are for scripts.
#[derive(Debug, Args)]
pub struct TalkArgs {
    /// The server
    #[arg(long, value_name = "HOST[:PORT]", value_hint = ValueHint::Hostname,
          help = "The server, as HOST, HOST:PORT, [IPV6]:PORT or rsachat://USER@HOST:PORT/ [default port: 5000]")]
    pub server: Option<String>,
    /// Who connects.
    #[command(flatten)]
    pub link: LinkArgs,
}

const CONNECT_EXAMPLES: &str = "\
Examples:
  rsachat connect
  rsachat connect chat.example.org --user alice
  rsachat connect rsachat://alice@chat.example.org:5000
  echo 'the build is green' | rsachat connect chat.example.org --no-input";

/// Look at whose keys you trust, and forget one
///
/// The first key of a user that your client sees on a server is trusted from then on; another one only when you have
/// accepted it, with /trust or /verify in the chat. What is known is kept in the directory known_users, sealed to your
/// key.
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// What to do
    #[command(subcommand)]
    pub command: TrustCommand,
}

/// What to do with the keys that are trusted.
#[derive(Debug, Subcommand)]
pub enum TrustCommand {
    /// List whose keys you trust, on which server
    #[command(after_help = "Example:\n  rsachat trust list")]
    List {
        /// Whose trust.
        #[command(flatten)]
        whose: WhoseArgs,
    },
    /// Forget a user's key: the next one that is seen is trusted
    #[command(after_help = "Example:\n  rsachat trust remove bob")]
    Remove {
        /// Whose key
        user: UserName,
        /// Whose trust.
        #[command(flatten)]
        whose: WhoseArgs,
    },
}

/// Who the user of this program is.
#[derive(Debug, Args)]
pub struct WhoseArgs {
    /// Your name
    #[arg(long = "user", value_name = "NAME", id = "own_name")]
    pub user: Option<UserName>,
    /// Your private key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub identity: Option<PathBuf>,
    /// Read the passphrase from the first line of FILE, or of standard input if FILE is -
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub passphrase_file: Option<PathBuf>,
}

/// Try it: a server, you, and a companion, on this machine
///
/// Makes keys in a temporary directory, starts a server on a free port of the loopback interface, connects you through
/// the real client, and a companion that answers. Leaves nothing behind. Without a terminal it plays a short
/// conversation and ends.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rsachat demo")]
pub struct DemoArgs {}

/// Which shell.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// bash, elvish, fish, powershell or zsh
    #[arg(value_enum, hide_possible_values = true)]
    pub shell: clap_complete::Shell,
}

/// A command line that is being typed.
#[derive(Debug, Args)]
pub struct KnownNamesArgs {
    /// The words after the program's name, up to the one that is being typed
    #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// Where to.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The directory, made if missing
    #[arg(value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

fn lifetime(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
    let in_range = parse_duration(text).filter(|time| (Duration::from_secs(1)..=LONGEST).contains(time));
    in_range.ok_or_else(|| "a time up to 365d is expected, as 30m, 24h or 7d".to_owned())
}

fn patience(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(24 * 3600);
    let in_range = parse_duration(text).filter(|time| *time <= LONGEST);
    in_range.ok_or_else(|| "a time up to 24h is expected, as 30s or 10m".to_owned())
}

fn bits(text: &str) -> Result<Bits, String> {
    match text {
        "2048" => Ok(Bits::B2048),
        "3072" => Ok(Bits::B3072),
        "4096" => Ok(Bits::B4096),
        _ => Err("2048, 3072 and 4096 are allowed".to_owned()),
    }
}
