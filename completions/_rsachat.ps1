
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'rsachat' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'rsachat'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'rsachat' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('keygen', 'keygen', [CompletionResultType]::ParameterValue, 'Make a key pair')
            [CompletionResult]::new('key', 'key', [CompletionResultType]::ParameterValue, 'Look at a key, change its passphrase, or print its public half')
            [CompletionResult]::new('keys', 'keys', [CompletionResultType]::ParameterValue, 'List, add or remove the users of a server')
            [CompletionResult]::new('invite', 'invite', [CompletionResultType]::ParameterValue, 'Let somebody in who has no key yet, by a link')
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Run the server')
            [CompletionResult]::new('connect', 'connect', [CompletionResultType]::ParameterValue, 'Chat')
            [CompletionResult]::new('send', 'send', [CompletionResultType]::ParameterValue, 'Say something, and leave')
            [CompletionResult]::new('tail', 'tail', [CompletionResultType]::ParameterValue, 'Follow what is said')
            [CompletionResult]::new('ask', 'ask', [CompletionResultType]::ParameterValue, 'Ask somebody, and wait for the answer')
            [CompletionResult]::new('agent', 'agent', [CompletionResultType]::ParameterValue, 'Hold unlocked keys, so that they work from cron')
            [CompletionResult]::new('trust', 'trust', [CompletionResultType]::ParameterValue, 'Look at whose keys you trust, and forget one')
            [CompletionResult]::new('bench', 'bench', [CompletionResultType]::ParameterValue, 'Put a server under load, and measure it')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Try it: a server, you, and a companion, on this machine')
            [CompletionResult]::new('known-names', 'known-names', [CompletionResultType]::ParameterValue, 'Print which known names a word that is being typed may become')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print a shell''s completion script')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Write the man pages into a directory')
            break
        }
        'rsachat;keygen' {
            [CompletionResult]::new('--bits', '--bits', [CompletionResultType]::ParameterName, 'Size of the key: 2048, 3072 or 4096')
            [CompletionResult]::new('--out-dir', '--out-dir', [CompletionResultType]::ParameterName, 'Where to write the files')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from the first line of FILE, or of standard input if FILE is -')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'Make the server''s pair instead: server_private_key.pem, not encrypted, and server_public_key.pem')
            [CompletionResult]::new('--no-passphrase', '--no-passphrase', [CompletionResultType]::ParameterName, 'Don''t encrypt the private key')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Replace files that exist')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'rsachat;key' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Print a key''s size, fingerprint and kind (as ssh-keygen -l)')
            [CompletionResult]::new('passwd', 'passwd', [CompletionResultType]::ParameterValue, 'Change a private key''s passphrase (as ssh-keygen -p)')
            [CompletionResult]::new('public', 'public', [CompletionResultType]::ParameterValue, 'Print the public key of a private key (as ssh-keygen -y)')
            break
        }
        'rsachat;key;show' {
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from the first line of FILE, or of standard input if FILE is -')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'rsachat;key;passwd' {
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from the first line of FILE, or of standard input if FILE is -')
            [CompletionResult]::new('--new-passphrase-file', '--new-passphrase-file', [CompletionResultType]::ParameterName, 'Read the new passphrase from the first line of FILE, or of standard input if FILE is -')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--no-passphrase', '--no-passphrase', [CompletionResultType]::ParameterName, 'Don''t encrypt the private key any more')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'rsachat;key;public' {
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from the first line of FILE, or of standard input if FILE is -')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'rsachat;keys' {
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'The server''s directory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List users with the fingerprints of their keys, who is invited, and what is wrong with the files that are refused')
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Let a user in: copy a public key into the keys directory')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Put a user out: delete the public key, or take an invitation back; open sessions end at once')
            break
        }
        'rsachat;keys;list' {
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'The server''s directory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'rsachat;keys;add' {
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Whose key it is, if the file''s name is not key_USER.pem')
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'The server''s directory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Replace the key that the user has')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'rsachat;keys;remove' {
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'The server''s directory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'rsachat;invite' {
            [CompletionResult]::new('--expires', '--expires', [CompletionResultType]::ParameterName, 'How long it is good, as 30m, 24h or 7d')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Under which address USER reaches the server [default: server_ip and server_port of its configuration]')
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'Where the server''s files are')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'rsachat;serve' {
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'Where the server''s files are')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration [default: config.json in the server''s directory]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How to write the log on standard error: text, json')
            [CompletionResult]::new('--server-ip', '--server-ip', [CompletionResultType]::ParameterName, 'Address to listen at')
            [CompletionResult]::new('--server-port', '--server-port', [CompletionResultType]::ParameterName, 'Port to listen at')
            [CompletionResult]::new('--admins', '--admins', [CompletionResultType]::ParameterName, 'Users who may end the server with /shutdown, and what else admins may')
            [CompletionResult]::new('--history-limit', '--history-limit', [CompletionResultType]::ParameterName, 'Messages of a room that /history shows at once, and that a user gets on coming back')
            [CompletionResult]::new('--history-keep', '--history-keep', [CompletionResultType]::ParameterName, 'What stays on disk')
            [CompletionResult]::new('--join-backlog', '--join-backlog', [CompletionResultType]::ParameterName, 'Messages of a room that the client shows when it starts, beside what was missed; to a user who comes for the first time, these alone')
            [CompletionResult]::new('--default-rooms', '--default-rooms', [CompletionResultType]::ParameterName, 'Rooms that every user is in, and nobody can leave')
            [CompletionResult]::new('--room-creation', '--room-creation', [CompletionResultType]::ParameterName, 'Who may make rooms with /create')
            [CompletionResult]::new('--max-rooms', '--max-rooms', [CompletionResultType]::ParameterName, 'Rooms in all')
            [CompletionResult]::new('--max-rooms-per-user', '--max-rooms-per-user', [CompletionResultType]::ParameterName, 'Rooms that one user may own')
            [CompletionResult]::new('--direct-days', '--direct-days', [CompletionResultType]::ParameterName, 'How long messages of direct conversations are kept, in days, whether they were read or not')
            [CompletionResult]::new('--direct-quota', '--direct-quota', [CompletionResultType]::ParameterName, 'Messages of one direct conversation that wait for a user who is away')
            [CompletionResult]::new('--message-log', '--message-log', [CompletionResultType]::ParameterName, 'File to which everything that happens in the chat is written as a line of JSON, as in "messageslog.json"; see MESSAGE LOG')
            [CompletionResult]::new('--message-log-bytes', '--message-log-bytes', [CompletionResultType]::ParameterName, 'Longest message_log')
            [CompletionResult]::new('--message-log-files', '--message-log-files', [CompletionResultType]::ParameterName, 'Older message logs that are kept')
            [CompletionResult]::new('--max-connections', '--max-connections', [CompletionResultType]::ParameterName, 'Connections in all')
            [CompletionResult]::new('--max-connections-per-address', '--max-connections-per-address', [CompletionResultType]::ParameterName, 'Connections from one IP address, or from one /64 network of IPv6')
            [CompletionResult]::new('--max-connections-per-user', '--max-connections-per-user', [CompletionResultType]::ParameterName, 'Connections of one user')
            [CompletionResult]::new('--handshakes-per-second-per-address', '--handshakes-per-second-per-address', [CompletionResultType]::ParameterName, 'Handshakes a second from one IP address, or from one /64 network of IPv6, in the long run')
            [CompletionResult]::new('--handshake-burst-per-address', '--handshake-burst-per-address', [CompletionResultType]::ParameterName, 'Handshakes from one address at once, before handshakes_per_second_per_address applies')
            [CompletionResult]::new('--handshake-bytes', '--handshake-bytes', [CompletionResultType]::ParameterName, 'Bytes that a peer may send before it has authenticated')
            [CompletionResult]::new('--handshake-seconds', '--handshake-seconds', [CompletionResultType]::ParameterName, 'Time for the whole handshake, in seconds')
            [CompletionResult]::new('--message-bytes', '--message-bytes', [CompletionResultType]::ParameterName, 'Longest text of a message, in bytes of UTF-8')
            [CompletionResult]::new('--message-rate', '--message-rate', [CompletionResultType]::ParameterName, 'Messages a second from one user, in the long run, over all of the user''s connections')
            [CompletionResult]::new('--message-burst', '--message-burst', [CompletionResultType]::ParameterName, 'Messages from one user at once, before message_rate applies')
            [CompletionResult]::new('--outbound-queue-bytes', '--outbound-queue-bytes', [CompletionResultType]::ParameterName, 'Bytes that may wait for one connection that reads slowly')
            [CompletionResult]::new('--idle-seconds', '--idle-seconds', [CompletionResultType]::ParameterName, 'Silence after which a peer is taken for dead, in seconds')
            [CompletionResult]::new('--reactors', '--reactors', [CompletionResultType]::ParameterName, 'Threads that serve connections')
            [CompletionResult]::new('--workers', '--workers', [CompletionResultType]::ParameterName, 'Threads for the arithmetic of handshakes')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'Check the configuration and the keys, say what is wrong with them, and end')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'rsachat;connect' {
            [CompletionResult]::new('--room', '--room', [CompletionResultType]::ParameterName, 'The room to be in, or the user to talk to alone; #common if nothing is said')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Your name on the server')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Your private key')
            [CompletionResult]::new('--server-key', '--server-key', [CompletionResultType]::ParameterName, 'The server''s public key; any other is refused')
            [CompletionResult]::new('--fingerprint', '--fingerprint', [CompletionResultType]::ParameterName, 'The fingerprint of the server''s key; any other is refused')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from the first line of FILE, or of standard input if FILE is -')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Take commands and tell what happens as JSON, an object a line: see rsachat-json(5)')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'rsachat;send' {
            [CompletionResult]::new('--room', '--room', [CompletionResultType]::ParameterName, 'The room to say it in; #common if nothing is said')
            [CompletionResult]::new('--to', '--to', [CompletionResultType]::ParameterName, 'The user to say it to alone')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'Wait until it is delivered to, or read by, whom it is said to alone')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'How long to wait for the server, and with --wait for the other one')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'The server, as HOST, HOST:PORT, [IPV6]:PORT or rsachat://USER@HOST:PORT/ [default port: 5000]')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Your name on the server')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Your private key')
            [CompletionResult]::new('--server-key', '--server-key', [CompletionResultType]::ParameterName, 'The server''s public key; any other is refused')
            [CompletionResult]::new('--fingerprint', '--fingerprint', [CompletionResultType]::ParameterName, 'The fingerprint of the server''s key; any other is refused')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from the first line of FILE, or of standard input if FILE is -')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--lines', '--lines', [CompletionResultType]::ParameterName, 'Each line of standard input is a message')
            [CompletionResult]::new('--code', '--code', [CompletionResultType]::ParameterName, 'It is a program''s output: every space counts, and no line is broken at one')
            [CompletionResult]::new('--urgent', '--urgent', [CompletionResultType]::ParameterName, 'Get through to who does not want to be disturbed: for admins, and owners of a room that both are in')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'rsachat;tail' {
            [CompletionResult]::new('--room', '--room', [CompletionResultType]::ParameterName, 'A room to follow; several, if it is given several times; all of yours if it is not given')
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'Where to begin: the last N messages of each room; a time, as 2h for two hours ago, or 2026-11-22T09:30:00Z; or the cursor of a message, for what comes after it in one room')
            [CompletionResult]::new('--cursor', '--cursor', [CompletionResultType]::ParameterName, 'Remember under this name what was written, and go on behind it; --since is for the first time')
            [CompletionResult]::new('--exec', '--exec', [CompletionResultType]::ParameterName, 'Run a command of the shell for each message, with the message as JSON on its standard input; end if it fails')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'The server, as HOST, HOST:PORT, [IPV6]:PORT or rsachat://USER@HOST:PORT/ [default port: 5000]')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Your name on the server')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Your private key')
            [CompletionResult]::new('--server-key', '--server-key', [CompletionResultType]::ParameterName, 'The server''s public key; any other is refused')
            [CompletionResult]::new('--fingerprint', '--fingerprint', [CompletionResultType]::ParameterName, 'The fingerprint of the server''s key; any other is refused')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from the first line of FILE, or of standard input if FILE is -')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Write JSON, an object a line: see rsachat-json(5)')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'rsachat;ask' {
            [CompletionResult]::new('--choices', '--choices', [CompletionResultType]::ParameterName, 'What can be answered, with commas in between: 2 to 9 choices')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'Whose answer counts, in a room; everybody''s if it is not given. Several, with commas in between')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'How long to wait')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'The server, as HOST, HOST:PORT, [IPV6]:PORT or rsachat://USER@HOST:PORT/ [default port: 5000]')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Your name on the server')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Your private key')
            [CompletionResult]::new('--server-key', '--server-key', [CompletionResultType]::ParameterName, 'The server''s public key; any other is refused')
            [CompletionResult]::new('--fingerprint', '--fingerprint', [CompletionResultType]::ParameterName, 'The fingerprint of the server''s key; any other is refused')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from the first line of FILE, or of standard input if FILE is -')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'rsachat;agent' {
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'A private key to hold; can be given more than once [default: the one that connect takes]')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Your name on the server, by which your key is found')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase, of all keys, from the first line of FILE, or of standard input if FILE is -')
            [CompletionResult]::new('--lifetime', '--lifetime', [CompletionResultType]::ParameterName, 'How long to hold them, as 30m, 8h or 7d')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--list', '--list', [CompletionResultType]::ParameterName, 'Print the fingerprints of the keys that the running agent holds')
            [CompletionResult]::new('--stop', '--stop', [CompletionResultType]::ParameterName, 'End the running agent')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'rsachat;trust' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List whose keys you trust, on which server')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Forget a user''s key: the next one that is seen is trusted')
            break
        }
        'rsachat;trust;list' {
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Your name')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Your private key')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from the first line of FILE, or of standard input if FILE is -')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'rsachat;trust;remove' {
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Your name')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Your private key')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from the first line of FILE, or of standard input if FILE is -')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'rsachat;bench' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('fan-out', 'fan-out', [CompletionResultType]::ParameterValue, 'Messages to a room: some of its members send, all of them get everything')
            [CompletionResult]::new('storm', 'storm', [CompletionResultType]::ParameterValue, 'Connections: how many are taken a second, and what each costs')
            [CompletionResult]::new('idle', 'idle', [CompletionResultType]::ParameterValue, 'Connections on which nothing happens: what they cost all the same')
            break
        }
        'rsachat;bench;fan-out' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Settings of the server that is started; what limits one user or one address is lifted')
            [CompletionResult]::new('--identities', '--identities', [CompletionResultType]::ParameterName, 'A directory with key_USER.private.pem of users of the server, not encrypted')
            [CompletionResult]::new('--server-key', '--server-key', [CompletionResultType]::ParameterName, 'The server''s public key')
            [CompletionResult]::new('--pid', '--pid', [CompletionResultType]::ParameterName, 'The server''s process, if it runs on this machine')
            [CompletionResult]::new('--clients', '--clients', [CompletionResultType]::ParameterName, 'Connections in the room')
            [CompletionResult]::new('--senders', '--senders', [CompletionResultType]::ParameterName, 'How many of them send')
            [CompletionResult]::new('--size', '--size', [CompletionResultType]::ParameterName, 'Bytes of each message')
            [CompletionResult]::new('--rate', '--rate', [CompletionResultType]::ParameterName, 'Messages a second, of all senders together')
            [CompletionResult]::new('--window', '--window', [CompletionResultType]::ParameterName, 'As fast as the server goes: messages of each sender that are not acknowledged yet')
            [CompletionResult]::new('--duration', '--duration', [CompletionResultType]::ParameterName, 'How long, as 10s or 2m')
            [CompletionResult]::new('--count', '--count', [CompletionResultType]::ParameterName, 'How many messages')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--spawn', '--spawn', [CompletionResultType]::ParameterName, 'Start a server for it, on the loopback interface, with throwaway keys in a temporary directory')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print what was found as a JSON object')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'rsachat;bench;storm' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Settings of the server that is started; what limits one user or one address is lifted')
            [CompletionResult]::new('--identities', '--identities', [CompletionResultType]::ParameterName, 'A directory with key_USER.private.pem of users of the server, not encrypted')
            [CompletionResult]::new('--server-key', '--server-key', [CompletionResultType]::ParameterName, 'The server''s public key')
            [CompletionResult]::new('--pid', '--pid', [CompletionResultType]::ParameterName, 'The server''s process, if it runs on this machine')
            [CompletionResult]::new('--clients', '--clients', [CompletionResultType]::ParameterName, 'Connections')
            [CompletionResult]::new('--parallel', '--parallel', [CompletionResultType]::ParameterName, 'How many are made at a time')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--spawn', '--spawn', [CompletionResultType]::ParameterName, 'Start a server for it, on the loopback interface, with throwaway keys in a temporary directory')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print what was found as a JSON object')
            [CompletionResult]::new('--resumed', '--resumed', [CompletionResultType]::ParameterName, 'By tickets, as clients come back; otherwise by RSA keys')
            [CompletionResult]::new('--restart', '--restart', [CompletionResultType]::ParameterName, 'When all are in, kill the server, start it again, and measure how long it is until all are back by themselves')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'rsachat;bench;idle' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Settings of the server that is started; what limits one user or one address is lifted')
            [CompletionResult]::new('--identities', '--identities', [CompletionResultType]::ParameterName, 'A directory with key_USER.private.pem of users of the server, not encrypted')
            [CompletionResult]::new('--server-key', '--server-key', [CompletionResultType]::ParameterName, 'The server''s public key')
            [CompletionResult]::new('--pid', '--pid', [CompletionResultType]::ParameterName, 'The server''s process, if it runs on this machine')
            [CompletionResult]::new('--clients', '--clients', [CompletionResultType]::ParameterName, 'Connections')
            [CompletionResult]::new('--duration', '--duration', [CompletionResultType]::ParameterName, 'How long, as 10s or 2m')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--spawn', '--spawn', [CompletionResultType]::ParameterName, 'Start a server for it, on the loopback interface, with throwaway keys in a temporary directory')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print what was found as a JSON object')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'rsachat;demo' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'rsachat;known-names' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'rsachat;completions' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'rsachat;man' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always, never')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail, and name the option that was missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
