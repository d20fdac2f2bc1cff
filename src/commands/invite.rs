//! `rsachat invite`: lets somebody in who has no key yet. A running server notices by itself.

use crate::cli::InviteArgs;
use crate::client::address::{Address, Server};
use crate::config::{ClientConfig, ServerConfig, ServerFlags, ServerPaths};
use crate::error::{Context as _, Error};
use crate::keys::identity;
use crate::keys::invites::Invites;
use crate::keys::registry::{self, Registry};
use crate::model::Timestamp;
use crate::term::Term;
use crate::time;

pub(super) fn run(term: &Term, args: &InviteArgs) -> Result<(), Error> {
    let paths = ServerPaths::new(&args.data_dir, None);
    let user = args.user;
    let server = server(args, &paths)?;
    let key = identity::read_public(&paths.public_key).map_err(|error| {
        Error::from(error).hint("rsachat serve makes it; --data-dir DIR says where the server's directory is")
    })?;
    let invites = Invites::new(&paths.invites);
    let unwritable = || format!("can't write into {}", paths.invites.display());
    let lock = invites.lock().context(unwritable)?;
    if registry::load(&paths.keys, &Registry::default()).registry.find(&user).is_some() {
        return Err(Error::failure(format_args!("{user} is registered already"))
            .hint(format_args!("for another key: rsachat keys remove {user}, then invite")));
    }
    let expires = Timestamp::now().after(args.expires);
    let token = invites.issue(&lock, &user, expires, &mut rand::rng()).context(unwritable)?;
    let address =
        Address { user: Some(user), fingerprint: Some(key.fingerprint()), invite: Some(token), ..server.into() };
    term.out(address.to_command())?;
    let until = time::local(expires);
    term.note(format_args!("good once, until {until}"));
    Ok(())
}

/// Where users reach the server.
fn server(args: &InviteArgs, paths: &ServerPaths) -> Result<Server, Error> {
    let config = ServerConfig::load(paths, &ServerFlags::default());
    if let Some(text) = &args.address {
        // A server whose configuration is elsewhere, or takes any port, is where most are.
        let port = config.ok().map(|config| config.server_port).filter(|port| *port > 0);
        let port = port.unwrap_or_else(|| ClientConfig::default().server_port);
        return Ok(Address::parse_with(text, port)?.server);
    }
    let config = config?;
    let nowhere = || {
        Error::usage("the configuration does not say under which address users reach the server")
            .hint("--address HOST[:PORT] does")
    };
    let ip = config.server_ip.first().filter(|ip| !ip.is_unspecified()).ok_or_else(nowhere)?;
    let port = Some(config.server_port).filter(|port| *port > 0).ok_or_else(nowhere)?;
    Server::new(&ip.to_string(), port)
}
