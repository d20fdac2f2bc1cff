//! `rsachat::load::fan_out` over again, for NATS: one thread, one poll, the same turn, the same points in time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};
use rsachat::load::{Amount, FanOut, Pace, Process};
use rustls::ClientConfig;

use super::member::Member;
use crate::outcome::{Outcome, Usage};

const WARM_UP: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);
const READ_BYTES: usize = 64 * 1024;
/// How long to wait where nothing is due.
const IDLE: Duration = Duration::from_millis(100);

/// Subscribers of one subject, some of which publish.
pub(crate) struct Crowd {
    members: Vec<Member>,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
}

/// What became of each message.
struct Tally {
    flights: VecDeque<Flight>,
    // The number of the first of them.
    first: u64,
    members: u32,
    measuring: bool,
    // Messages of each sender that it has not heard itself.
    under_way: Vec<u32>,
    delivered: u64,
    delivery: Histogram<u64>,
}

struct Flight {
    due: Instant,
    sender: usize,
    missing: u32,
    measured: bool,
}

struct Run<'a> {
    crowd: &'a mut Crowd,
    plan: &'a FanOut,
    tally: Tally,
    message: Vec<u8>,
    next_sender: usize,
}

impl Crowd {
    /// Connects so many.
    pub(crate) fn enter(address: SocketAddr, config: &Arc<ClientConfig>, count: usize) -> Self {
        let poll = Poll::new().unwrap();
        let mut members: Vec<_> = (0..count).map(|_| Member::enter(address, config)).collect();
        for (index, member) in members.iter_mut().enumerate() {
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut member.stream, Token(index), both).unwrap();
        }
        Self { members, poll, events: Events::with_capacity(1024), buffer: vec![0; READ_BYTES] }
    }

    /// Sends messages from some connections, and follows each to all of them.
    pub(crate) fn fan_out(&mut self, plan: &FanOut, server: Process) -> Outcome {
        let tally = Tally {
            flights: VecDeque::new(),
            first: 0,
            members: u32::try_from(self.members.len()).unwrap(),
            measuring: false,
            under_way: vec![0; plan.senders],
            delivered: 0,
            delivery: Histogram::new_with_bounds(1, 3_600_000_000_000, 3).unwrap(),
        };
        let mut run = Run { crowd: self, plan, tally, message: vec![b'x'; plan.size], next_sender: 0 };
        run.send(Amount::Time(WARM_UP));
        run.tally.measuring = true;
        run.tally.delivered = 0;
        let usage = Usage::start(server);
        run.send(plan.amount);
        run.settle();
        let Tally { delivered, delivery, .. } = run.tally;
        usage.stop(delivered, delivery)
    }

    fn turn(&mut self, until: Instant, tally: &mut Tally) {
        let wait = until.saturating_duration_since(Instant::now());
        // As in `rsachat::load`: the last millisecond is spent asking again and again.
        let wait = Duration::from_millis(u64::try_from(wait.as_millis()).unwrap().saturating_sub(1));
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return,
            result => result.unwrap(),
        }
        for event in &self.events {
            let index = event.token().0;
            let member = self.members.get_mut(index).unwrap();
            member.advance(&mut self.buffer, |message, now| tally.said(index, message, now));
        }
    }
}

impl Tally {
    fn said(&mut self, index: usize, message: &[u8], now: Instant) {
        self.delivered += 1;
        let number = u64::from_be_bytes(*message.first_chunk().unwrap());
        // Core NATS keeps each publisher's order, and that is all that is expected here.
        let flight = self.flights.get_mut(usize::try_from(number - self.first).unwrap()).unwrap();
        flight.missing = flight.missing.checked_sub(1).unwrap();
        if flight.measured {
            self.delivery
                .saturating_record(u64::try_from(now.saturating_duration_since(flight.due).as_nanos()).unwrap());
        }
        if flight.sender == index {
            *self.under_way.get_mut(index).unwrap() -= 1;
        }
        while self.flights.front().is_some_and(|flight| flight.missing == 0) {
            self.flights.pop_front();
            self.first += 1;
        }
    }
}

impl Run<'_> {
    fn send(&mut self, amount: Amount) {
        let Amount::Time(time) = amount else { panic!("only times are measured here") };
        let start = Instant::now();
        let mut sent = 0;
        loop {
            let now = Instant::now();
            if now - start >= time {
                return;
            }
            let until = match self.plan.pace {
                Pace::Rate(rate) => {
                    let due = |number: u32| start + Duration::from_secs_f64(f64::from(number) / rate);
                    while due(sent) <= now && self.post(due(sent)) {
                        sent += 1;
                    }
                    due(sent)
                }
                Pace::Window(window) => {
                    self.fill(window, now);
                    now + IDLE
                }
            };
            self.crowd.turn(until.min(start + time), &mut self.tally);
        }
    }

    fn fill(&mut self, window: u32, now: Instant) {
        for sender in 0..self.plan.senders {
            while self.tally.under_way.get(sender).is_some_and(|under_way| *under_way < window) {
                self.post_from(sender, now);
            }
        }
        for sender in 0..self.plan.senders {
            self.crowd.members.get_mut(sender).unwrap().flush();
        }
    }

    fn post(&mut self, due: Instant) -> bool {
        let sender = self.next_sender;
        if self.crowd.members.get(sender).unwrap().is_clogged() {
            return false;
        }
        self.next_sender = (sender + 1) % self.plan.senders;
        self.post_from(sender, due);
        self.crowd.members.get_mut(sender).unwrap().flush();
        true
    }

    fn post_from(&mut self, sender: usize, due: Instant) {
        let Tally { flights, first, members, measuring, under_way, .. } = &mut self.tally;
        let number = *first + flights.len() as u64;
        flights.push_back(Flight { due, sender, missing: *members, measured: *measuring });
        *under_way.get_mut(sender).unwrap() += 1;
        *self.message.first_chunk_mut().unwrap() = number.to_be_bytes();
        self.crowd.members.get_mut(sender).unwrap().publish(&self.message);
    }

    fn settle(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.tally.flights.is_empty() {
            assert!(Instant::now() < deadline, "nats-server lost messages");
            self.crowd.turn(deadline, &mut self.tally);
        }
    }
}
