//! The two configuration files, `config.json` of the server and `user_config.json` of the client, checked on the way
//! in; and where all files are.
//!
//! Flags win over a file, a file over defaults. A field that is not known is an error, as is one whose value is not
//! allowed: all that is wrong with a file is said at once, each with the field, its value, and what is allowed. This
//! module reads and writes the two files and nothing else; it opens no key and no socket.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;

mod client;
mod json;
mod paths;
mod reader;
mod server;

pub use client::ClientConfig;
pub use paths::{ClientPaths, ServerPaths};
pub use reader::Setting;
pub use server::{Listen, MessageLog, ServerConfig, ServerFlags};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no file, and the flags don't say all that is needed.
    #[error("there is no {}", .0.display())]
    Missing(PathBuf),
    /// The system refuses to read or write it.
    #[error("can't {verb} {}: {error}", .path.display())]
    File {
        /// `read` or `write`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is no JSON object.
    #[error("{}:{}:{}: {}", .path.display(), .error.line(), .error.column().max(1), without_place(.error))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        error: serde_json::Error,
    },
    /// Fields or flags are wrong: a sentence for each.
    #[error("{}", .0.join("\n"))]
    Fields(Vec<String>),
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        let hint = match &error {
            ConfigError::Missing(path) => {
                format!("echo '{{\"server_ip\": \"::\", \"server_port\": 5000}}' > {}", path.display())
            }
            ConfigError::File { .. } => return Error::failure(error),
            ConfigError::Syntax { .. } => "the file must be a JSON object; see man rsachat-config".to_owned(),
            ConfigError::Fields(_) => "man rsachat-config explains every field".to_owned(),
        };
        Error::usage(error).hint(hint)
    }
}

/// The error's text; its line and column stand before it already.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).map_or(text.clone(), str::to_owned)
}

fn read_fields(path: &Path) -> Result<json::Fields, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::File {
        verb: "read",
        path: path.to_owned(),
        error,
    })?;
    json::Fields::parse(&text).map_err(|error| ConfigError::Syntax { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests;
