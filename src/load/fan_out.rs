//! Messages to a room: some of its members send, all of them get everything.

use std::time::{Duration, Instant};

use super::crowd::{Crowd, Entry};
use super::member::Happening;
use super::meter::{Measured, Meter, Process};
use super::report::{FanOutReport, Latency};
use super::tally::{Outgoing, Tally};
use super::{LoadError, PARALLEL, Progress, Stage};
use crate::model::RoomName;
use crate::proto::message::{Body, Post, Request};

/// Sent before anything is measured: caches fill, buffers grow, clocks speed up.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long after the last message its delivery is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often progress is told.
const TELL: Duration = Duration::from_millis(100);

/// What is sent.
#[derive(Debug, Clone)]
pub struct FanOut {
    /// How many of the connections send.
    pub senders: usize,
    /// Of each message, bytes.
    pub size: usize,
    /// How fast.
    pub pace: Pace,
    /// How much.
    pub amount: Amount,
}

/// How fast messages are sent.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// So many a second, of all senders together, whatever the server does.
    Rate(f64),
    /// Each sender has so many under way that are not acknowledged yet.
    Window(u32),
}

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub enum Amount {
    /// For so long.
    Time(Duration),
    /// So many messages.
    Count(u64),
}

struct Run<'a> {
    crowd: &'a mut Crowd,
    plan: &'a FanOut,
    tally: Tally,
    text: String,
    // Messages of each sender that are not acknowledged.
    under_way: Vec<u32>,
    next_sender: usize,
    is_cut: bool,
}

