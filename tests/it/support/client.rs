//! A client: the library's link on a socket, driven without ever blocking, so that a thread can have a thousand.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rsachat::crypto::invite::InviteToken;
use rsachat::crypto::secret::Secret;
use rsachat::model::{MessageId, RoomName, Timestamp, UserName};
use rsachat::proto::close::{CloseCode, CloseReason};
use rsachat::proto::handshake::client::{Job, Resumption};
use rsachat::proto::handshake::wire::RefusalCode;
use rsachat::proto::link::{self, Client as ClientRole, Ended, Limits, Link};
use rsachat::proto::message::{
    Accepted, Body, ErrorCode, History, Join, Joined, People, PeopleList, Position, Post, Refused, Reply, Request,
    RequestId, ServerMessage, Shutdown, Stored, UserInfo, Welcome, Whois,
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::PATIENCE;
use super::data_dir::{Identity, server_key};

/// A connection. Nothing happens on it but in [`Conn::advance`].
pub(crate) struct Conn {
    pub(crate) stream: TcpStream,
    link: Link<ClientRole>,
    identity: &'static Identity,
    unsent: Vec<u8>,
    secret: Option<Secret>,
    last_id: RequestId,
    /// What the server said first.
    pub(crate) welcome: Option<Welcome>,
    /// To come back with.
    pub(crate) resumption: Option<Resumption>,
    /// What came, but for welcomes and tickets.
    pub(crate) inbox: VecDeque<ServerMessage>,
    /// How many answers came, kept or not.
    pub(crate) answers: u64,
    /// How many of them were refusals.
    pub(crate) refusals: u64,
    /// How many messages of the room came, kept or not.
    pub(crate) heard: u64,
    /// Whether what comes is kept in the inbox.
    pub(crate) keeping: bool,
    /// Whether anything is read at all.
    pub(crate) reading: bool,
    pub(crate) ended: Option<Ended>,
}

/// Where a connection comes from, and with how much room for what it gets.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) ip: IpAddr,
    pub(crate) receive_buffer: Option<usize>,
}

impl Default for Origin {
    fn default() -> Self {
        Self::loopback(1)
    }
}

impl Origin {
    /// 127.0.0.`host`: for the server, each is an address of its own.
    pub(crate) fn loopback(host: u8) -> Self {
        Self { ip: Ipv4Addr::new(127, 0, 0, host).into(), receive_buffer: None }
    }

    /// A socket that is about to be connected.
    pub(crate) fn connect(self, server: SocketAddr) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::from(SocketAddr::new(self.ip, 0)))?;
        match socket.connect(&server.into()) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                return Err(error);
            }
            _ => {}
        }
        socket.set_tcp_nodelay(true)?;
        Ok(TcpStream::from_std(socket.into()))
    }
}

/// Who a client says it is, and how.
pub(crate) enum Login {
    /// By the user's key.
    Full(&'static Identity),
    /// By what invited him, if he is not registered.
    Invited(&'static Identity, InviteToken),
    /// By what an earlier connection left.
    Resume(&'static Identity, Resumption),
}

pub(crate) fn duplicate(resumption: &Resumption) -> Resumption {
    Resumption { ticket: resumption.ticket.clone(), secret: resumption.secret.duplicate() }
}

fn limits() -> Arc<Limits> {
    const LONG: Duration = Duration::from_secs(3600);
    static LIMITS: LazyLock<Arc<Limits>> = LazyLock::new(|| {
        Arc::new(Limits {
            handshake_bytes: 64 * 1024,
            handshake: LONG,
            message_bytes: 1 << 20,
            ping: LONG,
            idle: LONG,
            linger: LONG,
        })
    });
    Arc::clone(&LIMITS)
}

impl Conn {
    pub(crate) fn new(server: SocketAddr, origin: Origin, login: Login) -> Self {
        let (identity, job) = match login {
            Login::Full(identity) => (identity, Job::Hello { server: server_key().clone(), user: identity.user }),
            Login::Invited(identity, token) => {
                (identity, Job::InvitedHello { server: server_key().clone(), user: identity.user, token })
            }
            Login::Resume(identity, resumption) => (identity, Job::Resume(resumption)),
        };
        Self {
            stream: origin.connect(server).unwrap(),
            link: Link::client(job, limits(), Instant::now()),
            identity,
            unsent: Vec::new(),
            secret: None,
            last_id: 0,
            welcome: None,
            resumption: None,
            inbox: VecDeque::new(),
            answers: 0,
            refusals: 0,
            heard: 0,
            keeping: true,
            reading: true,
            ended: None,
        }
    }

    /// Writes and reads as much as the socket allows.
    pub(crate) fn advance(&mut self) {
        self.follow();
        self.write();
        let mut buffer = [0; 16 * 1024];
        while self.reading && self.ended.is_none() {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.link.handle(link::Input::Eof, Instant::now()),
                Ok(count) => self.link.handle(link::Input::Received(&mut buffer[..count]), Instant::now()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => self.link.handle(link::Input::Eof, Instant::now()),
            }
            self.follow();
        }
        self.write();
    }

    fn write(&mut self) {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // What the server said before it hung up can still be read.
                Err(_) => self.unsent.clear(),
            }
        }
    }

    fn follow(&mut self) {
        while let Some(output) = self.link.poll() {
            match output {
                link::Output::Transmit(bytes) => self.unsent.extend(bytes),
                link::Output::Job(job) => {
                    let answer = job.run(&self.identity.key, &mut rand::rng());
                    self.link.handle(link::Input::Answer(answer), Instant::now());
                }
                link::Output::Opened(secret) => self.secret = Some(secret),
                link::Output::Ended(ended) => self.ended = Some(ended),
                link::Output::Message(ServerMessage::Welcome(welcome)) => self.welcome = Some(welcome),
                link::Output::Message(ServerMessage::Ticket(ticket)) => {
                    let secret = self.secret.as_ref().unwrap().duplicate();
                    self.resumption = Some(Resumption { ticket: ticket.ticket.to_vec(), secret });
                }
                link::Output::Message(message) => {
                    self.answers += u64::from(matches!(message, ServerMessage::Reply(..)));
                    self.refusals += u64::from(matches!(message, ServerMessage::Reply(_, Reply::Error(_))));
                    self.heard += u64::from(matches!(message, ServerMessage::Message(_)));
                    if self.keeping {
                        self.inbox.push_back(message);
                    }
                }
            }
        }
    }

    /// Queues a request, for the next [`Conn::advance`]; returns its id.
    pub(crate) fn send(&mut self, request: &Request) -> RequestId {
        self.last_id += 1;
        self.send_record(&request.encode(self.last_id));
        self.last_id
    }

    /// Queues a record around any plaintext.
    pub(crate) fn send_record(&mut self, plaintext: &[u8]) {
        self.link.seal(&mut self.unsent, |out| out.extend_from_slice(plaintext));
    }

    /// Queues bytes as they are.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
    }

