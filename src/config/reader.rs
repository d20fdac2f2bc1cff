//! Takes settings one by one out of flags and a file, checks them, and gathers what is wrong.
//!
//! Each setting is declared by the call that reads it: name, default, what is allowed, what it is for. The same calls
//! on empty input make the list of settings that the flags, the man page and the tests are made from, so none of them can
//! say something else than the program does.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::json::Fields;
use crate::model::{RoomName, UserName};

/// Most rooms in a list.
const MOST_ROOMS: usize = 16;

/// What is known of a setting.
#[derive(Debug, Clone)]
pub struct Setting {
    /// In the file; with hyphens for underscores, the flag.
    pub name: &'static str,
    /// What stands for its value in a usage line.
    pub placeholder: &'static str,
    /// Its values, to follow "must be".
    pub allowed: String,
    /// Taken if the setting is missing; without one, it has to be there.
    pub default: Option<Value>,
    /// In the example file, if not the default.
    pub example: Option<Value>,
    /// What it is for. The first sentence stands alone in short helps.
    pub about: &'static str,
}

impl Setting {
    /// The flag's name, without its hyphens.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// What the example file has.
    #[must_use]
    pub fn example(&self) -> Value {
        self.example.clone().or_else(|| self.default.clone()).unwrap_or_default()
    }
}

#[derive(Debug, Default)]
pub(super) struct Reader {
    path: PathBuf,
    file: Fields,
    flags: Fields,
    pub(super) settings: Vec<Setting>,
    problems: Vec<String>,
}

impl Reader {
    /// `path` is where `file` was read from, for complaints.
    pub(super) fn new(path: &Path, file: Fields, flags: Fields) -> Self {
        Self { path: path.to_owned(), file, flags, settings: Vec::new(), problems: Vec::new() }
    }

    /// Reads `setting`: from the flags, else from the file. Nothing if it is nowhere or wrong.
    pub(super) fn read<T>(&mut self, setting: Setting, parse: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let in_file = format!("{}: {:?}", self.path.display(), setting.name);
        let (place, value) = match (self.flags.take(setting.name), self.file.take(setting.name)) {
            (Some(value), _) => (format!("--{}", setting.flag()), Some(value)),
            (None, value) => (in_file, value),
        };
        let parsed = value.as_ref().and_then(parse);
        match value {
            Some(value) if parsed.is_none() => {
                self.problems.push(format!("{place} is {}, but must be {}", shorten(&value), setting.allowed));
            }
            None if setting.default.is_none() => {
                self.problems.push(format!("{place} is missing; it must be {}", setting.allowed));
            }
            _ => {}
        }
        self.settings.push(setting);
        parsed
    }

    /// A number.
    pub(super) fn count(
        &mut self,
        name: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
        about: &'static str,
    ) -> u32 {
        let setting = Setting {
            name,
            placeholder: "N",
            allowed: format!("an integer from {} to {}", range.start(), range.end()),
            default: Some(json!(default)),
            example: None,
            about,
        };
        self.read(setting, |value| count(value, &range)).unwrap_or(default)
    }

    /// A number, or null for what the machine suggests.
    pub(super) fn count_or_null(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u32>,
        about: &'static str,
    ) -> Option<u32> {
        let setting = Setting {
            name,
            placeholder: "N",
            allowed: format!("null or an integer from {} to {}", range.start(), range.end()),
            default: Some(Value::Null),
            example: None,
            about,
        };
        self.read(setting, |value| match value {
            Value::Null => Some(None),
            value => count(value, &range).map(Some),
        })
        .flatten()
    }

    /// One or more addresses; none if they are missing or wrong.
    pub(super) fn addresses(&mut self, name: &'static str, example: Value, about: &'static str) -> Vec<IpAddr> {
        let setting = Setting {
            name,
            placeholder: "ADDRESS",
            allowed: "an IPv4 or IPv6 address, or a list of them, as \"0.0.0.0\", \"::\", [\"127.0.0.1\", \"::1\"]"
                .to_owned(),
            default: None,
            example: Some(example),
            about,
        };
        self.read(setting, |value| {
            let mut addresses: Vec<IpAddr> = Vec::new();
            for text in texts(value)? {
                let address = text.parse().ok()?;
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            Some(addresses).filter(|addresses| !addresses.is_empty())
        })
        .unwrap_or_default()
    }

    /// Any number of users.
    pub(super) fn users(&mut self, name: &'static str, example: Value, about: &'static str) -> Vec<UserName> {
        let setting = Setting {
            name,
            placeholder: "NAMES",
            allowed: "a list of user names (1 to 32 of a-z 0-9 . _ -, starting with a letter or a digit)".to_owned(),
            default: Some(json!([])),
            example: Some(example),
            about,
        };
        self.read(setting, |value| texts(value)?.into_iter().map(|text| text.parse().ok()).collect())
            .unwrap_or_default()
    }

    /// Any number of rooms.
    pub(super) fn rooms(&mut self, name: &'static str, default: Value, about: &'static str) -> Option<Vec<RoomName>> {
        let setting = Setting {
            name,
            placeholder: "ROOMS",
            allowed:
                "a list of at most 16 room names (# and 1 to 32 of a-z 0-9 . _ -, starting with a letter or a digit)"
                    .to_owned(),
            default: Some(default),
            example: None,
            about,
        };
        self.read(setting, |value| {
            let rooms: Option<Vec<RoomName>> = texts(value)?.into_iter().map(|text| text.parse().ok()).collect();
            rooms.filter(|rooms| rooms.len() <= MOST_ROOMS)
        })
    }

    /// All that was wrong, fields that nobody read included.
    pub(super) fn finish(self) -> Vec<String> {
        let names: Vec<&str> = self.settings.iter().map(|setting| setting.name).collect();
        let unknown = self.file.0.iter().map(|(name, _)| {
            let advice = match nearest(name, &names) {
                Some(nearest) => format!("did you mean {nearest:?}?"),
                None => format!("known are {}", names.join(", ")),
            };
            format!("{}: unknown field {name:?}; {advice}", self.path.display())
        });
        unknown.chain(self.problems.iter().cloned()).collect()
    }
}

fn count(value: &Value, range: &RangeInclusive<u32>) -> Option<u32> {
    value.as_u64().and_then(|value| u32::try_from(value).ok()).filter(|value| range.contains(value))
}

/// A text, or a list of texts.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(values) => values.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// The value as it stands in the file, but not pages of it.
fn shorten(value: &Value) -> String {
    const MOST: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).chain(['…']).collect() }
}

/// The known name that was most likely meant.
fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let unknown = unknown.to_lowercase().replace('-', "_");
    let distances = known.iter().map(|known| (strsim::osa_distance(&unknown, known), *known));
    let (distance, name) = distances.min()?;
    let prefix = || known.iter().copied().find(|known| unknown.len() > 3 && known.starts_with(&unknown));
    if distance <= (name.len() / 3).max(2) { Some(name) } else { prefix() }
}
