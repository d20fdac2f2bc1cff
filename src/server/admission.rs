//! Who may connect, and how often: connections in all and per address, full handshakes per second and address.
//!
//! An address is an IPv4 address or the first 64 bits of an IPv6 one, which is what one subscriber has at least. A
//! resumption is not counted among handshakes: it costs no RSA operation, and needs a ticket that the server made.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

/// The bounds; nothing for no bound.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) connections: u32,
    pub(super) connections_per_address: Option<NonZeroU32>,
    pub(super) handshakes_per_second_per_address: Option<NonZeroU32>,
    pub(super) handshake_burst_per_address: NonZeroU32,
}

/// Counts connections and handshakes.
#[derive(Debug)]
pub(super) struct Admission {
    bounds: Bounds,
    counts: Mutex<Counts>,
    handshakes: Option<RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>>,
}

#[derive(Debug, Default)]
struct Counts {
    all: u32,
    by_address: HashMap<IpAddr, u32>,
}

/// Too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("too many connections")]
    Connections,
    #[error("too many connections from this address")]
    ConnectionsFromAddress,
}

impl Admission {
    pub(super) fn new(bounds: Bounds) -> Self {
        let handshakes = bounds
            .handshakes_per_second_per_address
            .map(|rate| RateLimiter::hashmap(Quota::per_second(rate).allow_burst(bounds.handshake_burst_per_address)));
        Self { bounds, counts: Mutex::default(), handshakes }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a connection, to be given back with [`leave`](Self::leave).
    pub(super) fn enter(&self, address: IpAddr) -> Result<(), Refused> {
        let mut counts = self.counts();
        if counts.all >= self.bounds.connections {
            return Err(Refused::Connections);
        }
        let here = counts.by_address.entry(subscriber(address)).or_default();
        if self.bounds.connections_per_address.is_some_and(|most| *here >= most.get()) {
            return Err(Refused::ConnectionsFromAddress);
        }
        *here += 1;
        counts.all += 1;
        Ok(())
    }

    /// Gives a connection's place back.
    pub(super) fn leave(&self, address: IpAddr) {
        let mut counts = self.counts();
        counts.all = counts.all.saturating_sub(1);
        let address = subscriber(address);
        if let Some(here) = counts.by_address.get_mut(&address) {
            *here -= 1;
            if *here == 0 {
                counts.by_address.remove(&address);
            }
        }
    }

    /// Counts a full handshake; if there are too many, says after how many seconds there won't be.
    pub(super) fn handshake(&self, address: IpAddr) -> Result<(), u16> {
        let Some(handshakes) = &self.handshakes else { return Ok(()) };
        handshakes.check_key(&subscriber(address)).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            u16::try_from(wait.as_secs() + 1).unwrap_or(u16::MAX)
        })
    }

    /// Forgets the addresses that have done nothing for a while. Cheap enough for once in a few seconds.
    pub(super) fn forget(&self) {
        if let Some(handshakes) = &self.handshakes {
            handshakes.retain_recent();
            handshakes.shrink_to_fit();
        }
    }
}

fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Admission {
        Admission::new(Bounds {
            connections: 3,
            connections_per_address: NonZeroU32::new(2),
            handshakes_per_second_per_address: NonZeroU32::new(2),
            handshake_burst_per_address: NonZeroU32::new(4).unwrap(),
        })
    }

    #[test]
    fn places_are_counted_in_all_and_per_subscriber_and_given_back() {
        let admission = admission();
        let [a, same, b]: [IpAddr; 3] =
            ["2001:db8::1", "2001:db8::ffff", "192.0.2.1"].map(|text| text.parse().unwrap());
        let b_mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(admission.enter(a), Ok(()));
        assert_eq!(admission.enter(same), Ok(()));
        assert_eq!(admission.enter(a), Err(Refused::ConnectionsFromAddress));
        assert_eq!(admission.enter(b), Ok(()));
        assert_eq!(admission.enter(b), Err(Refused::Connections));
        admission.leave(same);
        assert_eq!(admission.enter(b_mapped), Ok(()));
        for address in [a, b, b] {
            admission.leave(address);
        }
        assert!(admission.counts().by_address.is_empty() && admission.counts().all == 0);
    }

    #[test]
    fn handshakes_are_limited_per_address() {
        let admission = admission();
        let [a, b]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        assert!((0..4).all(|_| admission.handshake(a).is_ok()));
        assert_eq!(admission.handshake(a), Err(1));
        assert_eq!(admission.handshake(b), Ok(()));
    }
}
