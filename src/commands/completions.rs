//! `rsachat completions`: a shell's completion script, from the same declarations as the command line.

use clap::CommandFactory as _;

use crate::cli::{Cli, CompletionsArgs};
use crate::error::Error;
use crate::term::Term;

pub(super) fn run(term: &Term, args: &CompletionsArgs) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "rsachat", &mut script);
    term.write_out(&script)
}
