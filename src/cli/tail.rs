//! `rsachat tail`, as it is typed.

use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::TalkArgs;
use crate::client::commands::Place;
use crate::client::follow::cursor::CursorName;
use crate::model::Timestamp;
use crate::proto::message::Position;
use crate::time::{parse_duration, parse_rfc_3339};

/// Follow what is said
///
/// Writes what is said from now on, each message once, and goes on until it is ended; it comes back by itself after a broken
/// connection. With a cursor it goes on the next time where it was, also after a kill -9. It reads nothing for you, makes
/// you a member of no room, and shows you as present.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = MORE)]
pub struct TailArgs {
    /// A room to follow; several, if it is given several times; all of yours if it is not given
    #[arg(long = "room", value_name = "#ROOM|@USER")]
    pub rooms: Vec<Place>,
    /// Where to begin: the last N messages of each room; a time, as 2h for two hours ago, or 2026-11-22T09:30:00Z; or the
    /// cursor of a message, for what comes after it in one room
    #[arg(long, value_name = "N|TIME|CURSOR")]
    pub since: Option<Since>,
    /// Remember under this name what was written, and go on behind it; --since is for the first time
    #[arg(long, value_name = "NAME")]
    pub cursor: Option<CursorName>,
    /// Write JSON, an object a line: see rsachat-json(5)
    #[arg(long)]
    pub json: bool,
    /// Run a command of the shell for each message, with the message as JSON on its standard input; end if it fails
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString, conflicts_with = "json")]
    pub exec: Option<String>,
    /// To which server.
    #[command(flatten)]
    pub talk: TalkArgs,
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// With so many messages.
    Last(u32),
    /// So long ago.
    Ago(Duration),
    /// At this time.
    Time(Timestamp),
    /// Behind this place.
    Position(Position),
}

impl FromStr for Since {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let read = text.parse().map(Self::Last).ok();
        let read = read.or_else(|| text.parse().map(Self::Position).ok());
        let read = read.or_else(|| parse_rfc_3339(text).map(Self::Time));
        let read = read.or_else(|| parse_duration(text).map(Self::Ago));
        read.ok_or("a number of messages, a time as 2h or 2026-11-22T09:30:00Z, or the cursor of a message is expected")
    }
}

const EXAMPLES: &str = "\
Examples:
  rsachat tail
  rsachat tail --room '#ops' --since 20
  rsachat tail --json --since 1h | jq -r .text
  rsachat tail --room '#deploys' --cursor deployer --exec ./deploy.sh";

const MORE: &str = "\
Examples:
  rsachat tail
  rsachat tail --room '#ops' --since 20
  rsachat tail --json --since 1h | jq -r .text
  rsachat tail --room '#deploys' --cursor deployer --exec ./deploy.sh

Cursors:
  A cursor says up to where what was said is done: written to standard output,
  or, with --exec, given to a command that has ended with 0. It moves afterwards.
  What was handed out when the program was killed is handed out again, with
  \"again\": true; nothing else is. Messages come in the order of their room, each
  command runs when the one before has ended, and one that fails ends rsachat
  tail with 1: started again, it begins with that message. Cursors are files in
  cursors/, beside the keys; a program that is started while another one has the
  cursor waits for it. What the server has no longer (history_keep) is told as
  missed.

Exit status:
  0     nobody reads its output any more, or the server was ended by you
  1     the command of --exec has failed, or another failure
  2     wrong command line or configuration
  4     not authenticated, or a key could not be unlocked
  5     the server's key is not the one that was trusted before
  6     refused by the server
  7     no such user
  8     not a member of the room any more, or no such room
  130   interrupted (Ctrl-C)
  143   terminated (SIGTERM)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Incarnation, Seq};

    #[test]
    fn a_number_a_time_and_a_cursor_are_told_apart() {
        let position = Position { incarnation: Incarnation(3), seq: Seq(17) };
        for (text, since) in [
            ("17", Since::Last(17)),
            ("3-17", Since::Position(position)),
            ("2h", Since::Ago(Duration::from_secs(7200))),
            ("1970-01-01T00:00:01Z", Since::Time(Timestamp(1000))),
        ] {
            assert_eq!(text.parse(), Ok(since));
        }
        for text in ["", "-3", "yesterday", "3-", "3-17-1", "2026-11-22"] {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }
}
