//! What is typed after a command's name: rooms, users, times, texts.

use std::time::Duration;

use super::{Action, Place, seconds};
use crate::model::{RoomName, UserName};
use crate::proto::message::{Availability, SetStatus};
use crate::time::parse_duration;

pub(super) fn none(arguments: &str, action: Action) -> Result<Action, String> {
    if arguments.is_empty() { Ok(action) } else { Err("nothing comes after it".to_owned()) }
}

pub(super) fn room(arguments: &str) -> Result<RoomName, String> {
    match arguments {
        "" => Err("which room?".to_owned()),
        name => name.parse().map_err(|error| format!("{name}: {error}")),
    }
}

/// A room, or a user whose name begins with `@`.
pub(super) fn place(arguments: &str) -> Result<Place, String> {
    match arguments {
        "" => Err("which room?".to_owned()),
        name => name.parse(),
    }
}

pub(super) fn user(name: &str) -> Result<UserName, String> {
    match name.strip_prefix('@').unwrap_or(name) {
        "" => Err("who?".to_owned()),
        name => name.parse().map_err(|error| format!("{name}: {error}")),
    }
}

pub(super) fn only_user(arguments: &str) -> Result<UserName, String> {
    match user_and_rest(arguments)? {
        (user, "") => Ok(user),
        _ => Err("nothing comes after the name".to_owned()),
    }
}

pub(super) fn user_and_rest(arguments: &str) -> Result<(UserName, &str), String> {
    let (name, rest) = first_word(arguments);
    Ok((user(name)?, rest))
}

pub(super) fn first_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// Whether the text begins with a flag, and what follows it.
pub(super) fn flag<'a>(flag: &str, rest: &'a str) -> (bool, &'a str) {
    match first_word(rest) {
        (word, rest) if word == flag => (true, rest),
        _ => (false, rest),
    }
}

/// A time, if the text begins with one.
pub(super) fn leading_time(rest: &str) -> (Option<Duration>, &str) {
    let (word, after) = first_word(rest);
    match parse_duration(word) {
        Some(time) => (Some(time), after),
        None => (None, rest),
    }
}

/// A status: a time, if there is one, and a text.
pub(super) fn status(availability: Availability, arguments: &str) -> Action {
    let (time, rest) = leading_time(arguments);
    Action::Status(SetStatus { availability, text: text(rest), seconds: time.map(seconds) })
}

/// How many messages, if it says so.
pub(super) fn count(arguments: &str) -> Result<Option<u32>, String> {
    match arguments {
        "" => Ok(None),
        count => match count.parse() {
            Ok(count) if count > 0 => Ok(Some(count)),
            _ => Err(format!("{count} is not a number of messages")),
        },
    }
}

pub(super) fn text(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}
