//! `rsachat man`: the man pages, from the same declarations as the command line and the configuration.
//!
//! The pages depend on those declarations alone: no dates, nothing of the machine.

use std::fs;
use std::io;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::{Cli, ManArgs};
use crate::client::commands::{Role, TABLE};
use crate::error::{Context as _, Error};

mod config;
mod json;

pub(super) fn run(args: &ManArgs) -> Result<(), Error> {
    fs::create_dir_all(&args.dir).context(|| format!("can't make {}", args.dir.display()))?;
    let mut root = Cli::command();
    root.build();
    // Written by hand, as the schema is.
    let protocol = include_bytes!("../../../man/rsachat-protocol.7").to_vec();
    let mut pages = vec![
        ("rsachat-config.5".to_owned(), config::page()),
        ("rsachat-json.5".to_owned(), json::page()),
        ("rsachat-json.schema.json".to_owned(), json::SCHEMA.into()),
        ("rsachat-protocol.7".to_owned(), protocol),
    ];
    add_pages(&root, &mut pages).context(|| "can't make the man pages")?;
    for (name, page) in pages {
        let path = args.dir.join(name);
        fs::write(&path, page).context(|| format!("can't write {}", path.display()))?;
    }
    Ok(())
}

/// What every page says of itself, at its foot.
fn source() -> String {
    format!("rsachat {}", env!("CARGO_PKG_VERSION"))
}

fn add_pages(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let man = Man::new(command.clone()).source(source()).manual("rsachat manual");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|command| !command.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    let more = command.get_after_long_help().or(command.get_after_help());
    page.extend(sections(&more.map(ToString::to_string).unwrap_or_default()).render().into_bytes());
    if command.get_name() == "connect" {
        page.extend(slash_commands().render().into_bytes());
    }
    page.extend(see_also(command).render().into_bytes());
    pages.push((man.get_filename(), page));
    command.get_subcommands().filter(|command| !command.is_hide_set()).try_for_each(|command| add_pages(command, pages))
}

/// The text after a help, `Heading:` and indented lines, as sections whose lines stay as they are.
fn sections(help: &str) -> Roff {
    let mut roff = Roff::new();
    let mut open = false;
    for line in help.lines() {
        if let Some(heading) = line.strip_suffix(':').filter(|heading| !heading.starts_with(' ')) {
            if open {
                roff.control("fi", []);
            }
            let heading = if heading == "Example" { "EXAMPLES".to_owned() } else { heading.to_uppercase() };
            roff.control("SH", [heading.as_str()]).control("nf", []);
            open = true;
        } else if !line.is_empty() {
            roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
    }
    if open {
        roff.control("fi", []);
    }
    roff
}

/// What can be typed while chatting.
fn slash_commands() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SLASH COMMANDS"]).text([roman(
        "A line that starts with a slash is a command, or a mistake, and never sent as a message; a line that is to start \
         with a slash starts with two.",
    )]);
    for entry in TABLE {
        let mut text = vec![format!("{}.", capitalised(entry.help))];
        text.extend((!entry.details.is_empty()).then(|| entry.details.to_owned()));
        let also: Vec<String> = entry.aliases.iter().map(|alias| format!("/{alias}")).collect();
        text.extend((!also.is_empty()).then(|| format!("Also: {}.", also.join(", "))));
        text.extend((entry.role == Role::Admin).then(|| "For admins of the server.".to_owned()));
        roff.control("TP", []).text([bold(entry.usage())]).text([roman(text.join(" "))]);
    }
    roff
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

fn see_also(command: &Command) -> Roff {
    let pages = ["rsachat(1)", "rsachat-config(5)", "rsachat-protocol(7)"];
    let own = format!("{}(1)", command.get_display_name().unwrap_or_else(|| command.get_name()));
    let others: Vec<&str> = pages.into_iter().filter(|page| *page != own).collect();
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]).text([roman(others.join(", "))]);
    roff
}