    /// Bytes that the socket has not taken yet.
    pub(crate) fn backlog(&self) -> usize {
        self.unsent.len()
    }

    pub(crate) fn close(&mut self, reason: CloseReason) {
        self.link.handle(link::Input::Close(reason), Instant::now());
        self.advance();
    }

    /// Takes the answer to a request, with its parts, if it has come.
    pub(crate) fn take_reply(&mut self, id: RequestId) -> Option<(Vec<Stored>, Reply)> {
        let at = self.inbox.iter().position(|message| matches!(message, ServerMessage::Reply(to, _) if *to == id))?;
        let Some(ServerMessage::Reply(_, reply)) = self.inbox.remove(at) else { return None };
        let mut parts = Vec::new();
        self.inbox.retain(|message| match message {
            ServerMessage::Part(to, part) if *to == id => {
                parts.push(part.clone());
                false
            }
            _ => true,
        });
        Some((parts, reply))
    }

    /// Whether the server has closed it, with this code.
    pub(crate) fn closed_with(&self, code: CloseCode) -> bool {
        matches!(&self.ended, Some(Ended::Closed(reason)) if reason.code == code)
    }
}

/// A connection with a poll of its own, that waits.
pub(crate) struct Client {
    poll: Poll,
    events: Events,
    pub(crate) conn: Conn,
}

pub(crate) fn post(message: MessageId, text: &str, retry: bool) -> Request {
    let body = Body::Text { text: text.to_owned() };
    Request::Post(Post { room: RoomName::lobby(), message, body, retry, after: None, urgent: false })
}

pub(crate) fn message_id() -> MessageId {
    MessageId::new(Timestamp::now(), &mut rand::rng())
}

pub(crate) fn history(limit: u32) -> Request {
    Request::History(History { room: RoomName::lobby(), before: None, limit })
}

pub(crate) fn people() -> Request {
    Request::People(People { room: RoomName::lobby() })
}

impl Client {
    pub(crate) fn new(mut conn: Conn) -> Self {
        let poll = Poll::new().unwrap();
        poll.registry().register(&mut conn.stream, Token(0), Interest::READABLE | Interest::WRITABLE).unwrap();
        Self { poll, events: Events::with_capacity(8), conn }
    }

    /// Connects and authenticates.
    pub(crate) fn login(server: SocketAddr, identity: &'static Identity) -> Self {
        Self::enter(Conn::new(server, Origin::default(), Login::Full(identity)))
    }

    /// Connects, authenticates, and joins the lobby.
    pub(crate) fn member(server: SocketAddr, identity: &'static Identity) -> Self {
        let mut client = Self::login(server, identity);
        client.join(None);
        client
    }

    /// Waits for the welcome.
    pub(crate) fn enter(conn: Conn) -> Self {
        let mut client = Self::new(conn);
        client.wait("the welcome", |conn| conn.welcome.is_some().then_some(()));
        client
    }

