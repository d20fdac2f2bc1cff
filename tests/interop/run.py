"""Checks a real rsachat server against the client in rsac1.py:  python run.py PATH_TO_RSACHAT

Prints a line for each check, and "N passed, M failed" at the end; fails if one of them did.
"""

import concurrent.futures
import contextlib
import copy
import dataclasses
import itertools
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

import cbor2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import rsac1
from rsac1 import (
    DONE, SAID, Accepted, Act, Acted, ActKind, Availability, Banned, Cut, Closed, CloseCode, Direction, Done, Error,
    ErrorCode, FrameReader, Handshake, HistoryEnd, Info, Joined, Kind, Membership, Message, Muted, Named, PeopleList,
    Position, Presence, ProtocolError, PutOut, Refusal, RefusalCode, Refused, RequestType, RoomList, RoomView, Session,
    ServerNotAuthentic, Status, Text, Ticket, TimedOut, UserInfo, What, Wire, fingerprint, frame, header, login,
    request_key, resume, show_fingerprint, versions,
)

LOBBY = "common"
WAIT = 20.0
BACKLOG = 5
LONGEST = 14000
HISTORY = 1000
IDLE_SECONDS = 20
GENEROUS = [
    "--message-bytes", str(LONGEST),
    "--message-rate", "10000",
    "--message-burst", "10000",
    "--handshakes-per-second-per-address", "0",
]
SETTINGS = ["--admins", "bob", "--join-backlog", str(BACKLOG), "--history-limit", str(HISTORY), *GENEROUS]
SETTINGS += ["--max-rooms-per-user", "100"]
MEANWHILE = concurrent.futures.ThreadPoolExecutor()  # for what goes on while other checks run
ANY_HANDSHAKE = frozenset({Kind.KEY_REPLY, Kind.SERVER_HELLO, Kind.REFUSAL})
ONLINE = Status(Availability.ONLINE, None, None)
AWAY = Status(Availability.AWAY, None, None)
VECTORS = Path(__file__).resolve().parent.parent / "vectors"


# --- the server -------------------------------------------------------------------------------------------

