//! A session against a server that says what a test tells it to say, over a real link.

mod ending;
mod following;
mod membership;
mod private;
mod reading;
mod rooms;
mod sealed;
mod sending;
mod with_hub;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::crypto::rsa::PublicKey;
use crate::crypto::rsa::{OwnKey, PrivateKey, test_keys};
use crate::model::{Incarnation, Seq, Timestamp};
use crate::proto::handshake::client::Job;
use crate::proto::handshake::server::{Context, Directory};
use crate::proto::link::Ended;
use crate::proto::link::Server;
use crate::proto::message::{
    Accepted, Body, Joined, KeptSenderKey, Position, Refused, Reply, Request, RoomInfo, SenderKeyList, ServerMessage,
    Shutdown, Stored, Ticket,
};
use crate::proto::ticket::TicketKeys;

struct Registered(Option<PublicKey>);

impl Directory for Registered {
    fn find(&self, user: &UserName) -> Option<PublicKey> {
        self.0.clone().filter(|_| user.as_str() == "alice")
    }
}

fn server_key() -> Arc<PrivateKey> {
    static KEY: LazyLock<Arc<PrivateKey>> = LazyLock::new(|| {
        let pem = test_keys::server().to_pem().unwrap();
        Arc::new(PrivateKey::from_pem(&pem, None).unwrap())
    });
    Arc::clone(&KEY)
}

fn lobby() -> RoomName {
    RoomName::lobby()
}

fn text(text: &str) -> Body {
    Body::Text { text: text.to_owned() }
}

fn stored(seq: u64, sender: &str, what: &str) -> Stored {
    let id = MessageId([u8::try_from(seq % 256).unwrap(); 16]);
    let (sender, time) = (sender.parse().unwrap(), Timestamp(seq));
    Stored { room: lobby(), seq: Seq(seq), time, sender, message: id, body: Some(text(what)) }
}

fn settings() -> Settings {
    Settings {
        server: test_keys::server().public().clone(),
        user: "alice".parse().unwrap(),
        own: test_keys::alice().public().clone(),
        known: Known::default(),
        invite: None,
        receipts: true,
        room: lobby(),
        purpose: Purpose::Chat,
        give_up: None,
    }
}

/// A session, its server, and what lies between.
struct World {
    session: Session,
    now: Instant,
    rng: StdRng,
    context: Context,
    // What does the user's part.
    key: &'static dyn OwnKey,
    // The server's end, while there is a connection.
    link: Option<Link<Server>>,
    attempt: Attempt,
    // Whether there is a server to connect to.
    listening: bool,
    // Whether it says anything after the handshake.
    welcoming: bool,
    incarnation: u64,
    rooms: Vec<RoomName>,
    message_bytes: u32,
    // What came out since it was looked at.
    events: Vec<Event>,
    requests: Vec<(RequestId, Request)>,
    remembered: Vec<(UserName, Pin)>,
    read: Vec<(RoomName, Option<Position>)>,
    over: Option<(Outcome, usize)>,
    // How the handshakes were opened.
    resumed: Vec<bool>,
    closed_by_session: Option<CloseReason>,
    kept: Option<KeptTicket>,
}

impl World {
    fn with(settings: Settings) -> Self {
        let now = Instant::now();
        let context = Context {
            key: server_key(),
            directory: Arc::new(Registered(Some(test_keys::alice().public().clone()))),
            tickets: Arc::new(TicketKeys::generate(Timestamp(0), &mut StdRng::seed_from_u64(1))),
            now: Timestamp(0),
        };
        Self {
            session: Session::new(settings, StdRng::seed_from_u64(7), now, Timestamp(0)),
            now,
            rng: StdRng::seed_from_u64(2),
            context,
            key: test_keys::alice(),
            link: None,
            attempt: Attempt(0),
            listening: true,
            welcoming: true,
            incarnation: 1,
            rooms: vec![lobby()],
            message_bytes: 8192,
            events: Vec::new(),
            requests: Vec::new(),
            remembered: Vec::new(),
            read: Vec::new(),
            over: None,
            resumed: Vec::new(),
            closed_by_session: None,
            kept: None,
        }
    }

    /// A session that was let in and has asked to join the lobby.
    fn welcomed() -> Self {
        let mut world = Self::with(settings());
        world.run();
        world
    }

