//! What a client's user sees, and what must hold of it at any moment.

use std::collections::{BTreeMap, HashMap, HashSet};

use rsachat::client::session::{self, Answer, Arrival, Ask, Event, Seen, Until};
use rsachat::model::{Fingerprint, Incarnation, MessageId, Seq, StoredRecord, UserName};
use rsachat::proto::message::{ErrorCode, Refused, Stored};

use super::disk::Disk;
use super::said::Said;

/// What became of something that the user said.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Pending,
    Accepted(Seq),
    Refused(ErrorCode),
}

/// A message on a screen, and who numbered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shown {
    message: MessageId,
    by: Incarnation,
}

/// One client's screen, from its start to its end.
#[derive(Debug)]
pub(super) struct Screen {
    user: UserName,
    key: Fingerprint,
    incarnation: Incarnation,
    pub(super) online: bool,
    pub(super) entered: bool,
    /// What stands there.
    shown: BTreeMap<Seq, Shown>,
    ids: HashSet<MessageId>,
    /// What is known to be missing.
    missed: HashSet<Seq>,
    /// The last number that was accounted for.
    last: Option<Seq>,
    /// What the user said, in that order, and what became of it.
    said: Vec<MessageId>,
    fates: HashMap<MessageId, Fate>,
    /// Questions without answers.
    pub(super) asked: Vec<Ask>,
    answers: Vec<(Ask, Result<Answer, Refused>)>,
    pub(super) withdrawn: usize,
}

/// What the server knows, for comparison.
#[derive(Clone, Copy)]
pub(super) struct Truth<'a> {
    pub(super) disk: &'a Disk,
    pub(super) said: &'a Said,
    /// Messages that a client can miss at most before some are gone.
    pub(super) window: u64,
    /// The last number given, by any run.
    pub(super) highest: Seq,
}

impl Screen {
    pub(super) fn new(user: UserName, key: Fingerprint) -> Self {
        Self {
            user,
            key,
            incarnation: Incarnation(0),
            online: false,
            entered: false,
            shown: BTreeMap::new(),
            ids: HashSet::new(),
            missed: HashSet::new(),
            last: None,
            said: Vec::new(),
            fates: HashMap::new(),
            asked: Vec::new(),
            answers: Vec::new(),
            withdrawn: 0,
        }
    }

    pub(super) fn pending(&self) -> usize {
        self.fates.values().filter(|fate| **fate == Fate::Pending).count()
    }

    pub(super) fn see(&mut self, event: Event, truth: Truth<'_>) {
        match event {
            Event::Online(welcome) => {
                assert_eq!(welcome.user, self.user);
                assert!(welcome.incarnation >= self.incarnation, "the server went back in time");
                self.incarnation = welcome.incarnation;
                (self.online, self.entered) = (true, false);
            }
            Event::Offline { reason, .. } => {
                (self.online, self.entered) = (false, false);
                // The welcome may be stuck on the way.
                let broken = reason.contains("protocol") && !reason.ends_with("no welcome");
                assert!(!broken, "{reason}");
            }
            Event::Entered { .. } => self.entered = true,
            Event::NotEntered { refused, .. } => panic!("not let into the lobby: {refused:?}"),
            Event::Message { message, arrival, own, .. } => {
                assert_eq!(own, message.sender == self.user);
                self.message(&message, arrival, truth);
            }
            Event::Pending { id, .. } => {
                self.said.push(id);
                assert_eq!(self.fates.insert(id, Fate::Pending), None);
            }
            Event::Accepted { id, seq, time, .. } => {
                let place = truth.disk.find(self.user, id);
                assert_eq!(place, Some((seq, time)), "{id} was acknowledged and is not on disk");
                let (_, record) = truth.disk.at(seq).expect("an acknowledged message is in the log");
                assert_eq!((record.message, record.sender), (id, self.user), "another message has its number");
                assert_eq!(self.fates.insert(id, Fate::Accepted(seq)), Some(Fate::Pending), "answered twice");
            }
            Event::Refused { id, refused, .. } => {
                let fate = Fate::Refused(refused.code);
                assert_eq!(self.fates.insert(id, fate), Some(Fate::Pending), "answered twice");
            }
            Event::Undelivered { id, .. } => assert_eq!(self.fates.get(&id), Some(&Fate::Pending)),
            Event::Withdrawn { after, messages, .. } => self.withdraw(after, &messages, truth),
            Event::Missed { gone, .. } => {
                // Who came when nothing had been said was not shown where he was.
                let Some(last) = self.last else { return };
                for seq in (1..=gone).map(|n| Seq(last.0 + n)) {
                    assert!(seq.0 + truth.window <= truth.highest.0, "{seq} is not gone");
                    self.missed.insert(seq);
                }
                self.last = Some(Seq(last.0 + gone));
            }
            Event::Answered { ask, answer } => {
                let at = self.asked.iter().position(|asked| *asked == ask).expect("an answer to a question");
                self.asked.remove(at);
                if let (Ask::History { until, limit, .. }, Ok(Answer::History { messages, .. })) = (&ask, &answer) {
                    self.history(messages, *until, *limit, truth);
                }
                self.answers.push((ask, answer));
            }
            Event::Acted(_) | Event::Membership(_) | Event::Left { .. } => panic!("nobody decides anything"),
            Event::Withheld { .. }
            | Event::Repeated { .. }
            | Event::Receipt(_)
            | Event::KeyChanged { .. }
            | Event::Trusted { .. }
            | Event::BeforeYou { .. }
            | Event::ShutOut { .. }
            | Event::BadRoster { .. }
            | Event::Preferred(_) => panic!("nobody says anything to one alone"),
            Event::Notice(text) => panic!("{text}"),
            Event::Delayed { .. } | Event::Presence(_) => {}
        }
    }

