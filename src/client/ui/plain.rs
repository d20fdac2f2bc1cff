//! The client in pipes and files: each line of standard input is a message or a command; messages come out on standard
//! output in the order of the room, the answers to commands there too, everything else on standard error. Of the rooms that
//! the user is in, one is looked at: the one named at the start, or the last one that was joined or made. The others gather
//! what is said in them. If a room can't be made, nothing that follows is said anywhere else.
//!
//! The end of the input waits until everything said is acknowledged and everything asked is answered, then leaves. A
//! reader that has gone away ends it quietly.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::input::{LINE_BYTES, Line, UNANSWERED, read_line};
use super::render::{Form, Questions};
use super::{About, Ended, News, Stage, choose, commands, event_weight, is_about_the_room, oneself, room_of, show};
use crate::client::commands::{self as typed, Action, Mistake};
use crate::client::driver::{Handle, Told};
use crate::client::gate::Gate;
use crate::client::session::{Ask, Command, Event};
use crate::error::{Error, Exit};
use crate::model::RoomName;
use crate::proto::message::Membership;
use crate::term::Term;

/// Most messages that a room gathers while nobody looks, and most bytes of them; older ones are in the history.
const GATHERED: usize = 200;
const GATHERED_BYTES: usize = 128 << 10;

/// What was said in a room that nobody looked at.
#[derive(Debug, Default)]
struct Gathered {
    events: VecDeque<Event>,
    bytes: usize,
    /// Messages that were too many.
    dropped: usize,
}

impl Gathered {
    fn push(&mut self, event: Event) {
        self.bytes += event_weight(&event);
        self.events.push_back(event);
        while self.events.len() > GATHERED || self.bytes > GATHERED_BYTES {
            let Some(first) = self.events.pop_front() else { return };
            self.bytes -= event_weight(&first);
            self.dropped += usize::from(matches!(first, Event::Message { .. }));
        }
    }
}

/// Chats until the input ends, or the session.
///
/// # Errors
/// What writing to standard output meets.
pub(super) fn run(term: &Term, about: &About, stage: &Stage) -> Result<Ended, Error> {
    let mut renderer = about.renderer(term.out_paint(), Form::Lines);
    let (unanswered, refused) = (Arc::new(Gate::new(UNANSWERED)), Arc::new(AtomicUsize::new(0)));
    let (makes, made) = channel();
    let mut looked_at = about.room;
    let mut elsewhere: BTreeMap<RoomName, Gathered> = BTreeMap::new();
    let feeder = Feeder {
        term: term.clone(),
        about: about.clone(),
        news: stage.sender.clone(),
        handle: stage.handle.clone(),
        questions: renderer.questions(),
        unanswered: Arc::clone(&unanswered),
        made,
        refused: Arc::clone(&refused),
    };
    // Reading may block for ever, and so it never holds up the end of the program.
    std::thread::spawn(move || feeder.feed());
    let mut signal = None;
    while let Some(news) = stage.next() {
        match news {
            News::Told(Told::Over { outcome, undelivered }) => {
                return Ok(Ended { outcome, undelivered, refused: refused.load(Ordering::Relaxed), signal });
            }
            News::Told(Told::Event(event)) => {
                match &event {
                    Event::Accepted { .. } | Event::Answered { answer: Ok(_), .. } => unanswered.leave(1),
                    Event::Refused { .. } | Event::Undelivered { .. } | Event::Answered { answer: Err(_), .. } => {
                        refused.fetch_add(1, Ordering::Relaxed);
                        unanswered.leave(1);
                    }
                    _ => {}
                }
                if let Event::Answered { ask: Ask::Create { .. }, answer } = &event {
                    // Nobody waits for it any more where the input has ended.
                    let _ = makes.send(answer.is_ok());
                }
                if let Event::Left { room } | Event::Membership(Membership { room, member: false, .. }) = &event {
                    elsewhere.remove(room);
                }
                // What becomes of the user's own lines is told wherever they went.
                let own = matches!(event, Event::Refused { .. } | Event::Undelivered { .. });
                match room_of(&event).filter(|room| !own && *room != looked_at) {
                    None => show(term, renderer.event(&event))?,
                    Some(room) => match event {
                        // Who looks later has no use for it.
                        Event::Presence(_)
                        | Event::Entered { .. }
                        | Event::Pending { .. }
                        | Event::Delayed { .. }
                        | Event::Accepted { .. }
                        | Event::Receipt(_) => {}
                        _ => elsewhere.entry(room).or_default().push(event),
                    },
                }
            }
            News::LooksAt(room) => {
                looked_at = room;
                let Gathered { events, dropped, .. } = elsewhere.remove(&room).unwrap_or_default();
                if dropped > 0 {
                    term.note(format_args!("-- {dropped} messages before these are in the /history"));
                }
                for event in &events {
                    show(term, renderer.event(event))?;
                }
            }
            News::Signal(exit) => {
                signal = Some(exit);
                stage.handle.send(Command::Leave { patience: Duration::ZERO });
            }
            // Those come from a terminal.
            News::Typed(_) | News::Mistyped(_) | News::Back | News::GoesOn => {}
        }
    }
    Err(Error::failure("the connection's thread has ended"))
}

