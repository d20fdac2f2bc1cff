//! All that the server ever gave a number: what the checks compare with what people see.

use std::collections::{BTreeMap, HashMap};

use rsachat::model::{Fingerprint, Incarnation, MessageId, Seq, UserName};
use rsachat::proto::message::Stored;

/// Who is registered, as the hub knows it.
pub(super) type Registered = BTreeMap<UserName, Fingerprint>;

/// Something that was said.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) message: Stored,
    /// Who was registered when it was said.
    pub(super) registered: Registered,
}

/// All that was said.
#[derive(Debug, Default)]
pub(super) struct Said {
    by_place: HashMap<(Incarnation, Seq), Publication>,
    places: HashMap<MessageId, Vec<(Incarnation, Seq)>>,
    highest: Seq,
}

impl Said {
    pub(super) fn add(&mut self, incarnation: Incarnation, message: Stored, registered: &Registered) {
        let place = (incarnation, message.seq);
        self.highest = self.highest.max(message.seq);
        self.places.entry(message.message).or_default().push(place);
        let publication = Publication { message, registered: registered.clone() };
        assert!(self.by_place.insert(place, publication).is_none(), "a number was given twice");
    }

    /// The highest number that was ever given.
    pub(super) fn highest(&self) -> Seq {
        self.highest
    }

    /// What a client shows that was welcomed by `incarnation`: said then or before, and with just these words. Also
    /// which incarnation numbered it.
    pub(super) fn find(&self, incarnation: Incarnation, shown: &Stored) -> (Incarnation, &Publication) {
        let places = self.places.get(&shown.message).map_or(&[][..], Vec::as_slice);
        let place = places.iter().rev().find(|(said, seq)| *said <= incarnation && *seq == shown.seq);
        let place = *place.unwrap_or_else(|| panic!("{shown:?} was never said"));
        let publication = &self.by_place[&place];
        assert_eq!(publication.message, *shown, "not what was said");
        (place.0, publication)
    }
}
