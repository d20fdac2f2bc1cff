//! A server, as it is named: `HOST`, `HOST:PORT`, or an address that says more, `rsachat://USER@HOST:PORT/?...`.
//!
//! ```text
//! rsachat://USER@HOST:PORT/?server=SHA256:...&invite=...
//!           user  target       fingerprint       token
//! ```
//!
//! All but the host may be missing. It is a URI (RFC 3986); what is read strictly, since an address comes from somebody else:
//! a part that is not known is refused rather than skipped.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url, form_urlencoded};

use crate::client::driver::Target;
use crate::config::ClientConfig;
use crate::crypto::invite::InviteToken;
use crate::error::Error;
use crate::keys::trust::ServerName;
use crate::model::{Fingerprint, UserName};

const SCHEME: &str = "rsachat";

/// A server: where it is, and the name under which it is known.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it is.
    pub target: Target,
    /// How its key is looked up.
    pub name: ServerName,
}

/// A server, and what an address says of it and of who is to use it.
#[derive(Debug, Clone)]
pub struct Address {
    /// The server.
    pub server: Server,
    /// Who is to use it.
    pub user: Option<UserName>,
    /// Of the server's key.
    pub fingerprint: Option<Fingerprint>,
    /// By what he is let in.
    pub invite: Option<InviteToken>,
}

impl Server {
    /// The server at a host and port.
    ///
    /// # Errors
    /// A usage error if the host can't be one.
    pub fn new(host: &str, port: u16) -> Result<Self, Error> {
        let wrong = || Error::usage(format_args!("{host} is not the name or address of a server"));
        // An address has many spellings, and is known under one.
        let host = host.parse::<IpAddr>().map_or_else(|_| host.to_owned(), |address| address.to_string());
        let name = ServerName::new(&host, port).ok_or_else(wrong)?;
        Ok(Self { target: Target { host, port }, name })
    }

    /// Reads `HOST`, `HOST:PORT`, `IPV6` or `[IPV6]:PORT`.
    fn parse(text: &str, usual_port: u16) -> Result<Self, Error> {
        let (host, port) = split(text).ok_or_else(|| {
            Error::usage(format_args!("{text} is not a server"))
                .hint("HOST, HOST:PORT, [IPV6]:PORT or rsachat://USER@HOST:PORT is expected")
        })?;
        Self::new(host, port.unwrap_or(usual_port))
    }
}

impl From<Server> for Address {
    fn from(server: Server) -> Self {
        Self { server, user: None, fingerprint: None, invite: None }
    }
}

impl Address {
    /// Reads an address, or what names a server alone.
    ///
    /// # Errors
    /// A usage error that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_with(text, ClientConfig::default().server_port)
    }

    /// As [`Address::parse`], with this port where a server is named without one.
    ///
    /// # Errors
    /// As there.
    pub fn parse_with(text: &str, usual_port: u16) -> Result<Self, Error> {
        match text.split_once("://") {
            Some((scheme, _)) if scheme.eq_ignore_ascii_case(SCHEME) => Self::from_uri(text)
                .map_err(|why| Error::usage(why).context("the address").hint("rsachat://USER@HOST:PORT is expected")),
            _ => Server::parse(text, usual_port).map(Self::from),
        }
    }

    /// The line that is typed to get there.
    #[must_use]
    pub fn to_command(&self) -> String {
        format!("rsachat connect '{self}'")
    }

    fn from_uri(text: &str) -> Result<Self, String> {
        let uri = Url::parse(text).map_err(|error| error.to_string())?;
        let host = match uri.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(host) => host.to_string(),
            None => return Err("it names no server".to_owned()),
        };
        let port = match uri.port() {
            Some(0) => return Err("there is no port 0".to_owned()),
            port => port.unwrap_or_else(|| ClientConfig::default().server_port),
        };
        let server = Server::new(&host, port).map_err(|error| error.to_string())?;
        let user = match uri.username() {
            "" => None,
            name => Some(name.parse().map_err(|error| format!("{name}: {error}"))?),
        };
        // Also one that is empty, which the reader of URIs drops.
        let authority = text.split_once("://").map(|(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
        let userinfo = authority.and_then(|authority| authority.rsplit_once('@')).map(|(userinfo, _)| userinfo);
        if uri.password().is_some() || userinfo.is_some_and(|userinfo| userinfo.contains(':')) {
            return Err("there are no passwords here".to_owned());
        }
        if !matches!(uri.path(), "" | "/") || uri.fragment().is_some() {
            return Err("nothing but ?server= and &invite= follows the server".to_owned());
        }
        let mut address = Self { user, ..Self::from(server) };
        // In a query + stands for itself; only in forms it is a space.
        let query = uri.query().unwrap_or_default().replace('+', "%2B");
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let twice = match &*name {
                "server" => {
                    let fingerprint = value.parse().map_err(|error| format!("server: {error}"))?;
                    address.fingerprint.replace(fingerprint).is_some()
                }
                "invite" => {
                    let token = value.parse().map_err(|error| format!("invite: {error}"))?;
                    address.invite.replace(token).is_some()
                }
                _ => return Err(format!("this program does not know what {name} means in it")),
            };
            if twice {
                return Err(format!("{name} stands there twice"));
            }
        }
        if address.invite.is_some() && (address.user.is_none() || address.fingerprint.is_none()) {
            return Err("an invitation needs a user's name and the server's fingerprint".to_owned());
        }
        Ok(address)
    }
}

