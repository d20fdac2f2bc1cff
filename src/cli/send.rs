//! `rsachat send`, as it is typed.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{TalkArgs, patience};
use crate::client::commands::Place;
use crate::model::UserName;

/// Say something, and leave
///
/// For scripts. Returns when the server has it on its disk; with --wait, when it has come to whom it is for. Prints nothing
/// if that is so. It shows nobody as present for longer than it takes, reads nothing, and makes nobody a member of a room.
/// What is said to a user alone or in a private room is sealed, as in the chat.
#[derive(Debug, Args)]
#[command(after_help = SEND_EXAMPLES, after_long_help = SEND_MORE)]
pub struct SendArgs {
    /// What to say; all of standard input if nothing is given, or -
    #[arg(value_name = "MESSAGE")]
    pub message: Vec<String>,
    /// The room to say it in; #common if nothing is said
    #[arg(long, value_name = "#ROOM|@USER", conflicts_with = "to")]
    pub room: Option<Place>,
    /// The user to say it to alone
    #[arg(long, value_name = "USER")]
    pub to: Option<UserName>,
    /// Each line of standard input is a message
    #[arg(long, conflicts_with = "message")]
    pub lines: bool,
    /// It is a program's output: every space counts, and no line is broken at one
    #[arg(long)]
    pub code: bool,
    /// Get through to who does not want to be disturbed: for admins, and owners of a room that both are in
    #[arg(long)]
    pub urgent: bool,
    /// Wait until it is delivered to, or read by, whom it is said to alone
    #[arg(long, value_enum, value_name = "delivered|read", hide_possible_values = true, conflicts_with = "lines")]
    pub wait: Option<Wait>,
    /// How long to wait for the server, and with --wait for the other one
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = patience)]
    pub timeout: Duration,
    /// To which server.
    #[command(flatten)]
    pub talk: TalkArgs,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// One of the user's clients has it
    Delivered,
    /// A client has shown it to the user
    Read,
}

const SEND_EXAMPLES: &str = "\
Examples:
  rsachat send 'the build is green'
  make 2>&1 | rsachat send --code --room '#ops'
  tail -f app.log | rsachat send --lines --room '#logs'
  rsachat send --to bob --wait read --timeout 10m 'may I deploy?'";

const SEND_MORE: &str = "\
Examples:
  rsachat send 'the build is green'
  make 2>&1 | rsachat send --code --room '#ops'
  tail -f app.log | rsachat send --lines --room '#logs'
  rsachat send --to bob --wait read --timeout 10m 'may I deploy?'

Exit status:
  0     the server has it; with --wait, so has whom it is for
  1     failure that none of the others describes
  2     wrong command line or configuration, or nothing to say
  3     no connection, or no answer in time
  4     not authenticated, or a key could not be unlocked
  5     the server's or the other one's key is not the one that was trusted before
  6     refused by the server, or perhaps not stored
  7     no such user
  8     not a member of the room, or no such room
  9     the other one does not want to be disturbed
  10    stored, but not delivered or read in time";
