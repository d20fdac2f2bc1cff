//! How a connection's id says where it is: its reactor and its place there, under a number that makes it unique.
//!
//! ```text
//!  63          32 31       24 23        0
//!  +-------------+-----------+-----------+
//!  | serial      | reactor   | slot      |
//!  +-------------+-----------+-----------+
//! ```

use crate::model::SessionId;

/// The most reactors that ids can tell apart.
pub(super) const MAX_REACTORS: usize = 1 << 8;
/// The most connections of one reactor that ids can tell apart.
pub(super) const MAX_SLOTS: usize = 1 << 24;

pub(super) fn session_id(serial: u32, reactor: usize, slot: usize) -> SessionId {
    SessionId(u64::from(serial) << 32 | (reactor as u64 & 0xff) << 24 | (slot as u64 & 0x00ff_ffff))
}

pub(super) fn reactor_of(session: SessionId) -> usize {
    (session.0 >> 24 & 0xff) as usize
}

pub(super) fn slot_of(session: SessionId) -> usize {
    (session.0 & 0x00ff_ffff) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_where_its_connection_is() {
        for (serial, reactor, slot) in [(0, 0, 0), (u32::MAX, MAX_REACTORS - 1, MAX_SLOTS - 1), (7, 3, 12_345)] {
            let id = session_id(serial, reactor, slot);
            assert_eq!((reactor_of(id), slot_of(id)), (reactor, slot));
        }
        assert_ne!(session_id(1, 0, 0), session_id(2, 0, 0));
    }
}