class Server:
    """A running server, on a port of its own choice."""

    running: list["Server"] = []

    def __init__(self, program: Path, data: Path, settings: list[str]):
        self.data = data
        self._log = open(data / "interop.log", "ab")
        command = [program, "serve", "--no-input", "--data-dir", data]
        command += ["--server-ip", "127.0.0.1", "--server-port", "0", *settings]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        Server.running.append(self)
        self._lines: queue.Queue = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.port = int(self._announced("listening at").rpartition(":")[2])
        self.fingerprint = self._announced("fingerprint")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _announced(self, what: str) -> str:
        while True:
            line = self._lines.get(timeout=WAIT)
            if line is None:
                raise RuntimeError(f"the server did not start:\n{self.log()}")
            if line.startswith(what):
                return line[len(what):].strip()

    def log(self) -> str:
        return (self.data / "interop.log").read_text(errors="replace")

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAIT)

    def wait(self) -> int:
        status = self.process.wait(timeout=WAIT)
        if self in Server.running:
            Server.running.remove(self)
            self._log.close()
        return status

    def end(self, how: int = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.wait()


class Site:
    """A server's directory, its users' keys, and the server while it runs."""

    def __init__(self, program: Path, directory: Path, settings: list[str]):
        self.program = program
        self.data = directory
        self.settings = settings
        self.keys: dict[str, rsa.RSAPrivateKey] = {}
        directory.mkdir()
        self.server: Server
        self.server_key: rsa.RSAPublicKey
        self.quiet: Site  # another one, where connections may be silent for a short time only
        self.fallen_silent: concurrent.futures.Future
        self.saying_nothing: concurrent.futures.Future

    def run(self, *arguments: Any) -> str:
        done = subprocess.run(
            [self.program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT
        )
        if done.returncode != 0:
            raise RuntimeError(f"rsachat {' '.join(map(str, arguments))}: {done.stderr}")
        return done.stdout

    def register(self, user: str, key: rsa.RSAPrivateKey) -> None:
        """Let a user in, with a key made here."""
        pem = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        file = self.data.parent / f"key_{user}.pem"
        file.write_bytes(pem)
        self.run("keys", "add", "--data-dir", self.data, file)
        self.keys[user] = key

    def register_generated(self, user: str, passphrase: str) -> None:
        """Let a user in, with a key that rsachat makes and encrypts."""
        made = self.data.parent / f"made-{user}"
        secret = self.data.parent / "passphrase"
        secret.write_text(passphrase + "\n")
        self.run("keygen", user, "--bits", "2048", "--out-dir", made, "--passphrase-file", secret)
        self.run("keys", "add", "--data-dir", self.data, made / f"key_{user}.pem")
        pem = (made / f"key_{user}.private.pem").read_bytes()
        key = serialization.load_pem_private_key(pem, passphrase.encode())
        assert isinstance(key, rsa.RSAPrivateKey)
        self.keys[user] = key

    def start(self) -> None:
        self.server = Server(self.program, self.data, self.settings)
        self.server_key = request_key(self.server.connect())

    def connect(self) -> socket.socket:
        return self.server.connect()

    def handshake(self, user: str, key: Any = None) -> Handshake:
        return Handshake.full(self.server_key, user, key or self.keys[user], rsac1.SOFTWARE)

    @contextlib.contextmanager
    def session(self, user: str, *, join: bool = False, sock: Any = None) -> Iterator[Any]:
        """A session that has been welcomed; with its view of the lobby, if it joins it."""
        session = login(sock or self.connect(), self.server_key, user, self.keys[user])
        try:
            session.welcomed()
            if join:
                yield session, joined(session)
            else:
                yield session
        finally:
            session.close()


    @contextlib.contextmanager
    def sessions(self, *users: str) -> Iterator[list[Session]]:
        """A session for each of these users, one of whom may have several."""
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(self.session(user)) for user in users]


def joined(session: Session, room: str = LOBBY, position: Optional[Position] = None) -> RoomView:
    view = RoomView(room, position)
    answer, _ = session.join(view)
    expect_type(answer, Joined)
    return view


# --- what checks are made with ----------------------------------------------------------------------------

class Failure(Exception):
    """A check that failed."""


def expect(what: bool, otherwise: str) -> None:
    if not what:
        raise Failure(otherwise)


def same(found: Any, expected: Any, what: str) -> None:
    if found != expected:
        raise Failure(f"{what} is {found!r}, not {expected!r}")


def expect_type(found: Any, type_: type) -> Any:
    expect(isinstance(found, type_), f"got {found!r}, not {type_.__name__}")
    return found


def expect_error(found: Any, code: ErrorCode) -> None:
    same(expect_type(found, Error).code, code, "the error's code")


def expect_closed(session: Session, code: CloseCode) -> None:
    end = session.ended(WAIT)
    expect(isinstance(end, Closed), f"the session ended with {end!r}, not with a Close")
    same(end.code, code, "the close code")


def raised(type_: type, action: Callable[[], Any]) -> Any:
    try:
        value = action()
    except type_ as error:
        return error
    raise Failure(f"no {type_.__name__}, but {value!r}")


def expect_refused(action: Callable[[], Any], code: RefusalCode) -> Refused:
    refused = raised(Refused, action)
    same(refused.refusal.code, code, "the refusal's code")
    same((refused.refusal.lowest, refused.refusal.highest), (1, 1), "the range of versions")
    return refused


def welcomed(session: Session) -> Session:
    session.welcomed(WAIT)
    return session


class Impostor:
    """Somebody who knows a public key, and has the private half of another."""

    def __init__(self, public: rsa.RSAPublicKey, private: rsa.RSAPrivateKey):
        self._public = public
        self._private = private

    def public_key(self) -> rsa.RSAPublicKey:
        return self._public

    def decrypt(self, *arguments: Any) -> bytes:
        return self._private.decrypt(*arguments)


class Meddler:
    """A socket whose incoming bytes are changed on the way, or cut off after so many."""

    def __init__(self, sock: socket.socket):
        self._sock = sock
        self.change: Callable[[bytes], bytes] = bytes
        self.keep: Optional[int] = None

    def recv(self, size: int) -> bytes:
        if self.keep is None:
            return self.change(self._sock.recv(size))
        if self.keep == 0:
            return b""
        data = self._sock.recv(size)[:self.keep]
        self.keep -= len(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def flip(data: bytes, position: int) -> bytes:
    """The same bytes with one bit changed."""
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


def flip_at(position: int) -> Callable[[bytes], bytes]:
    """Changes one bit of what comes, at a place counted from now on."""
    seen = 0

    def change(data: bytes) -> bytes:
        nonlocal seen
        place, seen = position - seen, seen + len(data)
        return flip(data, place) if 0 <= place < len(data) else data

    return change


def frames_until_end(sock: socket.socket) -> list[tuple[int, bytes]]:
    """All frames that still come, up to the end of the stream."""
    reader, frames = FrameReader(), []
    sock.settimeout(WAIT)
    while data := sock.recv(65536):
        reader.feed(data)
        while found := reader.next(ANY_HANDSHAKE):
            frames.append(found)
    expect(not reader.inside, "the stream ended inside a frame")
    return frames


def refusal_to(site: Site, data: bytes) -> Refusal:
    """The Refusal that is all of the server's answer."""
    with site.connect() as sock:
        sock.sendall(data)
        frames = frames_until_end(sock)
    same([kind for kind, _ in frames], [Kind.REFUSAL], "what the server answers")
    return Refusal.decode(frames[0][1])


def finish_and_listen(site: Site, handshake: Handshake) -> tuple[int, list[tuple[int, bytes]]]:
    """Go through a handshake that must fail: the length of the ServerHello, and what comes after the finish."""
    with site.connect() as sock:
        wire = Wire(sock)
        wire.send(handshake.hello, WAIT)
        kind, payload = wire.frame(ANY_HANDSHAKE, time.monotonic() + WAIT)
        same(kind, Kind.SERVER_HELLO, "the answer to the hello")
        wire.send(handshake.server_hello(payload), WAIT)
        return len(payload), frames_until_end(sock)


def new_id() -> bytes:
    return (time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10)


def is_message(event: Any) -> bool:
    return isinstance(event, Message)


def ask(session: Session, type_: RequestType, *body: Any) -> Any:
    """Send a request with the fields 0, 1, 2 and so on, where None is an absent one, and wait for its answer."""
    return session.request(type_, {key: value for key, value in enumerate(body) if value is not None})


def do(session: Session, type_: RequestType, *body: Any) -> None:
    """Send a request that must be done."""
    expect_type(ask(session, type_, *body), Done)


def do_not(code: ErrorCode, session: Session, type_: RequestType, *body: Any) -> None:
    """Send a request that must be answered with this error."""
    try:
        expect_error(ask(session, type_, *body), code)
    except Failure as failure:
        raise Failure(f"{type_.name} {body}: {failure}") from None


def told(session: Session, *expected: Any) -> None:
    """Whether a session was told just this, in this order, besides who came and left: that comes at any time."""
    for each in expected:
        same(session.event(lambda event: not isinstance(event, Presence)), each, "what was told")
    expect_type(session.request(RequestType.WHOIS, {0: "alice"}), UserInfo)
    rest = [event for event in session.events if not isinstance(event, Presence)]
    same(rest, [], "what was told besides")


def gone(session: Session, user: str) -> UserInfo:
    """Wait until somebody is not connected any more: what is said about him then."""
    begun = time.monotonic()
    while (info := expect_type(ask(session, RequestType.WHOIS, user), UserInfo)).connections:
        expect(time.monotonic() - begun < WAIT, f"{user} has not left")
        session.attend(0.01)
    return info


def came(session: Session, room: str, user: str) -> None:
    """Wait until a session is told that somebody has come into a room."""
    session.event(lambda event: isinstance(event, Presence) and event.room == room and user in event.came)


def left(session: Session, room: str, user: str) -> None:
    """Wait until a session is told that somebody has left a room."""
    session.event(lambda event: isinstance(event, Presence) and event.room == room and user in event.left)


def statuses(session: Session, room: str, last: str) -> list[tuple[str, Status]]:
    """The statuses that a session is told of, up to the Presence that tells that of a certain user."""
    found: list[tuple[str, Status]] = []
    while last not in (user for user, _ in found):
        event = session.event(lambda event: isinstance(event, Presence) and event.room == room)
        found += [(each.user, each.status) for each in event.statuses]
    return found


def status_shown(session: Session, room: str, user: str) -> Status:
    """The status that a PeopleList and a UserInfo show."""
    people = expect_type(ask(session, RequestType.PEOPLE, room), PeopleList).people
    status = next(each.status for each in people if each.user == user)
    same(expect_type(ask(session, RequestType.WHOIS, user), UserInfo).status, status, "the status of Whois")
    return status


def acted(room: str, by: str, kind: ActKind, body: Any) -> Acted:
    return Acted(room, by, Act(kind, body))


def info_of(session: Session, room: str, people: bool = False) -> Info:
    """What the RoomList says about a room."""
    rooms = expect_type(ask(session, RequestType.ROOMS, people), RoomList).rooms
    return next(info for info in rooms if info.room == room)


def rooms_of(site: Site, user: str) -> tuple[str, ...]:
    """The rooms of a new Welcome."""
    with site.session(user) as session:
        return session.welcome.rooms


ROOM_NUMBERS = itertools.count(1)


def new_room(owner: Session, *others: Session) -> str:
    """A room of its own for a check: somebody makes it, and all are in it."""
    room = f"room-{next(ROOM_NUMBERS):02}"
    do(owner, RequestType.CREATE, room)
    for session in (owner, *others):
        joined(session, room)
    return room


# --- checks that need no server ---------------------------------------------------------------------------

CHECKS: list[tuple[str, Callable]] = []


def check(name: str) -> Callable:
    def add(function: Callable) -> Callable:
        CHECKS.append((name, function))
        return function

    return add


@check("the key schedule of the page's example")
def example_key_schedule(site: Site) -> None:
    early = rsac1.hkdf_extract(rsac1.ZERO, bytes(range(0x20, 0x40)))
    same(early.hex(), "9724f70a32773a1840904e49bb789f73e0023efea2db9f987f43fc932319b1cb", "early")
    derived = rsac1.expand(early, b"rsac1 derived", rsac1.ZERO)
    same(derived.hex(), "da3bcbd2cd6d83ee6489f7330e97c6dc12051b0d05f21a63703a36d2a40775bf", "derived")


@check("the messages of the page's example")
def example_messages(site: Site) -> None:
    body = {0: LOBBY, 1: bytes(range(16)), 2: What(SAID, "hi").encode(), 3: False}
    post = "0000288302 01a40066636f6d6d6f6e0150000102030405060708090a0b0c0d0e0f028200a10062686903f4"
    same(rsac1.encode_message(RequestType.POST, 1, body).hex(), post.replace(" ", ""), "the Post")
    accepted = bytes.fromhex("83182201a20005011b0000019900000000")
    same(rsac1.decode_message(accepted), (34, 1, Accepted(5, 0x19900000000)), "the Accepted")


@check("the client takes what it must ignore, and refuses what it must not take")
def client_decoding(site: Site) -> None:
    def decoded(message: str) -> Any:
        return rsac1.decode_message(bytes.fromhex(message))

    same(decoded("83182001a0"), (32, 1, rsac1.Done()), "a Done")
    same(decoded("83182001a105f6"), (32, 1, rsac1.Done()), "a Done with a key that is not known")
    same(decoded("83183c01a16161f6"), (60, 1, None), "an answer of a type that is not known")
    same(decoded("83186301a0"), (99, 1, None), "an event of a type that is not known, with a request id")
    act = decoded("83184400a3006163016161" + "02821863a0")
    same(act, (68, 0, Acted("c", "a", Act(99, None))), "an act of a kind that is not known")
    deep = rsac1.decode_message(bytes.fromhex("83182001a105") + b"\x81" * 100000 + b"\x00")
    same(deep, (32, 1, rsac1.Done()), "a Done with deep nesting in what is ignored")
    wrong = {
        "an indefinite array": "9f182001a0ff",
        "an indefinite map": "83182001bfff",
        "an array of two": "82182001",
        "an array of four": "84182001a000",
        "no map": "8318200180",
        "bytes after the message": "83182001a000",
        "a message that ends too soon": "83182001",
        "a missing key": "83182201a10005",
        "a value of another type": "83182201a200050161" + "31",
        "a negative number": "83182201a200200100",
        "a key twice": "83182201a3000500050100",
        "a negative type": "832001a0",
        "text that is not UTF-8": "83183f01a20001016" + "1ff",
        "a bad name": "83182301a20063" + "426f62" + "01f4",
        "the number 0": "83182201a200000100",
        "a Joined with a name and no info": "83182101a4006163" + "01f502000300",
        "an info without its people": "83182601a10081a6" + "0061630160" + "0300040005f40600",
        "an info with a number for its topic": "83182601a10081a7" + "0061630100" + "0300040005f406000780",
        "an act that is no array of two": "83184400a3006163016161" + "028101",
        "an act without its name": "83184400a3006163016161" + "028201a0",
        "an act with a bad name": "83184400a3006163016161" + "028201a1006142",
        "an Acted with a request id": "83184401a2006163016161",
        "a Membership that does not say which": "83184500a2006163026161",
        "a Presence without its statuses": "83184300a3006163018002" + "80",
        "a status without its availability": "83184300a40061630180028003" + "81a200616101a0",
        "a status with a number for its text": "83184300a40061630180028003" + "81a200616101a200010100",
    }
    for name, message in wrong.items():
        try:
            raised(ProtocolError, lambda: decoded(message))
        except Failure as failure:
            raise Failure(f"{name}: {failure}") from None


def as_vector(value: Any) -> Any:
    """A decoded body in the form in which it stands in the vectors."""
    if isinstance(value, What):
        return [value.kind, {"0": value.text}]
    if isinstance(value, Act):
        return [value.kind, as_vector(value.body)]
    if isinstance(value, rsac1.Body):
        entries = ((each.metadata["key"], getattr(value, each.name)) for each in dataclasses.fields(value))
        return {str(key): as_vector(entry) for key, entry in entries if entry is not None}
    if isinstance(value, tuple):
        return [as_vector(each) for each in value]
    return {"bytes": value.hex()} if isinstance(value, bytes) else value


def from_vector(value: Any) -> Any:
    """A body in the vectors in the form in which it is encoded."""
    if isinstance(value, dict):
        if "bytes" in value:
            return bytes.fromhex(value["bytes"])
        return {int(key): from_vector(each) for key, each in value.items()}
    return [from_vector(each) for each in value] if isinstance(value, list) else value


@check("the vectors: messages of every type, both ways, and those to refuse")
def vectors_messages(site: Site) -> None:
    vectors = json.loads((VECTORS / "messages.json").read_text())
    for each in vectors["from_the_client"]:
        encoded = rsac1.encode_message(each["type"], each["request_id"], from_vector(each["body"]))
        same(encoded[3:].hex(), each["message"], each["name"])
    for each in vectors["from_the_server"]:
        type_, request, body = rsac1.decode_message(bytes.fromhex(each["message"]))
        found = (type_, request, {} if body is None else as_vector(body))
        same(found, (each["type"], each["request_id"], each["body"]), each["name"])
    for each in vectors["malformed_from_the_server"]:
        try:
            raised(ProtocolError, lambda: rsac1.decode_message(bytes.fromhex(each["message"])))
        except Failure as failure:
            raise Failure(f"{each['name']}: {failure}") from None
    for type_ in RequestType:
        expect(any(each["type"] == type_ for each in vectors["from_the_client"]), f"no vector of a {type_.name}")
    for type_ in (*rsac1.ANSWERS, *rsac1.EVENTS):
        expect(any(each["type"] == type_ for each in vectors["from_the_server"]), f"no vector of a type {type_}")


@check("the vectors: Close records")
def vectors_close(site: Site) -> None:
    vectors = json.loads((VECTORS / "close.json").read_text())
    for each in vectors["reasons"]:
        reason = rsac1.decode_close(bytes.fromhex(each["plaintext"]))
        same((reason.code, reason.text), (each["code"], each["text"]), "the reason")
    for each in vectors["malformed"]:
        try:
            raised(ProtocolError, lambda: rsac1.decode_close(bytes.fromhex(each["message"])))
        except Failure as failure:
            raise Failure(f"{each['name']}: {failure}") from None


@check("control characters and bidirectional overrides are made visible")
def client_visible(site: Site) -> None:
    same(rsac1.visible("a\x1b[1m\u202eb\x9f\n"), "a<U+001B>[1m<U+202E>b<U+009F><U+000A>", "the text")


# --- THE SERVER'S KEY, VERSIONS ---------------------------------------------------------------------------

@check("key request: the key has the announced fingerprint, and is the one in the server's file")
def key_request(site: Site) -> None:
    key = request_key(site.connect())
    same(show_fingerprint(fingerprint(key)), site.server.fingerprint, "the fingerprint")
    pem = (site.data / "server_public_key.pem").read_bytes()
    file = serialization.load_pem_public_key(pem)
    same(rsac1.encode_public_key(key), rsac1.encode_public_key(file), "the key")


@check("key request: only once a connection, and nothing after the versions")
def key_request_limits(site: Site) -> None:
    request = frame(Kind.KEY_REQUEST, versions())
    with site.connect() as sock:
        sock.sendall(request + request)
        frames = frames_until_end(sock)
    same([kind for kind, _ in frames], [Kind.KEY_REPLY, Kind.REFUSAL], "the answers")
    same(Refusal.decode(frames[1][1]).code, RefusalCode.MALFORMED, "the refusal's code")
    longer = frame(Kind.KEY_REQUEST, versions() + b"x")
    same(refusal_to(site, longer).code, RefusalCode.MALFORMED, "the refusal's code")


@check("key request: a hello may follow on the same connection")
def key_request_then_hello(site: Site) -> None:
    sock = site.connect()
    wire = Wire(sock)
    wire.send(frame(Kind.KEY_REQUEST, versions()), WAIT)
    same(wire.frame(ANY_HANDSHAKE, time.monotonic() + WAIT)[0], Kind.KEY_REPLY, "the answer")
    with rsac1.open_session(sock, site.handshake("alice")) as session:
        same(session.welcomed().user, "alice", "the user")


@check("the client refuses a KeyReply of another version, and one that holds no key")
def key_reply_checked(site: Site) -> None:
    for position in (4, 5):
        sock = Meddler(site.connect())
        sock.change = flip_at(position)
        raised(ProtocolError, lambda: request_key(sock))


@check("versions that the server does not speak are refused with the range of those that it speaks")
def versions_refused(site: Site) -> None:
    hello = site.handshake("alice").hello
    for version, highest in ((2, 2), (2, 1), (0, 0), (1, 0), (255, 255)):
        for first in (
            hello[:4] + versions(version, highest) + hello[10:],
            frame(Kind.KEY_REQUEST, versions(version, highest)),
            frame(Kind.RESUME_HELLO, versions(version, highest)),
        ):
            refusal = refusal_to(site, first)
            expected = Refusal(RefusalCode.UNSUPPORTED_VERSION, 0, 1, 1)
            same(refusal, expected, f"the refusal of {version}, {highest}")


@check("a client that also speaks later versions is served in version 1")
def later_client(site: Site) -> None:
    with site.connect() as sock:
        sock.sendall(frame(Kind.KEY_REQUEST, versions(1, 9)))
        same(Wire(sock).frame(ANY_HANDSHAKE, time.monotonic() + WAIT)[0], Kind.KEY_REPLY, "the answer")
    # In a hello the highest version is part of the transcript: changed on the way, nothing opens.
    hello = site.handshake("alice").hello
    changed = hello[:4] + versions(1, 2) + hello[10:]
    same(refusal_to(site, changed).code, RefusalCode.AUTHENTICATION_FAILED, "the refusal's code")


# --- HANDSHAKE --------------------------------------------------------------------------------------------

@check("login with a key made by the cryptography package; the ticket and the Welcome come first")
def login_cryptography(site: Site) -> None:
    with site.session("alice") as session:
        same(session.opening, ["ticket", "welcome"], "what comes first")
        welcome = session.welcome
        same(welcome.user, "alice", "the user")
        same(welcome.admin, False, "whether alice is an admin")
        same((welcome.longest_text, welcome.history_limit), (LONGEST, HISTORY), "the limits")
        expect(LOBBY in welcome.rooms, "the lobby is not among the rooms")
        expect(abs(welcome.time / 1000 - time.time()) < 60, "the server's clock is not ours")
        expect(session.ticket.expires > time.monotonic(), "the ticket has no lifetime")


@check("login with an encrypted key made by rsachat keygen")
def login_keygen(site: Site) -> None:
    with site.session("bob") as session:
        same((session.welcome.user, session.welcome.admin), ("bob", True), "user and admin")


@check("login with a key of 4096 bits, which fills its block")
def login_4096(site: Site) -> None:
    with site.session("carol") as session:
        same(session.welcome.user, "carol", "the user")


@check("requests sent right behind the ClientFinish are answered after the Welcome")
def early_requests(site: Site) -> None:
    session = login(site.connect(), site.server_key, "alice", site.keys["alice"])
    number = session.queue(RequestType.WHOIS, {0: "bob"})
    session.flush()
    answer, _ = session.answer(number)
    same(expect_type(answer, UserInfo).user, "bob", "the user")
    session.close()


@check("an unregistered user and a wrong key: identical refusals, after an ordinary ServerHello")
def authentication_failed(site: Site) -> None:
    stranger = rsa.generate_private_key(65537, 2048)
    impostor = Impostor(site.keys["alice"].public_key(), stranger)
    seen = [
        finish_and_listen(site, site.handshake("nobody", stranger)),
        finish_and_listen(site, site.handshake("alice", stranger)),
        finish_and_listen(site, site.handshake("alice", site.keys["bob"])),
        finish_and_listen(site, site.handshake("alice", impostor)),
    ]
    expected = Refusal(RefusalCode.AUTHENTICATION_FAILED, 0, 1, 1)
    for length, frames in seen:
        same((length, len(frames)), (1 + 1120 + 530, 1), "the ServerHello and what comes after the finish")
        same(frames, seen[0][1], "the refusal")
        same(Refusal.decode(frames[0][1]), expected, "the refusal")


@check("the client takes a refusal after its finish for what it is")
def refused_session(site: Site) -> None:
    session = login(site.connect(), site.server_key, "nobody", site.keys["alice"])
    expect_refused(lambda: session.welcomed(), RefusalCode.AUTHENTICATION_FAILED)


@check("a wrong server key id is refused")
def wrong_server_key(site: Site) -> None:
    other = rsa.generate_private_key(65537, 2048).public_key()
    expect_refused(
        lambda: login(site.connect(), other, "alice", site.keys["alice"]), RefusalCode.UNKNOWN_SERVER_KEY
    )


@check("a changed ClientHello is refused: its key exchange, its secret, its identity, its tag")
def changed_hello(site: Site) -> None:
    hello = site.handshake("alice").hello
    payload = 4
    places = {
        "the X25519 key": payload + 38 + 1184,
        "the OAEP ciphertext": payload + 1256 + 9,
        "the identity": len(hello) - 100,
        "the tag": len(hello) - 1,
    }
    for what, place in places.items():
        refusal = refusal_to(site, flip(hello, place))
        same(refusal.code, RefusalCode.AUTHENTICATION_FAILED, f"the refusal for {what}")
    out_of_range = hello[:payload + 38] + b"\xff" * 1184 + hello[payload + 38 + 1184:]
    same(refusal_to(site, out_of_range).code, RefusalCode.MALFORMED, "the refusal of an X-Wing key that can't be")


@check("frames that have no place in a handshake are refused as Malformed")
def malformed_handshakes(site: Site) -> None:
    hello = site.handshake("alice").hello
    wrong = {
        "kind 0": frame(0, b""),
        "kind 99": frame(99, b""),
        "a ServerHello": frame(Kind.SERVER_HELLO, bytes(100)),
        "a ClientFinish first": frame(Kind.CLIENT_FINISH, bytes(144)),
        "a record first": frame(Kind.DATA, bytes(16)),
        "a length over the limit": header(Kind.CLIENT_HELLO, 16385),
        "an empty hello": frame(Kind.CLIENT_HELLO, b""),
        "another protocol": b"GET / HTTP/1.1\r\n\r\n",
        "other first bytes": hello[:4] + b"RSAX" + hello[8:],
        "a hello that is too short": frame(Kind.CLIENT_HELLO, hello[4:-1]),
        "a hello that is too long": frame(Kind.CLIENT_HELLO, hello[4:] + b"x"),
    }
    for what, data in wrong.items():
        same(refusal_to(site, data).code, RefusalCode.MALFORMED, f"the refusal of {what}")


@check("a changed ClientFinish is refused")
def changed_finish(site: Site) -> None:
    for change in (lambda data: flip(data, 10), lambda data: flip(data, len(data) - 1)):
        with site.connect() as sock:
            handshake, wire = site.handshake("alice"), Wire(sock)
            wire.send(handshake.hello, WAIT)
            _, payload = wire.frame(ANY_HANDSHAKE, time.monotonic() + WAIT)
            wire.send(change(handshake.server_hello(payload)), WAIT)
            frames = frames_until_end(sock)
        same(len(frames), 1, "the number of answers")
        same(Refusal.decode(frames[0][1]).code, RefusalCode.AUTHENTICATION_FAILED, "the refusal's code")


@check("the client refuses a changed ServerHello")
def changed_server_hello(site: Site) -> None:
    def attempt(change: Callable[[bytes], bytes]) -> Callable[[], Session]:
        sock = Meddler(site.connect())
        sock.change = change
        return lambda: login(sock, site.server_key, "alice", site.keys["alice"])

    for place in (4 + 1, 4 + 600, 4 + 1100, 4 + 1121, 4 + 1300, 4 + 1650):
        raised(ServerNotAuthentic, attempt(flip_at(place)))
    raised(ProtocolError, attempt(flip_at(4)))  # another version
    raised(ProtocolError, attempt(flip_at(3)))  # another length
    raised(ProtocolError, attempt(lambda data: header(Kind.SERVER_HELLO, 16385)))
    raised(ProtocolError, attempt(lambda data: frame(Kind.DATA, bytes(16))))
    raised(Cut, attempt(lambda data: b""))


@check("many connections are turned away as Busy, before they have said anything")
def busy(site: Site) -> None:
    small = Site(site.program, site.data.parent / "small", ["--max-connections", "2"])
    small.start()
    with small.connect() as one, small.connect() as two, small.connect() as three:
        frames = frames_until_end(three)
        same([kind for kind, _ in frames], [Kind.REFUSAL], "the answer")
        refusal = Refusal.decode(frames[0][1])
        same((refusal.code, refusal.lowest, refusal.highest), (RefusalCode.BUSY, 1, 1), "the refusal")
        expect(refusal.retry_after > 0, "no time after which to try again")
        del one, two
    same(small.server.end(), 0, "the exit status")


# --- rooms ------------------------------------------------------------------------------------------------

@check("a first visit to an empty room")
def first_visit(site: Site) -> None:
    with site.session("alice") as session:
        answer, parts = session.join(RoomView(LOBBY))
        info = expect_type(answer, Joined).info
        expected = Info(LOBBY, "", None, len(site.keys), info.present, joined=True, last=0, people=())
        same(answer, Joined(expected, caught_up=True, last=0, gone=0, withdrawn_after=None), "the answer")
        same(parts, [], "the backlog")


@check("post: accepted, the event comes to its writer and to another connection, all the same")
def post_and_events(site: Site) -> None:
    with site.session("alice", join=True) as (alice, alices), site.session("bob", join=True) as (bob, bobs):
        for kind, text in ((SAID, "hello"), (DONE, "waves"), (SAID, "Grüße, 世界 👋\nsecond line")):
            id_ = new_id()
            number = alice.queue_post(LOBBY, What(kind, text), id_)
            alice.flush()
            accepted = expect_type(alice.answer(number)[0], Accepted)
            own, other = alice.message(alices), bob.message(bobs)
            expected = Message(LOBBY, accepted.seq, accepted.time, "alice", id_, What(kind, text))
            same(own, expected, "the event")
            same(other, expected, "the event at the other connection")
        same(alices.position, bobs.position, "the position")


@check("history reads back what was posted: id, text, order")
def history(site: Site) -> None:
    with site.session("alice", join=True) as (alice, view):
        posts = [(new_id(), f"line {index}") for index in range(20)]
        numbers = [alice.queue_post(LOBBY, What(SAID, text), id_) for id_, text in posts]
        alice.flush()
        answers = [expect_type(alice.answer(number)[0], Accepted) for number in numbers]
        events = [alice.message(view) for _ in posts]
        end, parts = alice.history(LOBBY, 20)
        expect_type(end, HistoryEnd)
        same([(part.id, part.text) for part in parts], posts, "the history")
        same([(part.seq, part.time) for part in parts], [(each.seq, each.time) for each in answers], "the numbers")
        same(parts, events, "the history")
    with site.session("bob") as bob:
        same(bob.history(LOBBY, 20)[1], parts, "the history without joining")


@check("history in pages goes back to the first message")
def history_pages(site: Site) -> None:
    with site.session("bob") as bob:
        pages: list[Message] = []
        before: Optional[int] = None
        more = True
        while more:
            end, parts = bob.history(LOBBY, 7, before)
            expect(len(parts) > 0, "an empty page, and more before it")
            pages[:0] = parts
            before, more = parts[0].seq, end.more
        same([part.seq for part in pages], list(range(1, pages[-1].seq + 1)), "the numbers")
        same(bob.history(LOBBY, HISTORY)[1], pages, "the whole history")
        for before in (0, 1):
            same(bob.history(LOBBY, 5, before), (HistoryEnd(LOBBY, False), []), "what is before the first message")
        same(bob.history(LOBBY, 0), (HistoryEnd(LOBBY, True), []), "nothing of the history")
        same(bob.history(LOBBY, 0, 2), (HistoryEnd(LOBBY, True), []), "nothing of the history")


@check("join with a backlog: the latest few at a first visit, just what was missed at a later one")
def backlog(site: Site) -> None:
    with site.session("bob") as bob:
        everything = bob.history(LOBBY, HISTORY)[1]
        last = everything[-1].seq
        answer, parts = bob.join(RoomView(LOBBY))
        same(parts, everything[-BACKLOG:], "the backlog")
        same((answer.last, answer.gone, answer.caught_up), (last, 0, True), "the answer")
        incarnation = bob.welcome.incarnation
        for missed in (0, 1, 9, len(everything)):
            view = RoomView(LOBBY, Position(incarnation, last - missed))
            answer, parts = bob.join(view)
            same(parts, everything[len(everything) - missed:], f"the backlog of {missed}")
            same((answer.gone, answer.withdrawn_after), (0, None), "gone and withdrawn after")
            same(view.position, Position(incarnation, last), "the position")


@check("a position that the server never gave is withdrawn")
def withdrawn(site: Site) -> None:
    with site.session("bob") as bob:
        last = bob.history(LOBBY, 1)[1][0].seq
        incarnation = bob.welcome.incarnation
        answer, _ = bob.join(RoomView(LOBBY, Position(incarnation, last + 50)))
        same(answer.withdrawn_after, last, "withdrawn after")
        # One of a later start than this: the server's database is older than what the client saw of it.
        answer, _ = bob.join(RoomView(LOBBY, Position(incarnation + 2**40, last)))
        same(answer.withdrawn_after, 0, "withdrawn after")


@check("joining again repeats Parts, but not events")
def join_again(site: Site) -> None:
    with site.session("alice", join=True) as (alice, view), site.session("bob", join=True) as (bob, _):
        accepted = expect_type(bob.post(LOBBY, "once"), Accepted)
        same(alice.message(view).seq, accepted.seq, "the event")
        again = joined(alice)
        same(again.position.seq, accepted.seq, "the position")
        accepted = expect_type(bob.post(LOBBY, "after it"), Accepted)
        same(alice.message(again).seq, accepted.seq, "the event")
        alice.request(RequestType.WHOIS, {0: "bob"})
        same([event for event in alice.events if is_message(event)], [], "the events that were not expected")


@check("who has not joined gets no events")
def no_events(site: Site) -> None:
    with site.session("alice") as alice, site.session("bob", join=True) as (bob, view):
        expect_type(bob.post(LOBBY, "unheard"), Accepted)
        bob.message(view)
        alice.request(RequestType.WHOIS, {0: "bob"})
        same(list(alice.events), [], "the events")


@check("people, whois, and presence")
def people(site: Site) -> None:
    with site.session("alice") as alice:
        room = new_room(alice)  # nobody has just left it, who would not come if he was back at once
        with site.sessions("bob", "bob") as both:
            for bob in both:
                joined(bob, room)
            came(alice, room, "bob")
            answer = expect_type(alice.request(RequestType.PEOPLE, {0: room}), PeopleList)
            same((answer.room, answer.total), (room, 2), "the room and the total")
            same([(each.user, each.connections) for each in answer.people], [("alice", 1), ("bob", 2)], "the people")
            info = expect_type(alice.request(RequestType.WHOIS, {0: "bob"}), UserInfo)
            same(info.fingerprint, fingerprint(site.keys["bob"].public_key()), "bob's fingerprint")
            same((info.user, info.admin, info.connections), ("bob", True, 2), "what is said about bob")
            expect(info.since is not None, "no time since when bob is connected")
        left(alice, room, "bob")
        answer = alice.request(RequestType.PEOPLE, {0: room})
        same([each.user for each in answer.people], ["alice"], "the people")
        info = alice.request(RequestType.WHOIS, {0: "carol"})
        same((info.since, info.connections, info.admin), (None, 0, False), "what is said about carol")


@check("an unknown request is answered with an error, and the connection goes on")
def unknown_request(site: Site) -> None:
    with site.session("alice") as alice:
        for type_ in (0, 20, 31, 99, 2**64 - 1):
            expect_error(alice.request(type_, {0: "anything", 77: [{}]}), ErrorCode.UNKNOWN_REQUEST)
        expect_type(alice.request(RequestType.WHOIS, {0: "bob"}), UserInfo)


@check("requests that can't be done are answered with the right errors")
def errors(site: Site) -> None:
    with site.session("alice") as alice:
        def post(text: str) -> Any:
            return alice.post(LOBBY, text)

        expect_error(post("not joined yet"), ErrorCode.FORBIDDEN)
        joined(alice)
        for text in ("", " \n\t ", "nul \0"):
            expect_error(post(text), ErrorCode.MALFORMED)
        expect_error(post("x" * (LONGEST + 1)), ErrorCode.TOO_LARGE)
        expect_type(post("x" * LONGEST), Accepted)
        expect_error(alice.request(RequestType.JOIN, {0: "no-such-room"}), ErrorCode.NOT_FOUND)
        expect_error(alice.request(RequestType.PEOPLE, {0: "no-such-room"}), ErrorCode.NOT_FOUND)
        expect_error(alice.request(RequestType.HISTORY, {0: "no-such-room", 2: 1}), ErrorCode.NOT_FOUND)
        expect_error(alice.request(RequestType.WHOIS, {0: "nobody"}), ErrorCode.NOT_FOUND)
        expect_error(alice.request(RequestType.SHUTDOWN, {}), ErrorCode.FORBIDDEN)
        alice.expect(0, RequestType.WHOIS)
        alice.send_record(Kind.DATA, rsac1.encode_message(RequestType.WHOIS, 0, {0: "bob"}))
        expect_error(alice.answer(0)[0], ErrorCode.MALFORMED)


@check("what is asked for too fast is refused for a while, and the connection goes on")
def rate_limit(site: Site) -> None:
    settings = ["--message-burst", "5", "--message-rate", "1"]
    slow = Site(site.program, site.data.parent / "slow", settings)
    slow.register("alice", site.keys["alice"])
    slow.register("carol", site.keys["carol"])
    slow.start()
    with slow.session("carol") as carol:
        numbers = [carol.queue(RequestType.CREATE, {0: f"room-{index}"}) for index in range(12)]
        carol.flush()
        answers = [carol.answer(number)[0] for number in numbers]
        made = [answer for answer in answers if isinstance(answer, Done)]
        expect(5 <= len(made) <= 7, f"{len(made)} of 12 rooms were made")
        for error in [answer for answer in answers if answer not in made]:
            expect_error(error, ErrorCode.RATE_LIMITED)
    with slow.session("alice", join=True) as (alice, view):
        numbers = [alice.queue_post(LOBBY, What(SAID, f"{index}"), new_id()) for index in range(12)]
        alice.flush()
        answers = [alice.answer(number)[0] for number in numbers]
        accepted = [answer for answer in answers if isinstance(answer, Accepted)]
        refused = [answer for answer in answers if isinstance(answer, Error)]
        expect(len(accepted) >= 5 and len(refused) >= 5, f"{len(accepted)} of 12 were accepted")
        for error in refused:
            expect_error(error, ErrorCode.RATE_LIMITED)
            expect(bool(error.retry_after), "no time after which to ask again")
        same([alice.message(view).seq for _ in accepted], [each.seq for each in accepted], "the order")
    same(slow.server.end(), 0, "the exit status")


# --- Statuses ---------------------------------------------------------------------------------------------

@check("status: told to who is in the room, shown by People and Whois, and taken back")
def status(site: Site) -> None:
    with site.sessions("alice", "bob", "carol") as (alice, bob, carol):
        room = new_room(alice, bob)
        came(alice, room, "bob")
        begun = time.time()
        do(bob, RequestType.SET_STATUS, Availability.AWAY, "lunch", 3600)
        ended = time.time()
        for session in (alice, bob):
            [(user, lunch)] = statuses(session, room, "bob")
            same((user, lunch.availability, lunch.text), ("bob", Availability.AWAY, "lunch"), "what was told")
        expect(begun - 1 <= lunch.until / 1000 - 3600 <= ended + 1, f"it ends at {lunch.until}, not in an hour")
        for session in (alice, bob, carol):
            same(status_shown(session, room, "bob"), lunch, "the status")
        same(status_shown(carol, room, "alice"), ONLINE, "the status of who has said nothing")
        # Who comes is told with another status than plainly online, and only then.
        joined(carol, room)
        came(alice, room, "carol")
        do(bob, RequestType.LEAVE, room)
        left(alice, room, "bob")
        joined(bob, room)
        same(statuses(alice, room, "bob"), [("bob", lunch)], "what was told of those who came")
        # A second one takes the place of the first, with its text and end.
        do(bob, RequestType.SET_STATUS, Availability.DO_NOT_DISTURB)
        busy = Status(Availability.DO_NOT_DISTURB, None, None)
        same(statuses(alice, room, "bob"), [("bob", busy)], "what was told")
        same(status_shown(alice, room, "bob"), busy, "the status")
        do(bob, RequestType.SET_STATUS, Availability.ONLINE)
        same(statuses(alice, room, "bob"), [("bob", ONLINE)], "what was told")
        same(status_shown(alice, room, "bob"), ONLINE, "the status")


@check("status: ends by itself, and not too early; a second one has its own end")
def status_for_a_time(site: Site) -> None:
    with site.sessions("alice", "bob", "carol") as (alice, bob, carol):
        room = new_room(alice, bob, carol)
        for first, second in ((1, 3600), (3600, 1)):
            user = bob if second == 1 else carol
            do(user, RequestType.SET_STATUS, Availability.AWAY, "first", first)
            do(user, RequestType.SET_STATUS, Availability.DO_NOT_DISTURB, "second", second)
        ends = {name: status_shown(alice, room, name).until for name in ("bob", "carol")}
        told: list[tuple[str, Status]] = []
        while ("bob", ONLINE) not in told:
            told += statuses(alice, room, "bob")
        expect(time.time() * 1000 >= ends["bob"], "it has ended too early")
        same(status_shown(alice, room, "bob"), ONLINE, "the status that has ended")
        remains = Status(Availability.DO_NOT_DISTURB, "second", ends["carol"])
        same(status_shown(alice, room, "carol"), remains, "the status that has not ended")
        expect(("carol", ONLINE) not in told, "the end of the first was told")
        do(carol, RequestType.SET_STATUS, Availability.ONLINE)


@check("status: outlives the user's leaving, and SIGKILL, and comes with the user")
def status_kept(site: Site) -> None:
    def shown(session: Session) -> list[Status]:
        return [ask(session, RequestType.WHOIS, user).status for user in ("bob", "carol")]

    with site.session("alice") as alice:
        with site.sessions("bob", "carol", "dave") as (bob, carol, dave):
            do(bob, RequestType.SET_STATUS, Availability.AWAY, "on holiday", 3600)
            do(carol, RequestType.SET_STATUS, Availability.DO_NOT_DISTURB)
            do(dave, RequestType.SET_STATUS, Availability.AWAY, "back soon", 1)
            until = ask(alice, RequestType.WHOIS, "dave").status.until
            before = shown(alice)
        for user in ("bob", "carol", "dave"):
            same(gone(alice, user).since, None, "since when somebody is connected who has left")
        same(shown(alice), before, "the statuses of who has left")
        site.server.end(signal.SIGKILL)
    site.start()
    with site.session("alice") as alice:
        same(shown(alice), before, "the statuses after the restart")
        room = new_room(alice)
        begun = time.monotonic()
        while ask(alice, RequestType.WHOIS, "dave").status != ONLINE:
            expect(time.monotonic() - begun < WAIT, "it does not end after the restart")
            alice.attend(0.01)
        expect(time.time() * 1000 >= until, "it has ended too early")
        with site.sessions("bob", "carol") as both:
            for session, status_ in zip(both, before):
                user = session.welcome.user
                joined(session, room)
                same(statuses(alice, room, user), [(user, status_)], "what was told of who came")
            for session in both:
                do(session, RequestType.SET_STATUS, Availability.ONLINE)


@check("status: a new one is told of who has left and is back at once, too")
def status_back_at_once(site: Site) -> None:
    with site.sessions("alice", "bob", "carol") as (alice, bob, carol):
        room = new_room(alice, bob, carol)
        do(carol, RequestType.SET_STATUS, Availability.AWAY, "at first")
        statuses(alice, room, "carol")
        do(bob, RequestType.LEAVE, room)
        do(bob, RequestType.SET_STATUS, Availability.DO_NOT_DISTURB)
        joined(bob, room)
        do(carol, RequestType.SET_STATUS, Availability.AWAY, "at last")
        told = dict(statuses(alice, room, "carol"))
        shown = status_shown(alice, room, "bob")
        for session in (bob, carol):
            do(session, RequestType.SET_STATUS, Availability.ONLINE)
        same(told.get("bob"), shown, "what was told of bob")


@check("idle: away is who is at none of his connections, and has said nothing else")
def set_idle(site: Site) -> None:
    def told_of_bob(*expected: Status) -> None:
        """Whether alice was told just this of bob, before what carol says now."""
        for each in expected:
            same(statuses(alice, room, "bob"), [("bob", each)], "what was told")
        mark = Status(Availability.DO_NOT_DISTURB, f"mark {next(marks)}", None)
        do(carol, RequestType.SET_STATUS, mark.availability, mark.text)
        same(statuses(alice, room, "carol"), [("carol", mark)], "what was told besides")
        if expected:
            same(status_shown(alice, room, "bob"), expected[-1], "the status")

    marks = itertools.count(1)
    with site.sessions("alice", "bob", "carol") as (alice, bob, carol):
        room = new_room(alice, bob, carol)
        came(alice, room, "bob")
        do(bob, RequestType.SET_IDLE, True)
        told_of_bob(AWAY)
        do(bob, RequestType.SET_IDLE, True)
        told_of_bob()
        do(bob, RequestType.SET_IDLE, False)
        told_of_bob(ONLINE)
        # What was said counts more.
        do(bob, RequestType.SET_STATUS, Availability.DO_NOT_DISTURB, "on call")
        told_of_bob(Status(Availability.DO_NOT_DISTURB, "on call", None))
        do(bob, RequestType.SET_IDLE, True)
        told_of_bob()
        do(bob, RequestType.SET_STATUS, Availability.ONLINE)
        told_of_bob(AWAY)
        # A new connection is one at which somebody is, even if it is in no room.
        with site.session("bob") as second:
            told_of_bob(ONLINE)
            do(second, RequestType.SET_IDLE, True)
            told_of_bob(AWAY)
            do(bob, RequestType.SET_IDLE, False)
            told_of_bob(ONLINE)
            do(second, RequestType.SET_IDLE, False)
            do(bob, RequestType.SET_IDLE, True)
            told_of_bob()
        told_of_bob(AWAY)
        bob.close()
        left(alice, room, "bob")
        with site.session("bob") as bob:
            joined(bob, room)
            came(alice, room, "bob")
            told_of_bob()
            same(status_shown(alice, room, "bob"), ONLINE, "the status")
        do(carol, RequestType.SET_STATUS, Availability.ONLINE)


@check("statuses that can't be: refused with the right errors, and nothing happens")
def status_errors(site: Site) -> None:
    with site.sessions("alice", "bob") as (alice, bob):
        room = new_room(alice, bob)
        came(alice, room, "bob")
        text = "é" * 128
        before = Status(Availability.AWAY, text, None)
        do(bob, RequestType.SET_STATUS, Availability.AWAY, text)
        same(statuses(alice, room, "bob"), [("bob", before)], "what was told")
        for availability in (3, 255, 256, 2**32, 2**64 - 1):
            do_not(ErrorCode.MALFORMED, bob, RequestType.SET_STATUS, availability)
        for long in ("x" * 257, "é" * 129):
            do_not(ErrorCode.TOO_LARGE, bob, RequestType.SET_STATUS, Availability.ONLINE, long)
        for bad in ("two\nlines", "tab\t", "nul\0", "\x1b[1m", "\x7f", "\x85"):
            do_not(ErrorCode.MALFORMED, bob, RequestType.SET_STATUS, Availability.ONLINE, bad)
        for availability in Availability:
            do_not(ErrorCode.MALFORMED, bob, RequestType.SET_STATUS, availability, None, 0)
        same(status_shown(alice, room, "bob"), before, "the status")
        do(alice, RequestType.SET_STATUS, Availability.DO_NOT_DISTURB)
        mark = ("alice", Status(Availability.DO_NOT_DISTURB, None, None))
        same(statuses(alice, room, "alice"), [mark], "what was told besides")
        for session in (alice, bob):
            do(session, RequestType.SET_STATUS, Availability.ONLINE)


# --- Rooms ------------------------------------------------------------------------------------------------

@check("make a room: its maker owns it and is a member, and only his other sessions are told")
def create(site: Site) -> None:
    with site.sessions("alice", "alice", "bob") as (alice, other, bob):
        room = f"room-{next(ROOM_NUMBERS):02}"
        do(alice, RequestType.CREATE, room)
        told(alice)
        told(other, Membership(room, True, "alice", None))
        told(bob)
        expect(room in rooms_of(site, "alice"), "the room is not in its maker's Welcome")
        expect(room not in rooms_of(site, "bob"), "the room is in somebody else's Welcome")
        expected = Info(room, "", "alice", members=1, present=0, joined=True, last=0, people=())
        same(info_of(alice, room), expected, "the room")
        same(info_of(bob, room), dataclasses.replace(expected, joined=False), "the room")
        expect_error(alice.post(room, "not joined yet"), ErrorCode.FORBIDDEN)
        view = joined(alice, room)
        accepted = expect_type(alice.post(room, "the first"), Accepted)
        same((accepted.seq, alice.message(view).seq), (1, 1), "the first number")


@check("join a room: who joins is a member, stays one, and hears what is said in it")
def join_room(site: Site) -> None:
    with site.sessions("alice", "carol", "carol", "dave") as (alice, carol, other, dave):
        room = new_room(alice)
        alices, view = RoomView(room, Position(alice.welcome.incarnation, 0)), RoomView(room)
        info = expect_type(carol.join(view)[0], Joined).info
        same((info.room, info.owner, info.members, info.joined), (room, "alice", 2, True), "what is said about it")
        came(alice, room, "carol")
        told(carol)
        told(other, Membership(room, True, "carol", None))
        told(alice)
        joined(carol, room)
        joined(other, room)
        for session in (alice, carol, other):
            told(session)
        accepted = expect_type(carol.post(room, "hello"), Accepted)
        others = RoomView(room, Position(other.welcome.incarnation, 0))
        for session, each in ((alice, alices), (carol, view), (other, others)):
            same(session.message(each).seq, accepted.seq, "the event")
        told(dave)
        do(dave, RequestType.LEAVE, new_room(dave))
    expect(room in rooms_of(site, "carol"), "the room is not in the Welcome of a member")
    expect(room not in rooms_of(site, "dave"), "the room is in the Welcome of who is no member")


@check("leave a room: in all sessions, until one joins again, and gets what was missed")
def leave(site: Site) -> None:
    with site.sessions("alice", "carol", "carol", "carol") as (alice, carol, inside, outside):
        room = new_room(alice, carol, inside)
        told(inside, Membership(room, True, "carol", None))
        told(outside, Membership(room, True, "carol", None))
        came(alice, room, "carol")
        do(carol, RequestType.LEAVE, room)
        told(carol)
        told(inside, Membership(room, False, "carol", None))
        told(outside, Membership(room, False, "carol", None))
        left(alice, room, "carol")
        told(alice)
        same(info_of(alice, room, people=True).people, ("alice",), "the people")
        expect_type(alice.post(room, "without carol"), Accepted)
        for session in (carol, inside, outside):
            told(session)
            expect_error(session.post(room, "without having joined"), ErrorCode.FORBIDDEN)
        expect(room not in rooms_of(site, "carol"), "the room is still in the Welcome")
        do_not(ErrorCode.CONFLICT, carol, RequestType.LEAVE, room)
        answer, parts = carol.join(RoomView(room, Position(carol.welcome.incarnation, 0)))
        same([part.text for part in parts], ["without carol"], "what was missed")
        same(answer.info.members, 2, "the members")


@check("topic: all who are in the room are told, and who joins later finds it")
def topic(site: Site) -> None:
    with site.sessions("alice", "bob", "carol") as (alice, bob, carol):
        room = new_room(alice, carol)
        for text in ("on call: bob", "Grüße 👋", "x" * 256, ""):
            do(alice, RequestType.SET_TOPIC, room, text)
            for session in (alice, carol):
                told(session, acted(room, "alice", ActKind.TOPIC, Text(text)))
            same(info_of(bob, room).topic, text, "the topic")
        told(bob)
        do(bob, RequestType.SET_TOPIC, room, "by an admin")
        told(alice, acted(room, "bob", ActKind.TOPIC, Text("by an admin")))
        told(bob)
        same(bob.join(RoomView(room))[0].info.topic, "by an admin", "the topic")


@check("invite: all sessions of who was invited are told, and may join")
def invite(site: Site) -> None:
    with site.sessions("alice", "alice", "carol", "carol", "dave") as (alice, outside, carol, other, dave):
        room = new_room(alice)
        told(outside, Membership(room, True, "alice", None))
        do(alice, RequestType.INVITE, room, "carol")
        told(alice, acted(room, "alice", ActKind.BROUGHT_IN, Named("carol")))
        for session in (carol, other):
            told(session, Membership(room, True, "alice", None))
        told(outside)
        told(dave)
        same(info_of(carol, room).members, 2, "the members")
        expect(room in rooms_of(site, "carol"), "the room is not in the Welcome of who was invited")
        joined(carol, room)
        told(other)
        do_not(ErrorCode.CONFLICT, alice, RequestType.INVITE, room, "carol")
        told(carol)
    with site.session("alice") as alice:
        do(alice, RequestType.INVITE, room, "dave")  # who is not connected
    expect(room in rooms_of(site, "dave"), "the room is not in the Welcome of who was invited")


@check("kick: who is in the room is told, he in every session; he hears nothing more, and may come back")
def kick(site: Site) -> None:
    with site.sessions("alice", "bob", "carol", "carol", "dave") as (alice, bob, carol, outside, dave):
        room = new_room(alice, bob, carol)
        told(outside, Membership(room, True, "carol", None))
        came(alice, room, "carol")
        do(alice, RequestType.KICK, room, "carol", "too loud")
        event = acted(room, "alice", ActKind.PUT_OUT, PutOut("carol", "too loud"))
        told(alice, event)
        told(bob, event)
        told(carol, event, Membership(room, False, "alice", "too loud"))
        told(outside, Membership(room, False, "alice", "too loud"))
        told(dave)
        left(alice, room, "carol")
        expect_type(bob.post(room, "without carol"), Accepted)
        told(carol)
        expect_error(carol.post(room, "still here?"), ErrorCode.FORBIDDEN)
        expect(room not in rooms_of(site, "carol"), "the room is still in the Welcome")
        _, parts = carol.join(RoomView(room, Position(carol.welcome.incarnation, 0)))
        same([part.text for part in parts], ["without carol"], "what was missed")
        told(outside, Membership(room, True, "carol", None))
        # By an admin, without a reason; and a member who never was in the room.
        do(bob, RequestType.KICK, room, "carol")
        told(carol, acted(room, "bob", ActKind.PUT_OUT, PutOut("carol", None)), Membership(room, False, "bob", None))
        do(alice, RequestType.INVITE, room, "dave")
        do(alice, RequestType.KICK, room, "dave")
        told(dave, Membership(room, True, "alice", None), Membership(room, False, "alice", None))


@check("ban from a room: puts out and keeps out, until it is lifted")
def ban(site: Site) -> None:
    with site.sessions("alice", "carol", "carol", "dave") as (alice, carol, outside, dave):
        room = new_room(alice, carol)
        told(outside, Membership(room, True, "carol", None))
        do(alice, RequestType.BAN, room, "carol", None, "too loud")
        event = acted(room, "alice", ActKind.BANNED, Banned("carol", None, "too loud"))
        told(alice, event)
        told(carol, event, Membership(room, False, "alice", "too loud"))
        told(outside, Membership(room, False, "alice", "too loud"))
        expect_type(alice.post(room, "without carol"), Accepted)
        told(carol)
        expect_error(carol.post(room, "still here?"), ErrorCode.FORBIDDEN)
        do_not(ErrorCode.FORBIDDEN, carol, RequestType.JOIN, room)
        do_not(ErrorCode.FORBIDDEN, outside, RequestType.JOIN, room)
        do_not(ErrorCode.FORBIDDEN, carol, RequestType.PEOPLE, room)
        do_not(ErrorCode.FORBIDDEN, carol, RequestType.HISTORY, room, None, 10)
        expect_type(ask(alice, RequestType.INVITE, room, "carol"), Error)
        expect(room not in rooms_of(site, "carol"), "the room is still in the Welcome")
        view = RoomView(room, Position(alice.welcome.incarnation, 0))
        same(alice.message(view).text, "without carol", "the event")

        do(alice, RequestType.UNBAN, room, "carol")
        told(alice, acted(room, "alice", ActKind.UNBANNED, Named("carol")))
        told(carol)
        same(info_of(carol, room).joined, False, "whether she is a member")
        joined(carol, room)
        told(outside, Membership(room, True, "carol", None))
        told(alice)

        # For the longest time; and somebody who never was a member, for an hour.
        do(alice, RequestType.BAN, room, "carol", 2**32 - 1)
        do_not(ErrorCode.FORBIDDEN, carol, RequestType.JOIN, room)
        alice.event(lambda event: isinstance(event, Acted))
        begun = time.time()
        do(alice, RequestType.BAN, room, "dave", 3600)
        until = alice.event(lambda event: isinstance(event, Acted)).act.body.until
        expect(begun + 3599 < until / 1000 < time.time() + 3601, "the ban ends at another time")
        told(dave)
        do_not(ErrorCode.FORBIDDEN, dave, RequestType.JOIN, room)


@check("ban from the server: connections and new ones are closed with Kicked, until it is lifted")
def ban_from_server(site: Site) -> None:
    with site.sessions("alice", "bob", "dave", "dave") as (alice, bob, dave, other):
        room = new_room(alice, bob, dave)
        told(other, Membership(room, True, "dave", None))
        do_not(ErrorCode.FORBIDDEN, alice, RequestType.BAN, None, "dave")
        came(alice, room, "dave")
        do(bob, RequestType.BAN, None, "dave", None, "too loud")
        expect_closed(dave, CloseCode.KICKED)
        expect_closed(other, CloseCode.KICKED)
        left(alice, room, "dave")
        told(alice)
        told(bob)
        expect_closed(login(site.connect(), site.server_key, "dave", site.keys["dave"]), CloseCode.KICKED)
        expect_closed(resume(site.connect(), dave.ticket), CloseCode.KICKED)
        do_not(ErrorCode.FORBIDDEN, alice, RequestType.UNBAN, None, "dave")
        do(bob, RequestType.UNBAN, None, "dave")
        with site.session("dave") as back:
            joined(back, room)


@check("mute: who is muted may read and not speak, in that room, until it is lifted")
def mute(site: Site) -> None:
    with site.sessions("alice", "bob", "carol") as (alice, bob, carol):
        room = new_room(alice, carol)
        view = RoomView(room, Position(carol.welcome.incarnation, 0))
        do(alice, RequestType.MUTE, room, "carol")
        for session in (alice, carol):
            told(session, acted(room, "alice", ActKind.MUTED, Muted("carol", None)))
        expect_error(carol.post(room, "may I?"), ErrorCode.FORBIDDEN)
        expect_error(carol.post(room, "may I?", retry=True), ErrorCode.FORBIDDEN)
        expect_type(alice.post(room, "no"), Accepted)
        same(carol.message(view).text, "no", "the event")
        do(carol, RequestType.LEAVE, room)
        joined(carol, room)
        expect_error(carol.post(room, "now?"), ErrorCode.FORBIDDEN)
        lobby = joined(carol)
        expect_type(carol.post(LOBBY, "I may not speak there"), Accepted)
        same(carol.message(lobby).sender, "carol", "the event")
        do(alice, RequestType.UNMUTE, room, "carol")
        told(carol, acted(room, "alice", ActKind.UNMUTED, Named("carol")))
        expect_type(carol.post(room, "at last"), Accepted)
        same(carol.message(view).text, "at last", "the event")

        # In the lobby, by an admin.
        begun = time.time()
        do(bob, RequestType.MUTE, LOBBY, "carol", 3600)
        until = carol.event(lambda event: isinstance(event, Acted)).act.body.until
        expect(begun + 3599 < until / 1000 < time.time() + 3601, "it ends at another time")
        expect_error(carol.post(LOBBY, "may I?"), ErrorCode.FORBIDDEN)
        do(bob, RequestType.UNMUTE, LOBBY, "carol")
        told(carol, acted(LOBBY, "bob", ActKind.UNMUTED, Named("carol")))
        expect_type(carol.post(LOBBY, "thank you"), Accepted)


@check("bans and silence end by themselves, and not too early")
def for_a_time(site: Site) -> None:
    def until_done(attempt: Callable[[], bool]) -> float:
        begun = time.monotonic()
        while not attempt():
            expect(time.monotonic() - begun < WAIT, "it does not end")
        return time.time()

    def may_join() -> bool:
        answer = ask(dave, RequestType.JOIN, room)
        if isinstance(answer, Error):
            same(answer.code, ErrorCode.FORBIDDEN, "the error's code")
            dave.attend(0.01)
        return isinstance(answer, Joined)

    def may_speak() -> bool:
        answer = carol.post(room, "now?")
        if isinstance(answer, Error):
            same(answer.code, ErrorCode.FORBIDDEN, "the error's code")
            carol.attend(0.01)
        return isinstance(answer, Accepted)

    def may_log_in() -> bool:
        session = login(site.connect(), site.server_key, "dave", site.keys["dave"])
        try:
            session.welcomed()
        except Closed as closed:
            same(closed.code, CloseCode.KICKED, "the close code")
            return False
        session.close()
        return True

    with site.sessions("alice", "bob", "carol") as (alice, bob, carol):
        room = new_room(alice, carol)
        with site.session("dave") as dave:
            # The second decision takes the place of the first.
            for seconds in (3600, 1):
                do(alice, RequestType.BAN, room, "dave", seconds)
                do(alice, RequestType.MUTE, room, "carol", seconds)
            ends = [alice.event(lambda event: isinstance(event, Acted)).act.body.until for _ in range(4)]
            expect(until_done(may_speak) * 1000 >= ends[3], "the silence has ended too early")
            expect(until_done(may_join) * 1000 >= ends[2], "the ban has ended too early")
        begun = time.time()
        do(bob, RequestType.BAN, None, "dave", 1)
        expect(until_done(may_log_in) >= begun + 1, "the ban from the server has ended too early")


@check("hand over: the new owner decides, the old one no longer; an owner need not be a member")
def hand_over(site: Site) -> None:
    with site.sessions("alice", "bob", "carol") as (alice, bob, carol):
        room = new_room(alice, carol)
        do_not(ErrorCode.CONFLICT, alice, RequestType.HAND_OVER, room, "dave")
        do(alice, RequestType.HAND_OVER, room, "carol")
        for session in (alice, carol):
            told(session, acted(room, "alice", ActKind.OWNER, Named("carol")))
        same(info_of(alice, room).owner, "carol", "the owner")
        do_not(ErrorCode.FORBIDDEN, alice, RequestType.SET_TOPIC, room, "mine")
        do_not(ErrorCode.FORBIDDEN, alice, RequestType.HAND_OVER, room, "alice")
        do(carol, RequestType.LEAVE, room)
        same(info_of(alice, room).owner, "carol", "the owner")
        do(carol, RequestType.SET_TOPIC, room, "mine")
        told(alice, acted(room, "carol", ActKind.TOPIC, Text("mine")))
        told(carol)
        do(bob, RequestType.HAND_OVER, room, "alice")
        told(alice, acted(room, "bob", ActKind.OWNER, Named("alice")))
        do_not(ErrorCode.FORBIDDEN, carol, RequestType.SET_TOPIC, room, "mine")


@check("who may not: Forbidden to who neither owns a room nor is an admin, and nothing happens")
def forbidden(site: Site) -> None:
    with site.sessions("alice", "carol", "dave") as (alice, carol, dave):
        room = new_room(alice, carol)
        for session in (carol, dave):
            do_not(ErrorCode.FORBIDDEN, session, RequestType.SET_TOPIC, room, "mine")
            do_not(ErrorCode.FORBIDDEN, session, RequestType.INVITE, room, "bob")
            do_not(ErrorCode.FORBIDDEN, session, RequestType.HAND_OVER, room, "carol")
            for type_ in (RequestType.KICK, RequestType.BAN, RequestType.MUTE):
                do_not(ErrorCode.FORBIDDEN, session, type_, room, "alice")
            do_not(ErrorCode.FORBIDDEN, session, RequestType.UNBAN, room, "dave")
            do_not(ErrorCode.FORBIDDEN, session, RequestType.UNMUTE, room, "dave")
        # The lobby has no owner, and nobody decides about an admin, or about himself.
        do_not(ErrorCode.FORBIDDEN, alice, RequestType.SET_TOPIC, LOBBY, "mine")
        do_not(ErrorCode.FORBIDDEN, alice, RequestType.MUTE, LOBBY, "carol")
        do_not(ErrorCode.FORBIDDEN, alice, RequestType.HAND_OVER, LOBBY, "alice")
        do(alice, RequestType.INVITE, room, "bob")
        told(alice, acted(room, "alice", ActKind.BROUGHT_IN, Named("bob")))
        for type_ in (RequestType.KICK, RequestType.BAN, RequestType.MUTE):
            do_not(ErrorCode.FORBIDDEN, alice, type_, room, "bob")
            expect_type(ask(alice, type_, room, "alice"), Error)
        do_not(ErrorCode.FORBIDDEN, alice, RequestType.BAN, None, "carol")
        told(alice)
        told(carol, acted(room, "alice", ActKind.BROUGHT_IN, Named("bob")))
        told(dave)
        info = info_of(alice, room)
        same((info.topic, info.owner, info.members), ("", "alice", 3), "the room")


@check("what can't be done as things are: Conflict, and nothing happens")
def conflicts(site: Site) -> None:
    with site.sessions("alice", "bob", "carol") as (alice, bob, carol):
        room = new_room(alice, bob)
        for session, taken in ((alice, room), (bob, room), (alice, LOBBY)):
            do_not(ErrorCode.CONFLICT, session, RequestType.CREATE, taken)
        do_not(ErrorCode.CONFLICT, alice, RequestType.LEAVE, LOBBY)
        do_not(ErrorCode.CONFLICT, bob, RequestType.KICK, LOBBY, "alice")
        do_not(ErrorCode.CONFLICT, bob, RequestType.BAN, LOBBY, "alice")
        do_not(ErrorCode.CONFLICT, carol, RequestType.LEAVE, room)
        do_not(ErrorCode.CONFLICT, alice, RequestType.KICK, room, "carol")
        do_not(ErrorCode.CONFLICT, alice, RequestType.HAND_OVER, room, "carol")
        do_not(ErrorCode.CONFLICT, alice, RequestType.INVITE, room, "bob")
        do_not(ErrorCode.CONFLICT, bob, RequestType.INVITE, LOBBY, "alice")
        do_not(ErrorCode.CONFLICT, alice, RequestType.UNBAN, room, "carol")
        do_not(ErrorCode.CONFLICT, alice, RequestType.UNMUTE, room, "carol")
        do_not(ErrorCode.CONFLICT, bob, RequestType.UNBAN, None, "carol")
        for session in (alice, bob, carol):
            told(session)


@check("rooms and users that are not there: NotFound")
def not_found(site: Site) -> None:
    with site.sessions("alice", "bob") as (alice, bob):
        room, missing = new_room(alice), "no-such-room"
        for session in (alice, bob):
            do_not(ErrorCode.NOT_FOUND, session, RequestType.LEAVE, missing)
            do_not(ErrorCode.NOT_FOUND, session, RequestType.SET_TOPIC, missing, "x")
            for type_ in (
                RequestType.INVITE, RequestType.KICK, RequestType.BAN, RequestType.UNBAN, RequestType.MUTE,
                RequestType.UNMUTE, RequestType.HAND_OVER,
            ):
                do_not(ErrorCode.NOT_FOUND, session, type_, missing, "carol")
            for type_ in (RequestType.INVITE, RequestType.BAN, RequestType.MUTE):
                do_not(ErrorCode.NOT_FOUND, session, type_, room, "nobody")
        do_not(ErrorCode.NOT_FOUND, bob, RequestType.BAN, None, "nobody")
        told(alice)


@check("topics and reasons: 256 bytes at most, and no control characters")
def topics_and_reasons(site: Site) -> None:
    with site.sessions("alice", "bob", "carol") as (alice, bob, carol):
        room = new_room(alice, carol)
        for texts, code in (
            (("x" * 257, "é" * 129), ErrorCode.TOO_LARGE),
            (("two\nlines", "tab\t", "nul\0", "\x1b[1m", "\x7f", "\x85"), ErrorCode.MALFORMED),
        ):
            for text in texts:
                do_not(code, alice, RequestType.SET_TOPIC, room, text)
                do_not(code, alice, RequestType.KICK, room, "carol", text)
                do_not(code, alice, RequestType.BAN, room, "carol", None, text)
                do_not(code, bob, RequestType.BAN, None, "carol", None, text)
        told(carol)
        why = "é" * 128
        do(alice, RequestType.KICK, room, "carol", why)
        event = acted(room, "alice", ActKind.PUT_OUT, PutOut("carol", why))
        told(alice, event)
        told(carol, event, Membership(room, False, "alice", why))


@check("the list of rooms: all of them, by name, and who is there only if that was asked for")
def room_list(site: Site) -> None:
    with site.sessions("alice", "alice", "carol", "dave") as (alice, other, carol, dave):
        room = new_room(alice, other, dave)
        do(alice, RequestType.SET_TOPIC, room, "lists")
        do(alice, RequestType.INVITE, room, "carol")
        expect_type(dave.post(room, "here"), Accepted)
        expected = Info(room, "lists", "alice", members=3, present=2, joined=True, last=1, people=("alice", "dave"))
        for session in (alice, dave, carol):
            same(info_of(session, room, people=True), expected, "the room")
            same(info_of(session, room), dataclasses.replace(expected, people=()), "the room")
        with site.session("bob") as bob:
            same(info_of(bob, room, people=True), dataclasses.replace(expected, joined=False), "the room")
        do(alice, RequestType.CREATE, f"0.{room}")
        rooms = ask(alice, RequestType.ROOMS, True).rooms
        names = [info.room for info in rooms]
        same(names, sorted({*names, LOBBY, room, f"0.{room}"}), "the names")
        expect(all(len(info.people) == info.present <= info.members for info in rooms), "the people and their number")
        same({info.room for info in rooms if info.joined}, set(rooms_of(site, "alice")), "the rooms of a member")
        lobby = next(info for info in rooms if info.room == LOBBY)
        same((lobby.owner, lobby.members), (None, len(site.keys)), "owner and members of the lobby")
        expect(all(not info.people for info in ask(alice, RequestType.ROOMS, False).rooms), "people are named")


@check("the operator's rooms, several admins, and the limits on rooms")
def rooms_as_configured(site: Site) -> None:
    settings = ["--admins", "bob,carol", "--default-rooms", "#news", "--max-rooms-per-user", "49", "--max-rooms", "52"]
    full = Site(site.program, site.data.parent / "full", [*settings, *GENEROUS])
    for user in ("alice", "bob", "carol"):
        full.register(user, site.keys[user])
    full.start()
    with full.sessions("alice", "bob", "carol") as (alice, bob, carol):
        same(set(alice.welcome.rooms), {LOBBY, "news"}, "the rooms of everyone")
        do_not(ErrorCode.CONFLICT, alice, RequestType.LEAVE, "news")
        do_not(ErrorCode.CONFLICT, bob, RequestType.KICK, "news", "alice")
        do(bob, RequestType.CREATE, "bobs")
        joined(carol, "bobs")
        do(bob, RequestType.MUTE, "bobs", "carol")
        do(bob, RequestType.KICK, "bobs", "carol")
        do(carol, RequestType.SET_TOPIC, "bobs", "not bob's alone")

        numbers = [alice.queue(RequestType.CREATE, {0: f"room-{index}"}) for index in range(48)]
        alice.flush()
        for number in numbers:
            expect_type(alice.answer(number)[0], Done)
        # A member of 48 rooms;
        do_not(ErrorCode.CONFLICT, alice, RequestType.CREATE, "room-48")
        do_not(ErrorCode.CONFLICT, alice, RequestType.JOIN, "bobs")
        do_not(ErrorCode.CONFLICT, bob, RequestType.INVITE, "bobs", "alice")
        do(alice, RequestType.LEAVE, "room-0")
        do(alice, RequestType.CREATE, "room-48")
        # the owner of 49;
        do(alice, RequestType.LEAVE, "room-1")
        do_not(ErrorCode.CONFLICT, alice, RequestType.CREATE, "room-49")
        do(bob, RequestType.INVITE, "bobs", "alice")
        # and 52 in all.
        do_not(ErrorCode.CONFLICT, carol, RequestType.CREATE, "carols")
        same(len(ask(carol, RequestType.ROOMS, True).rooms), 52, "the number of rooms")
    same(full.server.end(), 0, "the exit status")


@check("rooms that only admins may make")
def rooms_by_admins(site: Site) -> None:
    strict = Site(site.program, site.data.parent / "strict", ["--admins", "bob", "--room-creation", "admins"])
    for user in ("alice", "bob"):
        strict.register(user, site.keys[user])
    strict.start()
    with strict.sessions("alice", "bob") as (alice, bob):
        do_not(ErrorCode.FORBIDDEN, alice, RequestType.CREATE, "alices")
        do(bob, RequestType.CREATE, "bobs")
        joined(alice, "bobs")
        do(bob, RequestType.HAND_OVER, "bobs", "alice")
        do(alice, RequestType.SET_TOPIC, "bobs", "who owns a room decides there")
    same(strict.server.end(), 0, "the exit status")


@check("SIGKILL: rooms, topics, owners, members, bans and silence are there after the restart")
def rooms_after_kill(site: Site) -> None:
    with site.sessions("alice", "bob", "carol", "dave") as (alice, bob, carol, dave):
        room, handed, other = new_room(alice, carol), new_room(alice, carol), new_room(alice, carol, dave)
        view = RoomView(room, Position(carol.welcome.incarnation, 0))
        expect_type(carol.post(room, "before the kill"), Accepted)
        same(carol.message(view).seq, 1, "the number")
        do(alice, RequestType.HAND_OVER, handed, "carol")
        do(alice, RequestType.LEAVE, handed)
        do(alice, RequestType.KICK, other, "carol")
        do(alice, RequestType.INVITE, room, "bob")
        do(alice, RequestType.BAN, room, "dave", 3600)
        do(alice, RequestType.BAN, other, "dave")
        do(alice, RequestType.UNBAN, other, "dave")
        do(alice, RequestType.MUTE, room, "carol", 3600)
        do(alice, RequestType.SET_TOPIC, other, "first")
        do(alice, RequestType.SET_TOPIC, other, "second")
        do(bob, RequestType.BAN, None, "dave")
        site.server.end(signal.SIGKILL)
    site.start()
    with site.sessions("alice", "bob", "carol") as (alice, bob, carol):
        rooms = {user.welcome.user: set(user.welcome.rooms) & {room, handed, other} for user in (alice, bob, carol)}
        same(rooms, {"alice": {room, other}, "bob": {room}, "carol": {room, handed}}, "the rooms of the Welcomes")
        infos = [info_of(alice, each) for each in (room, handed, other)]
        expected = [("", "alice", 3, 1), ("", "carol", 1, 0), ("second", "alice", 1, 0)]
        same([(each.topic, each.owner, each.members, each.last) for each in infos], expected, "the rooms")
        answer, parts = carol.join(view)
        same((parts, answer.gone, answer.withdrawn_after), ([], 0, None), "what was missed")
        expect_error(carol.post(room, "still muted"), ErrorCode.FORBIDDEN)
        do(carol, RequestType.SET_TOPIC, handed, "still mine")
        expect_closed(login(site.connect(), site.server_key, "dave", site.keys["dave"]), CloseCode.KICKED)
        do(bob, RequestType.UNBAN, None, "dave")
        do(alice, RequestType.UNMUTE, room, "carol")
        same(expect_type(carol.post(room, "after the restart"), Accepted).seq, 2, "the next number")
        with site.session("dave") as dave:
            do_not(ErrorCode.FORBIDDEN, dave, RequestType.JOIN, room)
            joined(dave, other)
            do(alice, RequestType.UNBAN, room, "dave")
            joined(dave, room)


# --- posts that are retried -------------------------------------------------------------------------------

@check("a retried post is stored once, and answered as at first")
def retry_once(site: Site) -> None:
    with site.session("alice", join=True) as (alice, view):
        id_ = new_id()
        first = expect_type(alice.post(LOBBY, "said once", id_), Accepted)
        same(alice.message(view).id, id_, "the event")
        for _ in range(3):
            same(alice.post(LOBBY, "in other words", id_, retry=True), first, "the answer to a retry")
        fresh = new_id()
        second = expect_type(alice.post(LOBBY, "never said before", fresh, retry=True), Accepted)
        same(second.seq, first.seq + 1, "the number of a retry that was not stored")
        same(alice.message(view).id, fresh, "the next event")
        same([part.id for part in alice.history(LOBBY, 2)[1]], [id_, fresh], "the history")
        without = {0: LOBBY, 1: new_id(), 2: What(SAID, "without a word of retry").encode()}
        expect_type(alice.request(RequestType.POST, without), Accepted)


@check("a post that a cut left unanswered, retried on the next connection, is stored once")
def retry_after_cut(site: Site) -> None:
    posts = [(new_id(), f"cut {index}") for index in range(10)]
    with site.session("bob", join=True) as (bob, bobs):
        session = login(site.connect(), site.server_key, "alice", site.keys["alice"])
        session.welcomed()
        view = joined(session)
        for id_, text in posts[:5]:
            session.queue_post(LOBBY, What(SAID, text), id_)
        session.flush()
        same(bob.message(bobs).id, posts[0][0], "the first event")
        session.drop()
        again = welcomed(resume(site.connect(), session.ticket))
        joined(again, LOBBY, view.position)
        numbers = [again.queue_post(LOBBY, What(SAID, text), id_, retry=True) for id_, text in posts]
        again.flush()
        answers = [expect_type(again.answer(number)[0], Accepted) for number in numbers]
        events = [bob.message(bobs) for _ in posts[1:]]
        same([event.id for event in events], [id_ for id_, _ in posts[1:]], "the events")
        same([part.id for part in again.history(LOBBY, 10)[1]], [id_ for id_, _ in posts], "the history")
        same([each.seq for each in answers], [each.seq for each in again.history(LOBBY, 10)[1]], "the numbers")
        again.close()


# --- tickets and restarts ---------------------------------------------------------------------------------

@check("resume by ticket, again and again")
def resume_by_ticket(site: Site) -> None:
    with site.session("alice") as session:
        ticket, incarnation = session.ticket, session.welcome.incarnation
    for _ in range(3):
        with welcomed(resume(site.connect(), ticket)) as session:
            same((session.welcome.user, session.welcome.incarnation), ("alice", incarnation), "the Welcome")
            same(session.opening, ["ticket", "welcome"], "what comes first")
            expect(session.ticket.ticket != ticket.ticket, "no new ticket")
            expect(session.ticket.secret != ticket.secret, "no new resumption secret")
            expect_type(session.request(RequestType.WHOIS, {0: "bob"}), UserInfo)
            ticket = session.ticket


@check("a ticket without its secret, and a changed or made-up one, are refused")
def tickets_refused(site: Site) -> None:
    with site.session("alice") as session:
        good = session.ticket

    def attempt(ticket: bytes, secret: bytes) -> Callable[[], Session]:
        return lambda: resume(site.connect(), Ticket(ticket, secret, good.expires, good.user, good.server))

    expect_refused(attempt(good.ticket, bytes(32)), RefusalCode.TICKET_REFUSED)
    expect_refused(attempt(flip(good.ticket, 0), good.secret), RefusalCode.TICKET_REFUSED)
    expect_refused(attempt(flip(good.ticket, len(good.ticket) - 1), good.secret), RefusalCode.TICKET_REFUSED)
    expect_refused(attempt(good.ticket[:-1], good.secret), RefusalCode.TICKET_REFUSED)
    expect_refused(attempt(b"made up", good.secret), RefusalCode.TICKET_REFUSED)
    welcomed(resume(site.connect(), good)).close()


@check("the client does not present a ticket after its lifetime")
def ticket_lifetime(site: Site) -> None:
    with site.session("alice") as session:
        old = Ticket(session.ticket.ticket, session.ticket.secret, time.monotonic(), "alice", session.ticket.server)
    raised(ValueError, lambda: resume(site.connect(), old))


@check("SIGTERM: sessions end with Shutdown; after the restart ticket, position and retry still serve")
def restart(site: Site) -> None:
    alice = login(site.connect(), site.server_key, "alice", site.keys["alice"])
    incarnation = alice.welcomed().incarnation
    view, id_ = joined(alice), new_id()
    accepted = expect_type(alice.post(LOBBY, "before the restart", id_), Accepted)
    same(alice.message(view).seq, accepted.seq, "the event")
    site.server.process.send_signal(signal.SIGTERM)
    expect_closed(alice, CloseCode.SHUTDOWN)
    same(site.server.wait(), 0, "the exit status")
    key = site.server_key
    site.start()
    same(fingerprint(site.server_key), fingerprint(key), "the server's key")
    with welcomed(resume(site.connect(), alice.ticket)) as again:
        same(again.welcome.user, "alice", "the user")
        expect(again.welcome.incarnation > incarnation, "the incarnation is not greater than before")
        answer, parts = again.join(view)
        same((parts, answer.gone, answer.withdrawn_after), ([], 0, None), "what was missed")
        same(view.position, Position(again.welcome.incarnation, accepted.seq), "the position")
        same(again.post(LOBBY, "before the restart", id_, retry=True), accepted, "the answer to a retry")
        following = expect_type(again.post(LOBBY, "after the restart"), Accepted)
        same(following.seq, accepted.seq + 1, "the next number")
        same(again.message(view).seq, following.seq, "the event")


@check("SIGKILL: the cut is noticed; what was accepted is still there after the restart")
def killed(site: Site) -> None:
    alice = login(site.connect(), site.server_key, "alice", site.keys["alice"])
    alice.welcomed()
    view = joined(alice)
    posts = [(new_id(), f"before the kill {index}") for index in range(50)]
    numbers = [alice.queue_post(LOBBY, What(SAID, text), id_) for id_, text in posts]
    alice.flush()
    accepted = [expect_type(alice.answer(number)[0], Accepted) for number in numbers]
    events = [alice.message(view) for _ in posts]
    site.server.end(signal.SIGKILL)
    expect_type(alice.ended(), Cut)
    site.start()
    with welcomed(resume(site.connect(), alice.ticket)) as again:
        answer, parts = again.join(view)
        same((parts, answer.last, answer.withdrawn_after), ([], accepted[-1].seq, None), "what was missed")
        same(again.history(LOBBY, 50)[1], events, "the history")


# --- RECORDS, STREAM OF MESSAGES --------------------------------------------------------------------------

@check("records that were changed, repeated, dropped or moved: Close with ProtocolError")
def tampered_records(site: Site) -> None:
    def whois(session: Session) -> bytes:
        return session.sender.seal(Kind.DATA, rsac1.encode_message(RequestType.WHOIS, 1, {0: "bob"}))

    def repeated(session: Session) -> bytes:
        return session.sender.seal(Kind.PING, b"") * 2

    def dropped(session: Session) -> bytes:
        session.sender.seal(Kind.PING, b"")
        return session.sender.seal(Kind.PING, b"")

    def other_kind(session: Session) -> bytes:
        return bytes([Kind.PONG]) + session.sender.seal(Kind.PING, b"")[1:]

    def swapped(session: Session) -> bytes:
        first, second = session.sender.seal(Kind.PING, b""), session.sender.seal(Kind.PONG, b"")
        return second + first

    def other_key(session: Session) -> bytes:
        return Direction(bytes(32)).seal(Kind.PING, b"")

    def own_echo(session: Session) -> bytes:
        return copy.copy(session.receiver).seal(Kind.PING, b"")

    changes: list[Callable[[Session], bytes]] = [
        lambda session: flip(whois(session), 6),
        lambda session: flip(whois(session), len(whois(session)) - 1),
        repeated, dropped, other_kind, swapped, other_key, own_echo,
        lambda session: frame(Kind.PING, bytes(15)),
        lambda session: frame(Kind.PING, b""),
    ]
    for change in changes:
        with site.session("alice") as session:
            session.send_raw(change(session))
            expect_closed(session, CloseCode.PROTOCOL_ERROR)


@check("frames that have no place among records: Close with ProtocolError")
def misplaced_frames(site: Site) -> None:
    for data in (
        frame(99, bytes(16)),
        frame(0, bytes(16)),
        frame(Kind.CLIENT_HELLO, bytes(16)),
        frame(Kind.CLIENT_FINISH, bytes(144)),
        frame(Kind.REFUSAL, bytes(5)),
        header(Kind.DATA, 16401),
    ):
        with site.session("alice") as session:
            session.send_raw(data)
            expect_closed(session, CloseCode.PROTOCOL_ERROR)


@check("messages that do not decode, and lengths that can't be: Close with ProtocolError")
def malformed_messages(site: Site) -> None:
    whois = RequestType.WHOIS
    encoded = {
        "an array of four": [whois, 1, {0: "bob"}, 0],
        "no map": [whois, 1, ["bob"]],
        "a missing key": [whois, 1, {}],
        "a key that is no integer": [whois, 1, {0: "bob", "x": 0}],
        "a value of another type": [whois, 1, {0: b"bob"}],
        "a name that can't be one": [whois, 1, {0: "Bob"}],
        "a negative request id": [whois, -1, {0: "bob"}],
        "a what of an unknown kind": [RequestType.POST, 1, {0: LOBBY, 1: new_id(), 2: [2, {0: "x"}]}],
        "a Rooms without its field": [RequestType.ROOMS, 1, {}],
        "a Ban without its user": [RequestType.BAN, 1, {0: LOBBY}],
        "a time below 0": [RequestType.MUTE, 1, {0: LOBBY, 1: "bob", 2: -1}],
        "a time over 32 bits": [RequestType.BAN, 1, {0: LOBBY, 1: "bob", 2: 2**32}],
        "a topic that is no text": [RequestType.SET_TOPIC, 1, {0: LOBBY, 1: b"x"}],
    }
    streams = {name: cbor2.dumps(message, canonical=True) for name, message in encoded.items()}
    streams["an indefinite array"] = bytes.fromhex("9f0501a10063626f62ff")
    streams["an indefinite map"] = bytes.fromhex("830501bf0063626f62ff")
    streams["bytes after the message"] = bytes.fromhex("830501a10063626f6200")
    streams["no CBOR"] = b"\xff\xff\xff"
    streams = {name: len(data).to_bytes(3, "big") + data for name, data in streams.items()}
    streams["a length of 0"] = bytes(3)
    streams["a length over the limit"] = (LONGEST + 513).to_bytes(3, "big")
    for name, data in streams.items():
        with site.session("alice") as session:
            session.send_record(Kind.DATA, data)
            try:
                expect_closed(session, CloseCode.PROTOCOL_ERROR)
            except (Failure, TimedOut) as failure:
                raise Failure(f"{name}: {failure}") from None


@check("the server ignores keys that it does not know, whatever is in them")
def unknown_keys(site: Site) -> None:
    with site.session("alice") as session:
        for value in (None, 1.5, {"x": [b"", {}]}, cbor2.CBORTag(99, []), "text", -1, 2**64 - 1):
            expect_type(session.request(RequestType.WHOIS, {0: "bob", 9: value, 2**62: value}), UserInfo)
        # [ Whois, 1000, { 0: "bob", 9: [[[ ... 0 ... ]]] } ]
        deep = bytes.fromhex("83051903e8a20063626f6209") + b"\x81" * 10000 + b"\x00"
        session.expect(1000, RequestType.WHOIS)
        data = len(deep).to_bytes(3, "big") + deep
        session.send_record(Kind.DATA, data)
        expect_type(session.answer(1000)[0], UserInfo)


@check("messages cut into records anywhere, one byte each, with Pings between")
def one_byte_records(site: Site) -> None:
    with site.session("alice", join=True) as (alice, view):
        text = "in very small pieces"
        number = alice.queue_post(LOBBY, What(SAID, text), new_id())
        records = alice.flush(piece=1)
        expect(records > 40, "the message was not cut")
        expect_type(alice.answer(number)[0], Accepted)
        same(alice.message(view).text, text, "the text")
        data = rsac1.encode_message(99, alice.expect(alice.new_request(), 99), {0: "x"})
        for byte in data:
            alice.send_record(Kind.DATA, bytes([byte]))
            alice.send_record(Kind.PING)
            alice.send_record(Kind.DATA, b"")
        alice.pong(len(data))


@check("long messages that span several records, in both directions")
def spanning(site: Site) -> None:
    with site.session("alice", join=True) as (alice, alices), site.session("bob", join=True) as (bob, bobs):
        texts = [f"{index:02}" + "ab" * ((LONGEST - 2) // 2) for index in range(12)]
        numbers = [alice.queue_post(LOBBY, What(SAID, text), new_id()) for text in texts]
        records = alice.flush()
        expect(records > len(texts) * LONGEST // 16384, "the posts were not packed into records")
        for number in numbers:
            expect_type(alice.answer(number)[0], Accepted)
        same([bob.message(bobs).text for _ in texts], texts, "the events")
        same([alice.message(alices).text for _ in texts], texts, "the writer's own events")
        end, parts = bob.history(LOBBY, len(texts))
        same([part.text for part in parts], texts, "the history")
        expect(bob.stream.spanning > 0, "the server never spanned records with a message")
        # 256 KiB is all that one answer may hold.
        numbers = [alice.queue_post(LOBBY, What(SAID, text), new_id()) for text in texts]
        alice.flush()
        for number in numbers:
            expect_type(alice.answer(number)[0], Accepted)
        last = [alice.message(alices) for _ in texts][-1].seq
        end, parts = bob.history(LOBBY, 100)
        expect(end.more and len(parts) < 100, "one answer held more than 256 KiB")
        same(parts[-1].seq, last, "the last number")


@check("a backlog that is too long for one answer comes in several")
def catching_up(site: Site) -> None:
    with site.session("bob") as bob:
        everything = bob.history(LOBBY, 1)[1][0].seq
        view = RoomView(LOBBY, Position(bob.welcome.incarnation, 0))
        first, parts = bob.request_with_parts(RequestType.JOIN, view.join_body())
        same((first.caught_up, first.last), (False, parts[-1].seq), "the first answer")
        same(first.info.last, everything, "the room's last number")
        answer, parts = bob.join(view)
        same((answer.caught_up, answer.last), (True, everything), "the last answer")
        same([part.seq for part in parts], list(range(1, everything + 1)), "the numbers")


@check("many messages in one record, in both directions")
def packed(site: Site) -> None:
    with site.session("alice") as alice:
        numbers = [alice.queue(RequestType.WHOIS, {0: "bob"}) for _ in range(500)]
        same(alice.flush(), 1, "the number of records")
        for number in numbers:
            expect_type(alice.answer(number)[0], UserInfo)
        expect(alice.stream.most > 1, "the server put no two messages into one record")


@check("the client notices a changed record, and a stream that was cut inside a record or between two")
def client_notices(site: Site) -> None:
    def attempt(change: Callable[[bytes], bytes] = bytes, keep: Optional[int] = None) -> Any:
        meddler = Meddler(site.connect())
        with site.session("alice", sock=meddler) as session:
            meddler.change, meddler.keep = change, keep
            session.send_pings(2)
            return session.ended(WAIT)

    expect_type(attempt(flip_at(0)), ProtocolError)
    expect_type(attempt(flip_at(4)), ProtocolError)
    expect_type(attempt(flip_at(19)), ProtocolError)
    expect_type(attempt(lambda data: data[:20] + data), ProtocolError)
    expect_type(attempt(lambda data: frame(Kind.REFUSAL, bytes(5))), ProtocolError)
    same(str(expect_type(attempt(keep=7), Cut)), "the stream ended inside a frame", "the end")
    same(str(expect_type(attempt(keep=20), Cut)), "the stream ended", "the end")


@check("more than 65,536 records in each direction: the ratchet is crossed, twice")
def ratchet(site: Site) -> None:
    with site.session("alice", join=True) as (alice, view):
        total = 2 * rsac1.RECORDS_PER_KEY + 100
        sent = 0
        while sent < total:
            count = min(4096, total - sent)
            alice.send_pings(count)
            sent += count
            alice.pong(sent)
        same((alice.sender.ratchets, alice.receiver.ratchets), (2, 2), "the ratchets")
        accepted = expect_type(alice.post(LOBBY, "with the third keys"), Accepted)
        same(alice.message(view).seq, accepted.seq, "the event")


# --- CLOSING ----------------------------------------------------------------------------------------------

@check("Bye: the server hangs up, and the user has left")
def bye(site: Site) -> None:
    with site.session("alice") as alice:
        with site.session("bob") as bob:
            same(alice.request(RequestType.WHOIS, {0: "bob"}).connections, 1, "bob's connections")
            begun = time.monotonic()
            bob.close()
            expect(time.monotonic() - begun < rsac1.CLOSE_WAIT_SECONDS, "the server did not hang up")
        while alice.request(RequestType.WHOIS, {0: "bob"}).connections:
            expect(time.monotonic() - begun < WAIT, "bob has not left")
            alice.attend(0.01)


@check("Bye right behind a post: it is done, and not answered")
def bye_behind_a_post(site: Site) -> None:
    with site.session("bob", join=True) as (bob, bobs):
        session, id_ = welcomed(login(site.connect(), site.server_key, "alice", site.keys["alice"])), new_id()
        joined(session)
        session.queue_post(LOBBY, What(SAID, "good night"), id_)
        session.flush()
        session.send_record(Kind.CLOSE, cbor2.dumps({0: CloseCode.BYE, 1: ""}))
        same(bob.message(bobs).id, id_, "the event")
        expect_type(session.ended(), Cut)


@check("a Close that holds something else is answered with one with ProtocolError")
def malformed_close(site: Site) -> None:
    long = {0: CloseCode.BYE, 1: "x" * 513}
    for plaintext in (b"", cbor2.dumps({0: CloseCode.BYE}), cbor2.dumps(long), cbor2.dumps([0, ""])):
        with site.session("alice") as session:
            session.send_record(Kind.CLOSE, plaintext)
            expect_closed(session, CloseCode.PROTOCOL_ERROR)


@check("the end of a client's stream, and be it of one half of the connection, is a cut")
def half_closed(site: Site) -> None:
    sock = site.connect()
    with site.session("alice", sock=sock) as session:
        sock.shutdown(socket.SHUT_WR)
        expect_type(session.ended(), Cut)


@check("a removed key ends the session with KeyRemoved; its ticket and its login are refused")
def key_removed(site: Site) -> None:
    with site.session("alice", join=True) as (alice, _), site.session("dave", join=True) as (dave, _):
        came(alice, LOBBY, "dave")
        site.run("keys", "remove", "--data-dir", site.data, "dave")
        expect_closed(dave, CloseCode.KEY_REMOVED)
        expect_refused(lambda: resume(site.connect(), dave.ticket), RefusalCode.TICKET_REFUSED)
        _, frames = finish_and_listen(site, site.handshake("dave"))
        same(Refusal.decode(frames[0][1]).code, RefusalCode.AUTHENTICATION_FAILED, "the refusal's code")
        expect_error(alice.request(RequestType.WHOIS, {0: "dave"}), ErrorCode.NOT_FOUND)
        left(alice, LOBBY, "dave")


@check("what names a post that is refused for now is refused too, and order is kept")
def after(site: Site) -> None:
    settings = ["--message-burst", "10", "--message-rate", "2000"]
    hasty = Site(site.program, site.data.parent / "hasty", settings)
    hasty.register("alice", site.keys["alice"])
    hasty.start()
    with hasty.session("alice", join=True) as (alice, _):
        ids = [new_id() for _ in range(300)]
        numbers = [
            alice.queue_post(LOBBY, What(SAID, f"line {at}"), id_, after=ids[at - 1] if at else None)
            for at, id_ in enumerate(ids)
        ]
        alice.flush()
        answers = [alice.answer(number)[0] for number in numbers]
        taken = [isinstance(answer, Accepted) for answer in answers]
        expect(not all(taken), "nothing was refused")
        same(taken, sorted(taken, reverse=True), "what was taken")
        # What was refused, said again without a word about the one before, is taken again.
        first = taken.index(False)
        again = (alice.post(LOBBY, f"line {first}", ids[first]) for _ in range(1000))
        expect(any(isinstance(answer, Accepted) for answer in again), "it is never taken")
    same(hasty.server.end(), 0, "the exit status")


@check("a reader that is too slow is closed with TooSlow, and finds what it missed when it is back")
def too_slow(site: Site) -> None:
    settings = ["--outbound-queue-bytes", "524288", "--history-limit", "10000", "--idle-seconds", "3600", *GENEROUS]
    busy_site = Site(site.program, site.data.parent / "flood", settings)
    for user in ("alice", "bob"):
        busy_site.register(user, site.keys[user])
    busy_site.start()

    def enough() -> bool:
        return "reads too slowly" in busy_site.server.log()

    def read_after_it(session: Session) -> tuple[Exception, float]:
        while not enough():
            expect(busy_site.server.process.poll() is None, "the server has ended")
            time.sleep(0.005)
        return session.ended(), time.monotonic()

    count, rounds, text = 0, [], "x" * 12000
    with busy_site.session("alice", join=True) as (alice, _):
        slow = welcomed(login(busy_site.connect(), busy_site.server_key, "bob", busy_site.keys["bob"]))
        view = joined(slow)
        slow.keeps_alive = False
        ended = MEANWHILE.submit(read_after_it, slow)
        while not enough():
            rounds.append(time.monotonic())
            numbers = [alice.queue_post(LOBBY, What(SAID, text), new_id()) for _ in range(10)]
            alice.flush()
            for number in numbers:
                expect_type(alice.answer(number)[0], Accepted)
            count += len(numbers)
            expect(count < 5000, "the slow reader is never closed")
            alice.events.clear()
        end, when = ended.result(3 * WAIT)
        for event in [event for event in slow.events if is_message(event)]:
            view.event(event, slow.welcome.incarnation)
        expect(view.position.seq < count, "nothing was missed")
        # The server was still sending when the first message that was missed was posted, and waits for 2 s after that.
        # Where all was read well within that time, the Close is there. A machine that has too much to do may be slower,
        # and then a cut is all there is.
        if not isinstance(end, Cut) or when - rounds[view.position.seq // 10] < 1:
            same(getattr(end, "code", end), CloseCode.TOO_SLOW, "the end")
        while alice.request(RequestType.WHOIS, {0: "bob"}).connections:
            expect(time.monotonic() - when < WAIT, "bob has not left")
            alice.attend(0.01)
        with welcomed(resume(busy_site.connect(), slow.ticket)) as again:
            answer, parts = again.join(view)
            same((answer.last, answer.gone, answer.withdrawn_after), (count, 0, None), "what was missed")
    same(busy_site.server.end(), 0, "the exit status")


def fall_silent(quiet: Site) -> tuple[float, float, Exception, int]:
    """Log in and answer nothing: when the server asked, when it gave up, how it ended, and how often it asked."""
    begun = time.monotonic()
    session = welcomed(login(quiet.connect(), quiet.server_key, "alice", quiet.keys["alice"]))
    session.answers_pings = session.keeps_alive = False
    session.ping(1, IDLE_SECONDS + WAIT)
    asked = time.monotonic() - begun
    end = session.ended(IDLE_SECONDS + WAIT)
    return asked, time.monotonic() - begun, end, session.pings


def say_nothing(quiet: Site) -> tuple[bytes, float]:
    """Connect and wait: what comes, and when."""
    begun = time.monotonic()
    with quiet.connect() as sock:
        sock.settimeout(10 + WAIT)
        return sock.recv(1), time.monotonic() - begun


# How late all this is says nothing where a machine has much to do; that it is never early does.
@check("a silent client is asked with one Ping, and then closed with IdleTimeout")
def idle(site: Site) -> None:
    asked, given_up, end, pings = site.fallen_silent.result(3 * WAIT)
    same(getattr(end, "code", end), CloseCode.IDLE_TIMEOUT, "the end")
    same(pings, 1, "the number of Pings")
    expect(asked >= IDLE_SECONDS * 3 / 5, f"it was asked after {asked:.1f} s")
    expect(given_up >= IDLE_SECONDS, f"it was given up after {given_up:.1f} s")


@check("a client that is silent in its handshake is hung up on, without a word")
def idle_handshake(site: Site) -> None:
    heard, given_up = site.saying_nothing.result(3 * WAIT)
    same(heard, b"", "what was heard")
    expect(given_up >= 10, f"it was given up after {given_up:.1f} s")


@check("a silent server is asked with a Ping, and then given up by the client")
def silent_server(site: Site) -> None:
    quiet, saved = site.quiet, (rsac1.PING_AFTER_SECONDS, rsac1.GIVE_UP_SECONDS)
    session = welcomed(login(quiet.connect(), quiet.server_key, "alice", quiet.keys["alice"]))
    rsac1.PING_AFTER_SECONDS, rsac1.GIVE_UP_SECONDS = 0.2, 1.0
    try:
        session.pong(1)
        quiet.server.process.send_signal(signal.SIGSTOP)
        expect_type(session.ended(WAIT), rsac1.Silent)
        handshake = quiet.handshake("alice")
        raised(TimedOut, lambda: rsac1.open_session(quiet.connect(), handshake, timeout=0.2))
    finally:
        rsac1.PING_AFTER_SECONDS, rsac1.GIVE_UP_SECONDS = saved
        quiet.server.process.send_signal(signal.SIGCONT)
    same(quiet.server.end(), 0, "the exit status")


@check("shutdown by an admin: Done, then Close with Shutdown for everybody, and exit status 0")
def shutdown(site: Site) -> None:
    alice = welcomed(login(site.connect(), site.server_key, "alice", site.keys["alice"]))
    bob = welcomed(login(site.connect(), site.server_key, "bob", site.keys["bob"]))
    expect_type(bob.request(RequestType.SHUTDOWN, {}), rsac1.Done)
    expect_closed(bob, CloseCode.SHUTDOWN)
    expect_closed(alice, CloseCode.SHUTDOWN)
    same(site.server.wait(), 0, "the exit status")


# --- all of it --------------------------------------------------------------------------------------------

def run(program: Path, directory: Path) -> tuple[int, int]:
    site = Site(program, directory / "data", SETTINGS)
    site.register("alice", rsa.generate_private_key(65537, 2048))
    site.register_generated("bob", "correct horse battery staple")
    site.register("carol", rsa.generate_private_key(65537, 4096))
    site.register("dave", rsa.generate_private_key(65537, 3072))
    site.start()

    site.quiet = Site(program, directory / "quiet", ["--idle-seconds", str(IDLE_SECONDS)])
    site.quiet.register("alice", site.keys["alice"])
    site.quiet.start()
    site.fallen_silent = MEANWHILE.submit(fall_silent, site.quiet)
    site.saying_nothing = MEANWHILE.submit(say_nothing, site.quiet)

    passed = failed = 0
    for name, function in CHECKS:
        try:
            function(site)
        except Exception as error:  # a check may fail in any way
            failed += 1
            place = traceback.extract_tb(error.__traceback__)
            lines = ", ".join(str(each.lineno) for each in place if each.filename == __file__)
            print(f"FAIL  {name}: {type(error).__name__}: {error} (line {lines})", flush=True)
        else:
            passed += 1
            print(f"ok    {name}", flush=True)
    return passed, failed


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python run.py PATH_TO_RSACHAT", file=sys.stderr)
        return 2
    program = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="rsachat-interop-") as directory:
        try:
            passed, failed = run(program, Path(directory))
        finally:
            for server in list(Server.running):
                server.end(signal.SIGKILL)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
