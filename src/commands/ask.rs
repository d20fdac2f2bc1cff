//! `rsachat ask`: asks something, and waits for somebody's answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::link;
use super::party::Party;
use crate::cli::AskArgs;
use crate::client::commands::Place;
use crate::client::driver::{Handle, Told};
use crate::client::session::{Answer, Ask, Command, Event, Outcome, Purpose, Seal, Settings, Trust};
use crate::config::ClientConfig;
use crate::error::{Error, Exit};
use crate::model::{Choice, MessageId, QuestionHash, RoomName, UserName};
use crate::proto::message::{Availability, Body, ErrorCode, Refused, Stored};
use crate::term::{Term, sanitise};

/// How long what is said at the end may take to be stored.
const GOODBYE: Duration = Duration::from_secs(5);
/// Characters of a question that are repeated when it is over, at most.
const REPEATED: usize = 60;

pub(super) fn run(term: &Term, args: &AskArgs) -> Result<(), Error> {
    let check = |user, _: &ClientConfig| whom(args, user);
    let (party, mut means, (room, from)) = Party::find(term, &args.talk, check)?;
    means.settings = Settings {
        room,
        purpose: Purpose::Follow { rooms: rooms(party.user, room, &from), from: BTreeMap::new() },
        // The time is looked at here.
        give_up: None,
        ..means.settings
    };
    let (tell, told) = channel();
    let driver = party.start(means, move |told| {
        // Nobody listens any more where it has failed.
        let _ = tell.send(told);
    })?;
    let body = Body::Question { text: args.question.clone(), choices: args.choices.clone() };
    let asking = Asking {
        term,
        args,
        me: party.user,
        room,
        from,
        hash: body.hash(),
        body: Some(body),
        handle: driver.handle(),
        id: None,
        is_member: room.is_direct(),
        is_asked: false,
        until: Instant::now() + args.timeout,
        result: None,
    };
    let (outcome, result) = asking.run(&told)?;
    driver.join();
    match (result, outcome) {
        (Some(result), _) => result,
        (None, Outcome::Left) => Err(Error::failure("nobody was asked")),
        (None, outcome) => Err(party.ended(outcome)),
    }
}

/// Where it is asked, and whose answer counts; everybody's if nobody is named.
fn whom(args: &AskArgs, me: UserName) -> Result<(RoomName, BTreeSet<UserName>), Error> {
    let named = args.whom.starts_with(['#', '@']);
    let text = if named { args.whom.clone() } else { format!("@{}", args.whom) };
    let place: Place = text.parse().map_err(Error::usage)?;
    let room = place.room(me).ok_or_else(|| Error::usage(format_args!("{me} is you")))?;
    let from = match place {
        Place::Room(_) => args.from.iter().copied().collect(),
        Place::User(user) if args.from.iter().all(|from| *from == user) => BTreeSet::from([user]),
        Place::User(user) => return Err(Error::usage(format_args!("--from: only {user} is asked"))),
    };
    if args.question.trim().is_empty() {
        return Err(Error::usage("there is no question: it is empty"));
    }
    Ok((room, from))
}

/// The rooms that this takes: where it is asked, and where whoever is asked answers, alone. None for all of the user's.
fn rooms(me: UserName, room: RoomName, from: &BTreeSet<UserName>) -> BTreeSet<RoomName> {
    if from.is_empty() {
        return BTreeSet::new();
    }
    from.iter().filter_map(|user| RoomName::direct(me, *user)).chain([room]).collect()
}

struct Asking<'a> {
    /// What is to be asked, as long as it is not.
    body: Option<Body>,
    term: &'a Term,
    args: &'a AskArgs,
    me: UserName,
    room: RoomName,
    from: BTreeSet<UserName>,
    hash: QuestionHash,
    handle: Handle,
    /// The question's.
    id: Option<MessageId>,
    /// Of the room.
    is_member: bool,
    /// The server has the question.
    is_asked: bool,
    until: Instant,
    /// What came of it; then it only takes leave.
    result: Option<Result<(), Error>>,
}