/// Makes `connections` connections, sends messages from some of them, and follows each to all of them. `server` is the
/// server's process, if it runs on this machine.
///
/// # Errors
/// [`LoadError`] if a connection doesn't get in. What the server does wrong afterwards is in the report.
pub fn fan_out(
    crowd: &mut Crowd,
    connections: usize,
    plan: &FanOut,
    server: Option<Process>,
    progress: Progress<'_>,
) -> Result<FanOutReport, LoadError> {
    let mut last = Vec::new();
    crowd.enter(connections, PARALLEL, Entry::Resumed, |seq, _| {
        last.push(seq);
        progress(Stage::Connecting, count(last.len() as u64) / count(connections as u64));
    })?;
    let senders = plan.senders.min(crowd.len());
    let mut run = Run {
        crowd,
        plan,
        tally: Tally::new(last),
        text: "x".repeat(plan.size),
        under_way: vec![0; senders],
        next_sender: 0,
        is_cut: false,
    };
    run.send(Amount::Time(WARM_UP), Stage::WarmingUp, progress)?;
    run.tally.start();
    let meter = Meter::start(server);
    run.send(plan.amount, Stage::Measuring, progress)?;
    run.settle(progress)?;
    let Measured { seconds, server, load_cores } = meter.stop();

    let mut tally = run.tally;
    tally.finish();
    Ok(FanOutReport {
        clients: crowd.len(),
        senders,
        size: plan.size,
        seconds,
        accepted: tally.accepted,
        accepted_per_s: count(tally.accepted) / seconds,
        delivered: tally.delivered,
        delivered_per_s: count(tally.delivered) / seconds,
        delivery: Latency::of(&tally.delivery),
        acceptance: Latency::of(&tally.acceptance),
        delivery_times: tally.delivery,
        acceptance_times: tally.acceptance,
        server,
        cpu_s_per_million: server.map(|cost| cost.cpu_s / count(tally.delivered) * 1e6),
        load_cores,
        faults: tally.faults,
    })
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
pub(super) fn count(count: u64) -> f64 {
    count as f64
}

impl Run<'_> {
    /// Sends.
    fn send(&mut self, amount: Amount, stage: Stage, progress: Progress<'_>) -> Result<(), LoadError> {
        let start = Instant::now();
        let (mut sent, mut told) = (0, start);
        while !self.is_cut {
            let now = Instant::now();
            let elapsed = now - start;
            let done = match amount {
                Amount::Time(time) => elapsed.as_secs_f64() / time.as_secs_f64(),
                Amount::Count(all) => count(sent) / count(all),
            };
            if done >= 1.0 {
                break;
            }
            if now >= told + TELL {
                told = now;
                progress(stage, done);
            }
            let left = match amount {
                Amount::Time(_) => u64::MAX,
                Amount::Count(all) => all - sent,
            };
            let until = match self.plan.pace {
                Pace::Rate(rate) => {
                    let due = |number: u64| start + Duration::from_secs_f64(count(number) / rate);
                    while due(sent) <= now && sent < left.saturating_add(sent) && self.post(due(sent)) {
                        sent += 1;
                    }
                    due(sent)
                }
                Pace::Window(window) => {
                    sent += self.fill(window, left, now);
                    now + TELL
                }
            };
            let end = match amount {
                Amount::Time(time) => start + time,
                Amount::Count(_) => until,
            };
            self.turn(until.min(end))?;
        }
        Ok(())
    }

    /// Posts as many messages as the window allows. Returns how many.
    fn fill(&mut self, window: u32, most: u64, now: Instant) -> u64 {
        let mut sent = 0;
        // What is acknowledged may not have reached all. If they fell further and further behind, because this side is
        // what limits, they would be too slow for the server in the end, and that is not what is measured.
        if self.tally.under_way() >= 2 * window as usize * self.under_way.len() {
            return 0;
        }
        for sender in 0..self.under_way.len() {
            while sent < most && self.under_way.get(sender).is_some_and(|under_way| *under_way < window) {
                self.post_from(sender, now);
                sent += 1;
            }
        }
        self.flush();
        sent
    }

    /// Posts one message, from the sender whose turn it is. Returns whether that could be done.
    fn post(&mut self, due: Instant) -> bool {
        let sender = self.next_sender;
        // What can't be sent waits, and the time it waits is counted.
        if self.crowd.member(sender).is_none_or(|member| member.is_clogged()) {
            return false;
        }
        self.next_sender = (sender + 1) % self.under_way.len().max(1);
        self.post_from(sender, due);
        if let Some(member) = self.crowd.member(sender) {
            member.flush();
        }
        true
    }

    fn post_from(&mut self, sender: usize, due: Instant) {
        let Outgoing { request, message } = self.tally.send(sender, due);
        let body = Body::Text { text: self.text.clone() };
        let post = Post { room: RoomName::lobby(), message, body, retry: false, after: None, urgent: false };
        if let Some(member) = self.crowd.member(sender) {
            member.ask(request, &Request::Post(post));
        }
        if let Some(under_way) = self.under_way.get_mut(sender) {
            *under_way += 1;
        }
    }

    fn flush(&mut self) {
        for sender in 0..self.under_way.len() {
            if let Some(member) = self.crowd.member(sender) {
                member.flush();
            }
        }
    }

    /// Waits until everything that was sent has arrived.
    fn settle(&mut self, progress: Progress<'_>) -> Result<(), LoadError> {
        progress(Stage::Finishing, 1.0);
        let deadline = Instant::now() + PATIENCE;
        while !self.is_cut && self.tally.under_way() > 0 && Instant::now() < deadline {
            self.turn(deadline)?;
        }
        Ok(())
    }

    fn turn(&mut self, until: Instant) -> Result<(), LoadError> {
        let Self { crowd, tally, under_way, is_cut, .. } = self;
        let mut settled = |sender: Option<usize>| {
            if let Some(under_way) = sender.and_then(|sender| under_way.get_mut(sender)) {
                *under_way = under_way.saturating_sub(1);
            }
        };
        Ok(crowd.turn(until, |index, happening, now| match happening {
            Happening::Said(sighting) => tally.said(index, sighting, now),
            Happening::Accepted(request, seq) => settled(tally.accepted(request, seq, now)),
            Happening::Refused(request, refused) => {
                tally.faults.first_reason.get_or_insert(refused.text);
                settled(tally.refused(request));
            }
            Happening::Gone(ended) => {
                tally.faults.disconnected += 1;
                tally.faults.first_reason.get_or_insert(ended.to_string());
                *is_cut = true;
            }
            Happening::Entered(_) => {}
        })?)
    }
}
