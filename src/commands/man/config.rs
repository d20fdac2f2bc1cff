//! rsachat-config(5), from the settings as the program reads them.

use clap_mangen::roff::{Roff, bold, roman};

use crate::config::{ClientConfig, ServerConfig, Setting};

pub(super) fn page() -> Vec<u8> {
    let mut roff = Roff::new();
    roff.control("TH", ["rsachat-config", "5", "", &super::source(), "rsachat manual"])
        .control("SH", ["NAME"])
        .text([roman("rsachat-config - configuration of the rsachat server and client")])
        .control("SH", ["DESCRIPTION"])
        .text([roman(
            "Both files are JSON objects. A field that is not listed here is an error, as is one that stands there twice. \
             Flags win over the file, the file over the default. ",
        )])
        .text([bold("rsachat serve --check"), roman(" says all that is wrong with the server's.")])
        .control("SH", ["SERVER"])
        .text([
            roman("The server reads "),
            bold("config.json"),
            roman(" in its directory ("),
            bold("--data-dir"),
            roman("), or the file that "),
            bold("--config"),
            roman(" names. server_ip and server_port are all it needs. Each field is also a flag of "),
            bold("rsachat serve"),
            roman(", with hyphens for underscores; lists are written with commas there."),
        ]);
    list(&mut roff, &ServerConfig::settings());
    message_log(&mut roff);
    roff.control("SH", ["CLIENT"]).text([
        roman("The client reads "),
        bold("user_config.json"),
        roman(" in the working directory, else in ~/.config/rsachat. No field is needed."),
    ]);
    list(&mut roff, &ClientConfig::settings());
    roff.control("SH", ["FILES"]);
    for (path, about) in FILES {
        roff.control("TP", []).text([bold(*path)]).text([roman(*about)]);
    }
    roff.control("SH", ["EXAMPLES"])
        .text([roman("A server that IPv4 and IPv6 reach, with two admins, that keeps messages for a month:")])
        .control("PP", [])
        .control("nf", [])
        .text([roman("{")])
        .text([roman("  \"server_ip\": \"::\",")])
        .text([roman("  \"server_port\": 5000,")])
        .text([roman("  \"admins\": [\"alice\", \"bob\"],")])
        .text([roman("  \"history_keep\": \"30d\"")])
        .text([roman("}")])
        .control("fi", [])
        .control("PP", [])
        .text([roman("The client of one of them:")])
        .control("PP", [])
        .control("nf", [])
        .text([roman("{")])
        .text([roman("  \"username\": \"alice\",")])
        .text([roman("  \"server_ip\": \"chat.example.org\",")])
        .text([roman("  \"server_port\": 5000")])
        .text([roman("}")])
        .control("fi", [])
        .control("SH", ["SEE ALSO"])
        .text([roman("rsachat(1), rsachat-serve(1), rsachat-connect(1)")]);
    roff.render().into_bytes()
}

fn message_log(roff: &mut Roff) {
    roff.control("SH", ["MESSAGE LOG"])
        .text([
            roman("With "),
            bold("message_log"),
            roman(
                " the server writes a JSON object a line, in UTF-8, for each thing that happens. The file is readable for \
                 its owner alone, and holds what is said in rooms that are not private as it was said. Every line has ",
            ),
            bold("time"),
            roman(" (RFC 3339, UTC) and "),
            bold("event"),
            roman(", and of the following what there is to tell. Fields and events may be added; skip what you don't know."),
        ])
        .control("PP", []);
    for (name, about) in EVENTS.iter().chain(FIELDS) {
        roff.control("TP", []).text([bold(*name)]).text([roman(*about)]);
    }
    roff.control("PP", []).text([
        roman("What could not be written, as on a full disk, is left out: the chat does not wait for the log. "),
        bold("rsachat serve"),
        roman(" says when that begins and ends, and the log says how much is missing. What happened before the server ended \
               is in the file, and on the disk. After SIGHUP the server goes on in a file of that name: for "),
        bold("logrotate"),
        roman("(8), set message_log_bytes to 0. The rest of a line that a crash of the machine has cut is removed at the \
               next start."),
    ]);
}

