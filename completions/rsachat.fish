# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_rsachat_global_optspecs
    string join \n color= no-input h/help V/version
end

function __fish_rsachat_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_rsachat_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_rsachat_using_subcommand
    set -l cmd (__fish_rsachat_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c rsachat -n "__fish_rsachat_needs_command" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_needs_command" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rsachat -n "__fish_rsachat_needs_command" -s V -l version -d 'Print version'
complete -c rsachat -n "__fish_rsachat_needs_command" -f -a "completions" -d 'Print a shell\'s completion script'
complete -c rsachat -n "__fish_rsachat_needs_command" -f -a "man" -d 'Write the man pages into a directory'
complete -c rsachat -n "__fish_rsachat_using_subcommand completions" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand completions" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand completions" -s h -l help -d 'Print help'
complete -c rsachat -n "__fish_rsachat_using_subcommand man" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand man" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand man" -s h -l help -d 'Print help'
