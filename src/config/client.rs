//! What a user keeps in `user_config.json`, so as not to type it each time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::reader::{Reader, Setting};
use super::{ConfigError, json, read_fields};
use crate::keys::file::{self, Access, Existing};
use crate::model::{Fingerprint, RoomName, UserName};

/// The port of a server that names none.
const PORT: u16 = 5000;
/// Minutes.
const AWAY: u64 = 10;

/// The client's settings, all valid. rsachat-config(5) explains each.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting that a user turns on or off")]
pub struct ClientConfig {
    /// The user's name.
    pub username: Option<UserName>,
    /// The server: an address or a host's name.
    pub server_ip: Option<String>,
    /// The server's port.
    pub server_port: u16,
    /// The private key.
    pub identity: Option<PathBuf>,
    /// The server's public key.
    pub server_key: Option<PathBuf>,
    /// The fingerprint of the server's key.
    pub fingerprint: Option<Fingerprint>,
    /// The room to be in.
    pub room: RoomName,
    /// Whether to ring when the user is mentioned.
    pub bell: bool,
    /// Whether to show who comes and goes, and what people say of themselves.
    pub presence: bool,
    /// Whether those who write to the user alone are told what he has read.
    pub read_receipts: bool,
    /// Whether a session leaves a ticket to the next one.
    pub tickets: bool,
    /// Who types nothing for so long is away; never, if nothing.
    pub away: Option<Duration>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self::declare(&mut Reader::default(), Path::new(""))
    }
}

