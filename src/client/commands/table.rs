//! The table of the slash commands.

use super::arguments::{
    count, first_word, flag, leading_time, none, only_user, place, room, status, text, user_and_rest,
};
use super::{Action, Decision, Entry, Place, Role, find};
use crate::client::session::Preference;
use crate::proto::message::{Availability, Body};

/// All commands, in the order of the manual.
pub const TABLE: &[Entry] = &[
    Entry {
        name: "history",
        aliases: &[],
        arguments: "[N]",
        help: "show the last N messages of this room",
        details: "Without N, as many as the server shows at once: 100, unless its operator decided otherwise.",
        role: Role::Everyone,
        parse: |arguments| count(arguments).map(Action::History),
    },
    Entry {
        name: "older",
        aliases: &[],
        arguments: "[N]",
        help: "show what is before the last history",
        details: "Again and again, as far back as the server keeps it.",
        role: Role::Everyone,
        parse: |arguments| count(arguments).map(Action::Older),
    },
    Entry {
        name: "list",
        aliases: &["who", "names"],
        arguments: "",
        help: "show who is here",
        details: "",
        role: Role::Everyone,
        parse: |arguments| none(arguments, Action::People),
    },
    Entry {
        name: "whois",
        aliases: &[],
        arguments: "USER",
        help: "show a user's key and whether the user is here",
        details: "The fingerprint is that of the key that the server has registered for the user.",
        role: Role::Everyone,
        parse: |arguments| only_user(arguments).map(Action::Whois),
    },
    Entry {
        name: "join",
        aliases: &[],
        arguments: "#ROOM|@USER",
        help: "go to a room, or to a user alone",
        details: "/1 to /9 go to the rooms that you are in, as /rooms numbers them.",
        role: Role::Everyone,
        parse: |arguments| place(arguments).map(Action::Join),
    },
    Entry {
        name: "create",
        aliases: &[],
        arguments: "#ROOM [--private]",
        help: "make a room that everyone may join, and own it",
        details: "Its owner may /topic, /invite, /kick, /ban and /mute there, and hand it on with /owner. A private room is sealed: only those whom its owner lets in with /invite know of it, and only they can read what is said there, from then on, not even the server. It sees who they are, when they speak, and the topic.",
        role: Role::Everyone,
        parse: |arguments| match first_word(arguments) {
            (name, "") => room(name).map(|room| Action::Create(room, false)),
            (name, "--private") => room(name).map(|room| Action::Create(room, true)),
            _ => Err("a room, and nothing but --private after it".to_owned()),
        },
    },
    Entry {
        name: "leave",
        aliases: &["part"],
        arguments: "[#ROOM]",
        help: "be in this or another room no longer",
        details: "",
        role: Role::Everyone,
        parse: |arguments| match arguments {
            "" => Ok(Action::Part(None)),
            name => room(name).map(|room| Action::Part(Some(room))),
        },
    },
    Entry {
        name: "rooms",
        aliases: &[],
        arguments: "",
        help: "show the rooms that there are",
        details: "Those that you are in have a number, and how much you have not seen.",
        role: Role::Everyone,
        parse: |arguments| none(arguments, Action::Rooms { people: false }),
    },
    Entry {
        name: "knowrooms",
        aliases: &[],
        arguments: "",
        help: "show the rooms, and who is in them now",
        details: "",
        role: Role::Everyone,
        parse: |arguments| none(arguments, Action::Rooms { people: true }),
    },
    Entry {
        name: "topic",
        aliases: &[],
        arguments: "[TEXT]",
        help: "show or say what this room is about",
        details: "Owners and admins say it, everyone may look. \"/topic -\" takes it away.",
        role: Role::Everyone,
        parse: |arguments| match arguments {
            "" => Ok(Action::Topic),
            "-" => Ok(Action::Decide(Decision::Topic(String::new()))),
            text => Ok(Action::Decide(Decision::Topic(text.to_owned()))),
        },
    },
    Entry {
        name: "invite",
        aliases: &[],
        arguments: "USER",
        help: "bring a user into this room",
        details: "",
        role: Role::Owner,
        parse: |arguments| only_user(arguments).map(|user| Action::Decide(Decision::Invite(user))),
    },
    Entry {
        name: "kick",
        aliases: &[],
        arguments: "USER [REASON]",
        help: "put a user out of this room",
        details: "Who was kicked may come back; /ban is for longer.",
        role: Role::Owner,
        parse: |arguments| {
            let (user, reason) = user_and_rest(arguments)?;
            Ok(Action::Decide(Decision::Kick(user, text(reason))))
        },
    },
    Entry {
        name: "ban",
        aliases: &[],
        arguments: "USER [TIME] [REASON]",
        help: "keep a user out of this room",
        details: "For a TIME as 30m, 12h or 7d; without one until /unban. With --server after the name, out of the server: admins.",
        role: Role::Owner,
        parse: |arguments| {
            let (user, rest) = user_and_rest(arguments)?;
            let (server, rest) = flag("--server", rest);
            let (time, reason) = leading_time(rest);
            Ok(Action::Decide(Decision::Ban { user, server, time, reason: text(reason) }))
        },
    },
    Entry {
        name: "unban",
        aliases: &[],
        arguments: "USER",
        help: "let a user back into this room",
        details: "With --server after the name, back to the server: admins.",
        role: Role::Owner,
        parse: |arguments| {
            let (user, rest) = user_and_rest(arguments)?;
            match flag("--server", rest) {
                (server, "") => Ok(Action::Decide(Decision::Unban { user, server })),
                _ => Err("nothing comes after it".to_owned()),
            }
        },
    },
    Entry {
        name: "mute",
        aliases: &[],
        arguments: "USER [TIME]",
        help: "let a user read here, but not speak",
        details: "For a TIME as 30m, 12h or 7d; without one until /unmute.",
        role: Role::Owner,
        parse: |arguments| {
            let (user, rest) = user_and_rest(arguments)?;
            match leading_time(rest) {
                (time, "") => Ok(Action::Decide(Decision::Mute(user, time))),
                (_, rest) => Err(format!("{rest} is not a time")),
            }
        },
    },
    Entry {
        name: "unmute",
        aliases: &[],
        arguments: "USER",
        help: "let a user speak here again",
        details: "",
        role: Role::Owner,
        parse: |arguments| only_user(arguments).map(|user| Action::Decide(Decision::Unmute(user))),
    },
    Entry {
        name: "owner",
        aliases: &[],
        arguments: "USER",
        help: "hand this room on to a user who is in it",
        details: "",
        role: Role::Owner,
        parse: |arguments| only_user(arguments).map(|user| Action::Decide(Decision::HandOver(user))),
    },
    Entry {
        name: "privatemsg",
        aliases: &["msg", "w"],
        arguments: "USER [TEXT]",
        help: "say something to a user alone",
        details: "It is sealed: nobody but the two of you can read it, not even the server. Without TEXT, go there, as /join @USER. With --urgent after the name, also to one who does not want to be disturbed: admins, and owners of a room that both are in.",
        role: Role::Everyone,
        parse: |arguments| {
            let (user, rest) = user_and_rest(arguments)?;
            let (urgent, text) = flag("--urgent", rest);
            match (urgent, text) {
                (false, "") => Ok(Action::Join(Place::User(user))),
                (true, "") => Err("what is urgent?".to_owned()),
                (urgent, text) => Ok(Action::Tell { user, body: Body::Text { text: text.to_owned() }, urgent }),
            }
        },
    },
    Entry {
        name: "ignore",
        aliases: &[],
        arguments: "[USER]",
        help: "do not show what a user says",
        details: "On all of your clients, until /unignore. Without USER, show who is ignored, and which rooms are hushed.",
        role: Role::Everyone,
        parse: |arguments| match arguments {
            "" => Ok(Action::Preferences),
            name => only_user(name).map(|user| Action::Prefer(Preference::Ignore(user, true))),
        },
    },
    Entry {
        name: "unignore",
        aliases: &[],
        arguments: "USER",
        help: "show what a user says again",
        details: "",
        role: Role::Everyone,
        parse: |arguments| only_user(arguments).map(|user| Action::Prefer(Preference::Ignore(user, false))),
    },
    Entry {
        name: "hush",
        aliases: &[],
        arguments: "",
        help: "do not announce what is said in this room",
        details: "It is not counted while you look elsewhere, and nothing rings. On all of your clients, until /unhush.",
        role: Role::Everyone,
        parse: |arguments| none(arguments, Action::Hush(true)),
    },
    Entry {
        name: "unhush",
        aliases: &[],
        arguments: "",
        help: "announce what is said in this room again",
        details: "",
        role: Role::Everyone,
        parse: |arguments| none(arguments, Action::Hush(false)),
    },
    Entry {
        name: "r",
        aliases: &[],
        arguments: "TEXT",
        help: "answer who has last said something to you alone",
        details: "",
        role: Role::Everyone,
        parse: |arguments| match arguments {
            "" => Err("what is the answer?".to_owned()),
            text => Ok(Action::Answer(Body::Text { text: text.to_owned() })),
        },
    },
    Entry {
        name: "answer",
        aliases: &[],
        arguments: "N",
        help: "answer a question with the choice of this number",
        details: "Who has asked gets it as something that you say to him alone, sealed and signed by you, wherever he asked.",
        role: Role::Everyone,
        parse: |arguments| arguments.parse().map(Action::Choose).map_err(|_| "the number of a choice".to_owned()),
    },
    Entry {
        name: "verify",
        aliases: &[],
        arguments: "USER [yes]",
        help: "show what to compare to know a user's key",
        details: "Compare it with what USER sees, over the phone or face to face; if it is the same, /verify USER yes. His name is shown with a + from then on.",
        role: Role::Everyone,
        parse: |arguments| match user_and_rest(arguments)? {
            (user, "") => Ok(Action::Verify { user, compared: false }),
            (user, "yes") => Ok(Action::Verify { user, compared: true }),
            (_, other) => Err(format!("{other}?")),
        },
    },
    Entry {
        name: "trust",
        aliases: &[],
        arguments: "USER",
        help: "accept the key that a user has now",
        details: "When a user has another key than before, nothing is sent to it until you do. Ask him first whether he has made a new one.",
        role: Role::Everyone,
        parse: |arguments| only_user(arguments).map(Action::Trust),
    },
    Entry {
        name: "status",
        aliases: &[],
        arguments: "KIND [TIME] [TEXT]",
        help: "say whether you want to be talked to",
        details: "KIND is online, away or dnd: do not disturb. For a TIME as 30m or 2h; without one until you say it anew.",
        role: Role::Everyone,
        parse: |arguments| match first_word(arguments) {
            ("online", rest) => Ok(status(Availability::Online, rest)),
            ("away", rest) => Ok(status(Availability::Away, rest)),
            ("dnd", rest) => Ok(status(Availability::DoNotDisturb, rest)),
            _ => Err("online, away or dnd?".to_owned()),
        },
    },
    Entry {
        name: "away",
        aliases: &[],
        arguments: "[TIME] [TEXT]",
        help: "say that you are away",
        details: "",
        role: Role::Everyone,
        parse: |arguments| Ok(status(Availability::Away, arguments)),
    },
    Entry {
        name: "dnd",
        aliases: &[],
        arguments: "[TIME] [TEXT]",
        help: "say that you do not want to be disturbed",
        details: "",
        role: Role::Everyone,
        parse: |arguments| Ok(status(Availability::DoNotDisturb, arguments)),
    },
    Entry {
        name: "back",
        aliases: &[],
        arguments: "",
        help: "say that you can be talked to again",
        details: "",
        role: Role::Everyone,
        parse: |arguments| none(arguments, status(Availability::Online, "")),
    },
    Entry {
        name: "me",
        aliases: &[],
        arguments: "TEXT",
        help: "say what you do: /me waves",
        details: "",
        role: Role::Everyone,
        parse: |arguments| match arguments {
            "" => Err("what do you do?".to_owned()),
            text => Ok(Action::Say(Body::Action { text: text.to_owned() })),
        },
    },
    Entry {
        name: "fingerprint",
        aliases: &[],
        arguments: "",
        help: "show the server's fingerprint and yours",
        details: "Compare the server's with what its operator tells you over another channel.",
        role: Role::Everyone,
        parse: |arguments| none(arguments, Action::Fingerprint),
    },
    Entry {
        name: "clear",
        aliases: &[],
        arguments: "",
        help: "empty the screen",
        details: "",
        role: Role::Everyone,
        parse: |arguments| none(arguments, Action::Clear),
    },
    Entry {
        name: "manual",
        aliases: &["help"],
        arguments: "[COMMAND]",
        help: "explain the commands, or one of them",
        details: "",
        role: Role::Everyone,
        parse: |arguments| match arguments.strip_prefix('/').unwrap_or(arguments) {
            "" => Ok(Action::Manual(None)),
            name => find(name).map(|entry| Action::Manual(Some(entry))).ok_or_else(|| format!("no command {name}")),
        },
    },
    Entry {
        name: "invite-user",
        aliases: &[],
        arguments: "USER [TIME]",
        help: "let in who has no key on this server yet",
        details: "Shows the line that USER types, which works once, within a day or a TIME as 30m, 12h or 7d. Whoever has it can become USER: send it over a channel that you trust.",
        role: Role::Admin,
        parse: |arguments| {
            let (user, rest) = user_and_rest(arguments)?;
            match leading_time(rest) {
                (time, "") => Ok(Action::InviteUser(user, time)),
                (_, rest) => Err(format!("{rest} is not a time")),
            }
        },
    },
    Entry {
        name: "shutdown",
        aliases: &[],
        arguments: "",
        help: "end the server",
        details: "Everybody is told, and everything that was accepted is kept.",
        role: Role::Admin,
        parse: |arguments| none(arguments, Action::ShutDown),
    },
    Entry {
        name: "exit",
        aliases: &["quit"],
        arguments: "",
        help: "leave, as Ctrl-D does",
        details: "Waits a moment for what you said to be stored.",
        role: Role::Everyone,
        parse: |arguments| none(arguments, Action::Leave),
    },
];
