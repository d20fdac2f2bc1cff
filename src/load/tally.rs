//! What became of each message of a measurement: when it was to be sent, who has not got it yet, whether it is stored.
//!
//! Its memory is bounded by what is under way: a message is forgotten as soon as all have it and it is acknowledged.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::report::Faults;
use crate::model::{MessageId, Seq, Timestamp};
use crate::proto::message::{RequestId, Sighting};

use super::member::JOIN;

/// The messages under way, and the sums over all that were.
#[derive(Debug)]
pub(super) struct Tally {
    // Tells this run's messages from others'; begins with the time, as identifiers do.
    run: [u8; 8],
    // The number of the room's last message that each connection has, by its index.
    last: Vec<Seq>,
    // From the oldest that is under way, which has the number `first`.
    flights: VecDeque<Flight>,
    first: u64,
    measuring: bool,
    /// Messages that the server acknowledged, while it was measured.
    pub(super) accepted: u64,
    /// Messages that reached a connection, likewise.
    pub(super) delivered: u64,
    /// Nanoseconds from when a message was to be sent until a connection had it.
    pub(super) delivery: Histogram<u64>,
    /// Nanoseconds from when a message was to be sent until the server acknowledged it.
    pub(super) acceptance: Histogram<u64>,
    pub(super) faults: Faults,
}

#[derive(Debug)]
struct Flight {
    // When the message was to be sent, which is not when it was sent if that was late (coordinated omission).
    due: Instant,
    sender: usize,
    // Which number it has in the room, as the first that got it was told.
    seq: Option<Seq>,
    // Connections that don't have it yet.
    missing: u32,
    acknowledged: bool,
    measured: bool,
}

/// A message that is about to be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing {
    pub(super) request: RequestId,
    pub(super) message: MessageId,
}

impl Tally {
    /// For connections that have the room's messages up to these numbers.
    pub(super) fn new(last: Vec<Seq>) -> Self {
        let MessageId([run @ .., _, _, _, _, _, _, _, _]) = MessageId::new(Timestamp::now(), &mut rand::rng());
        Self {
            run,
            last,
            flights: VecDeque::new(),
            first: 0,
            measuring: false,
            accepted: 0,
            delivered: 0,
            delivery: histogram(),
            acceptance: histogram(),
            faults: Faults::default(),
        }
    }

    /// What is sent from now on is measured.
    pub(super) fn start(&mut self) {
        self.measuring = true;
        (self.accepted, self.delivered) = (0, 0);
    }

    /// How many messages there are since the oldest that is not acknowledged yet, or that a connection doesn't have.
    pub(super) fn under_way(&self) -> usize {
        self.flights.len()
    }

    /// A message is sent to all connections.
    pub(super) fn send(&mut self, sender: usize, due: Instant) -> Outgoing {
        let number = self.first + self.flights.len() as u64;
        let missing = u32::try_from(self.last.len()).unwrap_or(u32::MAX);
        let measured = self.measuring;
        self.flights.push_back(Flight { due, sender, seq: None, missing, acknowledged: false, measured });
        let mut id = [0; 16];
        for (slot, byte) in id.iter_mut().zip(self.run.into_iter().chain(number.to_be_bytes())) {
            *slot = byte;
        }
        Outgoing { request: JOIN + 1 + number, message: MessageId(id) }
    }

    /// A connection got a message.
    pub(super) fn said(&mut self, index: usize, sighting: Sighting, now: Instant) {
        let Some(last) = self.last.get_mut(index) else { return };
        if sighting.seq <= *last {
            self.faults.duplicated += 1;
            return;
        }
        self.faults.disordered += u64::from(sighting.seq != last.next());
        *last = sighting.seq;
        let Some(number) = self.number(sighting.message) else { return };
        self.delivered += 1;
        let Some(flight) = self.flight(number) else { return };
        flight.missing = flight.missing.saturating_sub(1);
        let (due, measured) = (flight.due, flight.measured);
        if *flight.seq.get_or_insert(sighting.seq) != sighting.seq {
            self.faults.disordered += 1;
        }
        if measured {
            record(&mut self.delivery, now.saturating_duration_since(due));
        }
        self.forget();
    }

    /// The server has acknowledged a message. Returns its sender.
    pub(super) fn accepted(&mut self, request: RequestId, seq: Seq, now: Instant) -> Option<usize> {
        self.accepted += 1;
        let flight = self.flight(request.checked_sub(JOIN + 1)?)?;
        flight.acknowledged = true;
        let (due, measured, sender) = (flight.due, flight.measured, flight.sender);
        if flight.seq.is_some_and(|delivered| delivered != seq) {
            self.faults.disordered += 1;
        }
        if measured {
            record(&mut self.acceptance, now.saturating_duration_since(due));
        }
        self.forget();
        Some(sender)
    }