impl ClientConfig {
    /// Reads the file. Paths in it are relative to its directory.
    ///
    /// # Errors
    /// [`ConfigError`], with all that is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(path, read_fields(path)?, json::Fields::default());
        let config = Self::declare(&mut reader, path.parent().unwrap_or(Path::new("")));
        match reader.finish() {
            problems if problems.is_empty() => Ok(config),
            problems => Err(ConfigError::Fields(problems)),
        }
    }

    /// Writes the file, whole or not at all, and makes its directory. What has its default is left out, but for the
    /// server and the name.
    ///
    /// # Errors
    /// [`ConfigError::File`] with what the system says.
    pub fn save(&self, path: &Path) -> Result<(), ConfigError> {
        let text = format!("{:#}\n", Value::Object(self.fields()));
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        directory
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| file::write(path, text.as_bytes(), Access::Everyone, Existing::Replace))
            .map_err(|error| ConfigError::File { verb: "write", path: path.to_owned(), error })
    }

    /// All settings, in the order in which they are explained.
    #[must_use]
    pub fn settings() -> Vec<Setting> {
        let mut reader = Reader::default();
        Self::declare(&mut reader, Path::new(""));
        reader.settings
    }

    fn fields(&self) -> Map<String, Value> {
        let default = Self::default();
        let mut fields = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                fields.insert(name.to_owned(), value);
            }
        };
        put("username", self.username.map(|user| json!(user.as_str())));
        put("server_ip", self.server_ip.as_ref().map(|host| json!(host)));
        put("server_port", Some(json!(self.server_port)));
        put("identity", self.identity.as_ref().map(|path| json!(path)));
        put("server_key", self.server_key.as_ref().map(|path| json!(path)));
        put("fingerprint", self.fingerprint.map(|fingerprint| json!(fingerprint.to_string())));
        put("room", (self.room != default.room).then(|| json!(self.room.to_string())));
        let minutes = |away: Option<Duration>| away.map_or(0, |away| away.as_secs() / 60);
        put("away_minutes", (self.away != default.away).then(|| json!(minutes(self.away))));
        put("bell", (self.bell != default.bell).then(|| json!(self.bell)));
        put("presence", (self.presence != default.presence).then(|| json!(self.presence)));
        put("read_receipts", (self.read_receipts != default.read_receipts).then(|| json!(self.read_receipts)));
        put("tickets", (self.tickets != default.tickets).then(|| json!(self.tickets)));
        fields
    }

    /// Every setting of the client, once.
    fn declare(reader: &mut Reader, dir: &Path) -> Self {
        let setting = |name, allowed: &str, default, example, about| Setting {
            name,
            placeholder: "",
            allowed: allowed.to_owned(),
            default: Some(default),
            example: Some(example),
            about,
        };
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let path = |value: &Value| match value {
            Value::Null => Some(None),
            value => text(value).map(|text| Some(dir.join(text))),
        };
        let name = "a user name (1 to 32 of a-z 0-9 . _ -, starting with a letter or a digit)";
        let username =
            setting("username", name, Value::Null, json!("alice"), "Your name on the server. Asked for if missing.");
        let server_ip = setting(
            "server_ip",
            "an IP address or the name of a host",
            Value::Null,
            json!("chat.example.org"),
            "The server. Asked for if missing.",
        );
        let port = setting("server_port", "an integer from 1 to 65535", json!(PORT), json!(PORT), "The server's port.");
        let identity = setting(
            "identity",
            "a path",
            Value::Null,
            json!("key_alice.private.pem"),
            "Your private key, relative to the directory of this file. Without it, it is looked for where FILES says.",
        );
        let server_key = setting(
            "server_key",
            "a path",
            Value::Null,
            json!("server_public_key.pem"),
            "The server's public key, relative to the directory of this file; any other is refused.",
        );
        let fingerprint = setting(
            "fingerprint",
            "SHA256: followed by 43 characters of base64",
            Value::Null,
            Value::Null,
            "The fingerprint of the server's key; any other key is refused.",
        );
        let room = setting(
            "room",
            "the name of a room, as \"#common\"",
            json!("#common"),
            json!("#common"),
            "The room to be in.",
        );
        let bell = setting(
            "bell",
            "true or false",
            json!(true),
            json!(true),
            "Whether the terminal rings when somebody mentions you.",
        );
        let away = setting(
            "away_minutes",
            "an integer from 0 to 1440",
            json!(AWAY),
            json!(AWAY),
            "On a terminal, who types nothing for so many minutes is shown as away, until something is typed. 0 is never.",
        );
        let presence = setting(
            "presence",
            "true or false",
            json!(true),
            json!(true),
            "Whether to show who comes, who leaves, and whether people want to be talked to. /list tells in any case.",
        );
        let read_receipts = setting(
            "read_receipts",
            "true or false",
            json!(true),
            json!(true),
            "Whether who writes to you alone is told what you have read. That it has come to you he is told in any case.",
        );
        let tickets = setting(
            "tickets",
            "true or false",
            json!(true),
            json!(true),
            "Whether to keep, for a day at most, what lets you in again without your key's arithmetic: rsachat send then takes a \
             fraction of the time. Who can read your files can come in with it as you until then.",
        );
        let minutes = |value: &Value| value.as_u64().filter(|minutes| *minutes <= 1440);
        Self {
            username: reader.read(username, |value| value.as_str()?.parse().ok()),
            server_ip: reader.read(server_ip, text),
            server_port: reader
                .read(port, |value| value.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0))
                .unwrap_or(PORT),
            identity: reader.read(identity, path).flatten(),
            server_key: reader.read(server_key, path).flatten(),
            fingerprint: reader
                .read(fingerprint, |value| match value {
                    Value::Null => Some(None),
                    value => value.as_str()?.parse().ok().map(Some),
                })
                .flatten(),
            room: reader.read(room, |value| value.as_str()?.parse().ok()).unwrap_or_else(RoomName::lobby),
            bell: reader.read(bell, Value::as_bool).unwrap_or(true),
            presence: reader.read(presence, Value::as_bool).unwrap_or(true),
            read_receipts: reader.read(read_receipts, Value::as_bool).unwrap_or(true),
            tickets: reader.read(tickets, Value::as_bool).unwrap_or(true),
            away: Some(Duration::from_secs(60 * reader.read(away, minutes).unwrap_or(AWAY)))
                .filter(|away| !away.is_zero()),
        }
    }
}
