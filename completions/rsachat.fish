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
complete -c rsachat -n "__fish_rsachat_needs_command" -f -a "keygen" -d 'Make a key pair'
complete -c rsachat -n "__fish_rsachat_needs_command" -f -a "key" -d 'Look at a key, change its passphrase, or print its public half'
complete -c rsachat -n "__fish_rsachat_needs_command" -f -a "keys" -d 'List, add or remove the users of a server'
complete -c rsachat -n "__fish_rsachat_needs_command" -f -a "invite" -d 'Let somebody in who has no key yet, by a link'
complete -c rsachat -n "__fish_rsachat_needs_command" -f -a "serve" -d 'Run the server'
complete -c rsachat -n "__fish_rsachat_needs_command" -f -a "connect" -d 'Chat'
complete -c rsachat -n "__fish_rsachat_needs_command" -f -a "send" -d 'Say something, and leave'
complete -c rsachat -n "__fish_rsachat_needs_command" -f -a "tail" -d 'Follow what is said'
complete -c rsachat -n "__fish_rsachat_needs_command" -f -a "ask" -d 'Ask somebody, and wait for the answer'
complete -c rsachat -n "__fish_rsachat_needs_command" -f -a "agent" -d 'Hold unlocked keys, so that they work from cron'
complete -c rsachat -n "__fish_rsachat_needs_command" -f -a "trust" -d 'Look at whose keys you trust, and forget one'
complete -c rsachat -n "__fish_rsachat_needs_command" -f -a "bench" -d 'Put a server under load, and measure it'
complete -c rsachat -n "__fish_rsachat_needs_command" -f -a "demo" -d 'Try it: a server, you, and a companion, on this machine'
complete -c rsachat -n "__fish_rsachat_needs_command" -f -a "known-names" -d 'Print which known names a word that is being typed may become'
complete -c rsachat -n "__fish_rsachat_needs_command" -f -a "completions" -d 'Print a shell\'s completion script'
complete -c rsachat -n "__fish_rsachat_needs_command" -f -a "man" -d 'Write the man pages into a directory'
complete -c rsachat -n "__fish_rsachat_using_subcommand keygen" -l bits -d 'Size of the key: 2048, 3072 or 4096' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand keygen" -l out-dir -d 'Where to write the files' -r -f -a "(__fish_complete_directories)"
complete -c rsachat -n "__fish_rsachat_using_subcommand keygen" -l passphrase-file -d 'Read the passphrase from the first line of FILE, or of standard input if FILE is -' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand keygen" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand keygen" -l server -d 'Make the server\'s pair instead: server_private_key.pem, not encrypted, and server_public_key.pem'
complete -c rsachat -n "__fish_rsachat_using_subcommand keygen" -l no-passphrase -d 'Don\'t encrypt the private key'
complete -c rsachat -n "__fish_rsachat_using_subcommand keygen" -l force -d 'Replace files that exist'
complete -c rsachat -n "__fish_rsachat_using_subcommand keygen" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand keygen" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and not __fish_seen_subcommand_from show passwd public" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and not __fish_seen_subcommand_from show passwd public" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and not __fish_seen_subcommand_from show passwd public" -s h -l help -d 'Print help'
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and not __fish_seen_subcommand_from show passwd public" -f -a "show" -d 'Print a key\'s size, fingerprint and kind (as ssh-keygen -l)'
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and not __fish_seen_subcommand_from show passwd public" -f -a "passwd" -d 'Change a private key\'s passphrase (as ssh-keygen -p)'
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and not __fish_seen_subcommand_from show passwd public" -f -a "public" -d 'Print the public key of a private key (as ssh-keygen -y)'
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and __fish_seen_subcommand_from show" -l passphrase-file -d 'Read the passphrase from the first line of FILE, or of standard input if FILE is -' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and __fish_seen_subcommand_from show" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and __fish_seen_subcommand_from show" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and __fish_seen_subcommand_from passwd" -l passphrase-file -d 'Read the passphrase from the first line of FILE, or of standard input if FILE is -' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and __fish_seen_subcommand_from passwd" -l new-passphrase-file -d 'Read the new passphrase from the first line of FILE, or of standard input if FILE is -' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and __fish_seen_subcommand_from passwd" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and __fish_seen_subcommand_from passwd" -l no-passphrase -d 'Don\'t encrypt the private key any more'
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and __fish_seen_subcommand_from passwd" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and __fish_seen_subcommand_from passwd" -s h -l help -d 'Print help'
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and __fish_seen_subcommand_from public" -l passphrase-file -d 'Read the passphrase from the first line of FILE, or of standard input if FILE is -' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and __fish_seen_subcommand_from public" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and __fish_seen_subcommand_from public" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand key; and __fish_seen_subcommand_from public" -s h -l help -d 'Print help'
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and not __fish_seen_subcommand_from list add remove" -l data-dir -d 'The server\'s directory' -r -f -a "(__fish_complete_directories)"
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and not __fish_seen_subcommand_from list add remove" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and not __fish_seen_subcommand_from list add remove" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and not __fish_seen_subcommand_from list add remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and not __fish_seen_subcommand_from list add remove" -f -a "list" -d 'List users with the fingerprints of their keys, who is invited, and what is wrong with the files that are refused'
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and not __fish_seen_subcommand_from list add remove" -f -a "add" -d 'Let a user in: copy a public key into the keys directory'
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and not __fish_seen_subcommand_from list add remove" -f -a "remove" -d 'Put a user out: delete the public key, or take an invitation back; open sessions end at once'
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and __fish_seen_subcommand_from list" -l data-dir -d 'The server\'s directory' -r -f -a "(__fish_complete_directories)"
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and __fish_seen_subcommand_from list" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and __fish_seen_subcommand_from list" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and __fish_seen_subcommand_from add" -l user -d 'Whose key it is, if the file\'s name is not key_USER.pem' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and __fish_seen_subcommand_from add" -l data-dir -d 'The server\'s directory' -r -f -a "(__fish_complete_directories)"
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and __fish_seen_subcommand_from add" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and __fish_seen_subcommand_from add" -l force -d 'Replace the key that the user has'
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and __fish_seen_subcommand_from add" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and __fish_seen_subcommand_from remove" -l data-dir -d 'The server\'s directory' -r -f -a "(__fish_complete_directories)"
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and __fish_seen_subcommand_from remove" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and __fish_seen_subcommand_from remove" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand keys; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c rsachat -n "__fish_rsachat_using_subcommand invite" -l expires -d 'How long it is good, as 30m, 24h or 7d' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand invite" -l address -d 'Under which address USER reaches the server [default: server_ip and server_port of its configuration]' -r -f -a "(__fish_print_hostnames)"
complete -c rsachat -n "__fish_rsachat_using_subcommand invite" -l data-dir -d 'Where the server\'s files are' -r -f -a "(__fish_complete_directories)"
complete -c rsachat -n "__fish_rsachat_using_subcommand invite" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand invite" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand invite" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l data-dir -d 'Where the server\'s files are' -r -f -a "(__fish_complete_directories)"
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l config -d 'The configuration [default: config.json in the server\'s directory]' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l log-format -d 'How to write the log on standard error: text, json' -r -f -a "text\t'A line for people'
json\t'A JSON object a line'"
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l server-ip -d 'Address to listen at' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l server-port -d 'Port to listen at' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l admins -d 'Users who may end the server with /shutdown, and what else admins may' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l history-limit -d 'Messages of a room that /history shows at once, and that a user gets on coming back' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l history-keep -d 'What stays on disk' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l join-backlog -d 'Messages of a room that the client shows when it starts, beside what was missed; to a user who comes for the first time, these alone' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l default-rooms -d 'Rooms that every user is in, and nobody can leave' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l room-creation -d 'Who may make rooms with /create' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l max-rooms -d 'Rooms in all' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l max-rooms-per-user -d 'Rooms that one user may own' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l direct-days -d 'How long messages of direct conversations are kept, in days, whether they were read or not' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l direct-quota -d 'Messages of one direct conversation that wait for a user who is away' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l message-log -d 'File to which everything that happens in the chat is written as a line of JSON, as in "messageslog.json"; see MESSAGE LOG' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l message-log-bytes -d 'Longest message_log' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l message-log-files -d 'Older message logs that are kept' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l max-connections -d 'Connections in all' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l max-connections-per-address -d 'Connections from one IP address, or from one /64 network of IPv6' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l max-connections-per-user -d 'Connections of one user' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l handshakes-per-second-per-address -d 'Handshakes a second from one IP address, or from one /64 network of IPv6, in the long run' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l handshake-burst-per-address -d 'Handshakes from one address at once, before handshakes_per_second_per_address applies' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l handshake-bytes -d 'Bytes that a peer may send before it has authenticated' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l handshake-seconds -d 'Time for the whole handshake, in seconds' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l message-bytes -d 'Longest text of a message, in bytes of UTF-8' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l message-rate -d 'Messages a second from one user, in the long run, over all of the user\'s connections' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l message-burst -d 'Messages from one user at once, before message_rate applies' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l outbound-queue-bytes -d 'Bytes that may wait for one connection that reads slowly' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l idle-seconds -d 'Silence after which a peer is taken for dead, in seconds' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l reactors -d 'Threads that serve connections' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l workers -d 'Threads for the arithmetic of handshakes' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l check -d 'Check the configuration and the keys, say what is wrong with them, and end'
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rsachat -n "__fish_rsachat_using_subcommand connect" -l room -d 'The room to be in, or the user to talk to alone; #common if nothing is said' -r -f -a "(__fish_rsachat_known)"
complete -c rsachat -n "__fish_rsachat_using_subcommand connect" -l user -d 'Your name on the server' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand connect" -l identity -d 'Your private key' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand connect" -l server-key -d 'The server\'s public key; any other is refused' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand connect" -l fingerprint -d 'The fingerprint of the server\'s key; any other is refused' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand connect" -l passphrase-file -d 'Read the passphrase from the first line of FILE, or of standard input if FILE is -' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand connect" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand connect" -l json -d 'Take commands and tell what happens as JSON, an object a line: see rsachat-json(5)'
complete -c rsachat -n "__fish_rsachat_using_subcommand connect" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand connect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rsachat -n "__fish_rsachat_using_subcommand send" -l room -d 'The room to say it in; #common if nothing is said' -r -f -a "(__fish_rsachat_known)"
complete -c rsachat -n "__fish_rsachat_using_subcommand send" -l to -d 'The user to say it to alone' -r -f -a "(__fish_rsachat_known)"
complete -c rsachat -n "__fish_rsachat_using_subcommand send" -l wait -d 'Wait until it is delivered to, or read by, whom it is said to alone' -r -f -a "delivered\t'One of the user\'s clients has it'
read\t'A client has shown it to the user'"
complete -c rsachat -n "__fish_rsachat_using_subcommand send" -l timeout -d 'How long to wait for the server, and with --wait for the other one' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand send" -l server -d 'The server, as HOST, HOST:PORT, [IPV6]:PORT or rsachat://USER@HOST:PORT/ [default port: 5000]' -r -f -a "(__fish_print_hostnames)"
complete -c rsachat -n "__fish_rsachat_using_subcommand send" -l user -d 'Your name on the server' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand send" -l identity -d 'Your private key' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand send" -l server-key -d 'The server\'s public key; any other is refused' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand send" -l fingerprint -d 'The fingerprint of the server\'s key; any other is refused' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand send" -l passphrase-file -d 'Read the passphrase from the first line of FILE, or of standard input if FILE is -' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand send" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand send" -l lines -d 'Each line of standard input is a message'
complete -c rsachat -n "__fish_rsachat_using_subcommand send" -l code -d 'It is a program\'s output: every space counts, and no line is broken at one'
complete -c rsachat -n "__fish_rsachat_using_subcommand send" -l urgent -d 'Get through to who does not want to be disturbed: for admins, and owners of a room that both are in'
complete -c rsachat -n "__fish_rsachat_using_subcommand send" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand send" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rsachat -n "__fish_rsachat_using_subcommand tail" -l room -d 'A room to follow; several, if it is given several times; all of yours if it is not given' -r -f -a "(__fish_rsachat_known)"
complete -c rsachat -n "__fish_rsachat_using_subcommand tail" -l since -d 'Where to begin: the last N messages of each room; a time, as 2h for two hours ago, or 2026-11-22T09:30:00Z; or the cursor of a message, for what comes after it in one room' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand tail" -l cursor -d 'Remember under this name what was written, and go on behind it; --since is for the first time' -r -f -a "(__fish_rsachat_known)"
complete -c rsachat -n "__fish_rsachat_using_subcommand tail" -l exec -d 'Run a command of the shell for each message, with the message as JSON on its standard input; end if it fails' -r -f -a "(__fish_complete_command)"
complete -c rsachat -n "__fish_rsachat_using_subcommand tail" -l server -d 'The server, as HOST, HOST:PORT, [IPV6]:PORT or rsachat://USER@HOST:PORT/ [default port: 5000]' -r -f -a "(__fish_print_hostnames)"
complete -c rsachat -n "__fish_rsachat_using_subcommand tail" -l user -d 'Your name on the server' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand tail" -l identity -d 'Your private key' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand tail" -l server-key -d 'The server\'s public key; any other is refused' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand tail" -l fingerprint -d 'The fingerprint of the server\'s key; any other is refused' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand tail" -l passphrase-file -d 'Read the passphrase from the first line of FILE, or of standard input if FILE is -' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand tail" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand tail" -l json -d 'Write JSON, an object a line: see rsachat-json(5)'
complete -c rsachat -n "__fish_rsachat_using_subcommand tail" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand tail" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rsachat -n "__fish_rsachat_using_subcommand ask" -l choices -d 'What can be answered, with commas in between: 2 to 9 choices' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand ask" -l from -d 'Whose answer counts, in a room; everybody\'s if it is not given. Several, with commas in between' -r -f -a "(__fish_rsachat_known)"
complete -c rsachat -n "__fish_rsachat_using_subcommand ask" -l timeout -d 'How long to wait' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand ask" -l server -d 'The server, as HOST, HOST:PORT, [IPV6]:PORT or rsachat://USER@HOST:PORT/ [default port: 5000]' -r -f -a "(__fish_print_hostnames)"
complete -c rsachat -n "__fish_rsachat_using_subcommand ask" -l user -d 'Your name on the server' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand ask" -l identity -d 'Your private key' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand ask" -l server-key -d 'The server\'s public key; any other is refused' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand ask" -l fingerprint -d 'The fingerprint of the server\'s key; any other is refused' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand ask" -l passphrase-file -d 'Read the passphrase from the first line of FILE, or of standard input if FILE is -' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand ask" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand ask" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand ask" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rsachat -n "__fish_rsachat_using_subcommand agent" -l identity -d 'A private key to hold; can be given more than once [default: the one that connect takes]' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand agent" -l user -d 'Your name on the server, by which your key is found' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand agent" -l passphrase-file -d 'Read the passphrase, of all keys, from the first line of FILE, or of standard input if FILE is -' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand agent" -l lifetime -d 'How long to hold them, as 30m, 8h or 7d' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand agent" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand agent" -l list -d 'Print the fingerprints of the keys that the running agent holds'
complete -c rsachat -n "__fish_rsachat_using_subcommand agent" -l stop -d 'End the running agent'
complete -c rsachat -n "__fish_rsachat_using_subcommand agent" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand agent" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rsachat -n "__fish_rsachat_using_subcommand trust; and not __fish_seen_subcommand_from list remove" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand trust; and not __fish_seen_subcommand_from list remove" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand trust; and not __fish_seen_subcommand_from list remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rsachat -n "__fish_rsachat_using_subcommand trust; and not __fish_seen_subcommand_from list remove" -f -a "list" -d 'List whose keys you trust, on which server'
complete -c rsachat -n "__fish_rsachat_using_subcommand trust; and not __fish_seen_subcommand_from list remove" -f -a "remove" -d 'Forget a user\'s key: the next one that is seen is trusted'
complete -c rsachat -n "__fish_rsachat_using_subcommand trust; and __fish_seen_subcommand_from list" -l user -d 'Your name' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand trust; and __fish_seen_subcommand_from list" -l identity -d 'Your private key' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand trust; and __fish_seen_subcommand_from list" -l passphrase-file -d 'Read the passphrase from the first line of FILE, or of standard input if FILE is -' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand trust; and __fish_seen_subcommand_from list" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand trust; and __fish_seen_subcommand_from list" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand trust; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c rsachat -n "__fish_rsachat_using_subcommand trust; and __fish_seen_subcommand_from remove" -l user -d 'Your name' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand trust; and __fish_seen_subcommand_from remove" -l identity -d 'Your private key' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand trust; and __fish_seen_subcommand_from remove" -l passphrase-file -d 'Read the passphrase from the first line of FILE, or of standard input if FILE is -' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand trust; and __fish_seen_subcommand_from remove" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand trust; and __fish_seen_subcommand_from remove" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand trust; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and not __fish_seen_subcommand_from fan-out storm idle" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and not __fish_seen_subcommand_from fan-out storm idle" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and not __fish_seen_subcommand_from fan-out storm idle" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and not __fish_seen_subcommand_from fan-out storm idle" -f -a "fan-out" -d 'Messages to a room: some of its members send, all of them get everything'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and not __fish_seen_subcommand_from fan-out storm idle" -f -a "storm" -d 'Connections: how many are taken a second, and what each costs'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and not __fish_seen_subcommand_from fan-out storm idle" -f -a "idle" -d 'Connections on which nothing happens: what they cost all the same'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from fan-out" -l config -d 'Settings of the server that is started; what limits one user or one address is lifted' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from fan-out" -l identities -d 'A directory with key_USER.private.pem of users of the server, not encrypted' -r -f -a "(__fish_complete_directories)"
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from fan-out" -l server-key -d 'The server\'s public key' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from fan-out" -l pid -d 'The server\'s process, if it runs on this machine' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from fan-out" -l clients -d 'Connections in the room' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from fan-out" -l senders -d 'How many of them send' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from fan-out" -l size -d 'Bytes of each message' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from fan-out" -l rate -d 'Messages a second, of all senders together' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from fan-out" -l window -d 'As fast as the server goes: messages of each sender that are not acknowledged yet' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from fan-out" -l duration -d 'How long, as 10s or 2m' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from fan-out" -l count -d 'How many messages' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from fan-out" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from fan-out" -l spawn -d 'Start a server for it, on the loopback interface, with throwaway keys in a temporary directory'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from fan-out" -l json -d 'Print what was found as a JSON object'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from fan-out" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from fan-out" -s h -l help -d 'Print help'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from storm" -l config -d 'Settings of the server that is started; what limits one user or one address is lifted' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from storm" -l identities -d 'A directory with key_USER.private.pem of users of the server, not encrypted' -r -f -a "(__fish_complete_directories)"
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from storm" -l server-key -d 'The server\'s public key' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from storm" -l pid -d 'The server\'s process, if it runs on this machine' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from storm" -l clients -d 'Connections' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from storm" -l parallel -d 'How many are made at a time' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from storm" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from storm" -l spawn -d 'Start a server for it, on the loopback interface, with throwaway keys in a temporary directory'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from storm" -l json -d 'Print what was found as a JSON object'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from storm" -l resumed -d 'By tickets, as clients come back; otherwise by RSA keys'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from storm" -l restart -d 'When all are in, kill the server, start it again, and measure how long it is until all are back by themselves'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from storm" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from storm" -s h -l help -d 'Print help'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from idle" -l config -d 'Settings of the server that is started; what limits one user or one address is lifted' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from idle" -l identities -d 'A directory with key_USER.private.pem of users of the server, not encrypted' -r -f -a "(__fish_complete_directories)"
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from idle" -l server-key -d 'The server\'s public key' -r -F
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from idle" -l pid -d 'The server\'s process, if it runs on this machine' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from idle" -l clients -d 'Connections' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from idle" -l duration -d 'How long, as 10s or 2m' -r
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from idle" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from idle" -l spawn -d 'Start a server for it, on the loopback interface, with throwaway keys in a temporary directory'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from idle" -l json -d 'Print what was found as a JSON object'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from idle" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand bench; and __fish_seen_subcommand_from idle" -s h -l help -d 'Print help'
complete -c rsachat -n "__fish_rsachat_using_subcommand demo" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand demo" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rsachat -n "__fish_rsachat_using_subcommand known-names" -l color -d 'When to use colour: auto, always, never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is dumb'
always\t'In pipes and files too'
never\t'Nowhere'"
complete -c rsachat -n "__fish_rsachat_using_subcommand known-names" -l no-input -d 'Ask nothing: fail, and name the option that was missing'
complete -c rsachat -n "__fish_rsachat_using_subcommand known-names" -s h -l help -d 'Print help'
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

# Names that are known on this machine, of rooms, users and cursors.
function __fish_rsachat_known
    set -l before (commandline -opc)
    set -e before[1]
    rsachat known-names -- $before (commandline -ct | string trim -c '\'"\\') 2>/dev/null </dev/null
end
complete -c rsachat -a "(__fish_rsachat_known)"
