//! `rsachat completions`: a shell's completion script, from the same declarations as the command line. For bash, zsh and fish
//! it also asks [`super::known_names`] for the names that are known on this machine.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::{Cli, CompletionsArgs};
use crate::error::Error;
use crate::term::Term;

pub(super) fn run(term: &Term, args: &CompletionsArgs) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "rsachat", &mut script);
    let script = String::from_utf8(script).map_err(Error::failure)?;
    term.write_out(with_names(args.shell, &script).as_bytes())
}

/// What is generated, with what asks for names. There the function that the shell calls has another name, so that ours is
/// called, and calls it.
fn with_names(shell: Shell, script: &str) -> String {
    match shell {
        Shell::Bash => {
            format!("{}{}", include_str!("known.bash"), script.replacen("_rsachat()", "_rsachat_static()", 1))
        }
        Shell::Zsh => {
            let (tag, rest) = script.split_once('\n').unwrap_or((script, ""));
            let rest = rest.replacen("\n_rsachat()", "\n_rsachat_static()", 1);
            format!("{tag}\n{}{rest}", include_str!("known.zsh"))
        }
        Shell::Fish => {
            let options = ["room", "to", "from", "cursor"].map(|option| format!(" -l {option} "));
            let is_known = |line: &str| options.iter().any(|option| line.contains(option)) && line.ends_with(" -r");
            let name =
                |line| format!("{line}{}\n", if is_known(line) { " -f -a \"(__fish_rsachat_known)\"" } else { "" });
            format!("{}{}", script.lines().map(name).collect::<String>(), include_str!("known.fish"))
        }
        _ => script.to_owned(),
    }
}
