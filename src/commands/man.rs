//! `rsachat man`: the man pages, from the same declarations as the command line.

use std::fs;

use clap::CommandFactory as _;

use crate::cli::{Cli, ManArgs};
use crate::error::{Context as _, Error};

pub(super) fn run(args: &ManArgs) -> Result<(), Error> {
    fs::create_dir_all(&args.dir).context(|| format!("can't make {}", args.dir.display()))?;
    clap_mangen::generate_to(Cli::command(), &args.dir)
        .context(|| format!("can't write the man pages into {}", args.dir.display()))
}