/// Reads the input.
struct Feeder {
    term: Term,
    about: About,
    news: Sender<News>,
    handle: Handle,
    questions: Questions,
    unanswered: Arc<Gate>,
    // Whether the room is there that was to be made.
    made: Receiver<bool>,
    refused: Arc<AtomicUsize>,
}

impl Feeder {
    fn feed(&self) {
        // The one that is looked at; none if it could not be made.
        let mut room = Some(self.about.room);
        let mut input = std::io::stdin().lock();
        let mut line = Vec::new();
        loop {
            line.clear();
            match read_line(&mut input, &mut line) {
                Ok(Line::End) => break,
                Ok(Line::Whole) => {}
                Ok(Line::TooLong) => {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    let error = Error::new(Exit::Refused, format_args!("a line of more than {LINE_BYTES} bytes"));
                    self.term.report(&error.hint("send it in parts"));
                    continue;
                }
                Err(error) => {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    self.term.report(&Error::failure(error).context("can't read standard input"));
                    break;
                }
            }
            match self.take(&mut room, String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n'])) {
                Ok(true) => {}
                Ok(false) => break,
                // The reader of the answers has gone away: the session ends when it says so, or something else does.
                Err(error) => {
                    self.term.report(&error);
                    break;
                }
            }
        }
        // What was said may take as long as it takes: the session knows when it is of no use to wait.
        self.handle.send(Command::Leave { patience: Duration::MAX });
    }

    /// Does what a line asks for; says whether to go on.
    fn take(&self, room: &mut Option<RoomName>, line: &str) -> Result<bool, Error> {
        let chosen = |action| match action {
            Action::Choose(number) => choose(&self.questions, number),
            action => Ok(action),
        };
        let action = match typed::parse(line).and_then(chosen) {
            Ok(action) => action,
            Err(mistake) => {
                self.mistaken(&mistake);
                return Ok(true);
            }
        };
        if let Some(mistake) = oneself(&action, self.about.me) {
            self.mistaken(&mistake);
            return Ok(true);
        }
        if room.is_none() && is_about_the_room(&action) {
            let text = "you are in no room: the last one could not be made".to_owned();
            self.mistaken(&Mistake { text, hint: "/join #ROOM".to_owned() });
            return Ok(true);
        }
        if let Some(commands) = commands(&action, room.unwrap_or(self.about.room), self.about.me) {
            if let Action::Join(place) = action
                && let Some(other) = place.room(self.about.me)
            {
                // Before anything that comes of it.
                self.look_at(room, other);
            }
            for command in commands {
                if let Command::Post { .. } | Command::Ask(_) = command {
                    self.unanswered.enter(1);
                }
                self.handle.send(command);
            }
            if let Action::Create(other, _) = action {
                // What follows is for that room, and for no other.
                match self.made.recv() {
                    Ok(true) => self.look_at(room, other),
                    Ok(false) => *room = None,
                    Err(_) => return Ok(false),
                }
            }
            return Ok(true);
        }
        match action {
            Action::Leave => return Ok(false),
            Action::Switch(_) | Action::Topic | Action::Answer(_) | Action::Verify { .. } | Action::Preferences => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                let error = Error::new(Exit::Refused, "there is no screen for that");
                let hint = "/join #ROOM or /join @USER goes there, /msg USER TEXT says something to a user alone";
                self.term.report(&error.hint(hint));
            }
            Action::Fingerprint => {
                self.term.out(format_args!("server  {}", self.about.server))?;
                self.term.out(format_args!("you     {}", self.about.own))?;
            }
            Action::Manual(entry) => {
                for line in entry.map_or_else(typed::manual, typed::Entry::manual) {
                    self.term.out(line)?;
                }
            }
            _ => {}
        }
        Ok(true)
    }

    fn look_at(&self, room: &mut Option<RoomName>, other: RoomName) {
        *room = Some(other);
        // Nobody listens any more once the chat has ended.
        let _ = self.news.send(News::LooksAt(other));
    }

    fn mistaken(&self, mistake: &Mistake) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.term.report(&Error::new(Exit::Refused, mistake).hint(&mistake.hint));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::session::{Arrival, Seal};
    use crate::model::{MessageId, Seq, Timestamp};
    use crate::proto::message::{Body, Stored};

    #[test]
    fn a_room_gathers_so_much_and_counts_the_rest() {
        let mut gathered = Gathered::default();
        let room: RoomName = "#dev".parse().unwrap();
        gathered.push(Event::Missed { room, gone: 3 });
        let message = |seq: usize, text: &str| {
            let body = Some(Body::Text { text: text.to_owned() });
            let (seq, sender) = (Seq(seq as u64), "bob".parse().unwrap());
            let message = Stored { room, seq, time: Timestamp(0), sender, message: MessageId([0; 16]), body };
            Event::Message { message, arrival: Arrival::Live, own: false, seal: Seal::Open }
        };
        for seq in 1..=GATHERED + 5 {
            gathered.push(message(seq, "hello"));
        }
        assert_eq!((gathered.events.len(), gathered.dropped), (GATHERED, 5));
        assert_eq!(gathered.events.front(), Some(&message(6, "hello")));
        for seq in 0..100 {
            gathered.push(message(seq, &"x".repeat(8192)));
        }
        assert!(gathered.bytes <= GATHERED_BYTES && gathered.events.len() > 10);
        assert_eq!(gathered.bytes, gathered.events.iter().map(event_weight).sum::<usize>());
    }
}
