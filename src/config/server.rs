//! What the operator decides: `config.json` and the flags of `serve`.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use serde_json::{Value, json};

use super::json::Fields;
use super::reader::{Reader, Setting};
use super::{ConfigError, ServerPaths, read_fields};
use crate::hub::Creation;
use crate::model::{RoomName, UserName};
use crate::store::Keep;

/// The server's settings, all valid. rsachat-config(5) explains each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where to listen, at least one; see [`ServerConfig::listen`].
    pub server_ip: Vec<IpAddr>,
    /// The port, of all addresses; 0 is any free one.
    pub server_port: u16,
    /// Who may end the server and do what else admins may.
    pub admins: HashSet<UserName>,
    /// Messages of a room that are read back at once.
    pub history_limit: u32,
    /// Messages that stay on disk, never fewer than `history_limit` if it is a count.
    pub history_keep: Keep,
    /// Messages shown to who comes in, at most `history_limit`.
    pub join_backlog: u32,
    /// Rooms that everyone is in; the lobby is the first.
    pub default_rooms: Vec<RoomName>,
    /// Who may make rooms.
    pub room_creation: Creation,
    /// Rooms in all.
    pub max_rooms: u32,
    /// Rooms that a user may own.
    pub max_rooms_per_user: u32,
    /// How long messages of direct rooms are kept, days.
    pub direct_days: u32,
    /// Messages of a direct room that wait for one of the two.
    pub direct_quota: u32,
    /// Where to write what happens in the chat, if anywhere.
    pub message_log: Option<MessageLog>,
    /// Connections in all.
    pub max_connections: u32,
    /// Connections from one address; unlimited if nothing.
    pub max_connections_per_address: Option<NonZeroU32>,
    /// Connections of one user.
    pub max_connections_per_user: u32,
    /// Handshakes a second from one address in the long run; unlimited if nothing.
    pub handshakes_per_second_per_address: Option<NonZeroU32>,
    /// Handshakes at once from one address.
    pub handshake_burst_per_address: NonZeroU32,
    /// Bytes a peer may send before it has authenticated.
    pub handshake_bytes: usize,
    /// Time for the whole handshake.
    pub handshake_time: Duration,
    /// Longest text of a message, bytes.
    pub message_bytes: u32,
    /// Messages a second from one user in the long run.
    pub message_rate: NonZeroU32,
    /// Messages at once from one user.
    pub message_burst: NonZeroU32,
    /// Bytes that wait for one slow reader.
    pub outbound_queue_bytes: usize,
    /// Silence after which a peer is taken for dead.
    pub idle_time: Duration,
    /// Threads that serve connections; as many as there are cores if nothing.
    pub reactors: Option<NonZeroU32>,
    /// Threads for handshakes; as many as there are cores if nothing.
    pub workers: Option<NonZeroU32>,
}

/// Where to write what happens in the chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageLog {
    /// The file, from the server's directory.
    pub path: PathBuf,
    /// When it makes room for another one; never if nothing.
    pub bytes: Option<u64>,
    /// How many older ones are kept.
    pub files: u32,
}

/// One address to listen at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// For an IPv6 address: whether to leave IPv4 alone. `::` takes both unless `0.0.0.0` is listed too.
    pub only_v6: bool,
}

impl ServerConfig {
    /// Reads the file at `paths.config`, and the flags, which win. The file may be missing if it is the default one and
    /// the flags say what has no default.
    ///
    /// # Errors
    /// [`ConfigError`], with all that is wrong.
    pub fn load(paths: &ServerPaths, flags: &ServerFlags) -> Result<Self, ConfigError> {
        let mut missing = false;
        let fields = match read_fields(&paths.config) {
            Err(ConfigError::File { error, .. }) if error.kind() == io::ErrorKind::NotFound && !paths.config_given => {
                missing = true;
                Fields::default()
            }
            result => result?,
        };
        if missing && !flags.complete() {
            return Err(ConfigError::Missing(paths.config.clone()));
        }
        let mut reader = Reader::new(&paths.config, fields, flags.to_fields());
        let config = Self::declare(&mut reader);
        match reader.finish() {
            problems if problems.is_empty() => Ok(config),
            problems => Err(ConfigError::Fields(problems)),
        }
    }

