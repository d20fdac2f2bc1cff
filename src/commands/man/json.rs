//! rsachat-json(5), from the schema that the tests hold the program to.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use serde_json::Value;

pub(super) const SCHEMA: &str = include_str!("../../../man/rsachat-json.schema.json");

pub(super) fn page() -> Vec<u8> {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap_or_default();
    let defs = schema.get("$defs").unwrap_or(&Value::Null);
    let mut roff = Roff::new();
    roff.control("TH", ["rsachat-json", "5", "", &super::source(), "rsachat manual"])
        .control("SH", ["NAME"])
        .text([roman("rsachat-json - the chat for programs: JSON lines")])
        .control("SH", ["SYNOPSIS"])
        .text([bold("rsachat connect --json"), roman(" [...]")])
        .control("br", [])
        .text([bold("rsachat tail --json"), roman(" [...]")])
        .control("SH", ["DESCRIPTION"]);
    for paragraph in DESCRIPTION {
        roff.control("PP", []).text([roman(*paragraph)]);
    }
    roff.control("SH", ["LINES OUT"]);
    lines(&mut roff, &defs["event"], defs);
    roff.control("SH", ["COMMANDS"]);
    lines(&mut roff, &defs["command"], defs);
    roff.control("SH", ["TYPES"]);
    for (name, about) in TYPES {
        roff.control("TP", []).text([italic(*name)]).text([roman(*about)]);
    }
    roff.control("SH", ["EXAMPLES"]).control("nf", []);
    for line in EXAMPLE {
        roff.text([roman(*line)]);
    }
    roff.control("fi", [])
        .control("SH", ["SEE ALSO"])
        .text([roman("rsachat(1), rsachat-connect(1), rsachat-tail(1), rsachat-send(1)")]);
    roff.render().into_bytes()
}

/// What each line is, and its fields.
fn lines(roff: &mut Roff, all: &Value, defs: &Value) {
    for line in all["oneOf"].as_array().into_iter().flatten() {
        roff.control("TP", []).text([bold(text(&line["title"]))]).text([roman(text(&line["description"]))]);
        let required: Vec<&str> = line["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, field) in line["properties"].as_object().into_iter().flatten() {
            if ["type", "command", "ref"].contains(&name.as_str()) {
                continue;
            }
            let optional = if required.contains(&name.as_str()) { "" } else { "?" };
            let mut inlines: Vec<Inline> = vec![bold(name.as_str()), roman(format!("{optional} "))];
            inlines.push(italic(kind(field)));
            let about = text(&field["description"]);
            inlines.push(roman(format!(
                "  {}",
                if about.is_empty() { text(&target(field, defs)["description"]) } else { about }
            )));
            roff.control("br", []).text(inlines);
        }
    }
}

/// What a field holds, in a word or a few.
fn kind(field: &Value) -> String {
    if let Some(name) = field["$ref"].as_str() {
        return name.rsplit('/').next().unwrap_or_default().to_owned();
    }
    if let Some(kinds) = field["anyOf"].as_array() {
        return kinds.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if let Some(values) = field["enum"].as_array() {
        let words = values.iter().map(|value| value.as_str().unwrap_or("null").to_owned());
        return words.collect::<Vec<_>>().join("|");
    }
    match &field["type"] {
        Value::String(name) if name == "array" => format!("[{}]", kind(&field["items"])),
        Value::String(name) => name.clone(),
        Value::Array(names) => names.iter().map(text).collect::<Vec<_>>().join(" or "),
        _ => field["const"].to_string(),
    }
}

fn target<'a>(field: &Value, defs: &'a Value) -> &'a Value {
    &defs[field["$ref"].as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default()]
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

const DESCRIPTION: &[&str] = &[
    "With --json each line of standard output is a JSON object with a type, and each line of standard input one with a \
     command. The first line out is hello, the last one end. rsachat-json.schema.json, beside this page, is the schema of \
     both (JSON Schema, draft 2020-12). It has a version, which hello tells: 1. New types and fields may be added to it, so \
     skip those that you don't know.",
    "Any command may have a ref, a text of at most 128 bytes or an integer. Every command is answered by exactly one line, \
     which has the same ref; which type that is, is told with the command, and it is error if the command is refused. (What \
     is to be said has a line pending before that, with the same ref.) What \
     is sealed is opened here: everything of a private room or of what is said to the user alone is told in the clear.",
    "A line of input that makes no sense is answered by error, with the number of the line and the code bad_json or \
     bad_command, and the session goes on. A field that a command does not have is an error, so that nothing is done \
     otherwise than it was meant. Empty lines are skipped. A line has at most 1 MiB.",
    "All rooms of the user are told. Nothing counts as read that is only told: read says so. Characters that a terminal \
     would obey or not show are escaped, so that the lines can be looked at as they are; they mean the same.",
    "Without a connection the session tries on for as long as its input is open. At the end of the input it waits until \
     everything is answered, 30 seconds at most, then leaves. A program that reads too slowly is waited for; what it misses \
     comes when the server has been reached again, the last hundred of each room and how many were before them. The exit code is that of rsachat connect, but for what was refused: that \
     was told.",
    "rsachat tail --json writes lines of the types message, missed, withheld and withdrawn alone, and gives the command of \
     --exec one message each.",
];

const TYPES: &[(&str, &str)] = &[
    ("user", "A name."),
    ("room", "#ROOM, or @USER for what is said to a user alone."),
    ("id", "Of a message: 32 hexadecimal digits."),
    ("key", "A fingerprint, as SHA256:..."),
    ("time", "RFC 3339, UTC, to the millisecond."),
    ("choice", "1 to 64 bytes, without control characters."),
    (
        "code",
        "One of bad_json, bad_command, malformed, unknown_request, forbidden, not_found, too_large, rate_limited, storage_unavailable, shutting_down, conflict, do_not_disturb, other.",
    ),
    ("message, receipt", "An object as the line of that type, without the type."),
];

const EXAMPLE: &[&str] = &[
    r##"{"command":"say","room":"#ops","text":"the build is green","ref":1}"##,
    r##"{"type":"pending","id":"019a5f6b2c10d4e8a1b2c3d4e5f60718","room":"#ops","ref":1}"##,
    r##"{"type":"accepted","id":"019a5f6b2c10d4e8a1b2c3d4e5f60718","room":"#ops","seq":18,"time":"2026-11-22T05:12:53.120Z","ref":1}"##,
];
