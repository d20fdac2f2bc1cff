//! The sockets that a server listens on, and how many files it may have open.

use std::io;
use std::net::SocketAddr;

use mio::net::TcpListener;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::config::Listen;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// An address that can't be listened at.
#[derive(Debug, thiserror::Error)]
#[error("can't listen at {address}: {error}")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// What the system says.
    #[source]
    pub error: io::Error,
}

/// Listens at each address. Port 0, if asked for, is one port for all.
pub(super) fn listen(addresses: &[Listen]) -> Result<Vec<TcpListener>, ListenError> {
    let mut listeners = Vec::new();
    let mut chosen = None;
    for Listen { address, only_v6 } in addresses {
        let mut address = *address;
        if let (0, Some(port)) = (address.port(), chosen) {
            address.set_port(port);
        }
        let listener = bind(address, *only_v6).map_err(|error| ListenError { address, error })?;
        chosen = chosen.or(listener.local_addr().ok().map(|local| local.port()));
        listeners.push(listener);
    }
    Ok(listeners)
}

fn bind(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // A server that comes back at once finds its old connections waiting out their time.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Asks the system for as many open files as so many connections need, as far as it gives them.
pub(crate) fn raise_file_limit(connections: u32) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // Beside its connections a server has a few dozen files open.
    let wanted = u64::from(connections) + 64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let allowed = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if current.is_some_and(|current| current < allowed)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum })
    {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    if allowed < wanted {
        tracing::warn!(allowed, wanted, "the system allows fewer open files than max_connections needs");
    }
}