    /// Where to listen.
    #[must_use]
    pub fn listen(&self) -> Vec<Listen> {
        let any_v4 = self.server_ip.iter().any(|ip| ip.is_ipv4() && ip.is_unspecified());
        let listen = |ip: &IpAddr| Listen {
            address: SocketAddr::new(*ip, self.server_port),
            only_v6: any_v4 || *ip != IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        self.server_ip.iter().map(listen).collect()
    }

    /// All settings, in the order in which they are explained.
    #[must_use]
    pub fn settings() -> Vec<Setting> {
        let mut reader = Reader::default();
        Self::declare(&mut reader);
        reader.settings
    }

    /// Every setting of the server, once.
    fn declare(reader: &mut Reader) -> Self {
        let server_ip = reader.addresses(
            "server_ip",
            json!("::"),
            "Address to listen at. A list makes the server listen at each. :: is every address of the machine, IPv4 and \
             IPv6; 0.0.0.0 every IPv4 address; 127.0.0.1 and ::1 can be reached from this machine only.",
        );
        let port = Setting {
            name: "server_port",
            placeholder: "PORT",
            allowed: "an integer from 0 to 65535".to_owned(),
            default: None,
            example: Some(json!(5000)),
            about: "Port to listen at. 0 takes any that is free, and says which.",
        };
        let server_port = reader.read(port, |value| value.as_u64().and_then(|port| u16::try_from(port).ok()));
        let admins = reader.users(
            "admins",
            json!(["alice"]),
            "Users who may end the server with /shutdown, and what else admins may. They need not be registered yet.",
        );
        let history_limit = reader.count(
            "history_limit",
            100,
            1..=10_000,
            "Messages of a room that /history shows at once, and that a user gets on coming back. They are kept in memory, up to 256 KiB in each room.",
        );
        let history_keep = history_keep(reader, history_limit);
        let join_backlog = reader.count(
            "join_backlog",
            10,
            0..=10_000,
            "Messages of a room that the client shows when it starts, beside what was missed; to a user who comes for the first time, \
             these alone. No more than history_limit.",
        );
        let default_rooms = reader.rooms(
            "default_rooms",
            json!(["#common"]),
            "Rooms that every user is in, and nobody can leave. #common is one, named here or not.",
        );
        let creation = Setting {
            name: "room_creation",
            placeholder: "WHO",
            allowed: "\"everyone\" or \"admins\"".to_owned(),
            default: Some(json!("everyone")),
            example: None,
            about: "Who may make rooms with /create.",
        };
        let room_creation = reader.read(creation, |value| match value.as_str()? {
            "everyone" => Some(Creation::Everyone),
            "admins" => Some(Creation::Admins),
            _ => None,
        });
        let max_rooms = reader.count("max_rooms", 500, 1..=2000, "Rooms in all.");
        let max_rooms_per_user = reader.count("max_rooms_per_user", 20, 0..=2000, "Rooms that one user may own.");
        let direct_days = reader.count(
            "direct_days",
            90,
            1..=36_500,
            "How long messages of direct conversations are kept, in days, whether they were read or not.",
        );
        let direct_quota = reader.count(
            "direct_quota",
            1000,
            1..=100_000,
            "Messages of one direct conversation that wait for a user who is away. More are refused.",
        );
        let message_log = message_log(reader);
        let max_connections = reader.count(
            "max_connections",
            10_000,
            1..=1_000_000,
            "Connections in all. More are turned away; the system's limit of open files (ulimit -n) has to be a little \
             higher.",
        );
        let max_connections_per_address = reader.count(
            "max_connections_per_address",
            1000,
            0..=1_000_000,
            "Connections from one IP address, or from one /64 network of IPv6. A whole office may share an address. 0 \
             sets no limit.",
        );
        let max_connections_per_user = reader.count(
            "max_connections_per_user",
            64,
            1..=1_000_000,
            "Connections of one user. With one more, the oldest is closed.",
        );
        let handshakes_per_second_per_address = reader.count(
            "handshakes_per_second_per_address",
            50,
            0..=100_000,
            "Handshakes a second from one IP address, or from one /64 network of IPv6, in the long run. Each costs the \
             server milliseconds of RSA. Who comes back with a ticket costs none and is not counted. 0 sets no limit.",
        );
        let handshake_burst_per_address = reader.count(
            "handshake_burst_per_address",
            200,
            1..=100_000,
            "Handshakes from one address at once, before handshakes_per_second_per_address applies. Lets an office come \
             back after a cut.",
        );
        let handshake_bytes = reader.count(
            "handshake_bytes",
            16_384,
            4096..=65_536,
            "Bytes that a peer may send before it has authenticated.",
        );
        let handshake_seconds = reader.count(
            "handshake_seconds",
            10,
            1..=120,
            "Time for the whole handshake, in seconds. Who is slower is cut off.",
        );
        let message_bytes =
            reader.count("message_bytes", 8192, 1..=14_000, "Longest text of a message, in bytes of UTF-8.");
        let message_rate = reader.count(
            "message_rate",
            20,
            1..=100_000,
            "Messages a second from one user, in the long run, over all of the user's connections.",
        );
        let message_burst = reader.count(
            "message_burst",
            100,
            1..=100_000,
            "Messages from one user at once, before message_rate applies.",
        );
        let outbound_queue_bytes = reader.count(
            "outbound_queue_bytes",
            1 << 20,
            1 << 19..=1 << 30,
            "Bytes that may wait for one connection that reads slowly. Beyond it the connection is closed; the client \
             comes back and fetches what it missed.",
        );
        let idle_seconds = reader.count(
            "idle_seconds",
            50,
            10..=3600,
            "Silence after which a peer is taken for dead, in seconds. After three fifths of that it is asked for a sign of life.",
        );
        let reactors = reader.count_or_null(
            "reactors",
            1..=256,
            "Threads that serve connections. null makes it one for each core of the machine.",
        );
        let workers = reader.count_or_null(
            "workers",
            1..=256,
            "Threads for the arithmetic of handshakes. null makes it one for each core of the machine.",
        );
        Self {
            server_ip,
            server_port: server_port.unwrap_or_default(),
            admins: admins.into_iter().collect(),
            history_limit,
            history_keep,
            join_backlog: join_backlog.min(history_limit),
            default_rooms: everyones(default_rooms.unwrap_or_default()),
            room_creation: room_creation.unwrap_or(Creation::Everyone),
            max_rooms,
            max_rooms_per_user,
            direct_days,
            direct_quota,
            message_log,
            max_connections,
            max_connections_per_address: NonZeroU32::new(max_connections_per_address),
            max_connections_per_user,
            handshakes_per_second_per_address: NonZeroU32::new(handshakes_per_second_per_address),
            handshake_burst_per_address: positive(handshake_burst_per_address),
            handshake_bytes: handshake_bytes as usize,
            handshake_time: Duration::from_secs(handshake_seconds.into()),
            message_bytes,
            message_rate: positive(message_rate),
            message_burst: positive(message_burst),
            outbound_queue_bytes: outbound_queue_bytes as usize,
            idle_time: Duration::from_secs(idle_seconds.into()),
            reactors: reactors.and_then(NonZeroU32::new),
            workers: workers.and_then(NonZeroU32::new),
        }
    }
}

fn message_log(reader: &mut Reader) -> Option<MessageLog> {
    let setting = Setting {
        name: "message_log",
        placeholder: "FILE",
        allowed: "null or a file's name".to_owned(),
        default: Some(Value::Null),
        example: None,
        about: "File to which everything that happens in the chat is written as a line of JSON, as in \
                \"messageslog.json\"; see MESSAGE LOG. Relative to the server's directory. null writes none.",
    };
    let path = reader.read(setting, |value| match value {
        Value::Null => Some(None),
        Value::String(path) if !path.is_empty() && !path.contains('\0') => Some(Some(PathBuf::from(path))),
        _ => None,
    });
    let bytes = reader.count(
        "message_log_bytes",
        16 << 20,
        0..=1 << 30,
        "Longest message_log. Before it would be longer it becomes FILE.1, that FILE.2, and so on. 0 leaves that to others: \
         after SIGHUP the server goes on in a new FILE.",
    );
    let files = reader.count("message_log_files", 4, 0..=1000, "Older message logs that are kept.");
    Some(MessageLog { path: path.flatten()?, bytes: Some(bytes.into()).filter(|bytes| *bytes > 0), files })
}

/// For what its range keeps from being 0.
fn positive(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

/// The lobby, then the others.
fn everyones(rooms: Vec<RoomName>) -> Vec<RoomName> {
    let mut all = vec![RoomName::lobby()];
    for room in rooms {
        if !all.contains(&room) {
            all.push(room);
        }
    }
    all
}

fn history_keep(reader: &mut Reader, history_limit: u32) -> Keep {
    let setting = Setting {
        name: "history_keep",
        placeholder: "N|DAYSd",
        allowed: "null, an integer of at least history_limit, or days, as \"30d\"".to_owned(),
        default: Some(Value::Null),
        example: None,
        about: "What stays on disk. A number keeps so many messages of each room, the latest; text like \"30d\" keeps \
                those of the last days, up to 36500; null keeps history_limit messages. All else is deleted.",
    };
    let keep = reader.read(setting, |value| match value {
        Value::Null => Some(Keep::Count(history_limit.into())),
        Value::String(text) => {
            let days: u32 = text.strip_suffix('d')?.parse().ok()?;
            (1..=36_500).contains(&days).then_some(Keep::Days(days))
        }
        value => value.as_u64().filter(|count| *count >= history_limit.into()).map(Keep::Count),
    });
    keep.unwrap_or(Keep::Count(history_limit.into()))
}

/// The settings given as flags of `serve`, not checked yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFlags(Vec<(&'static str, String)>);

impl ServerFlags {
    /// Whether they say what has no default.
    fn complete(&self) -> bool {
        let given = |name| self.0.iter().any(|(given, _)| *given == name);
        ServerConfig::settings().iter().all(|setting| setting.default.is_some() || given(setting.name))
    }

    fn to_fields(&self) -> Fields {
        let value = |text: &str| match serde_json::from_str(text) {
            Ok(value @ (Value::Number(_) | Value::Null)) => value,
            _ if text.contains(',') => text.split(',').map(str::trim).collect(),
            _ => Value::from(text),
        };
        Fields(self.0.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect())
    }
}

impl FromArgMatches for ServerFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |setting: Setting| matches.get_one::<String>(setting.name).map(|text| (setting.name, text.clone()));
        Ok(Self(ServerConfig::settings().into_iter().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for ServerFlags {
    fn augment_args(command: Command) -> Command {
        let flag = |setting: Setting| {
            let short = setting.about.split_once(". ").map_or(setting.about, |(first, _)| first);
            Arg::new(setting.name)
                .long(setting.flag())
                .value_name(setting.placeholder)
                .help(short.trim_end_matches('.').to_owned())
                .long_help(format!("{} Must be {}.", setting.about, setting.allowed))
                .help_heading("Settings, which win over the configuration file")
                .allow_negative_numbers(true)
        };
        command.args(ServerConfig::settings().into_iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
