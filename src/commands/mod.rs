//! One file per subcommand: turns its arguments into a call, and the result into words.

use std::ffi::OsStr;

use clap::ValueEnum as _;
use clap::error::ErrorKind;

use crate::cli::{Cli, Command};
use crate::error::{Error, Exit};
use crate::term::{Colour, Term};

mod agent;
mod ask;
mod bench;
mod completions;
mod connect;
mod demo;
mod invite;
mod key;
mod key_files;
mod keygen;
mod keys;
mod known_names;
mod link;
mod man;
mod party;
mod send;
mod serve;
mod server_key;
mod tail;
mod throwaway;
mod trust;

/// Does what the command line asks for, and says so if it can't be done.
#[must_use]
pub fn run(cli: Cli) -> Exit {
    let term = Term::new(cli.global.color, cli.global.no_input);
    let result = match cli.command {
        Command::Keygen(args) => keygen::run(&term, &args),
        Command::Key(args) => key::run(&term, &args),
        Command::Keys(args) => keys::run(&term, &args),
        Command::Invite(args) => invite::run(&term, &args),
        Command::Connect(args) => connect::run(&term, &args),
        Command::Send(args) => send::run(&term, &args),
        Command::Tail(args) => tail::run(&term, &args),
        Command::Ask(args) => ask::run(&term, &args),
        Command::Agent(args) => agent::run(&term, &args),
        Command::Trust(args) => trust::run(&term, &args),
        Command::Bench(args) => bench::run(&term, &args.command),
        Command::KnownNames(args) => known_names::run(&term, &args),
        Command::Completions(args) => completions::run(&term, &args),
        Command::Demo(args) => demo::run(&term, &args),
        Command::Serve(args) => serve::run(&term, &args),
        Command::Man(args) => man::run(&args),
    };
    match result {
        Ok(()) => Exit::Done,
        Err(error) => {
            term.report(&error);
            error.exit
        }
    }
}

/// Shows what clap has to say instead of a parsed command line: help and version on stdout, usage errors as every other
/// error. `arguments` are the raw ones, looked through for `--color`.
#[must_use]
pub fn explain(error: &clap::Error, arguments: impl Iterator<Item = impl AsRef<OsStr>>) -> Exit {
    let term = Term::new(wanted_colour(arguments), true);
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let text = error.render();
            let text = if term.out_paint().is_on() { text.ansi().to_string() } else { text.to_string() };
            match term.write_out(text.as_bytes()) {
                Ok(()) => Exit::Done,
                Err(error) => {
                    term.report(&error);
                    error.exit
                }
            }
        }
        _ => {
            let error = usage_error(error);
            term.report(&error);
            error.exit
        }
    }
}

fn wanted_colour(arguments: impl Iterator<Item = impl AsRef<OsStr>>) -> Colour {
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let Some(argument) = argument.as_ref().to_str() else { continue };
        let value = match argument.strip_prefix("--color") {
            Some("") => arguments.next().and_then(|value| value.as_ref().to_str().map(str::to_owned)),
            Some(rest) => rest.strip_prefix('=').map(str::to_owned),
            None => None,
        };
        if let Some(colour) = value.and_then(|value| Colour::from_str(&value, false).ok()) {
            return colour;
        }
    }
    Colour::Auto
}

/// clap's text is `error: MESSAGE`, then paragraphs: tips, the usage, and that there is `--help`.
fn usage_error(error: &clap::Error) -> Error {
    let text = error.render().to_string();
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let usage = text.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or_default();
        let command = usage.split(['[', '<']).next().unwrap_or_default().trim();
        return Error::usage("no command given").hint(format_args!("{command} --help lists them"));
    }
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let (message, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    // A list, of the arguments that are missing, goes into the sentence.
    let message: Vec<&str> = message.lines().map(str::trim).collect();
    let tips = rest.lines().filter_map(|line| line.trim_start().strip_prefix("tip: ").map(str::to_owned));
    let mut hints: Vec<String> = tips.collect();
    if error.kind() == ErrorKind::InvalidSubcommand {
        hints.push("rsachat --help lists the commands".to_owned());
    } else {
        hints.extend(rest.lines().filter(|line| line.starts_with("Usage: ")).map(|line| line.replacen('U', "u", 1)));
    }
    let error = Error::usage(message.join(" "));
    if hints.is_empty() { error } else { error.hint(hints.join("\n")) }
}
