//! What can be typed after `rsachat agent`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use crate::model::UserName;

/// Hold unlocked keys, so that they work from cron
///
/// Asks once for the passphrase of your key, and then works with it for whatever you start on this machine as the same user:
/// connect, send, tail, ask and trust find the agent by themselves, and need no passphrase as long as it runs. The key itself never
/// leaves it. It ends when its time is over, by --stop, Ctrl-C or SIGTERM, and keeps nothing on the disk; on a terminal,
/// Ctrl-Z and then bg leave it in the background. A file that has changed since, as by key passwd, is another key to it.
#[derive(Debug, Args)]
#[command(after_help = AGENT_EXAMPLES, after_long_help = AGENT_MORE)]
pub struct AgentArgs {
    /// A private key to hold; can be given more than once
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
          help = "A private key to hold; can be given more than once [default: the one that connect takes]")]
    pub identity: Vec<PathBuf>,
    /// Your name on the server, by which your key is found
    #[arg(long, value_name = "NAME", conflicts_with = "identity")]
    pub user: Option<UserName>,
    /// Read the passphrase, of all keys, from the first line of FILE, or of standard input if FILE is -
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub passphrase_file: Option<PathBuf>,
    /// How long to hold them, as 30m, 8h or 7d
    #[arg(long, default_value = "8h", value_parser = super::lifetime, value_name = "TIME")]
    pub lifetime: Duration,
    /// Print the fingerprints of the keys that the running agent holds
    #[arg(long, conflicts_with_all = ["stop", "identity", "user", "passphrase_file", "lifetime"])]
    pub list: bool,
    /// End the running agent
    #[arg(long, conflicts_with_all = ["identity", "user", "passphrase_file", "lifetime"])]
    pub stop: bool,
}

const AGENT_EXAMPLES: &str = "\
Examples:
  rsachat agent
  rsachat agent --lifetime 7d --identity ~/.local/share/rsachat/key_alice.private.pem
  rsachat agent --list
  rsachat agent --stop";

const AGENT_MORE: &str = "\
Examples:
  rsachat agent
  rsachat agent --lifetime 7d --identity ~/.local/share/rsachat/key_alice.private.pem
  rsachat agent --list
  rsachat agent --stop

Exit status:
  0     its time is over, or it was told to end; with --list or --stop, done
  1     there is an agent already, or another failure; with --list or --stop,
        there is none
  2     wrong command line or configuration
  3     with --list or --stop, no answer in time
  4     a key could not be unlocked

Files:
  $XDG_RUNTIME_DIR/rsachat/agent.sock
        Where it listens, mode 0600; without that variable, the same in
        /run/user/UID, and without that directory, run/agent.sock beside the
        client's keys. agent.lock, beside it, says whether one runs. Where
        systemd removes the directory when you log out, loginctl enable-linger
        keeps it.";