    /// Connects and authenticates, or says why not.
    pub(crate) fn try_enter(conn: Conn) -> Result<Self, Ended> {
        let mut client = Self::new(conn);
        match client.wait_or_end("the welcome", |conn| conn.welcome.is_some().then_some(())) {
            Ok(()) => Ok(client),
            Err(ended) => Err(ended),
        }
    }

    /// Waits until `look` finds what it looks for.
    pub(crate) fn wait<T>(&mut self, what: &str, look: impl FnMut(&mut Conn) -> Option<T>) -> T {
        self.wait_or_end(what, look).unwrap_or_else(|ended| panic!("waiting for {what}: {ended}"))
    }

    /// Waits until `look` finds what it looks for, or the connection ends before.
    pub(crate) fn wait_or_end<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut Conn) -> Option<T>,
    ) -> Result<T, Ended> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.conn.advance();
            if let Some(found) = look(&mut self.conn) {
                return Ok(found);
            }
            if let Some(ended) = &self.conn.ended {
                return Err(ended.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}");
            match self.poll.poll(&mut self.events, Some(left)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => panic!("{error}"),
                _ => {}
            }
        }
    }

    /// Waits until the server has ended the connection.
    pub(crate) fn wait_end(&mut self) -> Ended {
        self.wait("the end", |conn| conn.ended.clone())
    }

    /// Waits until the server has closed the connection, and says why.
    pub(crate) fn wait_close(&mut self) -> CloseReason {
        match self.wait_end() {
            Ended::Closed(reason) => reason,
            ended => panic!("not closed, but {ended:?}"),
        }
    }

    pub(crate) fn call(&mut self, request: &Request) -> (Vec<Stored>, Reply) {
        let id = self.conn.send(request);
        self.wait("an answer", |conn| conn.take_reply(id))
    }

    pub(crate) fn join(&mut self, after: Option<Position>) -> (Vec<Stored>, Joined) {
        match self.call(&Request::Join(Join { room: RoomName::lobby(), after, backlog: false })) {
            (parts, Reply::Joined(joined)) => (parts, joined),
            (_, reply) => panic!("{reply:?}"),
        }
    }

    pub(crate) fn try_post(&mut self, text: &str) -> Result<Accepted, Refused> {
        match self.call(&post(message_id(), text, false)).1 {
            Reply::Accepted(accepted) => Ok(accepted),
            Reply::Error(refused) => Err(refused),
            reply => panic!("{reply:?}"),
        }
    }

    pub(crate) fn post(&mut self, text: &str) -> Accepted {
        self.try_post(text).unwrap_or_else(|refused| panic!("{refused:?}"))
    }

    /// All that the server has of the lobby, oldest first.
    pub(crate) fn history(&mut self) -> Vec<Stored> {
        let mut all = Vec::new();
        let mut before = None;
        loop {
            let request = Request::History(History { room: RoomName::lobby(), before, limit: u32::MAX });
            match self.call(&request) {
                (mut parts, Reply::HistoryEnd(end)) => {
                    before = parts.first().map(|part| part.seq);
                    parts.append(&mut all);
                    all = parts;
                    if !end.more {
                        return all;
                    }
                }
                (_, Reply::Error(refused)) if refused.code == ErrorCode::RateLimited => {}
                (_, reply) => panic!("{reply:?}"),
            }
        }
    }

    pub(crate) fn people(&mut self) -> PeopleList {
        match self.call(&people()).1 {
            Reply::People(people) => people,
            reply => panic!("{reply:?}"),
        }
    }

    pub(crate) fn whois(&mut self, user: UserName) -> Result<UserInfo, Refused> {
        match self.call(&Request::Whois(Whois { user })).1 {
            Reply::User(info) => Ok(info),
            Reply::Error(refused) => Err(refused),
            reply => panic!("{reply:?}"),
        }
    }

    pub(crate) fn shut_down(&mut self) -> Reply {
        self.call(&Request::Shutdown(Shutdown {})).1
    }

    /// The next message that somebody said in the room.
    pub(crate) fn next_message(&mut self) -> Stored {
        self.wait("a message", |conn| {
            let at = conn.inbox.iter().position(|message| matches!(message, ServerMessage::Message(_)))?;
            match conn.inbox.remove(at) {
                Some(ServerMessage::Message(message)) => Some(message),
                _ => None,
            }
        })
    }

    pub(crate) fn resumption(&self) -> Resumption {
        duplicate(self.conn.resumption.as_ref().unwrap())
    }
}

/// With what the server refused.
pub(crate) fn refusal(ended: Result<Client, Ended>) -> RefusalCode {
    match ended {
        Err(Ended::Refused(refusal)) => refusal.code,
        Err(ended) => panic!("not refused, but {ended:?}"),
        Ok(_) => panic!("let in"),
    }
}