    /// A session that is in an empty lobby, whose last message had number `last`.
    fn in_lobby(last: u64) -> Self {
        let mut world = Self::welcomed();
        world.let_in(last);
        world.events.clear();
        world
    }

    fn handle(&mut self, input: Input<'_>) {
        self.session.handle(input, self.now);
    }

    fn command(&mut self, command: Command) {
        self.handle(Input::Command(command));
        self.run();
    }

    fn say(&mut self, what: &str) -> MessageId {
        self.command(Command::Post { room: lobby(), body: text(what), urgent: false });
        let pending = self.events.iter().rev().find_map(|event| match event {
            Event::Pending { id, .. } => Some(*id),
            _ => None,
        });
        pending.unwrap()
    }

    /// Carries everything to where it goes until nothing moves.
    fn run(&mut self) {
        loop {
            let mut moved = false;
            while let Some(output) = self.session.poll() {
                moved = true;
                self.carry_out(output);
            }
            while let Some(output) = self.link.as_mut().and_then(Link::poll) {
                moved = true;
                self.serve(output);
            }
            if !moved {
                return;
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Connect(attempt) => {
                self.attempt = attempt;
                if self.listening {
                    let key = self.context.key.public().spki_der().into();
                    self.link = Some(Link::server(key, Arc::clone(&self.session.limits), self.now));
                    self.handle(Input::Network(attempt, Network::Connected));
                } else {
                    self.handle(Input::Network(attempt, Network::Failed("connection refused".to_owned())));
                }
            }
            Output::Transmit(mut bytes) => {
                if let Some(link) = &mut self.link {
                    link.handle(link::Input::Received(&mut bytes), self.now);
                }
            }
            Output::Job(attempt, job) => {
                if !matches!(job, Job::Finish(..)) {
                    self.resumed.push(matches!(job, Job::Resume(_)));
                }
                let answer = job.run(self.key, &mut self.rng);
                self.handle(Input::Network(attempt, Network::Answer(answer)));
            }
            Output::Work(id, job) => {
                let answer = job.run(self.key, &mut self.rng);
                self.handle(Input::Worked(id, answer));
            }
            Output::HasRead(room, position) => self.read.push((room, position)),
            Output::Prefer(_) | Output::HasRoster(..) => {}
            Output::Ticket(ticket) => self.kept = Some(ticket),
            Output::Meet(user, pin) | Output::Decide(user, pin) => self.remembered.push((user, pin)),
            Output::Disconnect => {
                while let Some(output) = self.link.as_mut().and_then(Link::poll) {
                    self.serve(output);
                }
                self.link = None;
            }
            Output::Event(event) => self.events.push(event),
            Output::Over { outcome, undelivered } => {
                assert_eq!(self.over, None, "over twice");
                self.over = Some((outcome, undelivered));
            }
        }
    }

    fn serve(&mut self, output: link::Output<Server>) {
        match output {
            link::Output::Transmit(mut bytes) => {
                self.handle(Input::Network(self.attempt, Network::Received(&mut bytes)));
            }
            link::Output::Job(job) => {
                let answer = job.run(&self.context, &mut self.rng);
                self.link.as_mut().unwrap().handle(link::Input::Answer(answer), self.now);
            }
            link::Output::Opened(_) if !self.welcoming => {}
            link::Output::Opened(peer) => {
                let ticket = Ticket { ticket: peer.ticket.into(), lifetime_s: 3600 };
                let welcome = Welcome {
                    server: "rsachat/test".to_owned(),
                    user: peer.user,
                    admin: false,
                    incarnation: Incarnation(self.incarnation),
                    time: Timestamp(0),
                    message_bytes: self.message_bytes,
                    history_limit: 100,
                    rooms: self.rooms.clone(),
                    waiting: Vec::new(),
                };
                self.tell(&[ServerMessage::Welcome(welcome), ServerMessage::Ticket(ticket)]);
            }
            link::Output::Message(request) => self.requests.push(request),
            link::Output::Ended(ended) => {
                if let Ended::Closed(reason) = ended {
                    self.closed_by_session = Some(reason);
                }
                self.link = None;
                self.handle(Input::Network(self.attempt, Network::Eof));
            }
        }
    }

    /// The server says this, in one record.
    fn tell(&mut self, messages: &[ServerMessage]) {
        let bytes: Vec<u8> = messages.iter().flat_map(ServerMessage::encode).collect();
        let mut record = Vec::new();
        let link = self.link.as_mut().expect("a connection");
        for piece in bytes.chunks(crate::proto::frame::RECORD_BYTES) {
            link.seal(&mut record, |out| out.extend_from_slice(piece));
        }
        self.handle(Input::Network(self.attempt, Network::Received(&mut record)));
        self.run();
    }

    /// The request that came, if it is the only one.
    fn request(&mut self) -> (RequestId, Request) {
        assert_eq!(self.requests.len(), 1, "{:?}", self.requests);
        self.requests.remove(0)
    }

    /// A request of this kind, of those that came.
    fn take(&mut self, is: impl Fn(&Request) -> bool) -> (RequestId, Request) {
        let at = self.requests.iter().position(|(_, request)| is(request));
        let at = at.unwrap_or_else(|| panic!("it is not among {:?}", self.requests));
        self.requests.remove(at)
    }

    /// The server is asked for sender keys, and gives these.
    fn give(&mut self, keys: Vec<KeptSenderKey>) {
        let (id, _) = self.take(|request| matches!(request, Request::SenderKeys(_)));
        self.tell(&[ServerMessage::Reply(id, Reply::SenderKeys(SenderKeyList { keys }))]);
    }

    /// The texts of the posts that came, whether each is a retry, and their requests' ids.
    fn posts(&mut self) -> Vec<(RequestId, String, bool)> {
        let requests = std::mem::take(&mut self.requests).into_iter();
        let posts = requests.map(|(id, request)| match request {
            Request::Post(post) => (id, post.body.text().to_owned(), post.retry),
            other => panic!("{other:?}"),
        });
        posts.collect()
    }

    fn let_in(&mut self, last: u64) {
        let (id, request) = self.request();
        assert!(matches!(request, Request::Join(_)), "{request:?}");
        self.tell(&[joined(id, last)]);
    }

    fn accept(&mut self, id: RequestId, seq: u64) {
        self.tell(&[ServerMessage::Reply(id, Reply::Accepted(Accepted { seq: Seq(seq), time: Timestamp(0) }))]);
    }

    fn refuse(&mut self, id: RequestId, code: ErrorCode, retry_after_ms: Option<u64>) {
        let refused = Refused { code, text: "no".to_owned(), hint: None, retry_after_ms };
        self.tell(&[ServerMessage::Reply(id, Reply::Error(refused))]);
    }

    /// The server closes the connection.
    fn close(&mut self, code: CloseCode) {
        let reason = CloseReason::new(code, "because");
        self.link.as_mut().unwrap().handle(link::Input::Close(reason), self.now);
        self.run();
    }

    /// The connection breaks.
    fn cut(&mut self) {
        self.link = None;
        self.handle(Input::Network(self.attempt, Network::Eof));
        self.run();
    }

    /// Time passes until the session wants something, but no longer than `most`.
    fn pass(&mut self, most: Duration) {
        let end = self.now + most;
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.handle(Input::Tick);
            self.run();
        }
        self.now = end;
    }

    /// Cuts the connection and lets the session come back and ask to join.
    fn come_back(&mut self) {
        if self.link.is_some() {
            self.cut();
        }
        self.pass(Duration::from_secs(31));
        assert!(self.link.is_some(), "not back: {:?}", self.events);
    }

    fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The messages that were shown, as `number text`.
    fn shown(&mut self) -> Vec<String> {
        let events = self.events();
        let shown = events.iter().filter_map(|event| match event {
            Event::Message { message, .. } => {
                Some(format!("{} {}", message.seq, message.body.as_ref().unwrap().text()))
            }
            _ => None,
        });
        shown.collect()
    }
}

fn shutdown() -> Ask {
    Ask::Do(Request::Shutdown(Shutdown {}))
}

fn joined(id: RequestId, last: u64) -> ServerMessage {
    let joined =
        Joined { info: RoomInfo::new(lobby()), caught_up: true, last: Seq(last), gone: 0, withdrawn_after: None };
    ServerMessage::Reply(id, Reply::Joined(joined))
}