    fn message(&mut self, message: &Stored, arrival: Arrival, truth: Truth<'_>) {
        let (by, publication) = truth.said.find(self.incarnation, message);
        if arrival == Arrival::Live {
            let registered = publication.registered.get(&self.user);
            assert_eq!(registered, Some(&self.key), "{} gets what was said without him", self.user);
            assert!(self.entered, "a message as it is said, before what was missed");
        }
        if let Some(last) = self.last {
            assert_eq!(message.seq, last.next(), "out of order");
        }
        self.last = Some(message.seq);
        assert!(self.ids.insert(message.message), "{} is shown twice", message.message);
        self.shown.insert(message.seq, Shown { message: message.message, by });
    }

    fn withdraw(&mut self, after: Seq, told: &[Seen], truth: Truth<'_>) {
        let gone = self.shown.split_off(&after.next());
        self.missed.retain(|seq| *seq <= after);
        let told: BTreeMap<Seq, MessageId> = told.iter().map(|seen| (seen.seq, seen.message)).collect();
        assert!(
            told.iter().all(|(seq, id)| gone.get(seq).is_some_and(|it| it.message == *id)),
            "withdrawn, but never shown"
        );
        assert!(told.len() == gone.len().min(256), "withdrawn without a word");
        for (seq, Shown { message, by }) in &gone {
            self.ids.remove(message);
            let stored = truth.disk.at(*seq);
            assert!(
                stored.is_none_or(|(other, record)| (other, record.message) != (*by, *message)),
                "{seq} is on disk"
            );
            assert_ne!(self.fates.get(message), Some(&Fate::Accepted(*seq)), "acknowledged and withdrawn");
        }
        self.last = self.last.map(|last| last.min(after));
        self.withdrawn += gone.len();
    }

    fn history(&self, messages: &[session::Said], until: Until, limit: Option<u32>, truth: Truth<'_>) {
        let messages: Vec<&Stored> = messages.iter().map(|said| &said.message).collect();
        for message in &messages {
            truth.said.find(self.incarnation, message);
        }
        assert!(messages.is_sorted_by(|a, b| a.seq.next() == b.seq), "a history with gaps");
        assert!(limit.is_none_or(|limit| messages.len() <= limit as usize), "a history longer than asked for");
        if let (Until::Before(before), Some(last)) = (until, messages.last()) {
            assert_eq!(last.seq.next(), before, "a history that ends elsewhere than asked for");
        }
    }

    /// The last answer to a question like this.
    pub(super) fn last_answer(&self, like: &Ask) -> Option<&Answer> {
        let (_, answer) = self.answers.iter().rfind(|(ask, _)| ask == like)?;
        answer.as_ref().ok()
    }

    /// What must hold when a client ends, however it does.
    pub(super) fn check_end(&self, undelivered: usize) {
        assert_eq!(self.pending(), undelivered, "the count of what was never acknowledged is wrong");
        let accepted: Vec<Seq> = self.said.iter().filter_map(|id| self.place(id)).collect();
        assert!(accepted.is_sorted(), "stored in another order than said: {accepted:?}");
    }

    fn place(&self, id: &MessageId) -> Option<Seq> {
        match self.fates.get(id) {
            Some(Fate::Accepted(seq)) => Some(*seq),
            _ => None,
        }
    }

    /// What must hold at the end of all, when nothing goes wrong any more.
    pub(super) fn check_final(&self, log: &[(Incarnation, StoredRecord)], backlog: u64) {
        self.check_end(0);
        let end = Seq(log.len() as u64);
        for (seq, shown) in &self.shown {
            let stored = log.get(usize::try_from(seq.0).unwrap() - 1);
            let stored = stored.map(|(by, record)| Shown { message: record.message, by: *by });
            assert_eq!(stored, Some(*shown), "{seq} is shown and not stored");
        }
        let Some(first) = self.shown.keys().chain(&self.missed).min() else {
            // All that a client came for may have been lost.
            assert!(backlog == 0 || log.is_empty() || self.withdrawn > 0, "nothing is shown");
            return;
        };
        for seq in (first.0..=end.0).map(Seq) {
            assert!(self.shown.contains_key(&seq) != self.missed.contains(&seq), "{seq} of {end} is not shown");
        }
    }
}