    /// The server has refused a message: nobody will get it. Returns its sender.
    pub(super) fn refused(&mut self, request: RequestId) -> Option<usize> {
        self.faults.refused += 1;
        let flight = self.flight(request.checked_sub(JOIN + 1)?)?;
        flight.acknowledged = true;
        flight.missing = 0;
        let sender = flight.sender;
        self.forget();
        Some(sender)
    }

    /// Nothing more will come: what is still missing is lost.
    pub(super) fn finish(&mut self) {
        for flight in self.flights.drain(..) {
            self.faults.unacknowledged += u64::from(!flight.acknowledged);
            // What was never acknowledged may be lost: nobody was promised anything.
            self.faults.lost += if flight.acknowledged { u64::from(flight.missing) } else { 0 };
        }
    }

    /// The number of a message of this run.
    fn number(&self, message: MessageId) -> Option<u64> {
        let (run, number) = message.0.split_first_chunk::<8>()?;
        (*run == self.run).then_some(u64::from_be_bytes(number.try_into().ok()?))
    }

    fn flight(&mut self, number: u64) -> Option<&mut Flight> {
        self.flights.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn forget(&mut self) {
        while self.flights.front().is_some_and(|flight| flight.missing == 0 && flight.acknowledged) {
            self.flights.pop_front();
            self.first += 1;
        }
    }
}

/// For nanoseconds up to an hour, to three digits.
#[expect(clippy::expect_used, reason = "one to five digits, and bounds that are further apart than a factor of two")]
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("valid bounds and digits")
}

pub(super) fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tally of two connections, and one message under way.
    fn tally() -> (Tally, Outgoing, Instant) {
        let mut tally = Tally::new(vec![Seq(7), Seq(7)]);
        tally.start();
        let now = Instant::now();
        let outgoing = tally.send(1, now);
        (tally, outgoing, now)
    }

    fn sighting(outgoing: Outgoing, seq: u64) -> Sighting {
        Sighting { seq: Seq(seq), message: outgoing.message }
    }

    #[test]
    fn a_message_that_all_have_and_that_is_acknowledged_is_forgotten() {
        let (mut tally, outgoing, start) = tally();
        let later = start + Duration::from_millis(3);
        tally.said(0, sighting(outgoing, 8), later);
        tally.said(1, sighting(outgoing, 8), later);
        assert!(tally.under_way() == 1);
        assert_eq!(tally.accepted(outgoing.request, Seq(8), later), Some(1));
        assert!(tally.under_way() == 0);
        tally.finish();
        assert!(tally.faults.is_empty(), "{:?}", tally.faults);
        assert_eq!((tally.accepted, tally.delivered), (1, 2));
        assert_eq!((tally.delivery.len(), tally.acceptance.len()), (2, 1));
        assert!(tally.delivery.min() > 2_990_000 && tally.delivery.max() < 3_010_000);
    }

    #[test]
    fn what_is_acknowledged_and_does_not_arrive_is_lost() {
        let (mut tally, outgoing, now) = tally();
        tally.said(0, sighting(outgoing, 8), now);
        tally.accepted(outgoing.request, Seq(8), now);
        tally.finish();
        assert_eq!((tally.faults.lost, tally.faults.unacknowledged), (1, 0));
    }

    #[test]
    fn what_is_never_acknowledged_is_told_apart_from_what_is_lost() {
        let (mut tally, outgoing, now) = tally();
        tally.said(0, sighting(outgoing, 8), now);
        tally.finish();
        assert_eq!((tally.faults.lost, tally.faults.unacknowledged), (0, 1));
    }

    #[test]
    fn a_second_delivery_a_gap_and_two_numbers_are_noticed() {
        let (mut tally, outgoing, now) = tally();
        tally.said(0, sighting(outgoing, 8), now);
        tally.said(0, sighting(outgoing, 8), now);
        assert_eq!((tally.faults.duplicated, tally.faults.disordered), (1, 0));
        // The other connection hears it as the message after a missing one, which is another number, too.
        tally.said(1, sighting(outgoing, 9), now);
        assert_eq!((tally.faults.duplicated, tally.faults.disordered), (1, 2));
        tally.accepted(outgoing.request, Seq(10), now);
        assert_eq!(tally.faults.disordered, 3);
    }

    #[test]
    fn a_refused_message_is_waited_for_by_nobody() {
        let (mut tally, outgoing, _) = tally();
        assert_eq!(tally.refused(outgoing.request), Some(1));
        assert!(tally.under_way() == 0);
        assert_eq!(tally.faults.refused, 1);
    }

    #[test]
    fn what_others_say_counts_for_the_order_alone() {
        let (mut tally, outgoing, now) = tally();
        let others = Sighting { seq: Seq(8), message: MessageId([0; 16]) };
        tally.said(0, others, now);
        tally.said(0, sighting(outgoing, 9), now);
        assert!(tally.faults.is_empty());
        assert_eq!(tally.delivered, 1);
    }
}