impl Asking<'_> {
    fn run(mut self, told: &Receiver<Told>) -> Result<(Outcome, Option<Result<(), Error>>), Error> {
        loop {
            let next = match self.result {
                None => told.recv_timeout(self.until.saturating_duration_since(Instant::now())),
                Some(_) => told.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(Told::Over { outcome, .. }) => return Ok((outcome, self.result)),
                Ok(Told::Event(event)) => self.heard(event)?,
                Err(RecvTimeoutError::Timeout) => {
                    self.is_over();
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Error::failure("the connection's thread has ended")),
            }
        }
    }

    fn heard(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Online(welcome) => {
                self.is_member |= welcome.rooms.contains(&self.room);
                if self.body.is_some() {
                    self.handle.send(Command::Ask(Ask::Whois { user: self.me }));
                }
            }
            Event::Answered { ask: Ask::Whois { .. }, answer } => self.may_ask(&answer),
            Event::Accepted { id, .. } if Some(id) == self.id => self.is_asked = true,
            Event::Pending { id, body: Body::Question { .. }, .. } => self.id = Some(id),
            Event::Refused { id, refused, .. } if Some(id) == self.id => self.refused(&refused),
            Event::NotEntered { room, refused } if room == self.room => self.refused(&refused),
            Event::NotEntered { room, refused } => self.misses(room, &refused),
            Event::Undelivered { id, .. } if Some(id) == self.id && self.result.is_none() => {
                self.end(Err(Error::refused("the server has not said whether it has the question")));
            }
            Event::Message { message, seal, .. } => return self.said(&message, seal),
            Event::KeyChanged { user, .. } if self.from.is_empty() || self.from.contains(&user) => {
                let text = format!("{user} has another key than the one that is trusted");
                let error = Error::new(Exit::PinMismatch, text);
                let error =
                    error.hint(format_args!("ask {user} whether it is his, then /trust {user} in rsachat connect"));
                if self.room.is_direct() {
                    self.end(Err(error));
                } else {
                    self.term.warn(error);
                }
            }
            Event::Notice(text) => self.term.note(sanitise(&text)),
            _ => {}
        }
        Ok(())
    }

    /// Asks, unless no answer could reach the user.
    fn may_ask(&mut self, answer: &Result<Answer, Refused>) {
        if let Ok(Answer::User(own, _)) = answer
            && own.status.availability == Availability::DoNotDisturb
        {
            let text = "you do not want to be disturbed: no answer would reach you";
            return self.end(Err(Error::new(Exit::DoNotDisturb, text).hint("/status online in rsachat connect")));
        }
        if let Some(body) = self.body.take() {
            self.handle.send(Command::Post { room: self.room, body, urgent: false });
        }
    }

    /// Somebody whose answer counts can't be reached.
    fn misses(&mut self, room: RoomName, refused: &Refused) {
        self.from.retain(|user| room.partner(self.me) != Some(*user));
        if self.from.is_empty() && !self.args.from.is_empty() {
            self.end(Err(link::refusal(Exit::NoUser, refused)));
        } else {
            self.term.warn(sanitise(&refused.text));
        }
    }

    /// Takes an answer, if it is one that counts.
    fn said(&mut self, message: &Stored, seal: Seal) -> Result<(), Error> {
        let Some(Body::Answer { question, asked, choice }) = &message.body else { return Ok(()) };
        let counts = message.sender != self.me && (self.from.is_empty() || self.from.contains(&message.sender));
        let is_answer = Some(*question) == self.id && self.args.choices.iter().any(|known| known == choice);
        if self.result.is_some() || !counts || !is_answer {
            return Ok(());
        }
        match seal {
            Seal::Sealed(Trust::Pinned | Trust::Verified) if **asked == self.hash => {
                self.answered(message.sender, choice)
            }
            Seal::Sealed(Trust::Pinned | Trust::Verified) => {
                let text = format!("{} was shown another question: the answer does not count", message.sender);
                self.term.warn(text);
                Ok(())
            }
            _ => {
                self.term.warn(format_args!(
                    "an answer of {} does not count: its key is not the trusted one",
                    message.sender
                ));
                Ok(())
            }
        }
    }

    fn answered(&mut self, user: UserName, choice: &Choice) -> Result<(), Error> {
        // Whoever reads it or not: the exit code says it, too, and those who were asked are told.
        let written = self.term.out(sanitise(choice.as_str()));
        if !self.room.is_direct() {
            self.say(&format!("has {user}'s answer, {choice}, to: {}", self.question()));
        }
        let number = self.args.choices.iter().position(|known| known == choice).unwrap_or_default();
        self.end(match u8::try_from(number) {
            Ok(0) => Ok(()),
            number => Err(Error::quiet(Exit::Choice(number.unwrap_or_default()))),
        });
        written.or_else(|error| if error.exit == Exit::Done { Ok(()) } else { Err(error) })
    }

    /// The time is over.
    fn is_over(&mut self) {
        let time = self.args.timeout.as_secs_f32();
        if self.is_asked {
            self.say(&format!("waits no longer for an answer to: {}", self.question()));
            self.end(Err(Error::new(Exit::TimedOut, format_args!("nobody has answered within {time} s"))));
        } else {
            let error = Error::network(format_args!("the server has not taken the question within {time} s"));
            self.end(Err(error.hint("is the server running, and is this its address?")));
        }
    }

    /// How the question begins, in one line.
    fn question(&self) -> String {
        let line = self.args.question.lines().next().unwrap_or_default();
        let begin: String = line.chars().take(REPEATED).collect();
        if begin.len() < self.args.question.len() { begin + "…" } else { begin }
    }

    fn refused(&mut self, refused: &Refused) {
        let exit = match refused.code {
            ErrorCode::NotFound if self.room.is_direct() => Exit::NoUser,
            ErrorCode::NotFound | ErrorCode::Forbidden if !self.is_member => {
                return self.end(Err(link::no_member(self.room, &format!("you are not in {}", self.room))));
            }
            ErrorCode::DoNotDisturb => Exit::DoNotDisturb,
            _ => Exit::Refused,
        };
        self.end(Err(link::refusal(exit, refused)));
    }

    /// Tells those who were asked how it ended.
    fn say(&self, text: &str) {
        let body = Body::Action { text: text.to_owned() };
        self.handle.send(Command::Post { room: self.room, body, urgent: false });
    }

    fn end(&mut self, result: Result<(), Error>) {
        if self.result.is_none() {
            self.result = Some(result);
            self.handle.send(Command::Leave { patience: GOODBYE });
        }
    }
}
