//! `rsachat ask`, as it is typed.

use std::time::Duration;

use clap::Args;

use super::{TalkArgs, patience};
use crate::model::{Choices, UserName};

/// Ask somebody, and wait for the answer
///
/// Shows a question with its choices to a user, or in a room, and ends when somebody has chosen: prints the choice, and ends
/// with a code of its own for each. The answer is sealed, and signed with the key of who gives it: nobody else can make one, not
/// even the server.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = MORE)]
pub struct AskArgs {
    /// Whom: a user, or everybody in a room
    #[arg(value_name = "USER|#ROOM")]
    pub whom: String,
    /// What
    pub question: String,
    /// What can be answered, with commas in between: 2 to 9 choices
    #[arg(long, value_name = "A,B,...")]
    pub choices: Choices,
    /// Whose answer counts, in a room; everybody's if it is not given. Several, with commas in between
    #[arg(long, value_name = "USER,...", value_delimiter = ',')]
    pub from: Vec<UserName>,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = patience)]
    pub timeout: Duration,
    /// To which server.
    #[command(flatten)]
    pub talk: TalkArgs,
}

const EXAMPLES: &str = "\
Examples:
  rsachat ask bob 'deploy?' --choices yes,no && ./deploy.sh
  rsachat ask '#ops' 'who takes it?' --choices me,later --from alice,bob --timeout 1h";

const MORE: &str = "\
Examples:
  rsachat ask bob 'deploy?' --choices yes,no && ./deploy.sh
  rsachat ask '#ops' 'who takes it?' --choices me,later --from alice,bob --timeout 1h

The first answer counts that comes from somebody whose answer does, with the key
that is trusted. In a room rsachat ask says there what it was, and who gave it, or
that it waits no longer.

Exit status:
  0     the first choice
  21    the second choice; 22 the third, and so on
  1     failure that none of the others describes
  2     wrong command line or configuration
  3     no connection, or no answer of the server in time
  4     not authenticated, or a key could not be unlocked
  5     the server's or the other one's key is not the one that was trusted before
  6     refused by the server, or perhaps not stored
  7     no such user
  8     not a member of the room, or no such room
  9     the other one does not want to be disturbed
  10    nobody has answered in time";
