//! Many connections in one thread.

use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::PATIENCE;
use super::client::Conn;

pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    pub(crate) conns: Vec<Conn>,
}

impl Crowd {
    pub(crate) fn new(conns: impl IntoIterator<Item = Conn>) -> Self {
        let mut crowd = Self { poll: Poll::new().unwrap(), events: Events::with_capacity(1024), conns: Vec::new() };
        conns.into_iter().for_each(|conn| crowd.add(conn));
        crowd
    }

    pub(crate) fn add(&mut self, mut conn: Conn) {
        let token = Token(self.conns.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut conn.stream, token, interest).unwrap();
        conn.advance();
        self.conns.push(conn);
        // Those before don't wait until all are here.
        self.turn(Duration::ZERO);
    }

    /// Lets those advance for whom something happens within `patience`.
    pub(crate) fn turn(&mut self, patience: Duration) {
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
            result => result.unwrap(),
        }
        for event in &self.events {
            self.conns[event.token().0].advance();
        }
    }

    /// Turns until `done`.
    pub(crate) fn wait(&mut self, what: &str, mut done: impl FnMut(&[Conn]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(&self.conns) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}");
            self.turn(left);
        }
    }

    /// Waits until all are let in.
    pub(crate) fn enter(&mut self) {
        let mut entered = 0;
        self.wait("all welcomes", |conns| {
            // Those before are in: each is looked at once.
            while let Some(conn) = conns.get(entered) {
                assert!(conn.ended.is_none(), "{:?}", conn.ended);
                if conn.welcome.is_none() {
                    return false;
                }
                entered += 1;
            }
            true
        });
    }

    /// Sends a request on each, and waits until all are answered, none with a refusal.
    pub(crate) fn ask(&mut self, request: &rsachat::proto::message::Request) {
        let goal: Vec<u64> = self.conns.iter().map(|conn| conn.answers + 1).collect();
        for conn in &mut self.conns {
            conn.send(request);
            conn.advance();
        }
        self.wait("all answers", |conns| conns.iter().zip(&goal).all(|(conn, goal)| conn.answers >= *goal));
        assert!(self.conns.iter().all(|conn| conn.refusals == 0), "a request was refused");
    }
}
