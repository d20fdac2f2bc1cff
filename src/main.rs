//! The rsachat program: reads the command line, runs the command, ends with its exit code.

use std::process::ExitCode;

use clap::Parser as _;
use rsachat::cli::Cli;
use rsachat::commands;

fn main() -> ExitCode {
    let exit = match Cli::try_parse() {
        Ok(cli) => commands::run(cli),
        Err(error) => commands::explain(&error, std::env::args_os()),
    };
    exit.into()
}