/// The address is a secret while it has an invitation that is good.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server: Server { target: Target { host, port }, .. }, user, fingerprint, invite } = self;
        write!(f, "{SCHEME}://")?;
        if let Some(user) = user {
            write!(f, "{user}@")?;
        }
        if host.contains(':') {
            write!(f, "[{host}]:{port}/")?;
        } else {
            write!(f, "{host}:{port}/")?;
        }
        if let Some(fingerprint) = fingerprint {
            write!(f, "?server={fingerprint}")?;
        }
        if let Some(invite) = invite {
            write!(f, "&invite={}", *invite.to_text())?;
        }
        Ok(())
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn servers_are_read_in_every_spelling() {
        for (text, host, port) in [
            ("chat.example.org", "chat.example.org", 5000),
            ("chat.example.org:6000", "chat.example.org", 6000),
            ("127.0.0.1:1", "127.0.0.1", 1),
            ("::1", "::1", 5000),
            ("0:0::1", "::1", 5000),
            ("[::1]", "::1", 5000),
            ("[fe80::1]:65535", "fe80::1", 65535),
            ("rsachat://chat.example.org", "chat.example.org", 5000),
            ("RSACHAT://chat.example.org:6000/", "chat.example.org", 6000),
            ("rsachat://[::1]:6000", "::1", 6000),
        ] {
            let server = Address::parse(text).unwrap().server;
            assert_eq!((server.target.host.as_str(), server.target.port), (host, port), "{text}");
        }
        for text in ["", ":5000", "host:", "host:0", "host:65536", "a:b:c", "[::1", "[::1]5", "[host]:1", "two words"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_says_who_and_with_which_key() {
        let fingerprint = "SHA256:Gz+AbCdEfGhIjKlMnOpQrStUvWxYz0123456789/AbE";
        let token = "AbCdEfGhIjKlMnOpQrSt-w";
        let text = format!("rsachat://alice@chat.example.org:6000/?server={fingerprint}&invite={token}");
        let address = Address::parse(&text).unwrap();
        assert_eq!(address.user, Some("alice".parse().unwrap()));
        assert_eq!(address.fingerprint, Some(fingerprint.parse().unwrap()));
        assert_eq!(address.invite, Some(token.parse().unwrap()));
        assert_eq!(address.to_string(), text);
        // As a program may write it.
        let escaped = text.replace('+', "%2B").replace("SHA256:", "SHA256%3A");
        assert_eq!(Address::parse(&escaped).unwrap().to_string(), text);
        let short = Address::parse("rsachat://Alice@[::1]").unwrap();
        assert_eq!((short.user, short.to_string().as_str()), (address.user, "rsachat://alice@[::1]:5000/"));
    }

    #[test]
    fn an_address_with_anything_else_is_refused_and_says_why() {
        for (text, why) in [
            ("rsachat://", "server"),
            ("rsachat://alice@", "host"),
            ("rsachat:///x", "server"),
            ("rsachat://alice@host:0", "port 0"),
            ("rsachat://alice@host:70000", "port"),
            ("rsachat://al!ce@host", "letters"),
            ("rsachat://alice:secret@host", "passwords"),
            ("rsachat://alice:@host", "passwords"),
            ("rsachat://alice@host/room", "follows"),
            ("rsachat://alice@host/#room", "follows"),
            ("rsachat://alice@host/?server=MD5:12", "server: "),
            ("rsachat://alice@host/?room=x", "room"),
            ("rsachat://alice@host/?invite=AbCdEfGhIjKlMnOpQrSt-w", "needs"),
            ("rsachat://alice@host/?invite=AbC", "invite: "),
            ("http://host", "not a server"),
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        let twice = "server=SHA256:Gz+AbCdEfGhIjKlMnOpQrStUvWxYz0123456789/AbE";
        let error = Address::parse(&format!("rsachat://host/?{twice}&{twice}")).unwrap_err().to_string();
        assert!(error.contains("twice"), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_is_read_as_something_that_is_written_otherwise(rest in "[a-z@:/?=&%+0-9\\[\\]]{0,40}") {
            if let Ok(address) = Address::parse(&format!("rsachat://{rest}")) {
                let again = Address::parse(&address.to_string()).unwrap();
                prop_assert_eq!(address.to_string(), again.to_string());
            }
        }
    }
}