fn list(roff: &mut Roff, settings: &[Setting]) {
    for setting in settings {
        let default = match &setting.default {
            None => "Has to be there.".to_owned(),
            Some(default) if default.is_null() && !setting.allowed.starts_with("null") => "No default.".to_owned(),
            Some(default) => format!("Default: {default}."),
        };
        roff.control("TP", [])
            .text([bold(setting.name)])
            .text([roman(setting.about)])
            .control("br", [])
            .text([roman(format!("Must be {}. {default}", setting.allowed))]);
    }
}

const EVENTS: &[(&str, &str)] = &[
    (
        "message, action, code",
        "A user said something in a room: text. An action is what /me says, code a program's output.",
    ),
    ("question, answer", "A user asked something: text, choices. A user answered: text, question."),
    ("sealed", "A user said something in a private room, or to one user alone: sha256."),
    ("connect, disconnect", "A session of a user began or ended: session; client when it began."),
    ("create", "A user made a room: private."),
    ("join, leave", "A user became a member of a room that everybody may join, or left a room."),
    ("topic", "A user gave a room a topic: text."),
    ("invite", "A user let target into a room."),
    ("kick, ban, unban", "A user put target out of a room, or, without room, out of the server: text is the reason."),
    ("mute, unmute", "A user took target's word in a room, or gave it back."),
    ("owner", "A user made target a room's owner."),
    ("status", "A user said whether he wants to be talked to: status is online, away or dnd; text is his own."),
    ("lost", "As many lines as count says could not be written before this one."),
];

const FIELDS: &[(&str, &str)] = &[
    ("room", "As #ROOM, or @USER@USER for what two users say to each other alone."),
    ("user, target", "Who did it, and to whom it was done."),
    ("seq, id", "A message's number in its room, and its identifier, 32 hexadecimal digits."),
    ("sha256", "Of what the server holds of a sealed message: its ciphertext's SHA-256, in hexadecimal digits."),
    ("choices", "What a question can be answered with."),
    ("question", "The id of the message that asked."),
    ("until", "When a ban, a mute or a status ends, if it ends by itself (RFC 3339, UTC)."),
    (
        "session, client",
        "A session's number since the server started, and the client's software and version, as it says.",
    ),
];

const FILES: &[(&str, &str)] = &[
    ("config.json", "The server's configuration, in its directory."),
    (
        "keys/key_USER.pem",
        "In the server's directory: the public keys of those it lets in. Changes take effect at once.",
    ),
    (
        "server_private_key.pem, server_public_key.pem",
        "The server's own pair, in its directory; made at the first start. The public key is for users.",
    ),
    ("rsachat.db", "The messages, in the server's directory; an SQLite database."),
    ("messageslog.json", "The message log, in the server's directory, if message_log says so."),
    ("user_config.json", "The client's configuration: in the working directory, else in ~/.config/rsachat."),
    (
        "client_private_key.pem, key_USER.private.pem",
        "The user's private key: the first of these in the working directory, else in ~/.local/share/rsachat. One that \
         others can read is refused.",
    ),
    (
        "server_public_key.pem",
        "For the client, the server's key: in the working directory, else in ~/.local/share/rsachat. Any other is \
         refused.",
    ),
    (
        "agent.sock, agent.lock",
        "Where the user's agent listens, and that one runs: in $XDG_RUNTIME_DIR/rsachat, else in /run/user/UID/rsachat, else \
         in ~/.local/share/rsachat/run. See rsachat-agent(1).",
    ),
    ("~/.local/share/rsachat/known_servers", "The keys of servers that were trusted when there was no such file."),
    (
        "$XDG_RUNTIME_DIR/rsachat/tickets",
        "What lets the user in again without his key, if tickets says so; where there is no such directory, in \
         ~/.local/share/rsachat/run. Can be removed at any time.",
    ),
    (
        "~/.local/share/rsachat/cursors/NAME.json, NAME.lock",
        "Up to where rsachat tail --cursor NAME has handed out what was said, and that one runs. Remove both to begin anew.",
    ),
];
