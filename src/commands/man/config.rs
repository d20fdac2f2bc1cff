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
    ("~/.local/share/rsachat/known_servers", "The keys of servers that were trusted when there was no such file."),
];
