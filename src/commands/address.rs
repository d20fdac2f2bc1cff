//! The server, as it was named.

use crate::client::driver::Target;
use crate::config::ClientConfig;
use crate::error::Error;
use crate::keys::trust::ServerName;

/// A server: where it is, and the name under which it is known.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) target: Target,
    pub(super) name: ServerName,
}

impl Server {
    pub(super) fn new(host: &str, port: u16) -> Result<Self, Error> {
        let wrong = || Error::usage(format_args!("{host} is not the name or address of a server"));
        let name = ServerName::new(host, port).ok_or_else(wrong)?;
        Ok(Self { target: Target { host: host.to_owned(), port }, name })
    }

    /// Reads `HOST`, `HOST:PORT`, `IPV6` or `[IPV6]:PORT`.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let (host, port) = split(text).ok_or_else(|| {
            Error::usage(format_args!("{text} is not a server")).hint("HOST, HOST:PORT or [IPV6]:PORT is expected")
        })?;
        Self::new(host, port.unwrap_or_else(|| ClientConfig::default().server_port))
    }
}

fn split(text: &str) -> Option<(&str, Option<u16>)> {
    let port = |text: &str| text.parse().ok().filter(|port| *port > 0);
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(text) => Some((host, Some(port(text)?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match text.split_once(':') {
        None => Some((text, None)),
        // More than one colon: an IPv6 address without its brackets.
        Some(_) if text.parse::<std::net::Ipv6Addr>().is_ok() => Some((text, None)),
        Some((host, text)) => Some((host, Some(port(text)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_in_every_spelling() {
        for (text, host, port) in [
            ("chat.example.org", "chat.example.org", 5000),
            ("chat.example.org:6000", "chat.example.org", 6000),
            ("127.0.0.1:1", "127.0.0.1", 1),
            ("::1", "::1", 5000),
            ("[::1]", "::1", 5000),
            ("[fe80::1]:65535", "fe80::1", 65535),
        ] {
            let server = Server::parse(text).unwrap();
            assert_eq!((server.target.host.as_str(), server.target.port), (host, port), "{text}");
        }
        for text in ["", ":5000", "host:", "host:0", "host:65536", "a:b:c", "[::1", "[::1]5", "[host]:1", "two words"] {
            assert!(Server::parse(text).is_err(), "{text}");
        }
    }
}
