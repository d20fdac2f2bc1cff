"""Checks a real rsachat server against the client in rsac1.py:  python run.py PATH_TO_RSACHAT

Prints a line for each check, and "N passed, M failed" at the end; fails if one of them did.
"""

import concurrent.futures
import contextlib
import copy
import dataclasses
import functools
import hashlib
import itertools
import json
import os
import queue
import re
import shutil
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
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import roster
import rsac1
import sealed
from rsac1 import (
    DONE, SAID, SEALED, Accepted, Act, Acted, ActKind, Availability, Banned, Cut, Closed, CloseCode, Direction, Done,
    Error, ErrorCode, FrameReader, Handshake, HistoryEnd, Info, Joined, KeyChanged, KeyList, Kind, Membership, Message,
    Muted, Named, PeopleList, Position, Presence, ProtocolError, PutOut, Receipt, Refusal, RefusalCode, Refused,
    RequestType, RoomList, RoomView, RosterPage, Sealed, SealedSenderKey, SenderKeyList, Session, ServerNotAuthentic,
    Status, Text, Ticket, TimedOut, UserInfo, Waiting, What, Wire, direct_room, fingerprint, frame, header, login,
    request_key, resume, show_fingerprint, versions,
)
from roster import (
    IN, MADE, OUT, OWNER, Change, DoesNotFollow, Entry, Kept, NotTrusted, Roster, RosterRefused, State,
    UnknownStatement, Why,
)
from sealed import DoesNotOpen, OwnSenderKey, SenderKey

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

    def replace(self, user: str, key: rsa.RSAPrivateKey) -> None:
        """Put another key into the place of a user's."""
        pem = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        file = self.data / "keys" / f"new-{user}"
        file.write_bytes(pem)
        file.rename(self.data / "keys" / f"key_{user}.pem")
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

    def handshake(self, user: str, key: Any = None, token: Optional[bytes] = None) -> Handshake:
        return Handshake.full(self.server_key, user, key or self.keys[user], rsac1.SOFTWARE, token)

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


def until_unknown(session: Session, user: str) -> None:
    """Wait until somebody is not registered any more."""
    begun = time.monotonic()
    while isinstance(ask(session, RequestType.WHOIS, user), UserInfo):
        expect(time.monotonic() - begun < WAIT, f"{user} is still registered")
        session.attend(0.05)


def until_known(session: Session, user: str) -> None:
    """Wait until somebody is registered."""
    begun = time.monotonic()
    while isinstance(ask(session, RequestType.WHOIS, user), Error):
        expect(time.monotonic() - begun < WAIT, f"{user} is not registered")
        session.attend(0.05)


def until_time(session: Session, end: float) -> None:
    """Take in what comes, until a certain time by this machine's clock, which is the server's, too."""
    while time.time() < end:
        session.attend(end - time.time())


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
        "a direct room whose users are in another order": "83184600a2006a" + b"@bob@alice".hex() + "0101",
        "a direct room of one user": "83184600a2006c" + b"@alice@alice".hex() + "0101",
        "a direct room where a user should be": "83184800a1006a" + b"@alice@bob".hex(),
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
        body = value.sealed or value.question or value.answer
        return [value.kind, {"0": value.text} if body is None else as_vector(body)]
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


@check("the vectors: handshakes, full, resumed, and with an invitation")
def vectors_handshakes(site: Site) -> None:
    vectors = json.loads((VECTORS / "handshake.json").read_text())
    for name in ("full", "resumed", "invited"):
        expected = vectors[name]
        handshake = vector_handshake(vectors, name)
        same(handshake.hello.hex(), expected["client_hello"]["frame"], f"the ClientHello of {name}")
        finish = handshake.server_hello(bytes.fromhex(expected["server_hello"]["frame"])[4:])
        same(finish.hex(), expected["client_finish"]["frame"], f"the ClientFinish of {name}")
        established = handshake.established
        same(established.resumption.hex(), expected["resumption_secret"], f"the resumption secret of {name}")
        record = expected["client_to_server"]["first_record"]
        found = established.sender.seal(record["kind"], bytes.fromhex(record["plaintext"])).hex()
        same(found, record["frame"], f"the client's first record of {name}")
        record = expected["server_to_client"]["first_record"]
        found = established.receiver.open(record["kind"], bytes.fromhex(record["frame"])[4:]).hex()
        same(found, record["plaintext"], f"the server's first record of {name}")


def vector_handshake(vectors: dict, name: str) -> Handshake:
    """A handshake of the vectors, up to its hello."""
    hello = {key: bytes.fromhex(value) for key, value in vectors[name]["client_hello"].items()}
    server = bytes.fromhex(vectors["keys"]["server"]["fingerprint"])
    software = cbor2.loads(bytes.fromhex(vectors[name]["client_finish"]["content"]))[0]
    xwing = rsac1.XWingKey.from_seed(hello["xwing_private_seed"])
    same(xwing.public, hello["xwing_public_key"], "the X-Wing key")
    if name == "resumed":
        ticket = Ticket(hello["ticket"], hello["ticket_secret"], float("inf"), "alice", server)
        return Handshake.resumed(ticket, software, xwing)
    pem = (VECTORS.parent.parent / vectors["keys"]["client"]["private_key_file"]).read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    block = rsac1.pad_block(rsac1.identity("alice", key.public_key()), 128)
    if name == "invited":
        token = cbor2.loads(hello["content"])[2]
        block = rsac1.pad_block(rsac1.invitation("alice", token, key.public_key()), 768)
    same(block, hello["block"], f"the block of {name}")
    handshake = Handshake("alice", server, key, software, xwing)
    handshake.begin(hello["k_s"], hello["oaep_ciphertext"], block)
    return handshake


@check("the vectors: what the client must refuse in a handshake, and what the server must")
def vectors_failures(site: Site) -> None:
    vectors = json.loads((VECTORS / "handshake.json").read_text())
    failures = json.loads((VECTORS / "failures.json").read_text())

    def answer(data: bytes) -> bytes:
        reader = FrameReader()
        reader.feed(data)
        kind, payload = reader.next(frozenset({Kind.SERVER_HELLO, Kind.REFUSAL}))
        if kind == Kind.REFUSAL:
            raise Refused(Refusal.decode(payload), payload)
        return vector_handshake(vectors, "full").server_hello(payload)

    ends = {"malformed": ProtocolError, "unexpected": ProtocolError, "not the server": ServerNotAuthentic}
    for each in failures["at_the_client"]:
        [data], outcome = map(bytes.fromhex, each["frames"]), each["outcome"]
        try:
            if outcome.startswith("refused: "):
                refusal = raised(Refused, lambda: answer(data)).refusal
                known = {code.value: code.name.title().replace("_", "") for code in RefusalCode}
                text = known.get(refusal.code, f"Other({refusal.code})")
                text += f", retry after {refusal.retry_after} s" if refusal.code == RefusalCode.BUSY else ""
                same(f"refused: {text}", outcome, "the outcome")
            elif outcome in ends:
                raised(ends[outcome], lambda: answer(data))
            else:
                same((outcome, answer(data)[0]), ("goes on, with a random k_c", Kind.CLIENT_FINISH), "the outcome")
        except Failure as failure:
            raise Failure(f"{each['name']}: {failure}") from None

    place = Site(site.program, site.data.parent / "vectors", [])
    keys = VECTORS.parent / "data" / "keys"
    shutil.copy(keys / "test_server.private.pem", place.data / "server_private_key.pem")
    shutil.copy(keys / "test_server.pem", place.data / "server_public_key.pem")
    (place.data / "server_private_key.pem").chmod(0o600)
    place.register("alice", serialization.load_pem_private_key((keys / "test_alice.private.pem").read_bytes(), None))
    place.start()
    for each in failures["at_the_server"]:
        with place.connect() as sock:
            wire, kinds = Wire(sock), []
            for sent in each["frames"]:
                wire.send(bytes.fromhex(sent), WAIT)
                kinds.append(wire.frame(ANY_HANDSHAKE, time.monotonic() + WAIT))
        same([kind for kind, _ in kinds], each["answers"], f"what is answered to {each['name']}")
        code = RefusalCode(Refusal.decode(kinds[-1][1]).code).name.title().replace("_", "")
        same(f"refused: {code}", each["outcome"], f"the outcome of {each['name']}")
    same(place.server.end(), 0, "the exit status")


@check("addresses: what is written is read, in any order of its parts, and nothing that the page does not know")
def addresses(site: Site) -> None:
    mark = bytes.fromhex("b8df8e66b59830b32c29e6e2638880356428117cbe04c0fed70af2deac919bd0")
    shown = "SHA256:uN+OZrWYMLMsKebiY4iANWQoEXy+BMD+1wry3qyRm9A"
    token, secret = bytes(range(240, 256)), "8PHy8_T19vf4-fr7_P3-_w"
    whole = f"rsachat://bob@chat.example.org:5001/?server={shown}&invite={secret}"
    address = rsac1.Address("chat.example.org", 5001, "bob", mark, token)
    same(str(address), whole, "what is written")
    for text, expected in {
        whole: address,
        f"rsachat://bob@chat.example.org:5001/?invite={secret}&server={shown}": address,
        whole.replace("rsachat:", "RSAChat:"): address,
        whole.replace("/?", "?"): address,
        whole.replace("SHA256:", "SHA256%3A").replace("+", "%2b").replace("8PHy", "%38PHy"): address,
        "rsachat://chat.example.org": rsac1.Address("chat.example.org"),
        "rsachat://chat.example.org/": rsac1.Address("chat.example.org"),
        "rsachat://chat.example.org:5000": rsac1.Address("chat.example.org"),
        "rsachat://carol.d-e_f@127.0.0.1:65535": rsac1.Address("127.0.0.1", 65535, "carol.d-e_f"),
        f"rsachat://bob@[2001:db8::1]/?server={shown}": rsac1.Address("2001:db8::1", 5000, "bob", mark),
        f"rsachat://bob@[::1]:7?invite={secret}": rsac1.Address("::1", 7, "bob", None, token),
    }.items():
        same(rsac1.Address.parse(text), expected, f"what is read of {text}")
        same(rsac1.Address.parse(str(expected)), expected, f"what is read of what is written of {text}")
    expect(secret not in repr(address) and repr(token) not in repr(address), "the token is shown")
    for text in (
        "", "chat.example.org", "rsachat:", "rsachat://", "rsachat:chat.example.org", "http://chat.example.org",
        "rsachat:///?server=" + shown, "rsachat://bob@/", f" {whole}", f"{whole} ", f"{whole}\n",
        whole.replace("bob@", "bob:secret@"), whole.replace("bob@", "bob:@"), whole.replace("bob@", "@"),
        whole.replace("bob@", "Bob!@"), whole.replace("bob@", "bob@carol@"), whole.replace("bob@", "-bob@"),
        whole.replace("bob@", "b" * 33 + "@"), whole.replace("/?", "/lobby?"), whole.replace("/?", "//?"),
        f"{whole}#", f"{whole}#lobby", f"{whole}&room=lobby", f"{whole}&", f"{whole}&server={shown}",
        f"{whole}&invite={secret}", whole.replace("server=", "Server="), whole.replace("&", ";"),
        whole.replace("5001", "0"), whole.replace("5001", "65536"), whole.replace("5001", "+1"),
        whole.replace("5001", "x"), whole.replace(shown, shown[7:]), whole.replace(shown, shown + "="),
        whole.replace(shown, shown[:-1] + "B"), whole.replace(shown, shown[:-1]), whole.replace("+", " "),
        whole.replace("SHA256", "sha256"), whole.replace(shown, ""), whole.replace(secret, ""),
        whole.replace(secret, secret + "=="), whole.replace(secret, secret[:-1]), whole.replace(secret, secret + "A"),
        whole.replace(secret, secret[:-1] + "x"), whole.replace("_", "/"), whole.replace("3-_", "3+_"),
        whole.replace("8PHy", "%"), whole.replace("8PHy", "%3"), "rsachat://[::1", "rsachat://::1", "rsachat://[x]",
    ):
        try:
            raised(ValueError, lambda: rsac1.Address.parse(text))
        except Failure as failure:
            raise Failure(f"{text!r}: {failure}") from None


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
        expected = Info(
            LOBBY, "", None, len(site.keys), info.present, True, 0, (), sealed=False, receipts=(), statements=0,
        )
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
        for missed in (0, 1, BACKLOG, 9):
            view = RoomView(LOBBY, Position(incarnation, last - missed), backlog=True)
            answer, parts = bob.join(view)
            same(parts, everything[len(everything) - max(missed, BACKLOG):], f"the backlog beside {missed} missed")
            same((answer.gone, answer.withdrawn_after), (0, None), "gone and withdrawn after")


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
        for type_ in (0, max(RequestType) + 1, 31, 99, 2**64 - 1):
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
        expected = Info(
            room, "", "alice", 1, 0, joined=True, last=0, people=(), sealed=False, receipts=(), statements=0,
        )
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
        expected = Info(
            room, "lists", "alice", 3, 2, True, 1, ("alice", "dave"), sealed=False, receipts=(), statements=0,
        )
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
    settings = ["--admins", "bob,carol", "--default-rooms", "#news", "--max-rooms-per-user", "49", "--max-rooms", "53"]
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
        private = {0: 1, 1: b"x"}
        do_not(ErrorCode.CONFLICT, alice, RequestType.CREATE, "room-48")
        do_not(ErrorCode.CONFLICT, alice, RequestType.CREATE, "room-48", private)
        do(carol, RequestType.CREATE, "carols", private)
        do_not(ErrorCode.CONFLICT, carol, RequestType.INVITE, "carols", "alice", {0: 2, 1: b"x"})
        do_not(ErrorCode.CONFLICT, alice, RequestType.JOIN, "bobs")
        do_not(ErrorCode.CONFLICT, bob, RequestType.INVITE, "bobs", "alice")
        do(alice, RequestType.LEAVE, "room-0")
        do(alice, RequestType.CREATE, "room-48")
        # the owner of 49;
        do(alice, RequestType.LEAVE, "room-1")
        do_not(ErrorCode.CONFLICT, alice, RequestType.CREATE, "room-49")
        do_not(ErrorCode.CONFLICT, alice, RequestType.CREATE, "room-49", private)
        do(bob, RequestType.INVITE, "bobs", "alice")
        # and 53 in all.
        do_not(ErrorCode.CONFLICT, carol, RequestType.CREATE, "carols-too")
        do_not(ErrorCode.CONFLICT, carol, RequestType.CREATE, "carols-too", private)
        for session, length in ((carol, 53), (alice, 52)):
            same(len(ask(session, RequestType.ROOMS, True).rooms), length, "the number of rooms")
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


# --- Direct rooms, keys, and what is sealed ---------------------------------------------------------------

SITES = itertools.count(1)


@contextlib.contextmanager
def another(site: Site, *settings: str) -> Iterator[Site]:
    """A server of its own for a check, with the same users, and the same key, which takes long to make."""
    number = next(SITES)
    new = Site(site.program, site.data.parent / f"direct-{number}", ["--admins", "bob", *settings])
    for name in ("server_private_key.pem", "server_public_key.pem"):
        shutil.copy(site.data / name, new.data / name)
    for user in ("alice", "bob", "carol", "dave"):
        new.register(user, site.keys[user])
    new.start()
    try:
        yield new
    except BaseException:
        if new.server in Server.running:
            new.server.end(signal.SIGKILL)
        raise
    same(new.server.end(), 0, "the exit status")


class Speaker:
    """One session in a sealed room, that seals what its user says and opens what it hears."""

    def __init__(self, site: Site, session: Session, room: str):
        self.session = session
        self.user = session.welcome.user
        self.room = room
        self.view = RoomView(self.room)
        self.private_key = site.keys[self.user]
        self.pinned: dict[str, rsa.RSAPublicKey] = {}
        self.own: Optional[OwnSenderKey] = None
        self.opened: dict[bytes, SenderKey] = {}

    def join(self) -> tuple[Joined, list[Message]]:
        answer, parts = self.session.join(self.view)
        return expect_type(answer, Joined), parts

    def add_key(self, key: Optional[OwnSenderKey] = None) -> OwnSenderKey:
        """Make a sender key, and hand it to the server."""
        raise NotImplementedError

    def open_key(self, found: SealedSenderKey) -> SenderKey:
        """Open somebody's sender key."""
        raise NotImplementedError

    def current_key(self) -> OwnSenderKey:
        """The sender key to seal with."""
        return self.own or self.add_key()

    def seal(self, text: str, kind: int = SAID) -> tuple[bytes, What]:
        """A message for this room: its id, and what is posted."""
        own, id_ = self.current_key(), new_id()
        return id_, What(SEALED, None, Sealed(own.id, sealed.seal_message(own, id_, What(kind, text))))

    def post(self, id_: bytes, what: What, retry: bool = False, urgent: bool = False) -> Any:
        number = self.session.queue_post(self.room, what, id_, retry, urgent=urgent)
        self.session.flush()
        return self.session.answer(number)[0]

    def say(self, text: str, kind: int = SAID, urgent: bool = False) -> Any:
        return self.post(*self.seal(text, kind), urgent=urgent)

    def said(self, *texts: str) -> list[int]:
        """Say what must be accepted: the numbers."""
        return [expect_type(self.say(text), Accepted).seq for text in texts]

    def open(self, message: Message) -> What:
        """Open a message of this room, under a sender key that the server is asked for if it is new."""
        what = message.what
        expect(what is not None and what.sealed is not None, f"something that is not sealed: {message!r}")
        key = self.opened.get(what.sealed.key)
        if key is None:
            answer = ask(self.session, RequestType.SENDER_KEYS, self.room, [what.sealed.key])
            keys = expect_type(answer, SenderKeyList).keys
            if not keys:
                raise DoesNotOpen("a sender key that is not there")
            [found] = keys
            same(found.id, what.sealed.key, "the id of the sender key")
            if found.part is None:
                raise DoesNotOpen("a sender key without the own part")
            key = self.opened[found.id] = self.open_key(found)
        number, content = sealed.open_message(key, message.sender, message.id, what.sealed.sealed)
        key.take(number)
        return content

    def hear(self) -> What:
        return self.open(self.session.message(self.view))


class Talker(Speaker):
    """One session in a direct room."""

    def __init__(self, site: Site, session: Session, other: str):
        super().__init__(site, session, direct_room(session.welcome.user, other))

    def pin(self) -> None:
        """Ask for both keys, and trust them."""
        users = rsac1.direct_users(self.room)
        for each in expect_type(ask(self.session, RequestType.KEYS, list(users)), KeyList).keys:
            self.pinned[each.user] = rsac1.decode_public_key(each.key)
        same(set(self.pinned), set(users), "the users whose keys are known")

    def add_key(self, key: Optional[OwnSenderKey] = None) -> OwnSenderKey:
        if not self.pinned:
            self.pin()
        self.own = key or sealed.make_sender_key(self.room, self.user, self.private_key, self.pinned)
        expect_type(self.session.request(RequestType.ADD_SENDER_KEY, self.own.add_body()), Done)
        return self.own

    def open_key(self, found: SealedSenderKey) -> SenderKey:
        if not self.pinned:
            self.pin()
        return sealed.open_sender_key(
            self.room, found.epoch, found.sender, found.id, found.head, found.part, self.private_key,
            {fingerprint(self.pinned[found.sender])},
        )

    def seen(self, delivered: int, read: Optional[int] = None) -> None:
        do(self.session, RequestType.SEEN, self.room, delivered, read)

    def receipts(self) -> dict[str, tuple[int, int]]:
        """How far both are, in the info of a new Joined; who is not there has got nothing."""
        receipts = expect_type(self.session.join(RoomView(self.room))[0], Joined).info.receipts
        expect(all(each.room == self.room for each in receipts), "a receipt of another room")
        return {user: (0, 0) for user in rsac1.direct_users(self.room)} | {
            each.user: (each.delivered, each.read) for each in receipts
        }


def registered_for_nothing(site: Site, count: int) -> list[str]:
    """So many users in the directory of a server that does not run, as whom nobody logs in."""
    users = [f"user-{number:04}" for number in range(count)]
    for user in users:
        modulus = int.from_bytes(os.urandom(256), "big") | 1 | 1 << 2047
        pem = rsa.RSAPublicNumbers(65537, modulus).public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (site.data / "keys" / f"key_{user}.pem").write_bytes(pem)
    return users


def talk(site: Site, session: Session, other: str) -> Talker:
    """A session that joins the direct room with somebody."""
    talker = Talker(site, session, other)
    talker.join()
    return talker


def waits(site: Site, user: str) -> dict[str, int]:
    """What a new Welcome says is waiting."""
    with site.session(user) as session:
        return {each.room: each.last for each in session.welcome.waiting}


def drained(session: Session) -> list:
    """All events that have come up to now, but for those of the other rooms."""
    expect_type(session.request(RequestType.WHOIS, {0: "alice"}), UserInfo)
    events = list(session.events)
    session.events.clear()
    return events


def vector_keys(vectors: dict) -> dict[str, rsa.RSAPrivateKey]:
    """The private keys of the vectors, by the names of the users."""
    keys = {}
    for each in (vectors["first"], vectors["second"]):
        pem = (VECTORS.parent.parent / each["private_key"]).read_bytes()
        key = serialization.load_pem_private_key(pem, None)
        same(fingerprint(key.public_key()).hex(), each["fingerprint"], "the fingerprint")
        keys[each["user"]] = key
    return keys


def does_not_open(what: str, action: Callable[[], Any]) -> None:
    try:
        raised(DoesNotOpen, action)
    except Failure as failure:
        raise Failure(f"{what}: {failure}") from None


@check("the vectors: sender keys and sealed messages, and those that must not open")
def vectors_sealed(site: Site) -> None:
    vectors = json.loads((VECTORS / "sealed.json").read_text())
    keys = vector_keys(vectors)
    room, sender, epoch = vectors["room"], vectors["sender"], bytes.fromhex(vectors["epoch"])
    same(room, direct_room(*keys), "the room")
    membership = sealed.membership_of({user: key.public_key() for user, key in keys.items()})
    same(sealed.epoch_of(room, membership), epoch, "the epoch")
    users = {fingerprint(key.public_key()): user for user, key in keys.items()}
    pinned = {fingerprint(keys[sender].public_key())}
    made = vectors["sender_key"]
    same({users[bytes.fromhex(each["member"])] for each in made["recipients"]}, set(keys), "the recipients")
    for each in made["recipients"]:
        reader = keys[users[bytes.fromhex(each["member"])]]
        id_, head, part = (bytes.fromhex(text) for text in (made["id"], made["head"], each["part"]))
        key = sealed.open_sender_key(room, epoch, sender, id_, head, part, reader, pinned)
        same(key.membership, membership, "the membership")
        question = None
        for message in vectors["messages"]:
            id_, data = bytes.fromhex(message["message_id"]), bytes.fromhex(message["sealed"])
            number, what = sealed.open_message(key, sender, id_, data)
            same(number, message["index"], f"the number of {message['name']}")
            same(cbor2.dumps(what.encode(), canonical=True).hex(), message["body"], message["name"])
            question = what.question or question
            if what.answer is not None:
                same(what.answer.asked, question.asked(), "what was asked")
            same(key.take(number), 0, "what is missing before it")
    everybody = set(users)
    for each in vectors["sender_keys_that_do_not_open"]:
        epoch_, id_, head, part = (bytes.fromhex(each[name]) for name in ("epoch", "id", "head", "part_for_bob"))
        does_not_open(each["name"], lambda: sealed.open_sender_key(
            each["room"], epoch_, each["sender"], id_, head, part, keys["bob"], everybody
        ))
    for each in vectors["messages_that_do_not_open"]:
        id_, data = bytes.fromhex(each["message_id"]), bytes.fromhex(each["sealed"])
        does_not_open(each["name"], lambda: sealed.open_message(key, sender, id_, data))


@check("sender keys: what is made opens for its members alone, and only if all of it is as the page says")
def sender_keys_checked(site: Site) -> None:
    room, users = "@alice@bob", {user: site.keys[user] for user in ("alice", "bob")}
    members = {user: key.public_key() for user, key in users.items()}
    marks = {user: fingerprint(key) for user, key in members.items()}
    own = sealed.make_sender_key(room, "alice", users["alice"], members)
    same(set(own.parts), set(marks.values()), "the recipients")
    expect(len(own.head) <= 4096 and all(len(part) <= 1024 for part in own.parts.values()), "it is too long")

    def attempt(
        *, head: bytes = own.head, part: bytes = own.parts[marks["bob"]], epoch: bytes = own.epoch,
        id_: bytes = own.id, pinned: Any = (marks["alice"],), reader: rsa.RSAPrivateKey = users["bob"],
    ) -> SenderKey:
        return sealed.open_sender_key(room, epoch, "alice", id_, head, part, reader, pinned)

    def forged(
        change: Callable[[dict], Any], epoch: bytes = own.epoch, signer: str = "alice",
        pinned: Any = (marks["alice"],), spoil: Callable[[bytes], bytes] = bytes, signed_for: bytes = b"",
    ) -> None:
        """A statement that is changed before it is signed, or after it."""
        statement = {
            0: own.key.encode(), 1: own.verifying_key.encode(),
            2: [0, [["alice", marks["alice"]], ["bob", marks["bob"]]]],
            3: rsac1.encode_public_key(members["alice"]),
        }
        change(statement)
        encoded = cbor2.dumps(statement, canonical=True)
        secret = users.get(signer, site.keys["dave"])
        signed = spoil(sealed.sign_statement(room, signed_for or epoch, "alice", encoded, secret))
        id_ = hashlib.sha256(signed).digest()
        head, parts = sealed.encrypt_signed(room, epoch, "alice", id_, signed, members.values())
        attempt(head=head, part=parts[marks["bob"]], id_=id_, epoch=epoch, pinned=pinned)

    same(attempt().key.encode(), own.key.encode(), "the key")
    same(attempt(part=own.parts[marks["alice"]], reader=users["alice"]).id, own.id, "the key for its own maker")
    forged(lambda statement: None)
    wrong: dict[str, Callable[[], Any]] = {
        "another reader": lambda: attempt(reader=site.keys["dave"]),
        "a signer who is not pinned": lambda: attempt(pinned=(marks["bob"],)),
        "a byte behind the part": lambda: attempt(part=own.parts[marks["bob"]] + b"\0"),
        "nothing": lambda: attempt(head=b"", part=b""),
        "nested arrays": lambda: attempt(head=b"\x81" * 4000, part=b"\x00"),
    }
    # Every header there is, changed, and one more.
    clear = cbor2.loads(own.head + b"\x81" + own.parts[marks["bob"]])
    protected, unprotected, ciphertext, [[_, headers, content_key]] = clear
    for name, items in {
        "another algorithm": [cbor2.dumps({1: 1}), unprotected, ciphertext],
        "one more protected header": [cbor2.dumps({1: 3, 3: 0}), unprotected, ciphertext],
        "one more header": [protected, {**unprotected, 3: 0}, ciphertext],
        "no IV": [protected, {}, ciphertext],
        "a short IV": [protected, {5: unprotected[5][:11]}, ciphertext],
        "no ciphertext": [protected, unprotected, None],
    }.items():
        head = b"\x84" + b"".join(cbor2.dumps(item, canonical=True) for item in items)
        wrong[name] = lambda head=head: attempt(head=head)
    for name, recipient in {
        "a recipient of another algorithm": [b"", {**headers, 1: -40}, content_key],
        "a recipient with a protected header": [b"\xa0", headers, content_key],
        "a recipient with one more header": [b"", {**headers, 5: b""}, content_key],
        "a recipient with another key's name": [b"", {**headers, 4: marks["alice"]}, content_key],
        "a recipient without a name": [b"", {1: -41}, content_key],
        "a recipient with recipients": [b"", headers, content_key, []],
        "another content key": [b"", headers, rsac1.oaep_encrypt(members["bob"], b"", bytes(32))],
        "a content key that is too short": [b"", headers, rsac1.oaep_encrypt(members["bob"], b"", bytes(16))],
        "a content key with a label": [b"", headers, rsac1.oaep_encrypt(members["bob"], b"x", bytes(32))],
    }.items():
        wrong[name] = lambda recipient=recipient: attempt(part=cbor2.dumps(recipient, canonical=True))
    wrong["a tag before it"] = lambda: attempt(head=b"\xd8\x60" + own.head)
    wrong["another encoding"] = lambda: attempt(head=b"\x98\x04" + own.head[1:])

    # What is signed, and signed wrongly.
    def put(key: int, value: Any) -> Callable[[dict], Any]:
        return lambda statement: statement.__setitem__(key, value)

    def of(*members_: tuple[str, bytes]) -> tuple[Callable[[dict], Any], bytes]:
        membership = sealed.Membership(sealed.DIRECT, members_)
        return put(2, membership.encode()), sealed.epoch_of(room, membership)

    alice, bob = ("alice", marks["alice"]), ("bob", marks["bob"])
    for name, change in {
        "a key without its algorithm": put(0, cbor2.dumps({1: 4, 5: bytes(12), -1: bytes(32)})),
        "a key of 16 bytes": put(0, cbor2.dumps({1: 4, 3: 3, 5: bytes(12), -1: bytes(16)})),
        "a base IV of 8 bytes": put(0, cbor2.dumps({1: 4, 3: 3, 5: bytes(8), -1: bytes(32)})),
        "a verifying key of another curve": put(1, cbor2.dumps({1: 1, 3: -8, -1: 7, -2: bytes(57)})),
        "a verifying key with its secret": put(1, cbor2.dumps({1: 1, 3: -8, -1: 6, -2: bytes(32), -4: bytes(32)})),
        "a membership of another epoch": of(alice, ("bob", bytes(32)))[0],
        "a membership of another kind": put(2, [1, [list(alice), list(bob)]]),
        "no membership": lambda statement: statement.pop(2),
        "another signer": put(3, rsac1.encode_public_key(members["bob"])),
        "no signer": lambda statement: statement.pop(3),
    }.items():
        wrong[name] = lambda change=change: forged(change, pinned=tuple(marks.values()))
    dave = rsac1.encode_public_key(site.keys["dave"].public_key())
    wrong["a changed signature"] = lambda: forged(lambda statement: None, spoil=lambda data: flip(data, len(data) - 1))
    wrong["a byte behind the signature"] = lambda: forged(lambda statement: None, spoil=lambda data: data + b"\0")
    wrong["a signature for another epoch"] = lambda: forged(lambda statement: None, signed_for=bytes(32))
    wrong["somebody else's signature"] = lambda: forged(lambda statement: None, signer="dave")
    wrong["a signer who is no member"] = lambda: forged(
        put(3, dave), signer="dave", pinned=(fingerprint(site.keys["dave"].public_key()),)
    )
    wrong["the other member's signature"] = lambda: forged(
        put(3, rsac1.encode_public_key(members["bob"])), signer="bob", pinned=tuple(marks.values())
    )
    for name, membership in {
        "a membership of another room": (alice, ("carol", marks["bob"])),
        "a membership in another order": (bob, alice),
        "a membership of one": (alice,),
        "a membership of three": (alice, bob, ("dave", bytes(32))),
        "a membership with another key for its reader": (alice, ("bob", bytes(32))),
    }.items():
        change, epoch = of(*membership)
        wrong[name] = lambda change=change, epoch=epoch: forged(change, epoch)
    for name, action in wrong.items():
        does_not_open(name, action)


@check("sealed messages: what is made opens, in its length, and only if all of it is as the page says")
def sealed_checked(site: Site) -> None:
    def right(length: int) -> bool:
        exponent = length.bit_length() - 1
        return length >= 128 and length % (1 << (exponent - exponent.bit_length())) == 0

    for length in (*range(1, 2100), 8191, 8192, 8193, 15000):
        expected = next(each for each in itertools.count(length) if right(each))
        same(sealed.padded_length(length), expected, f"the padded length of {length}")

    members = {user: site.keys[user].public_key() for user in ("alice", "carol")}
    own = sealed.make_sender_key("@alice@carol", "alice", site.keys["alice"], members)
    key = sealed.open_sender_key(
        own.room, own.epoch, "alice", own.id, own.head, own.parts[fingerprint(members["carol"])], site.keys["carol"],
        {fingerprint(members["alice"])},
    )
    for start in (own.key.base_iv, bytes(12), b"\xff" * 12):
        own.key.base_iv = key.key.base_iv = start
        for what in (What(SAID, "x"), What(DONE, "waves"), What(SAID, "x" * 14000), What(SAID, "Grüße 👋\0")):
            id_ = new_id()
            data = sealed.seal_message(own, id_, what)
            number, found = sealed.open_message(key, "alice", id_, data)
            same((key.take(number), found), (0, what), "what was sealed")
            same(key.take(number) < 0, True, "whether it is told again")
    # What it looks like without the help of a COSE library.
    what, id_ = What(SAID, "hi"), new_id()
    number, data = own.next, sealed.seal_message(own, id_, what)
    protected, unprotected, ciphertext = cbor2.loads(data)
    same((protected, unprotected), (bytes.fromhex("a10103"), {6: number.to_bytes(8, "big")}), "the headers")
    context = cbor2.dumps(["rsachat message", own.room, own.epoch, "alice", own.id, number, id_])
    nonce = (int.from_bytes(own.key.base_iv, "big") ^ number).to_bytes(12, "big")
    plaintext = AESGCM(own.key.k).decrypt(nonce, ciphertext, cbor2.dumps(["Encrypt0", protected, context]))
    protected, unprotected, payload, signature = cbor2.loads(plaintext)
    same((protected, unprotected), (bytes.fromhex("a10127"), {}), "the inner headers")
    same(payload, bytes.fromhex("8200a10062686980").ljust(128, b"\0"), "the padded what")
    signed = cbor2.dumps(["Signature1", protected, context, payload])
    Ed25519PublicKey.from_public_bytes(own.verifying_key.x).verify(signature, signed)

    body = cbor2.dumps([0, {0: "hi"}])
    other = sealed.make_sender_key("@alice@carol", "alice", site.keys["alice"], members)
    liar = copy.copy(own)
    liar.signing_key = other.signing_key
    wrong = {
        "no padding": (own, body.ljust(128, b"\x80")),
        "padding that is not zero": (own, (body + b"\x80").ljust(127, b"\0") + b"\1"),
        "padding that is too long": (own, (body + b"\x80").ljust(256, b"\0")),
        "padding that is too short": (own, body + b"\x80"),
        "nothing but zeros": (own, bytes(128)),
        "no what": (own, b"\x80".ljust(128, b"\0")),
        "another kind": (own, sealed.pad(cbor2.dumps([31, {0: "hi"}]))),
        "something sealed in it": (own, sealed.pad(cbor2.dumps([2, {0: bytes(32), 1: b""}]))),
        "bytes behind the what": (own, sealed.pad(body + b"\0")),
        "a what in another encoding": (own, sealed.pad(bytes.fromhex("9802") + body[1:])),
        "the signature of another sender key": (liar, sealed.pad(body)),
        "another sender key": (other, sealed.pad(body)),
    }
    for name, (with_key, padded) in wrong.items():
        id_, number = new_id(), own.next
        data = sealed.seal_bytes(with_key, id_, number, padded)
        does_not_open(name, lambda: sealed.open_message(key, "alice", id_, data))
    id_, number = new_id(), own.next
    data = sealed.seal_bytes(own, id_, number, sealed.pad(body))
    same(sealed.open_message(key, "alice", id_, data), (number, What(SAID, "hi")), "what was sealed")
    does_not_open("another sender", lambda: sealed.open_message(key, "carol", id_, data))
    does_not_open("another id", lambda: sealed.open_message(key, "alice", new_id(), data))
    protected, unprotected, ciphertext = cbor2.loads(data)
    for name, items in {
        "another algorithm": [b"\xa1\x01\x01", unprotected, ciphertext],
        "one more protected header": [cbor2.dumps({1: 3, 3: 0}), unprotected, ciphertext],
        "one more header": [protected, {3: 0, **unprotected}, ciphertext],
        "another number": [protected, {6: (number + 1).to_bytes(8, "big")}, ciphertext],
        "a number in 7 bytes": [protected, {6: number.to_bytes(7, "big")}, ciphertext],
        "a number in 9 bytes": [protected, {6: number.to_bytes(9, "big")}, ciphertext],
        "an IV": [protected, {5: nonce}, ciphertext],
        "no number": [protected, {}, ciphertext],
        "a fourth item": [protected, unprotected, ciphertext, b""],
    }.items():
        does_not_open(name, lambda: sealed.open_message(key, "alice", id_, cbor2.dumps(items, canonical=True)))
    for place in range(len(data)):
        does_not_open(f"a bit of byte {place}", lambda: sealed.open_message(key, "alice", id_, flip(data, place)))


@check("direct rooms: two users talk, and read what only they can open")
def direct_talk(site: Site) -> None:
    with another(site) as direct, direct.sessions("alice", "carol") as (alice, carol):
        one, two = Talker(direct, alice, "carol"), Talker(direct, carol, "alice")
        for talker in (one, two):
            answer, parts = talker.join()
            info = answer.info
            same((parts, answer.last, answer.gone, answer.caught_up), ([], 0, 0, True), "the first visit")
            same((info.room, info.topic, info.owner, info.members, info.joined, info.last, info.people, info.sealed),
                 ("@alice@carol", "", None, 2, True, 0, (), True), "what is said about the room")
        said = [(one, "hello", SAID), (two, "Grüße 👋", SAID), (one, "waves", DONE), (two, "x" * 8192, SAID)]
        said += [(one, f"line {index}", SAID) for index in range(20)]
        for seq, (talker, text, kind) in enumerate(said, 1):
            id_, what = talker.seal(text, kind)
            accepted = expect_type(talker.post(id_, what), Accepted)
            same(accepted.seq, seq, "the number")
            for hearer in (one, two):
                message = hearer.session.message(hearer.view)
                same(message, Message("@alice@carol", seq, accepted.time, talker.user, id_, what), "the event")
                same(hearer.open(message), What(kind, text), "what was said")
        same({key.next for key in one.opened.values()}, {2, 22}, "the numbers under the two sender keys")

        # History has it too, in pages, for those who have not joined it on this connection.
        with direct.session("carol") as later:
            reader = Talker(direct, later, "alice")
            end, parts = later.history("@alice@carol", 10)
            same((end.more, [part.seq for part in parts]), (True, list(range(15, 25))), "a page")
            parts = later.history("@alice@carol", 100, 15)[1] + parts
            texts = [(reader.open(part), part.sender) for part in parts]
            same(texts, [(What(kind, text), talker.user) for talker, text, kind in said], "the history")
        for session in (alice, carol):
            same(drained(session), [], "what was told besides")


@check("direct rooms: what waits is told in the Welcome, and to the sessions of both that are not in the room")
def direct_waiting(site: Site) -> None:
    room = "@alice@carol"
    with another(site) as direct, direct.sessions("alice", "alice", "bob", "dave") as (alice, other, bob, dave):
        one = talk(direct, alice, "carol")
        same(one.said("are you there?", "hello?"), [1, 2], "the numbers")
        same(drained(other), [Waiting(room, 1), Waiting(room, 2)], "what the sender's other session is told")
        same([drained(session) for session in (bob, dave)], [[], []], "what others are told")
        for user in ("alice", "bob", "dave"):
            same(waits(direct, user), {}, f"what waits for {user}")
        with direct.session("carol") as carol:
            same(carol.welcome.waiting, (Waiting(room, 2),), "what waits for carol")
            expect(room not in carol.welcome.rooms, "a direct room is among the rooms of the Welcome")
            one.said("now?")
            same(drained(carol), [Waiting(room, 3)], "what is told")
            two = Talker(direct, carol, "alice")
            _, parts = two.join()
            same([two.open(part).text for part in parts], ["are you there?", "hello?", "now?"], "what waited")
            one.said("at last")
            same(two.hear().text, "at last", "what is said")
            same(drained(carol), [], "what is told of a room that the session is in")
            # To have joined is not to have got.
            same(waits(direct, "carol"), {room: 4}, "what waits")
            two.seen(3)
            same(waits(direct, "carol"), {room: 4}, "what waits")
            two.seen(4)
            same(waits(direct, "carol"), {}, "what waits")
            two.said("I am")
        same(waits(direct, "carol"), {}, "what waits for who has posted, and had all before it")
        same(waits(direct, "alice"), {room: 5}, "what waits")
        expect(Waiting(room, 5) in drained(other), "the other session is not told")


@check("direct rooms: on a first visit comes what has not been delivered, and not only the latest few")
def direct_undelivered(site: Site) -> None:
    settings = ["--join-backlog", "2", "--history-limit", "6"]
    with another(site, *settings, *GENEROUS) as direct, direct.session("alice") as alice:
        one = talk(direct, alice, "carol")
        one.said("first", "second", "third", "fourth")
        with direct.session("carol") as carol:
            two = Talker(direct, carol, "alice")
            _, parts = two.join()
            same([part.seq for part in parts], [1, 2, 3, 4], "what has not been delivered")
            two.seen(4)
        with direct.session("carol") as carol:
            _, parts = Talker(direct, carol, "alice").join()
            same([part.seq for part in parts], [3, 4], "the latest few, where all is delivered")
        one.said(*(f"line {index}" for index in range(10)))
        with direct.session("carol") as carol:
            answer, parts = Talker(direct, carol, "alice").join()
            same([part.seq for part in parts], list(range(9, 15)), "as much as the history limit allows")
            same(answer.gone, 0, "gone")


@check("receipts: Seen is told to who is in the room, and in a Joined; nothing goes back")
def direct_receipts(site: Site) -> None:
    room = "@alice@carol"
    with another(site) as direct, direct.sessions("alice", "alice", "carol", "bob") as (alice, other, carol, bob):
        one, two = talk(direct, alice, "carol"), talk(direct, carol, "alice")
        one.said("one", "two", "three")
        for session in (alice, other, carol):
            drained(session)

        def told_both(*expected: Receipt) -> None:
            for session in (alice, carol):
                same(drained(session), list(expected), "what was told")
            if expected:
                last = expected[-1]
                same(one.receipts()["carol"], (last.delivered, last.read), "the receipt in a Joined")

        two.seen(1)
        told_both(Receipt(room, "carol", 1, 0))
        two.seen(2, 1)
        told_both(Receipt(room, "carol", 2, 1))
        two.seen(2, 2)
        told_both(Receipt(room, "carol", 2, 2))
        for delivered, read in ((2, 2), (1, 1), (0, None), (0, 0), (2, None)):
            two.seen(delivered, read)
            told_both()
        two.seen(3)
        told_both(Receipt(room, "carol", 3, 2))
        same(two.receipts()["carol"], (3, 2), "the own receipt in a Joined")
        # There is nothing behind the last message to be got or read.
        two.seen(100, 100)
        told_both(Receipt(room, "carol", 3, 3))
        one.said("four")
        same(two.receipts()["carol"], (3, 3), "the receipt")
        for session in (alice, carol):
            drained(session)
        two.seen(3, 2**64 - 1)
        delivered, read = one.receipts()["carol"]
        expect(read <= delivered <= 4, f"more is read than there is, or was delivered: {read} of {delivered}")
        same(drained(other), [Waiting(room, 4)], "what is told outside of the room")
        same(drained(bob), [], "what others are told")
        # Only from within.
        expect_type(ask(other, RequestType.SEEN, room, 1), Error)
        joined(bob)
        for wrong in (LOBBY, "no-such-room", "@alice@bob", room):
            expect_type(ask(bob, RequestType.SEEN, wrong, 0), Error)


@check("receipts: who posts has his own message if he had all before it, and no receipt says so")
def direct_own_receipts(site: Site) -> None:
    room = "@alice@carol"
    with another(site) as direct, direct.sessions("alice", "carol") as (alice, carol):
        one, two = talk(direct, alice, "carol"), talk(direct, carol, "alice")
        one.said("one")
        same(two.receipts()["alice"][0], 1, "what alice has")
        two.said("before carol has got what was said")
        same(one.receipts()["carol"][0], 0, "what carol has")
        two.seen(2)
        two.said("and after it")
        same(one.receipts()["carol"][0], 3, "what carol has")
        receipts = [event for event in drained(alice) if isinstance(event, Receipt) and event.user == "carol"]
        same([each.delivered for each in receipts], [2], "what was told: what was seen, and not what was posted")


@check("do not disturb: refused, but for what is urgent and from an admin, or the owner of a room of both")
def direct_do_not_disturb(site: Site) -> None:
    with another(site) as direct, direct.sessions("alice", "bob", "carol") as (alice, bob, carol):
        one, admin = talk(direct, alice, "carol"), talk(direct, bob, "carol")
        do(carol, RequestType.SET_STATUS, Availability.DO_NOT_DISTURB, "busy")

        def disturbs(talker: Talker, urgent: bool) -> bool:
            answer = talker.say("a moment?", urgent=urgent)
            if isinstance(answer, Error):
                same(answer.code, ErrorCode.DO_NOT_DISTURB, "the error's code")
                expect(not answer.retry_after, "a time after which to ask again")
                talker.own = None  # its number is missing
            return isinstance(answer, Accepted)

        same([disturbs(one, False), disturbs(one, True)], [False, False], "whether anybody may")
        same([disturbs(admin, False), disturbs(admin, True)], [False, True], "whether an admin may")
        room = new_room(alice)
        same(disturbs(one, True), False, "whether the owner of a room may, in which she is not")
        do(alice, RequestType.INVITE, room, "carol")
        same([disturbs(one, False), disturbs(one, True)], [False, True], "whether the owner of a common room may")
        do(alice, RequestType.LEAVE, room)
        same(disturbs(one, True), False, "whether the owner may who has left")
        # She may speak herself, and nothing else is kept from her.
        two = talk(direct, carol, "alice")
        expect_type(two.say("not now"), Accepted)
        joined(alice)
        expect_type(alice.post(LOBBY, "carol is busy"), Accepted)
        # It is over when she says so, or in time; who is only idle may be disturbed.
        do(carol, RequestType.SET_STATUS, Availability.AWAY)
        same(disturbs(one, False), True, "whether one may who is away")
        do(carol, RequestType.SET_STATUS, Availability.DO_NOT_DISTURB, None, 1)
        same(disturbs(one, False), False, "whether one may before it is over")
        begun = time.monotonic()
        while not disturbs(one, False):
            expect(time.monotonic() - begun < WAIT, "it does not end")
            alice.attend(0.05)
        do(carol, RequestType.SET_IDLE, True)
        same(disturbs(one, True), True, "whether one may who is idle")
        # It holds while she is not connected.
        do(carol, RequestType.SET_STATUS, Availability.DO_NOT_DISTURB)
        carol.close()
        gone(alice, "carol")
        same(disturbs(one, False), False, "whether one may who is not there")


@check("the quota: what waits for somebody is as much as the operator allows, and no more")
def direct_quota(site: Site) -> None:
    with another(site, "--direct-quota", "3", *GENEROUS) as direct, direct.sessions("alice", "bob") as (alice, bob):
        one, admin = talk(direct, alice, "carol"), talk(direct, bob, "carol")
        first = one.seal("line 1")
        accepted = expect_type(one.post(*first), Accepted)
        one.said("line 2", "line 3")
        for urgent in (False, True):
            error = one.say("line 4", urgent=urgent)
            expect_error(error, ErrorCode.CONFLICT)
            expect(not error.retry_after, "a time after which to ask again")
        admin.said("a", "b", "c")
        expect_error(admin.say("d", urgent=True), ErrorCode.CONFLICT)
        one.own = None
        with direct.session("carol") as carol:
            two = talk(direct, carol, "alice")
            expect_error(one.say("she is there, and has got nothing"), ErrorCode.CONFLICT)
            one.own = None
            two.seen(2)
            one.said("line 4", "line 5")
            expect_error(one.say("line 6"), ErrorCode.CONFLICT)
            one.own = None
            two.seen(5)
            one.said("line 6")
            same([part.seq for part in carol.history(two.room, 10)[1]], [1, 2, 3, 4, 5, 6], "the numbers")
        same(one.post(*first, retry=True), accepted, "the answer to a retry of the first")


@check("direct rooms: strangers and admins see none, and get NotFound for whatever they ask about it")
def direct_strangers(site: Site) -> None:
    room, missing = "@alice@carol", "@alice@nobody"
    with another(site) as direct, direct.sessions("alice", "carol", "bob", "dave") as (alice, carol, bob, dave):
        one, two = talk(direct, alice, "carol"), talk(direct, carol, "alice")
        one.said("between us")
        two.seen(1, 1)
        key, mark = one.own, fingerprint(direct.keys["dave"].public_key())
        for session in (bob, dave):
            for name in (room, missing):
                for type_, *body in (
                    (RequestType.JOIN, name),
                    (RequestType.JOIN, name, {0: session.welcome.incarnation, 1: 1}),
                    (RequestType.POST, name, new_id(), What(SEALED, None, Sealed(key.id, b"x")).encode(), False),
                    (RequestType.POST, name, new_id(), What(SAID, "may I?").encode(), False),
                    (RequestType.POST, name, new_id(), What(SEALED, None, Sealed(key.id, b"x")).encode(), True),
                    (RequestType.HISTORY, name, None, 10),
                    (RequestType.PEOPLE, name),
                    (RequestType.LEAVE, name),
                    (RequestType.SET_TOPIC, name, "mine"),
                    (RequestType.INVITE, name, "dave"),
                    (RequestType.KICK, name, "alice"),
                    (RequestType.BAN, name, "alice"),
                    (RequestType.UNBAN, name, "alice"),
                    (RequestType.MUTE, name, "alice"),
                    (RequestType.UNMUTE, name, "alice"),
                    (RequestType.HAND_OVER, name, "alice"),
                    (RequestType.ADD_SENDER_KEY, name, key.id, key.epoch, key.head, []),
                    (RequestType.ADD_SENDER_KEY, name, bytes(32), bytes(32), b"", [{0: mark, 1: b""}]),
                    (RequestType.SENDER_KEYS, name, [key.id]),
                    (RequestType.SEEN, name, 1, 1),
                ):
                    do_not(ErrorCode.NOT_FOUND, session, type_, *body)
            rooms = expect_type(ask(session, RequestType.ROOMS, True), RoomList).rooms
            expect(all(not info.sealed and not info.room.startswith("@") for info in rooms), "a direct room is listed")
            same(drained(session), [], "what was told")
        with direct.session("dave") as dave:
            same((dave.welcome.rooms, dave.welcome.waiting), ((LOBBY,), ()), "the rooms of the Welcome")
        for each in (one, two):
            same([event for event in drained(each.session) if not isinstance(event, (Receipt, Message))], [], "events")


@check("direct rooms: nobody makes or owns one, not even its members")
def direct_no_owner(site: Site) -> None:
    with another(site) as direct, direct.sessions("alice", "bob", "dave") as (alice, bob, dave):
        one, admin = talk(direct, alice, "bob"), talk(direct, bob, "alice")
        one.said("hello")
        for session, other in ((alice, "bob"), (bob, "alice")):
            for type_, *body in (
                (RequestType.SET_TOPIC, "ours"), (RequestType.INVITE, "dave"), (RequestType.KICK, other),
                (RequestType.BAN, other), (RequestType.UNBAN, other), (RequestType.MUTE, other),
                (RequestType.UNMUTE, other), (RequestType.HAND_OVER, other),
            ):
                do_not(ErrorCode.NOT_FOUND, session, type_, one.room, *body)
        for session in (alice, bob, dave):
            for room in (one.room, "@alice@dave", "@dave@nobody"):
                expect_type(ask(session, RequestType.CREATE, room), Error)
        same(expect_type(ask(alice, RequestType.JOIN, one.room), Joined).info.owner, None, "the owner")
        expect_type(one.say("still here"), Accepted)
        expect_type(admin.say("me too"), Accepted)


@check("only what is sealed is said in a direct room, and only there; and no more than a text may become")
def direct_only_sealed(site: Site) -> None:
    settings = ["--message-bytes", "1001"]
    with another(site, *settings) as direct, direct.sessions("alice", "carol") as (alice, carol):
        one, two = talk(direct, alice, "carol"), talk(direct, carol, "alice")
        room = new_room(alice)
        key = one.add_key()

        def post(name: str, what: What, retry: bool = False) -> Any:
            number = alice.queue_post(name, what, new_id(), retry)
            alice.flush()
            return alice.answer(number)[0]

        for retry in (False, True):
            for what in (What(SAID, "in the clear"), What(DONE, "speaks up")):
                expect_error(post(one.room, what, retry), ErrorCode.MALFORMED)
            for name in (room,):
                expect_error(post(name, What(SEALED, None, Sealed(key.id, b"x")), retry), ErrorCode.MALFORMED)
        longest = 1001 + 1001 // 8 + 320
        expect_type(post(one.room, What(SEALED, None, Sealed(key.id, bytes(longest)))), Accepted)
        expect_error(post(one.room, What(SEALED, None, Sealed(key.id, bytes(longest + 1)))), ErrorCode.TOO_LARGE)
        same(carol.message(two.view).what.sealed.sealed, bytes(longest), "what is as long as may be")
        # Any text that the server would take in the clear can be said.
        for length in (1, 900, 1001):
            one.said("x" * length)
            same(two.hear().text, "x" * length, "what was said")
        expect_error(carol.post("@carol@dave", "not joined"), ErrorCode.NOT_FOUND)
        with direct.session("carol") as outside:
            expect_error(Talker(direct, outside, "alice").post(*two.seal("not joined")), ErrorCode.FORBIDDEN)


@check("a sealed post that is retried is stored once, and as it was")
def direct_retry(site: Site) -> None:
    with another(site) as direct, direct.session("carol") as carol:
        two = talk(direct, carol, "alice")
        with direct.session("alice") as alice:
            one = talk(direct, alice, "carol")
            first = one.seal("said once")
            accepted = expect_type(one.post(*first), Accepted)
            second = one.seal("never said")
            alice.drop()
        with welcomed(resume(direct.connect(), alice.ticket)) as alice:
            one.session = alice
            one.join()
            same(one.post(*first, retry=True), accepted, "the answer to a retry")
            same(expect_type(one.post(*second, retry=True), Accepted).seq, 2, "the number of what was not stored")
            same([two.hear().text for _ in range(2)], ["said once", "never said"], "what was said")
            parts = alice.history(one.room, 10)[1]
            same([(part.id, part.what) for part in parts], [first, second], "the history")


@check("AddSenderKey: for members alone, by the keys that they have now, in several requests of one user")
def add_sender_key(site: Site) -> None:
    room = "@alice@carol"
    with another(site, *GENEROUS) as direct, direct.sessions("alice", "carol", "dave") as (alice, carol, dave):
        for session, other in ((alice, "carol"), (carol, "alice"), (dave, "alice"), (alice, "dave")):
            talk(direct, session, other)
        marks = {user: fingerprint(key.public_key()) for user, key in direct.keys.items()}
        ids = (bytes([number]) * 32 for number in itertools.count(1))
        epoch = b"e" * 32

        def add(
            session: Session, id_: bytes, *recipients: tuple[bytes, bytes], head: bytes = b"head", name: str = room
        ) -> Any:
            given = [{0: recipient, 1: part} for recipient, part in recipients]
            return ask(session, RequestType.ADD_SENDER_KEY, name, id_, epoch, head, given)

        def kept(session: Session, id_: bytes, name: str = room) -> list[tuple]:
            keys = expect_type(ask(session, RequestType.SENDER_KEYS, name, [id_]), SenderKeyList).keys
            return [(each.id, each.epoch, each.sender, each.head, each.part) for each in keys]

        # One request after another adds those who are missing.
        id_ = next(ids)
        same(kept(alice, id_), [], "what is not there yet")
        expect_type(add(alice, id_), Done)
        same(kept(carol, id_), [(id_, epoch, "alice", b"head", None)], "what is there without a part")
        expect_type(add(alice, id_, (marks["alice"], b"for alice")), Done)
        expect_type(add(alice, id_, (marks["carol"], b"for carol")), Done)
        for session, part in ((alice, b"for alice"), (carol, b"for carol")):
            same(kept(session, id_), [(id_, epoch, "alice", b"head", part)], "what is there")
        # Not from another user, and not for another room.
        add(carol, id_, (marks["carol"], b"forged"), head=b"forged")
        same(kept(carol, id_), [(id_, epoch, "alice", b"head", b"for carol")], "what is there")
        id_ = next(ids)
        expect_type(add(alice, id_), Done)
        add(carol, id_, (marks["carol"], b"forged"))
        same(kept(carol, id_), [(id_, epoch, "alice", b"head", None)], "what another user has added to")
        same(kept(alice, id_, "@alice@dave"), [], "what is asked for in another room")
        # Members, by the keys that they have.
        for recipients in (
            [(marks["dave"], b"")], [(marks["alice"], b""), (marks["dave"], b"")], [(marks["bob"], b"")],
            [(bytes(32), b"")], [(marks["carol"], b""), (marks["alice"], b""), (bytes(32), b"")],
        ):
            id_ = next(ids)
            expect_error(add(alice, id_, *recipients), ErrorCode.CONFLICT)
            same(kept(alice, id_), [], "what was refused")
        for other in (LOBBY, new_room(alice)):
            expect_error(add(alice, next(ids), name=other), ErrorCode.CONFLICT)
            expect_error(ask(alice, RequestType.SENDER_KEYS, other, [bytes(32)]), ErrorCode.CONFLICT)
        expect_error(add(alice, next(ids), name="no-such-room"), ErrorCode.NOT_FOUND)
        # The sizes, and how many.
        head, part = b"h" * 4096, b"p" * 1024
        id_ = next(ids)
        expect_type(add(alice, id_, *[(marks["carol"], part)] * 16, head=head), Done)
        same(kept(carol, id_), [(id_, epoch, "alice", head, part)], "the longest")
        for recipients, head in (
            ([], b"h" * 4097), ([(marks["carol"], b"p" * 1025)], b""),
            ([(marks["alice"], b""), (marks["carol"], b"p" * 1025)], b""), ([(marks["carol"], b"")] * 17, b""),
        ):
            id_ = next(ids)
            expect_error(add(alice, id_, *recipients, head=head), ErrorCode.MALFORMED)
            same(kept(alice, id_), [], "what was refused")
        for session in (alice, carol, dave):
            same(drained(session), [], "what was told of it")


@check("AddSenderKey counts as a change, and what is asked for too fast is refused for a while")
def add_sender_key_rate(site: Site) -> None:
    with another(site, "--message-burst", "5", "--message-rate", "1") as direct, direct.session("alice") as alice:
        one = talk(direct, alice, "carol")
        numbers = [
            alice.queue(RequestType.ADD_SENDER_KEY, {0: one.room, 1: bytes([at]) * 32, 2: bytes(32), 3: b"", 4: []})
            for at in range(20)
        ]
        alice.flush()
        answers = [alice.answer(number)[0] for number in numbers]
        refused = [answer for answer in answers if isinstance(answer, Error)]
        expect(10 <= len(refused) < 20, f"{len(refused)} of 20 were refused")
        for error in refused:
            expect_error(error, ErrorCode.RATE_LIMITED)
            expect(bool(error.retry_after), "no time after which to ask again")


@check("SenderKeys: 32 at most; a sender key is kept while a message needs it, and 16 of those that none needs")
def sender_keys(site: Site) -> None:
    with another(site, *GENEROUS) as direct, direct.sessions("alice", "carol") as (alice, carol):
        one, two = talk(direct, alice, "carol"), talk(direct, carol, "alice")
        one.said("under the first")
        used, unused = one.own, [bytes([at]) * 32 for at in range(1, 33)]

        def kept(*ids: bytes) -> set[bytes]:
            keys = expect_type(ask(carol, RequestType.SENDER_KEYS, one.room, list(ids)), SenderKeyList).keys
            return {key.id for key in keys}

        def add(session: Session, id_: bytes) -> None:
            do(session, RequestType.ADD_SENDER_KEY, one.room, id_, bytes(32), b"", [])

        for id_ in unused[:16]:
            add(alice, id_)
        same(kept(*unused), set(unused[:16]), "those that are kept")
        add(carol, b"c" * 32)
        same(kept(*unused[:16], b"c" * 32), {*unused[:16], b"c" * 32}, "those of two senders")
        for id_ in unused[16:]:
            add(alice, id_)
        same(len(kept(*unused)), 16, "how many are kept")
        expect(unused[31] in kept(*unused), "the latest is not kept")
        same(kept(used.id, b"c" * 32), {used.id, b"c" * 32}, "what is needed, and the other sender's")
        same(two.hear().text, "under the first", "what it opens")
        same(kept(), set(), "none")
        same(len(kept(*unused[:32])), 16, "as many as may be asked for")
        do_not(ErrorCode.MALFORMED, carol, RequestType.SENDER_KEYS, one.room, [bytes(32), *unused])


@check("Keys: those of the registered users asked for, as DER; 64 at most")
def keys(site: Site) -> None:
    with site.session("alice") as alice:
        def known(*users: str) -> dict[str, bytes]:
            found = expect_type(ask(alice, RequestType.KEYS, list(users)), KeyList).keys
            return {each.user: each.key for each in found}

        users = ("alice", "bob", "carol", "dave")
        expected = {user: rsac1.encode_public_key(site.keys[user].public_key()) for user in users}
        same(known(*users), expected, "the keys")
        same(known("carol", "nobody"), {"carol": expected["carol"]}, "those of who is registered")
        same(known(), {}, "nobody's")
        strangers = [f"user-{number}" for number in range(63)]
        same(known(*strangers, "dave"), {"dave": expected["dave"]}, "as many as may be asked for")
        do_not(ErrorCode.MALFORMED, alice, RequestType.KEYS, [*strangers, "dave", "carol"])


@check("a key that is replaced: the sessions end, the others are told, and nothing new is sealed to the old one")
def key_changed(site: Site) -> None:
    room = "@alice@carol"
    with another(site) as direct:
        new = site.keys["bob"]  # who leaves, so that nobody has his key
        direct.run("keys", "remove", "--data-dir", direct.data, "bob")
        with direct.sessions("alice", "alice", "dave", "dave") as (alice, outside, dave, lobby):
            joined(lobby)
            one = talk(direct, alice, "carol")
            talk(direct, dave, "carol")
            talk(direct, dave, "alice")
            carol = login(direct.connect(), direct.server_key, "carol", direct.keys["carol"])
            carol.welcomed()
            two = talk(direct, carol, "alice")
            one.said("to the old key")
            two.said("from the old key")
            old, ticket = one.own, carol.ticket
            for session in (alice, outside, dave, lobby):
                drained(session)
            direct.replace("carol", new)
            expect_closed(carol, CloseCode.KEY_REMOVED)
            for session in (alice, dave):
                same(session.event(lambda event: isinstance(event, KeyChanged)), KeyChanged("carol"), "what was told")
            same([drained(session) for session in (alice, outside)], [[], []], "what was told besides")
            expect(not any(isinstance(event, KeyChanged) for event in drained(lobby)), "who is in another room is told")
            expect_refused(lambda: resume(direct.connect(), ticket), RefusalCode.TICKET_REFUSED)

            # Nothing can be sealed to the old key any more; to the new one it can, in another epoch.
            stale = sealed.make_sender_key(room, "alice", one.private_key, one.pinned)
            expect_error(alice.request(RequestType.ADD_SENDER_KEY, stale.add_body()), ErrorCode.CONFLICT)
            before = one.pinned["carol"]
            one.pin()
            expect(fingerprint(one.pinned["carol"]) != fingerprint(before), "the key is still the old one")
            same(fingerprint(one.pinned["carol"]), fingerprint(new.public_key()), "the key")
            fresh = one.add_key()
            expect(fresh.epoch != old.epoch, "the epoch is still the old one")
            one.said("to the new key")
            with direct.session("carol") as carol:
                same(carol.welcome.waiting, (Waiting(room, 3),), "what waits for who has another key now")
                two = Talker(direct, carol, "alice")
                _, parts = two.join()
                same([part.seq for part in parts], [1, 2, 3], "what is there")
                same(two.open(parts[2]).text, "to the new key", "what is sealed to the new key")
                lost = [part.what.sealed.key for part in parts[:2]]
                found = expect_type(ask(carol, RequestType.SENDER_KEYS, room, lost), SenderKeyList).keys
                same([each.part for each in found], [None, None], "the parts for the old key")
                two.said("from the new key")
            end, parts = alice.history(room, 10)
            one.opened.clear()
            same(one.open(parts[3]).text, "from the new key", "what was said")
            # What the old key has signed still opens for who has trusted that before.
            part = parts[1]
            [found] = ask(alice, RequestType.SENDER_KEYS, room, [part.what.sealed.key]).keys
            key = sealed.open_sender_key(
                room, found.epoch, "carol", found.id, found.head, found.part, one.private_key, {fingerprint(before)}
            )
            same(sealed.open_message(key, "carol", part.id, part.what.sealed.sealed)[1].text, "from the old key", "it")


@check("direct rooms: with who is not registered, none can be begun; what was said in one is still there")
def direct_unregistered(site: Site) -> None:
    with another(site) as direct:
        with direct.sessions("alice", "dave") as (alice, dave):
            one = talk(direct, alice, "carol")
            one.said("are you there?")
            for room in ("@alice@nobody", "@alice@" + "z" * 32):
                do_not(ErrorCode.NOT_FOUND, alice, RequestType.JOIN, room)
            direct.run("keys", "remove", "--data-dir", direct.data, "carol")
            until_unknown(alice, "carol")
            do_not(ErrorCode.NOT_FOUND, dave, RequestType.JOIN, "@carol@dave")
            expect_error(one.say("and now?"), ErrorCode.NOT_FOUND)
            same(expect_type(ask(alice, RequestType.KEYS, ["carol"]), KeyList).keys, (), "the key")
        with direct.session("alice") as alice:
            one = Talker(direct, alice, "carol")
            answer, parts = one.join()
            same((answer.last, len(parts)), (1, 1), "what was said")
            same(expect_type(alice.history(one.room, 5)[0], HistoryEnd).more, False, "whether there is more")
            direct.register("carol", direct.keys["carol"])
            begun = time.monotonic()
            while isinstance(ask(alice, RequestType.WHOIS, "carol"), Error):
                expect(time.monotonic() - begun < WAIT, "carol is not registered again")
                alice.attend(0.05)
            same(one.open(parts[0]).text, "are you there?", "what was said")
            one.said("welcome back")
        same(waits(direct, "carol"), {one.room: 2}, "what waits")


@check("Leave of a direct room ends what this session gets, and nothing else; who is there is not announced")
def direct_leave(site: Site) -> None:
    room = "@alice@carol"
    with another(site) as direct, direct.sessions("alice", "carol", "carol", "dave") as (alice, carol, other, dave):
        one = talk(direct, alice, "carol")

        def people(session: Session) -> list[tuple[str, int]]:
            answer = expect_type(ask(session, RequestType.PEOPLE, room), PeopleList)
            same((answer.room, answer.total), (room, len(answer.people)), "the room and the total")
            return [(each.user, each.connections) for each in answer.people]

        same(people(alice), [("alice", 1), ("carol", 2)], "who is connected")
        two, third = talk(direct, carol, "alice"), talk(direct, other, "alice")
        one.said("hello")
        same([two.hear().text, third.hear().text], ["hello", "hello"], "what was said")
        do(carol, RequestType.LEAVE, room)
        one.said("who is there?")
        same(drained(carol), [Waiting(room, 2)], "what the session is told that has left")
        same(third.hear().text, "who is there?", "what the other one is told")
        expect_error(two.say("I have left"), ErrorCode.FORBIDDEN)
        two.own = None
        same([two.open(part).text for part in carol.history(room, 5)[1]], ["hello", "who is there?"], "the history")
        same(people(carol), [("alice", 1), ("carol", 2)], "who is connected")
        answer, parts = two.join()
        same([part.seq for part in parts], [2], "what was missed")
        two.said("back again")
        do(carol, RequestType.SET_STATUS, Availability.AWAY, "lunch")
        do(carol, RequestType.SET_STATUS, Availability.ONLINE)
        carol.close()
        other.close()
        gone(alice, "carol")
        same(people(alice), [("alice", 1)], "who is connected")
        alice.attend(0.5)  # longer than it takes to tell who came and left
        events = drained(alice)
        same([event for event in events if not isinstance(event, (Message, Receipt))], [], "what was told")
        same(drained(dave), [], "what somebody else was told")
        expect(room not in rooms_of(direct, "carol"), "the room is in the Welcome")


@check("direct rooms: after SIGKILL what waits still waits, and sender keys, receipts and messages are there")
def direct_after_kill(site: Site) -> None:
    room = "@alice@carol"
    with another(site) as direct:
        with direct.sessions("alice", "carol") as (alice, carol):
            one, two = talk(direct, alice, "carol"), talk(direct, carol, "alice")
            one.said("one", "two", "three")
            two.seen(2, 1)
            two.said("not all is delivered")
            unused = two.add_key()
            receipts = one.receipts()
            same(receipts["carol"], (2, 1), "the receipt")
            direct.server.end(signal.SIGKILL)
        direct.start()
        same(waits(direct, "carol"), {room: 4}, "what waits for carol")
        same(waits(direct, "alice"), {room: 4}, "what waits for alice")
        same([waits(direct, user) for user in ("bob", "dave")], [{}, {}], "what waits for others")
        with direct.sessions("alice", "carol") as (alice, carol):
            after = [Talker(direct, alice, "carol"), Talker(direct, carol, "alice")]
            for talker, before in zip(after, (one, two)):
                talker.view = RoomView(room, Position(before.view.position.incarnation, 0))
                answer, parts = talker.join()
                same((answer.gone, answer.withdrawn_after), (0, None), "gone and withdrawn after")
                texts = [talker.open(part).text for part in parts]
                same(texts, ["one", "two", "three", "not all is delivered"], "what was said")
                same(talker.receipts(), receipts, "the receipts")
                answer = ask(talker.session, RequestType.SENDER_KEYS, room, [unused.id])
                found = [(each.head, each.sender) for each in expect_type(answer, SenderKeyList).keys]
                same(found, [(unused.head, "carol")], "a key for later")
            for talker in after:
                talker.said("after the restart")
            for talker in after:
                same([talker.hear().text for _ in after], ["after the restart"] * 2, "what is said after it")


@check("direct rooms: the server starts again after a sender key was added where nothing was said")
def direct_key_alone(site: Site) -> None:
    with another(site) as direct:
        with direct.session("alice") as alice:
            added = talk(direct, alice, "carol").add_key()
        same(direct.server.end(), 0, "the exit status")
        direct.start()
        with direct.session("carol") as carol:
            two = talk(direct, carol, "alice")
            found = expect_type(ask(carol, RequestType.SENDER_KEYS, two.room, [added.id]), SenderKeyList).keys
            same([each.head for each in found], [added.head], "the sender key")


@check("direct rooms: a user has 1000 at most")
def direct_thousand(site: Site) -> None:
    with another(site, *GENEROUS) as direct:
        same(direct.server.end(), 0, "the exit status")
        users = registered_for_nothing(direct, 1001)
        direct.start()
        with direct.sessions("alice", "carol") as (alice, carol):
            rooms = [direct_room("alice", user) for user in users]
            numbers = [alice.queue(RequestType.JOIN, {0: room}) for room in rooms[:1000]]
            alice.flush()
            for number in numbers:
                alice.inside.add(expect_type(alice.answer(number)[0], Joined).info.room)
            do_not(ErrorCode.CONFLICT, alice, RequestType.JOIN, rooms[1000])
            do_not(ErrorCode.CONFLICT, carol, RequestType.JOIN, "@alice@carol")
            expect_type(ask(alice, RequestType.JOIN, rooms[0]), Joined)
            expect_type(ask(carol, RequestType.JOIN, "@carol@dave"), Joined)


# --- Private rooms, and their rosters ---------------------------------------------------------------------

class Insider(Speaker):
    """One session in a private room, that follows its roster."""

    def __init__(self, site: Site, session: Session, room: str, kept: Optional[Kept] = None):
        super().__init__(site, session, room)
        self.roster = Roster(room, kept)
        self.members: tuple[str, ...] = ()  # as the server counts them
        self.trusted: dict[str, set[bytes]] = {}  # whose signatures count: the pinned keys, and those before them

    def page(self, after: int) -> RosterPage:
        return expect_type(ask(self.session, RequestType.ROSTER, self.room, after), RosterPage)

    def follow(self) -> State:
        """Ask for what there is of the roster, and is not known yet: what holds now (Rosters)."""
        while True:
            page = self.page(len(self.roster.states))
            for statement in page.statements:
                self.roster.take(statement)
            if len(self.roster.states) >= page.length:
                break
            expect(bool(page.statements), "an empty page, and yet there is more")
        self.roster.check(page.length)
        self.members = page.members
        return self.roster.now

    def registered(self) -> dict[str, rsa.RSAPublicKey]:
        """The keys of those who are in the roster; one that was never seen before is pinned."""
        users, keys = sorted(self.roster.now.keys), {}
        for start in range(0, len(users), 64):
            for each in expect_type(ask(self.session, RequestType.KEYS, users[start:start + 64]), KeyList).keys:
                keys[each.user] = rsac1.decode_public_key(each.key)
                if each.user not in self.pinned:
                    self.trust(each.user, keys[each.user])
        return keys

    def trust(self, user: str, key: rsa.RSAPublicKey) -> None:
        self.pinned[user] = key
        self.trusted.setdefault(user, set()).add(fingerprint(key))

    def recipients(self) -> dict[str, rsa.RSAPublicKey]:
        """To whom what is said now is sealed."""
        state, registered = self.follow(), self.registered()
        pinned = {user: fingerprint(key) for user, key in self.pinned.items()}
        return roster.recipients(state, self.members, registered, pinned, self.trusted)

    def current_key(self) -> OwnSenderKey:
        readers = self.recipients()
        if self.own is None or not self.own.serves(self.roster.now.membership, readers):
            self.add_key(sealed.make_sender_key(
                self.room, self.user, self.private_key, readers, self.roster.now.membership
            ))
        return self.own

    def add_key(self, key: Optional[OwnSenderKey] = None) -> OwnSenderKey:
        if key is None:
            return self.current_key()
        self.own = key
        for body in key.add_bodies():
            expect_type(self.session.request(RequestType.ADD_SENDER_KEY, body), Done)
        return key

    def open_key(self, found: SealedSenderKey) -> SenderKey:
        def attempt() -> SenderKey:
            return sealed.open_sender_key(
                self.room, found.epoch, found.sender, found.id, found.head, found.part, self.private_key,
                self.trusted.get(found.sender, ()), self.roster.members,
            )

        if found.sender not in self.pinned:
            self.follow()
            self.registered()
        try:
            return attempt()
        except UnknownStatement:
            self.follow()
            return attempt()

    def hear(self) -> What:
        return self.believe(self.session.message(self.view))

    def hear_up_to(self, text: str) -> None:
        """Hear what is said up to this, where not all of it opens."""
        heard = None
        while heard != text:
            with contextlib.suppress(DoesNotOpen):
                heard = self.hear().text

    def believe(self, message: Message) -> What:
        """Open what comes as an event, if the last Acted before it left its sender in (What a receiver checks)."""
        now = self.follow()
        at = self.session.said_at.get((self.room, message.seq), now.kept.number)
        if message.sender not in self.roster.states[at - 1].keys:
            raise DoesNotOpen("a message of who is not in the room")
        return self.open(message)

    def entry(self, kind: int, user: str, key: Optional[rsa.RSAPublicKey] = None) -> Entry:
        """The next statement of the roster."""
        change = Change(kind, user, None if key is None else fingerprint(key))
        return self.roster.sign(change, self.private_key)

    def change(self, type_: RequestType, entry: Entry, *body: Any) -> Any:
        """Ask for a change, with its entry as the last field, and follow it if it is done."""
        fields = {key: value for key, value in enumerate((self.room, *body)) if value is not None}
        answer = self.session.request(type_, {**fields, len(body) + 1: entry.encode()})
        if isinstance(answer, Done):
            self.roster.take(entry.statement)
        return answer

    def create(self) -> None:
        entry = self.entry(MADE, self.user, self.private_key.public_key())
        expect_type(self.change(RequestType.CREATE, entry), Done)
        self.join()

    def key_of(self, user: str) -> rsa.RSAPublicKey:
        """The key that somebody is registered with, which is pinned if it is the first."""
        [found] = expect_type(ask(self.session, RequestType.KEYS, [user]), KeyList).keys
        key = rsac1.decode_public_key(found.key)
        if user not in self.pinned:
            self.trust(user, key)
        return key

    def invite(self, *users: str) -> None:
        for user in users:
            entry = self.entry(IN, user, self.key_of(user))
            expect_type(self.change(RequestType.INVITE, entry, user), Done)

    def kick(self, user: str, why: Optional[str] = None) -> None:
        expect_type(self.change(RequestType.KICK, self.entry(OUT, user), user, why), Done)

    def hand_over(self, user: str) -> None:
        expect_type(self.change(RequestType.HAND_OVER, self.entry(OWNER, user), user), Done)


MOST_AT_ONCE = 200  # a server takes 256 changes that are not answered yet


def done_at_once(session: Session, type_: RequestType, bodies: list[dict]) -> None:
    """Have many changes done, without waiting for each."""
    for start in range(0, len(bodies), MOST_AT_ONCE):
        numbers = [session.queue(type_, body) for body in bodies[start:start + MOST_AT_ONCE]]
        session.flush()
        for number in numbers:
            expect_type(session.answer(number)[0], Done)


def new_private(site: Site, owner: Session, *others: Session) -> list[Insider]:
    """A private room of its own for a check: somebody makes it and lets the others in, and all have joined it."""
    room = f"private-{next(ROOM_NUMBERS):02}"
    insiders = [Insider(site, session, room) for session in (owner, *others)]
    insiders[0].create()
    insiders[0].invite(*dict.fromkeys(each.user for each in insiders if each.user != insiders[0].user))
    for each in insiders[1:]:
        each.session.event(lambda event: isinstance(event, Membership) and event.room == room)
        each.join()
        each.follow()
    for each in insiders:
        drained(each.session)
    return insiders


def does_not_follow(what: str, why: Why, action: Callable[[], Any]) -> None:
    try:
        same(raised(DoesNotFollow, action).why, why, "the reason")
    except Failure as failure:
        raise Failure(f"{what}: {failure}") from None


@check("the vectors: a roster, made and followed, and statements that do not follow")
def vectors_roster(site: Site) -> None:
    vectors = json.loads((VECTORS / "roster.json").read_text())
    room = vectors["room"].removeprefix("#")
    signers = {each["user"]: each["key"] for each in vectors.get("keys", [])}
    followed = Roster(room)
    for number, each in enumerate(vectors["statements"], 1):
        statement = bytes.fromhex(each["statement"])
        previous = followed.states[-1].kept.hash if followed.states else None
        state = followed.take(statement)
        same(state.kept, Kept(number, bytes.fromhex(each["hash"])), f"the number and hash of {each['name']}")
        same(each["number"], number, "the number")
        same(state.owner, each["owner"], f"the owner after {each['name']}")
        found = [[user, key.hex()] for user, key in sorted(state.keys.items())]
        same(found, each["members"], f"the members after {each['name']}")
        same(followed.members(state.membership), state.keys, "the members of the membership")
        # All but the signature is the same whoever makes it.
        protected, unprotected, payload, signature = cbor2.loads(statement)
        signer = rsac1.decode_public_key(cbor2.loads(payload)[3])
        same(roster.make_statement(number, previous, state.change, signer), payload, f"the payload of {each['name']}")
        expected = [cbor2.dumps({1: -37, 4: fingerprint(signer)}), {}, payload, signature]
        same(cbor2.dumps(expected), statement, f"the encoding of {each['name']}")
        expect(each["signed_by"] not in signers or signers[each["signed_by"]] == fingerprint(signer), "another signer")
        signers[each["signed_by"]] = fingerprint(signer)
    followed.check(len(vectors["statements"]))
    same(followed.kept, followed.now.kept, "what to keep")
    statements = [bytes.fromhex(each["statement"]) for each in vectors["statements"]]
    reasons = {why.value: why for why in Why}
    for each in vectors["statements_that_do_not_follow"]:
        before = Roster(room)
        for statement in statements[:2]:
            before.take(statement)
        bad = bytes.fromhex(each["statement"])
        does_not_follow(each["name"], reasons[each["why"]], lambda: before.take(bad))
        # And none follows after it, not even the one that would have.
        does_not_follow(f"after {each['name']}", reasons[each["why"]], lambda: before.take(statements[2]))
        does_not_follow(f"all of it, with {each['name']}", reasons[each["why"]], lambda: before.check(3))
        same(before.kept.number, 2, "what to keep")
    # The name is in all that is signed.
    does_not_follow("the # that people see", Why.FORGED, lambda: Roster("#" + room).take(statements[0]))


@check("rosters: what is made is followed, and only if all of it is as the page says")
def rosters_checked(site: Site) -> None:
    room, users = "ops", ("alice", "bob", "carol", "dave")
    keys = {user: site.keys[user] for user in users}
    keys["alice again"] = keys["dave"]
    public = {user: key.public_key() for user, key in keys.items()}
    marks = {user: fingerprint(key) for user, key in public.items()}

    def history(*steps: tuple[str, int, str, str]) -> Roster:
        """Who signs, what, about whom, and with whose key."""
        made = Roster(room)
        for signer, kind, user, key in steps:
            change = Change(kind, user, marks[key] if key else None)
            entry = made.sign(change, keys[signer])
            same(entry.number, len(made.states) + 1, "the number")
            expect(len(entry.statement) <= roster.LONGEST_STATEMENT, "it is too long")
            made.take(entry.statement)
        return made

    def holds(made: Roster, owner: str, **members: str) -> None:
        expected = {user: marks[key] for user, key in members.items()}
        same((made.now.owner, dict(made.now.keys)), (owner, expected), "who owns it, and who is in it")

    start = ("alice", MADE, "alice", "alice")
    bob, carol = ("alice", IN, "bob", "bob"), ("alice", IN, "carol", "carol")
    holds(history(start), "alice", alice="alice")
    holds(history(start, bob, carol), "alice", alice="alice", bob="bob", carol="carol")
    holds(history(start, bob, ("alice", OUT, "bob", "")), "alice", alice="alice")
    holds(history(start, bob, ("alice", OUT, "bob", ""), bob), "alice", alice="alice", bob="bob")
    # Another key, for a member, also the same once more, and for the owner himself, who signs with the one before.
    holds(history(start, bob, ("alice", IN, "bob", "dave")), "alice", alice="alice", bob="dave")
    holds(history(start, bob, bob), "alice", alice="alice", bob="bob")
    again = ("alice", IN, "alice", "alice again")
    holds(history(start, again, ("alice again", IN, "bob", "bob")), "alice", alice="alice again", bob="bob")
    # It is handed on, and the one before may be put out, and come back.
    on = (start, bob, ("alice", OWNER, "bob", ""))
    holds(history(*on), "bob", alice="alice", bob="bob")
    holds(history(*on, ("bob", OUT, "alice", "")), "bob", bob="bob")
    back = (*on, ("bob", OWNER, "alice", ""), ("alice", OUT, "bob", ""))
    holds(history(*back), "alice", alice="alice")
    for why, *steps in (
        (Why.IMPOSSIBLE, start, start),
        (Why.IMPOSSIBLE, bob),
        (Why.IMPOSSIBLE, ("alice", OUT, "alice", "")),
        (Why.IMPOSSIBLE, ("alice", OWNER, "alice", "")),
        (Why.IMPOSSIBLE, start, ("alice", OUT, "alice", "")),
        (Why.IMPOSSIBLE, start, ("alice", OWNER, "alice", "")),
        (Why.IMPOSSIBLE, start, ("alice", OUT, "bob", "")),
        (Why.IMPOSSIBLE, start, ("alice", OWNER, "bob", "")),
        (Why.IMPOSSIBLE, start, bob, ("alice", OUT, "bob", ""), ("alice", OUT, "bob", "")),
        (Why.IMPOSSIBLE, start, bob, ("alice", OUT, "bob", ""), ("alice", OWNER, "bob", "")),
        (Why.IMPOSSIBLE, *on, ("bob", OUT, "bob", "")),
        (Why.IMPOSSIBLE, *on, ("bob", OWNER, "bob", "")),
        (Why.NOT_THE_OWNER, ("bob", MADE, "alice", "alice")),
        (Why.NOT_THE_OWNER, start, ("bob", IN, "bob", "bob")),
        (Why.NOT_THE_OWNER, start, bob, ("bob", IN, "carol", "carol")),
        (Why.NOT_THE_OWNER, start, bob, ("bob", OWNER, "bob", "")),
        (Why.NOT_THE_OWNER, start, bob, ("bob", OUT, "bob", "")),
        (Why.NOT_THE_OWNER, *on, ("alice", IN, "carol", "carol")),
        (Why.NOT_THE_OWNER, *on, ("alice", OWNER, "alice", "")),
        (Why.NOT_THE_OWNER, start, again, ("alice", IN, "bob", "bob")),
        (Why.NOT_THE_OWNER, start, ("alice again", IN, "alice", "alice again")),
        (Why.NOT_THE_OWNER, *on, ("bob", IN, "bob", "dave"), ("bob", IN, "carol", "carol")),
    ):
        does_not_follow(str(steps), why, lambda: history(*steps))
        history(*steps[:-1])

    # One statement after another one, of which anything may be wrong.
    base = history(start, bob)
    last = base.now.kept

    def attempt(
        change: Callable[[dict], Any] = lambda statement: None, *, number: int = 3, signer: str = "alice",
        in_room: str = room, encode: Callable[[dict], bytes] = lambda statement: cbor2.dumps(statement, canonical=True),
        spoil: Callable[[bytes], bytes] = bytes,
    ) -> State:
        signer_key = rsac1.encode_public_key(public["alice"])
        statement = {0: 3, 1: last.hash, 2: [IN, [["carol", marks["carol"]]]], 3: signer_key}
        change(statement)
        signed = sealed.sign(roster.context(in_room, number), encode(statement), keys[signer])
        return roster.follow(room, base.now, spoil(signed))

    def put(key: int, value: Any) -> Callable[[dict], Any]:
        return lambda statement: statement.__setitem__(key, value)

    expected = {user: marks[user] for user in ("alice", "bob", "carol")}
    same(dict(attempt().keys), expected, "who is in it")
    same(dict(attempt(put(4, {"x": [None, 1.5]})).keys), expected, "who is in it by a statement with an unknown key")
    named = rsac1.encode_public_key(public["bob"])
    for name, why, action in (
        ("another number", Why.OUT_OF_PLACE, lambda: attempt(put(0, 4), number=4)),
        ("the number of the one before", Why.OUT_OF_PLACE, lambda: attempt(put(0, 2), number=2)),
        ("number 0", Why.OUT_OF_PLACE, lambda: attempt(put(0, 0), number=0)),
        ("number 1, and nothing before it", Why.OUT_OF_PLACE, lambda: attempt(
            lambda statement: (put(0, 1)(statement), statement.pop(1)), number=1
        )),
        ("no previous", Why.OUT_OF_PLACE, lambda: attempt(lambda statement: statement.pop(1))),
        ("another previous", Why.OUT_OF_PLACE, lambda: attempt(put(1, bytes(32)))),
        ("the one before the previous", Why.OUT_OF_PLACE, lambda: attempt(put(1, base.states[0].kept.hash))),
        ("an empty previous", Why.OUT_OF_PLACE, lambda: attempt(put(1, b""))),
        ("a longer previous", Why.OUT_OF_PLACE, lambda: attempt(put(1, last.hash + b"\0"))),
        ("signed for another number", Why.FORGED, lambda: attempt(number=4)),
        ("signed for another room", Why.FORGED, lambda: attempt(in_room="opt")),
        ("a member's signature", Why.NO_STATEMENT, lambda: attempt(signer="bob")),
        ("a member who says so", Why.NOT_THE_OWNER, lambda: attempt(put(3, named), signer="bob")),
        ("a changed signature", Why.FORGED, lambda: attempt(spoil=lambda data: flip(data, len(data) - 1))),
        ("a short signature", Why.NO_STATEMENT, lambda: attempt(spoil=lambda data: data[:-1])),
        ("a byte behind it", Why.NO_STATEMENT, lambda: attempt(spoil=lambda data: data + b"\0")),
        ("a tag before it", Why.NO_STATEMENT, lambda: attempt(spoil=lambda data: b"\xd2" + data)),
        ("another encoding of it", Why.NO_STATEMENT, lambda: attempt(spoil=lambda data: b"\x98\x04" + data[1:])),
        ("a byte behind the statement", Why.NO_STATEMENT, lambda: attempt(
            encode=lambda statement: cbor2.dumps(statement, canonical=True) + b"\0"
        )),
        ("another encoding of the statement", Why.NO_STATEMENT, lambda: attempt(
            encode=lambda statement: b"\xb8\x04" + cbor2.dumps(statement, canonical=True)[1:]
        )),
        ("no number", Why.NO_STATEMENT, lambda: attempt(lambda statement: statement.pop(0))),
        ("no change", Why.NO_STATEMENT, lambda: attempt(lambda statement: statement.pop(2))),
        ("no signer", Why.NO_STATEMENT, lambda: attempt(lambda statement: statement.pop(3))),
        ("a signer that is no key", Why.NO_STATEMENT, lambda: attempt(put(3, b"x"))),
        ("a number that is text", Why.NO_STATEMENT, lambda: attempt(put(0, "3"))),
        ("a previous that is text", Why.NO_STATEMENT, lambda: attempt(put(1, "x"))),
        ("a change of another kind", Why.NO_STATEMENT, lambda: attempt(put(2, [4, ["bob"]]))),
        ("a change of two", Why.NO_STATEMENT, lambda: attempt(put(2, [OUT, ["bob", "bob"]]))),
        ("a change of none", Why.NO_STATEMENT, lambda: attempt(put(2, [OUT, []]))),
        ("a change that is longer", Why.NO_STATEMENT, lambda: attempt(put(2, [OUT, ["bob"], 0]))),
        ("who is out, with a key", Why.NO_STATEMENT, lambda: attempt(put(2, [OUT, [["bob", marks["bob"]]]]))),
        ("who is in, without a key", Why.NO_STATEMENT, lambda: attempt(put(2, [IN, ["carol"]]))),
        ("a short fingerprint", Why.NO_STATEMENT, lambda: attempt(put(2, [IN, [["carol", bytes(31)]]]))),
        ("a name that can't be one", Why.NO_STATEMENT, lambda: attempt(put(2, [IN, [["Carol", bytes(32)]]]))),
        ("a direct room for a name", Why.NO_STATEMENT, lambda: attempt(put(2, [IN, [["@alice@bob", bytes(32)]]]))),
    ):
        does_not_follow(name, why, action)
    # Every header there is, changed, and one more.
    protected, unprotected, payload, signature = cbor2.loads(base.sign(Change(OUT, "bob"), keys["alice"]).statement)
    for name, items in {
        "another algorithm": [cbor2.dumps({1: -38, 4: marks["alice"]}), unprotected, payload, signature],
        "no name": [cbor2.dumps({1: -37}), unprotected, payload, signature],
        "another name": [cbor2.dumps({1: -37, 4: marks["bob"]}), unprotected, payload, signature],
        "one more protected header": [
            cbor2.dumps({1: -37, 3: 0, 4: marks["alice"]}, canonical=True), unprotected, payload, signature
        ],
        "one more header": [protected, {3: 0}, payload, signature],
        "no payload": [protected, unprotected, None, signature],
        "a fifth item": [protected, unprotected, payload, signature, b""],
        "no signature": [protected, unprotected, payload, b""],
    }.items():
        spoilt = cbor2.dumps(items, canonical=True)
        error = raised(DoesNotFollow, lambda: roster.follow(room, base.now, spoilt))
        expect(error.why in (Why.NO_STATEMENT, Why.FORGED), f"{name}: {error}")
    for nothing in (b"", b"\x80", b"\xf6", b"\x81" * 4000, bytes(4096)):
        does_not_follow("nothing", Why.NO_STATEMENT, lambda: roster.follow(room, base.now, nothing))
    # No more than a client takes: the length of a statement, how many they are, and how many members.
    length = len(sealed.sign(roster.context(room, 3), b"x" * 256, keys["alice"])) - 256
    for longer, size in ((0, 4096), (1, 4097)):
        data = []

        def fill(statement: dict) -> None:
            """Make the statement so long with a key that nobody knows."""
            statement[9] = b"x" * 256
            statement[9] = bytes(size - length - len(cbor2.dumps(statement, canonical=True)) + 256)

        def noted(signed: bytes) -> bytes:
            data.append(len(signed))
            return signed

        if longer:
            does_not_follow("a longer one", Why.TOO_MUCH, lambda: attempt(fill, spoil=noted))
        else:
            same(dict(attempt(fill, spoil=noted).keys), expected, "who is in it by the longest statement")
        same(data, [size], "its length")
    for number, members in ((4095, 255), (4096, 255), (4095, 256)):
        crowd = {"alice": marks["alice"]} | {f"user-{each:03}": marks["bob"] for each in range(members - 1)}
        full = Roster(room)
        full.states.append(State(Kept(number, last.hash), "alice", crowd, Change(IN, "bob", marks["bob"])))
        signed = full.sign(Change(IN, "dave", marks["dave"]), keys["alice"]).statement
        if (number, members) == (4095, 255):
            same(len(full.take(signed).keys), 256, "how many are in it")
        else:
            does_not_follow(f"after {number}, with {members}", Why.TOO_MUCH, lambda: full.take(signed))
    good = base.sign(Change(IN, "carol", marks["carol"]), keys["alice"]).statement
    roster.follow(room, base.now, good)
    for place in range(len(good)):
        raised(DoesNotFollow, lambda: roster.follow(room, base.now, flip(good, place)))


@check("rosters: one that goes back, forks or has a gap is refused by who has seen more of it")
def rosters_kept(site: Site) -> None:
    alice, mark = site.keys["alice"], fingerprint(site.keys["bob"].public_key())

    def grow(length: int, start: tuple[bytes, ...] = ()) -> tuple[bytes, ...]:
        """A roster that begins so."""
        made = Roster("ops")
        for statement in start:
            made.take(statement)
        statements = list(start)
        while len(statements) < length:
            change = Change(IN, f"user-{len(statements)}", mark)
            if not statements:
                change = Change(MADE, "alice", fingerprint(alice.public_key()))
            statements.append(made.sign(change, alice).statement)
            made.take(statements[-1])
        return tuple(statements)

    def followed(statements: tuple[bytes, ...], kept: Optional[Kept] = None, length: Optional[int] = None) -> Roster:
        made = Roster("ops", kept)
        for statement in statements:
            made.take(statement)
        made.check(len(statements) if length is None else length)
        return made

    whole = grow(5)
    kept = [followed(whole[:length]).kept for length in range(1, 6)]
    same([each.number for each in kept], [1, 2, 3, 4, 5], "what to keep")
    for each in (None, *kept):
        same(followed(whole, each).kept, kept[-1], "what to keep")
    fork, other = grow(6, whole[:3]), grow(5)
    for name, statements, seen in (
        ("the last one is not there", whole[:4], kept[4]),
        ("only the first is there", whole[:1], kept[4]),
        ("the last is another one", fork[:4], kept[3]),
        ("it has gone on elsewhere", fork, kept[4]),
        ("it was another one from the beginning", other, kept[0]),
        ("nothing is there", (), kept[0]),
        ("nothing was ever there", (), None),
    ):
        try:
            raised(RosterRefused, lambda: followed(statements, seen))
        except Failure as failure:
            raise Failure(f"{name}: {failure}") from None
        if statements:
            refused = Roster("ops", seen)
            for statement in statements:
                refused.take(statement)
            same(refused.kept, seen, f"what to keep where {name}")
    # Both go on from the same statement: for who has seen nothing after it, either may be.
    for statements in (whole, fork):
        same(followed(statements, kept[2]).kept.number, len(statements), "what to keep")
    for length in (4, 6):
        raised(RosterRefused, lambda: followed(whole, None, length))
    # Nothing may be missing, come twice or be moved.
    for name, statements in {
        "a gap": (whole[0], *whole[2:]),
        "one from elsewhere": (*whole[:3], other[3]),
        "one of the fork": (*whole[:4], fork[4]),
        "one twice": (*whole[:3], whole[2]),
        "two swapped": (whole[0], whole[2], whole[1]),
        "no beginning": whole[1:],
    }.items():
        does_not_follow(name, Why.OUT_OF_PLACE, lambda: followed(statements))


@check("sender keys of private rooms: they name a statement, by which their maker and their reader are in the room")
def private_sender_keys(site: Site) -> None:
    room, users = "ops", ("alice", "bob", "carol")
    keys = {user: site.keys[user] for user in users}
    public = {user: key.public_key() for user, key in keys.items()}
    marks = {user: fingerprint(key) for user, key in public.items()}
    known = Roster(room)
    for change in (
        Change(MADE, "alice", marks["alice"]), Change(IN, "bob", marks["bob"]), Change(IN, "carol", marks["carol"]),
        Change(OUT, "carol"), Change(IN, "bob", marks["carol"]),
    ):
        known.take(known.sign(change, keys["alice"]).statement)
    memberships = {state.kept.number: state.membership for state in known.states}
    same(memberships[3].encode(), [1, [[3, known.states[2].kept.hash]]], "a membership")
    data = cbor2.dumps([room, memberships[3].encode()], canonical=True)
    same(sealed.epoch_of(room, memberships[3]), hashlib.sha256(data).digest(), "an epoch")

    def attempt(
        number: int, sender: str = "alice", reader: str = "bob", membership: Any = None, made_for: str = room,
        follows: Optional[Roster] = known,
    ) -> SenderKey:
        own = sealed.make_sender_key(made_for, sender, keys[sender], public, membership or memberships[number])
        return sealed.open_sender_key(
            room, own.epoch, sender, own.id, own.head, own.parts[marks[reader]], keys[reader], {marks[sender]},
            follows and follows.members,
        )

    for number, sender, reader in ((2, "alice", "bob"), (2, "bob", "alice"), (3, "carol", "bob"), (4, "alice", "bob")):
        same(attempt(number, sender, reader).membership, memberships[number], "the membership")
    fork = Roster(room)
    fork.take(fork.sign(Change(MADE, "alice", marks["alice"]), keys["alice"]).statement)
    for name, arguments in {
        "who is not in the room yet": dict(number=2, sender="carol"),
        "who is not in it any more": dict(number=4, sender="carol"),
        "who has another key by then": dict(number=5, sender="bob", reader="alice"),
        "a reader who is not in it yet": dict(number=1, reader="bob"),
        "a reader who is not in it any more": dict(number=4, reader="carol"),
        "a reader who has another key by then": dict(number=5, reader="bob"),
        "another room": dict(number=3, made_for="opt"),
        "the members of a direct room": dict(number=3, membership=sealed.membership_of(
            {user: public[user] for user in ("alice", "bob")}
        )),
        "the membership of a private room in a direct one": dict(number=3, follows=None),
    }.items():
        does_not_open(name, lambda: attempt(**arguments))
    for name, entries in {
        "two statements": memberships[2].entries + memberships[3].entries,
        "no statement": (),
        "another hash": ((3, bytes(32)),),
        "another number": ((2, known.states[2].kept.hash),),
        "number 0": ((0, known.now.kept.hash),),
        "a number that there is not": ((6, known.states[2].kept.hash),),
        "the statement of a fork": fork.now.membership.entries,
    }.items():
        membership = sealed.Membership(sealed.PRIVATE, entries)
        does_not_open(name, lambda: attempt(3, reader="alice", membership=membership))
    # Only what may not have been heard of yet is asked for once more.
    ahead = sealed.Membership(sealed.PRIVATE, ((6, bytes(32)),))
    raised(UnknownStatement, lambda: attempt(3, membership=ahead))

    # To whom one seals: members by roster and server, with the key that is registered, trusted, and in the roster.
    state = known.states[2]
    for name, expected, members, registered, pinned in (
        ("all of it is as it should be", users, users, public, marks),
        ("nobody was seen before", users, users, public, {}),
        ("the server leaves somebody out", ("alice", "carol"), ("alice", "carol"), public, marks),
        ("the server adds somebody", users, (*users, "dave"), {**public, "dave": public["bob"]}, marks),
        ("somebody is not registered", ("alice", "bob"), users, {user: public[user] for user in users[:2]}, marks),
        ("somebody has another key", ("alice", "bob"), users, {**public, "carol": public["bob"]}, marks),
        ("a new key was trusted, and the owner has let it in before it is registered", ("alice", "bob"), users,
         {**public, "carol": public["bob"]}, marks),
        ("somebody has another key, and that was trusted", ("alice", "bob"), users,
         {**public, "carol": public["bob"]}, {**marks, "carol": marks["bob"]}),
        ("who has left is there with a key that was never trusted", ("alice", "bob"), users[:2], public,
         {**marks, "carol": marks["bob"]}),
    ):
        before = {user: {mark} for user, mark in marks.items() if members == users}
        found = roster.recipients(state, members, registered, pinned, before)
        same(found, {user: public[user] for user in expected}, f"to whom one seals where {name}")
    for registered in (public, {**public, "carol": public["bob"]}, {user: public[user] for user in users[:2]}):
        pinned = {**marks, "carol": marks["bob"]}
        trusted = {user: {mark} for user, mark in pinned.items()}
        raised(NotTrusted, lambda: roster.recipients(state, users, registered, pinned, trusted))
    # A key serves as long as neither the epoch nor those who can read it have changed.
    own = sealed.make_sender_key(room, "alice", keys["alice"], public, state.membership)
    same(own.serves(state.membership, public), True, "whether it serves")
    same(own.serves(memberships[4], public), False, "whether it serves in another epoch")
    fewer = {user: public[user] for user in ("alice", "bob")}
    same(own.serves(state.membership, fewer), False, "whether it serves when somebody has left")
    own.next = sealed.MESSAGES_PER_KEY
    same(own.serves(state.membership, public), False, "whether it serves when it has sealed enough")
    own.next, own.made = 0, time.monotonic() - sealed.SECONDS_PER_KEY
    same(own.serves(state.membership, public), False, "whether it serves when it is old")


def brought_in(room: str, by: str, user: str) -> Acted:
    return acted(room, by, ActKind.BROUGHT_IN, Named(user))


def read_back(insider: Speaker) -> list[str]:
    """What was said, by the history; with the reason in its place where something does not open."""
    found = []
    for part in insider.session.history(insider.room, 100)[1]:
        try:
            found.append(insider.open(part).text)
        except DoesNotOpen as error:
            found.append(f"({error})")
    return found


NO_PART = "(a sender key without the own part)"


@check("private rooms: made, others let in, and what is said there opens for them, from then on")
def private_talk(site: Site) -> None:
    with site.sessions("alice", "alice", "carol", "dave") as (alice, other, carol, dave):
        room = f"private-{next(ROOM_NUMBERS):02}"
        one = Insider(site, alice, room)
        expect_type(one.change(RequestType.CREATE, one.entry(MADE, "alice", one.key_of("alice"))), Done)
        told(alice)
        told(other, Membership(room, True, "alice", None))
        expect_error(one.post(new_id(), What(SEALED, None, Sealed(bytes(32), b"x"))), ErrorCode.FORBIDDEN)
        expected = Info(room, "", "alice", 1, 0, joined=True, last=0, people=(), sealed=True, receipts=(), statements=1)
        same(info_of(alice, room), expected, "the room")
        same(one.page(0), RosterPage((one.page(0).statements[0],), 1, ("alice",)), "the roster")
        expected = dataclasses.replace(expected, present=1)
        same(one.join()[0].info, expected, "what is said about it")
        one.said("alone")
        same(one.hear().text, "alone", "what is said before anybody else is there")

        one.invite("carol")
        told(alice, brought_in(room, "alice", "carol"))
        told(carol, Membership(room, True, "alice", None))
        told(other)
        told(dave)
        expect(room in rooms_of(site, "carol"), "the room is not in a member's Welcome")
        two = Insider(site, carol, room)
        answer, parts = two.join()
        same((answer.info.members, answer.info.statements, answer.info.sealed), (2, 2, True), "what is said about it")
        same(dict(two.follow().keys), {user: fingerprint(site.keys[user].public_key()) for user in ("alice", "carol")},
             "who is in it")
        same((two.roster.now, two.members), (one.roster.now, ("alice", "carol")), "the roster that carol follows")
        same([part.seq for part in parts], [1], "what was said before")
        does_not_open("what was said before", lambda: two.open(parts[0]))
        came(alice, room, "carol")

        said = [(one, "hello", SAID), (two, "Grüße 👋", SAID), (two, "waves", DONE), (one, "x" * LONGEST, SAID)]
        for seq, (insider, text, kind) in enumerate(said, 2):
            id_, what = insider.seal(text, kind)
            accepted = expect_type(insider.post(id_, what), Accepted)
            same(accepted.seq, seq, "the number")
            for hearer in (one, two):
                message = hearer.session.message(hearer.view)
                same(message, Message(room, seq, accepted.time, insider.user, id_, what), "the event")
                same(hearer.open(message), What(kind, text), "what was said")
        same({key.next for key in two.opened.values()}, {2}, "the numbers under the sender keys")

        # A third one, on two connections, of which one only looks back.
        before = one.own.id
        one.invite("dave")
        for session in (alice, carol):
            told(session, brought_in(room, "alice", "dave"))
        told(dave, Membership(room, True, "alice", None))
        with site.session("dave") as later:
            three, reader = Insider(site, dave, room), Insider(site, later, room)
            three.join()
            three.follow()
            three.said("thank you")
            one.said("welcome")
            expect(one.own.id != before, "a sender key of another epoch is still in use")
            two.said("hello dave")
            texts = ["thank you", "welcome", "hello dave"]
            for insider in (one, two, three):
                same([insider.hear().text for _ in texts], texts, "what was said")
            reader.follow()
            same(read_back(reader), [NO_PART] * 5 + texts, "what opens for who came later")
        same(read_back(two), [NO_PART] + [text for _, text, _ in said] + texts, "what opens for carol")


def strange_requests(room: str) -> Iterator[tuple]:
    """Whatever can be asked about a room."""
    key, mark, sealed_what = bytes(32), bytes(32), What(SEALED, None, Sealed(bytes(32), b"x")).encode()
    entries = [None, *({0: number, 1: data} for number, data in ((0, b""), (1, b"x"), (3, b"x"), (9, bytes(4097))))]
    yield RequestType.JOIN, room
    yield RequestType.JOIN, room, {0: 1, 1: 1}
    for retry in (False, True):
        for what in (sealed_what, What(SAID, "may I?").encode(), What(SAID, " ").encode()):
            yield RequestType.POST, room, bytes(16), what, retry
    yield RequestType.HISTORY, room, None, 10
    yield RequestType.HISTORY, room, 2, 0
    yield RequestType.PEOPLE, room
    yield RequestType.LEAVE, room
    for text in ("mine", "", "x" * 257, "\n"):
        yield RequestType.SET_TOPIC, room, text
    for user in ("alice", "bob", "carol", "dave", "nobody"):
        for entry in entries:
            yield RequestType.INVITE, room, user, entry
            yield RequestType.KICK, room, user, None, entry
            yield RequestType.HAND_OVER, room, user, entry
        yield RequestType.KICK, room, user, "x" * 257
        for type_ in (RequestType.BAN, RequestType.UNBAN, RequestType.MUTE, RequestType.UNMUTE):
            yield type_, room, user
        yield RequestType.BAN, room, user, 0
        yield RequestType.MUTE, room, user, 0
    yield RequestType.ADD_SENDER_KEY, room, key, bytes(32), b"", []
    yield RequestType.ADD_SENDER_KEY, room, key, bytes(32), b"", [{0: mark, 1: b""}]
    yield RequestType.SENDER_KEYS, room, []
    yield RequestType.SENDER_KEYS, room, [key]
    yield RequestType.SEEN, room, 0
    yield RequestType.SEEN, room, 1, 1
    for after in (0, 1, 2**64 - 1):
        yield RequestType.ROSTER, room, after


def invisible(session: Session, room: str) -> None:
    """Whether a session is answered as if there were no such room, whatever it asks, to the last word."""
    missing = "missing" + room[7:]
    same(len(missing), len(room), "the length of a name")
    for request, twin in zip(strange_requests(room), strange_requests(missing)):
        answer, expected = ask(session, *request), ask(session, *twin)
        expect_error(expected, ErrorCode.CONFLICT if request[0] == RequestType.SEEN else ErrorCode.NOT_FOUND)
        hidden = dataclasses.replace(answer, text=answer.text.replace(room, missing)) if answer.text else answer
        same(hidden, expected, f"the answer to {request[0].name} {request[1:]}")
    for people in (False, True):
        rooms = expect_type(ask(session, RequestType.ROOMS, people), RoomList).rooms
        expect(all(info.room != room for info in rooms), "the room is listed")


@check("private rooms: strangers and admins see none, and are answered as if there were no such room")
def private_strangers(site: Site) -> None:
    with site.sessions("alice", "carol", "bob", "dave") as (alice, carol, bob, dave):
        one, two = new_private(site, alice, carol)
        one.said("between us")
        for session in (bob, dave):
            invisible(session, one.room)
            told(session)
            # But its name is taken.
            do_not(ErrorCode.CONFLICT, session, RequestType.CREATE, one.room)
            do_not(ErrorCode.CONFLICT, session, RequestType.CREATE, one.room, {0: 1, 1: b"x"})
        for user in ("bob", "dave"):
            expect(one.room not in rooms_of(site, user), "the room is in the Welcome")
        same(two.hear().text, "between us", "what was said")
        told(carol)
        same((one.page(0).length, one.page(0).members), (2, ("alice", "carol")), "the roster")
        same(info_of(alice, one.room).topic, "", "the topic")
        # So it is for who was put out, and who has left; who is invited again sees it again.
        one.kick("carol")
        invisible(carol, one.room)
        one.invite("carol", "dave")
        same(info_of(carol, one.room).members, 3, "the members")
        do(dave, RequestType.LEAVE, one.room)
        invisible(dave, one.room)


@check("private rooms: their owner alone decides, not the other members, nor admins")
def private_owner_alone(site: Site) -> None:
    with site.sessions("alice", "bob", "carol") as (alice, bob, carol):
        one, admin, two = new_private(site, alice, bob, carol)
        for insider in (admin, two):
            session, entry = insider.session, insider.entry(IN, "dave", one.key_of("dave"))
            do_not(ErrorCode.FORBIDDEN, session, RequestType.SET_TOPIC, one.room, "mine")
            for encoded in (entry.encode(), None):
                do_not(ErrorCode.FORBIDDEN, session, RequestType.INVITE, one.room, "dave", encoded)
                do_not(ErrorCode.FORBIDDEN, session, RequestType.KICK, one.room, "alice", None, encoded)
                do_not(ErrorCode.FORBIDDEN, session, RequestType.HAND_OVER, one.room, session.welcome.user, encoded)
            for user in ("alice", "bob", "carol"):
                do_not(ErrorCode.FORBIDDEN, session, RequestType.MUTE, one.room, user)
                do_not(ErrorCode.FORBIDDEN, session, RequestType.UNMUTE, one.room, user)
        for session in (alice, bob, carol):
            told(session)
        do(alice, RequestType.SET_TOPIC, one.room, "not sealed")
        for session in (alice, bob, carol):
            told(session, acted(one.room, "alice", ActKind.TOPIC, Text("not sealed")))
        same((info_of(carol, one.room).topic, one.page(0).length), ("not sealed", 3), "the room")
        # Not even an admin is safe from him.
        do(alice, RequestType.MUTE, one.room, "bob")
        expect_error(admin.say("may I?"), ErrorCode.FORBIDDEN)
        do(alice, RequestType.UNMUTE, one.room, "bob")
        admin.own = None
        admin.said("thank you")
        do_not(ErrorCode.CONFLICT, alice, RequestType.BAN, one.room, "bob")
        one.kick("bob")
        do_not(ErrorCode.NOT_FOUND, bob, RequestType.UNMUTE, one.room, "bob")


@check("private rooms: letting in who is a member, and putting out who is none, change the roster and nothing else")
def private_roster_alone(site: Site) -> None:
    with site.sessions("alice", "carol", "carol", "dave", "bob") as (alice, carol, outside, dave, bob):
        one, two = new_private(site, alice, carol)
        drained(outside)
        one.invite("carol")
        event = brought_in(one.room, "alice", "carol")
        for session in (alice, carol):
            told(session, event)
        told(outside)
        same((two.follow().kept.number, two.members), (3, ("alice", "carol")), "the roster")
        # Who has left, who was never there, and who is not even registered, an admin, too.
        do(carol, RequestType.LEAVE, one.room)
        for session in (alice, carol, outside):
            drained(session)
        for number, (user, why) in enumerate((("carol", "gone"), ("dave", None), ("bob", None), ("nobody", None)), 4):
            do(alice, RequestType.KICK, one.room, user, why, {0: number, 1: b"x"})
            told(alice, acted(one.room, "alice", ActKind.PUT_OUT, PutOut(user, why)))
        for session in (carol, outside, dave, bob):
            told(session)
        same((one.page(3).length, one.page(3).statements), (7, (b"x",) * 4), "the roster")
        same((one.page(0).members, info_of(alice, one.room).members), (("alice",), 1), "the members")


@check("private rooms: each change has its statement, with the right number, and is refused with any other")
def private_entries(site: Site) -> None:
    with site.sessions("alice", "carol") as (alice, carol):
        name = f"private-{next(ROOM_NUMBERS):02}"
        one = Insider(site, alice, name)
        made = one.entry(MADE, "alice", one.key_of("alice"))
        for number in (0, 2, 2**64 - 1):
            do_not(ErrorCode.CONFLICT, alice, RequestType.CREATE, name, {0: number, 1: made.statement})
        do_not(ErrorCode.MALFORMED, alice, RequestType.CREATE, name, {0: 1, 1: bytes(4097)})
        do_not(ErrorCode.NOT_FOUND, alice, RequestType.ROSTER, name, 0)
        one.create()
        same(one.follow().owner, "alice", "the owner")
        for taken in (name, LOBBY):
            do_not(ErrorCode.CONFLICT, alice, RequestType.CREATE, taken, made.encode())
        do_not(ErrorCode.MALFORMED, alice, RequestType.CREATE, "@alice@carol", made.encode())

        one.invite("carol")
        two = Insider(site, carol, name)
        two.join()
        for session in (alice, carol):
            drained(session)
        requests = (
            lambda entry: (RequestType.INVITE, name, "dave", entry),
            lambda entry: (RequestType.KICK, name, "carol", None, entry),
            lambda entry: (RequestType.HAND_OVER, name, "carol", entry),
        )
        for request in requests:
            do_not(ErrorCode.MALFORMED, alice, *request(None))
            do_not(ErrorCode.MALFORMED, alice, *request({0: 3, 1: bytes(4097)}))
            for number in (0, 1, 2, 4, 2**64 - 1):
                do_not(ErrorCode.CONFLICT, alice, *request({0: number, 1: b"x"}))
        # Who can't be let in, put out, or made the owner.
        entry = {0: 3, 1: b"x"}
        do_not(ErrorCode.NOT_FOUND, alice, RequestType.INVITE, name, "nobody", entry)
        do_not(ErrorCode.NOT_FOUND, alice, RequestType.HAND_OVER, name, "nobody", entry)
        do_not(ErrorCode.CONFLICT, alice, RequestType.HAND_OVER, name, "dave", entry)
        do_not(ErrorCode.CONFLICT, alice, RequestType.KICK, name, "alice", None, entry)
        do_not(ErrorCode.TOO_LARGE, alice, RequestType.KICK, name, "carol", "x" * 257, entry)
        do_not(ErrorCode.MALFORMED, alice, RequestType.KICK, name, "carol", "two\nlines", entry)
        # An entry is looked at last: whether it is there, how long it is, and then its number.
        for bad in (None, {0: 3, 1: bytes(4097)}, {0: 9, 1: b"x"}):
            do_not(ErrorCode.NOT_FOUND, alice, RequestType.INVITE, name, "nobody", bad)
            do_not(ErrorCode.NOT_FOUND, alice, RequestType.HAND_OVER, name, "nobody", bad)
            do_not(ErrorCode.CONFLICT, alice, RequestType.HAND_OVER, name, "dave", bad)
            do_not(ErrorCode.CONFLICT, alice, RequestType.KICK, name, "alice", None, bad)
            do_not(ErrorCode.TOO_LARGE, alice, RequestType.KICK, name, "carol", "x" * 257, bad)
        for taken in (name, LOBBY):
            do_not(ErrorCode.CONFLICT, alice, RequestType.CREATE, taken, {0: 1, 1: bytes(4097)})
        for request in requests:
            do_not(ErrorCode.MALFORMED, alice, *request({0: 9, 1: bytes(4097)}))
        do_not(ErrorCode.MALFORMED, alice, RequestType.CREATE, f"{name}-too", {0: 9, 1: bytes(4097)})
        # There are no bans, of whoever could be banned, or let in again, in another room.
        for user, error in (
            ("carol", ErrorCode.CONFLICT), ("dave", ErrorCode.CONFLICT), ("alice", ErrorCode.CONFLICT),
            ("nobody", ErrorCode.NOT_FOUND),
        ):
            do_not(error, alice, RequestType.BAN, name, user)
            do_not(ErrorCode.CONFLICT, alice, RequestType.UNBAN, name, user)
            do_not(ErrorCode.FORBIDDEN, carol, RequestType.BAN, name, user)
            do_not(ErrorCode.FORBIDDEN, carol, RequestType.UNBAN, name, user)
        do_not(ErrorCode.TOO_LARGE, alice, RequestType.BAN, name, "dave", None, "x" * 257)
        told(alice)
        told(carol)
        same((one.page(0).length, one.page(0).members), (2, ("alice", "carol")), "the roster")

        # In an open room there is none.
        room = new_room(alice, carol)
        entry = {0: 1, 1: b"x"}
        do_not(ErrorCode.MALFORMED, alice, RequestType.INVITE, room, "dave", entry)
        do_not(ErrorCode.MALFORMED, alice, RequestType.KICK, room, "carol", None, entry)
        do_not(ErrorCode.MALFORMED, alice, RequestType.HAND_OVER, room, "carol", entry)
        do_not(ErrorCode.NOT_FOUND, alice, RequestType.INVITE, room, "nobody", entry)
        do_not(ErrorCode.NOT_FOUND, alice, RequestType.HAND_OVER, room, "nobody", entry)
        do_not(ErrorCode.CONFLICT, alice, RequestType.HAND_OVER, room, "dave", entry)
        for user in ("alice", "dave"):
            do_not(ErrorCode.CONFLICT, alice, RequestType.KICK, room, user, None, entry)
        # Nor is there a roster, nor in a direct room.
        joined(alice, "@alice@carol")
        with site.session("dave") as dave:
            for session in (alice, carol):
                for other in (room, LOBBY, "@alice@carol"):
                    do_not(ErrorCode.CONFLICT, session, RequestType.ROSTER, other, 0)
            do_not(ErrorCode.CONFLICT, dave, RequestType.ROSTER, LOBBY, 0)
            expect_type(ask(dave, RequestType.ROSTER, room, 0), Error)
            for other in ("@alice@carol", "@carol@nobody", "no-such-room", name):
                do_not(ErrorCode.NOT_FOUND, dave, RequestType.ROSTER, other, 0)
        told(alice)
        same((info_of(alice, room).owner, info_of(alice, room).statements), ("alice", 0), "the room")
        # Receipts are of direct rooms alone, be there another one of that name or not.
        for other in (name, room, LOBBY, "no-such-room"):
            for session in (alice, carol):
                do_not(ErrorCode.CONFLICT, session, RequestType.SEEN, other, 0)


@check("private rooms: who is put out is told so, reads nothing more, and is believed nothing more")
def private_kick(site: Site) -> None:
    with site.sessions("alice", "carol", "carol", "dave") as (alice, carol, outside, dave):
        one, two, three = new_private(site, alice, carol, dave)
        drained(outside)
        one.said("with carol")
        same([insider.hear().text for insider in (one, two, three)], ["with carol"] * 3, "what was said")
        mark, before = fingerprint(site.keys["carol"].public_key()), one.own
        two.said("from carol")
        old = two.own
        for insider in (one, three):
            same(insider.hear().text, "from carol", "what was said")
        same(two.hear().text, "from carol", "what was said")

        two.said("just in time")
        two.hear()
        one.kick("carol", "too loud")
        # What she said before that is believed, also by who has heard of it since.
        same([insider.hear().text for insider in (one, three)], ["just in time"] * 2, "what was said")
        event = acted(one.room, "alice", ActKind.PUT_OUT, PutOut("carol", "too loud"))
        told(alice, event)
        told(dave, event)
        told(carol, event, Membership(one.room, False, "alice", "too loud"))
        told(outside, Membership(one.room, False, "alice", "too loud"))
        expect(one.room not in rooms_of(site, "carol"), "the room is still in the Welcome")
        expect_error(two.post(new_id(), What(SEALED, None, Sealed(old.id, b"x"))), ErrorCode.NOT_FOUND)
        same(sorted(one.page(0).members), ["alice", "dave"], "the members")
        # Nothing can be kept for her under the key that she has.
        recipients = [{0: mark, 1: b""}]
        do_not(ErrorCode.CONFLICT, alice, RequestType.ADD_SENDER_KEY, one.room, bytes(32), bytes(32), b"", recipients)
        one.said("without carol")
        expect(one.own.id != before.id and mark not in one.own.parts, "it is still sealed to carol")
        same(three.hear().text, "without carol", "what was said")
        told(carol)

        # Were she there with the server's help, nobody would believe her: neither what she signs for the roster of
        # before, nor under the one of now.
        forged = Message(one.room, 99, 0, "carol", new_id(), None)
        state = three.follow()
        expect("carol" not in state.keys, "she is still in the roster")
        what = What(SEALED, None, Sealed(old.id, sealed.seal_message(old, forged.id, What(SAID, "still here"))))
        forged = dataclasses.replace(forged, what=what)
        does_not_open("an event of who was put out", lambda: three.believe(forged))
        daves = fingerprint(three.private_key.public_key())
        lie = sealed.make_sender_key(one.room, "carol", two.private_key, {
            "carol": two.private_key.public_key(), "dave": three.private_key.public_key()
        }, state.membership)
        does_not_open("a sender key of who was put out", lambda: three.open_key(
            SealedSenderKey(lie.id, lie.epoch, "carol", lie.head, lie.parts[daves])
        ))

        # Let in again, she reads what was said to her, and what is said from then on.
        one.invite("carol")
        told(outside, Membership(one.room, True, "alice", None))
        again = Insider(site, carol, one.room, two.roster.kept)
        again.join()
        again.follow()
        one.said("with carol again")
        texts = ["with carol", "from carol", "just in time", NO_PART, "with carol again"]
        same(read_back(again), texts, "what opens for carol")


@check("private rooms: the new owner decides and signs, the old one no longer, and may be put out")
def private_hand_over(site: Site) -> None:
    with site.sessions("alice", "carol", "dave") as (alice, carol, dave):
        one, two = new_private(site, alice, carol)
        one.hand_over("carol")
        event = acted(one.room, "alice", ActKind.OWNER, Named("carol"))
        told(alice, event)
        told(carol, event)
        same((info_of(alice, one.room).owner, two.follow().owner), ("carol", "carol"), "the owner")
        entry = one.entry(IN, "dave", one.key_of("dave"))
        do_not(ErrorCode.FORBIDDEN, alice, RequestType.INVITE, one.room, "dave", entry.encode())
        do_not(ErrorCode.FORBIDDEN, alice, RequestType.HAND_OVER, one.room, "alice", entry.encode())
        two.invite("dave")
        told(alice, brought_in(one.room, "carol", "dave"))
        two.kick("alice")
        told(alice, acted(one.room, "carol", ActKind.PUT_OUT, PutOut("alice", None)),
             Membership(one.room, False, "carol", None))
        invisible(alice, one.room)
        three = Insider(site, dave, one.room)
        three.join()
        state = three.follow()
        found = (state.owner, sorted(state.keys), three.members)
        same(found, ("carol", ["carol", "dave"], ("carol", "dave")), "the room")
        two.hand_over("dave")
        three.follow()
        three.invite("alice")
        three.kick("carol")
        same((one.follow().owner, sorted(one.roster.now.keys)), ("dave", ["alice", "dave"]), "the room")
        one.join()
        one.said("back again")
        same(three.hear().text, "back again", "what was said")


@check("private rooms: who leaves is in the roster, and no member: nothing more is sealed to him, until he is invited")
def private_leave(site: Site) -> None:
    with site.sessions("alice", "carol", "carol", "dave") as (alice, carol, other, dave):
        one, two, three = new_private(site, alice, carol, dave)
        drained(other)
        one.said("to all of you")
        before = one.own
        # Only those who stay are told, not even her other session that is in the room.
        Insider(site, other, one.room).join()
        for session in (carol, other):
            drained(session)
        do(carol, RequestType.LEAVE, one.room)
        event = Acted(one.room, "carol", Act(ActKind.LEFT, rsac1.Nothing()))
        for session in (alice, dave):
            same(session.event(lambda event: isinstance(event, Acted)), event, "what is told")
        told(carol)
        told(other, Membership(one.room, False, "carol", None))
        state = one.follow()
        same((sorted(state.keys), one.members), (["alice", "carol", "dave"], ("alice", "dave")), "who is in it")
        same(state.kept.number, 3, "the number of statements")
        expect(one.room not in rooms_of(site, "carol"), "the room is still in the Welcome")
        one.said("without carol")
        expect(one.own.id != before.id, "a sender key that carol has is still in use")
        same([three.hear().text for _ in range(2)], ["to all of you", "without carol"], "what was said")
        do_not(ErrorCode.NOT_FOUND, carol, RequestType.JOIN, one.room)

        # The owner may bring the roster up to date, or let her in again before that, or after it.
        one.invite("carol")
        two = Insider(site, carol, one.room, two.roster.kept)
        two.join()
        two.follow()
        one.said("with carol again")
        same(read_back(two), ["to all of you", NO_PART, "with carol again"], "what opens for carol")
        do(carol, RequestType.LEAVE, one.room)
        drained(alice)
        one.kick("carol")
        same(sorted(one.follow().keys), ["alice", "dave"], "who is in the roster")
        told(alice, acted(one.room, "alice", ActKind.PUT_OUT, PutOut("carol", None)))
        one.invite("carol")
        same(one.follow().kept.number, 6, "the number of statements")
        same(one.members, ("alice", "carol", "dave"), "the members")

        # Its owner can't leave while others are members, but hand it on, and then leave like anybody.
        for session in (alice, carol, dave):
            drained(session)
        do_not(ErrorCode.CONFLICT, alice, RequestType.LEAVE, one.room)
        for session in (alice, carol, dave):
            told(session)
        expect(one.room in rooms_of(site, "alice"), "the owner is no member any more")
        one.hand_over("dave")
        do(alice, RequestType.LEAVE, one.room)
        invisible(alice, one.room)
        state = three.follow()
        same((state.owner, info_of(dave, one.room).owner, three.members), ("dave", "dave", ("carol", "dave")), "it")
        three.said("among ourselves")
        two.view = RoomView(one.room)
        two.join()
        same(read_back(two)[-1], "among ourselves", "what was said")
        # When nobody else is left, he may: whoever they were, they are still in the roster.
        do(carol, RequestType.LEAVE, one.room)
        same(sorted(three.follow().keys), ["alice", "carol", "dave"], "who is in the roster")
        do(dave, RequestType.LEAVE, one.room)
        for session in (alice, carol, dave):
            invisible(session, one.room)


@check("private rooms: who is muted reads and does not speak; there are no bans but those from the server")
def private_mute(site: Site) -> None:
    with site.sessions("alice", "bob", "dave") as (alice, bob, dave):
        one, two = new_private(site, alice, dave)
        do(alice, RequestType.MUTE, one.room, "dave", 3600)
        for session in (alice, dave):
            event = session.event(lambda event: isinstance(event, Acted))
            same((event.act.kind, event.act.body.user), (ActKind.MUTED, "dave"), "what is told")
        for retry in (False, True):
            expect_error(two.post(*two.seal("may I?"), retry=retry), ErrorCode.FORBIDDEN)
        two.own = None
        one.said("no")
        same(two.hear().text, "no", "what was said")
        do_not(ErrorCode.NOT_FOUND, bob, RequestType.UNMUTE, one.room, "dave")
        do(alice, RequestType.UNMUTE, one.room, "dave")
        two.said("at last")
        same([one.hear().text for _ in range(2)], ["no", "at last"], "what was said")
        length = one.page(0).length
        # A ban from the server leaves him where he is.
        do(bob, RequestType.BAN, None, "dave")
        expect_closed(dave, CloseCode.KICKED)
        state = one.follow()
        same((sorted(state.keys), one.members, state.kept.number), (["alice", "dave"], ("alice", "dave"), length), "it")
        one.said("while he can't come")
        do(bob, RequestType.UNBAN, None, "dave")
        with site.session("dave") as dave:
            expect(one.room in dave.welcome.rooms, "the room is not in the Welcome")
            two = Insider(site, dave, one.room)
            two.join()
            two.follow()
            same(read_back(two), ["no", "at last", "while he can't come"], "what opens for dave")


@check("only what is sealed is said in a private room, by who has joined it, and kept as it is, once")
def private_only_sealed(site: Site) -> None:
    with site.sessions("alice", "carol", "carol") as (alice, carol, outside):
        one, two = new_private(site, alice, carol)
        for retry in (False, True):
            for what in (What(SAID, "in the clear"), What(DONE, "speaks up")):
                expect_error(one.post(new_id(), what, retry), ErrorCode.MALFORMED)
        longest = LONGEST + LONGEST // 8 + 320
        for length, type_ in ((longest, Accepted), (longest + 1, Error)):
            expect_type(one.post(new_id(), What(SEALED, None, Sealed(bytes(32), bytes(length)))), type_)
        does_not_open("what is under no sender key", lambda: two.hear())
        expect_error(Insider(site, outside, one.room).post(*two.seal("not joined")), ErrorCode.FORBIDDEN)
        two.own = None
        first = one.seal("said once")
        accepted = expect_type(one.post(*first), Accepted)
        for _ in range(2):
            same(one.post(*first, retry=True), accepted, "the answer to a retry")
        second = one.seal("never said before")
        same(expect_type(one.post(*second, retry=True), Accepted).seq, accepted.seq + 1, "the number of the next")
        same([two.hear().text for _ in range(2)], ["said once", "never said before"], "what was said")
        parts = alice.history(one.room, 2)[1]
        same([(part.id, part.what) for part in parts], [first, second], "the history")


@check("private rooms: 256 members at most, and a sender key for all of them, in 16 steps")
def private_many_members(site: Site) -> None:
    with another(site, *GENEROUS) as private:
        same(private.server.end(), 0, "the exit status")
        crowd = registered_for_nothing(private, 255)
        private.start()
        with private.sessions("alice", "carol") as (alice, carol):
            one = Insider(private, alice, "crowd")
            one.create()
            users = [*crowd[:254], "carol"]
            found: dict[str, rsa.RSAPublicKey] = {}
            for start in range(0, len(users), 64):
                for each in expect_type(ask(alice, RequestType.KEYS, users[start:start + 64]), KeyList).keys:
                    found[each.user] = rsac1.decode_public_key(each.key)
                    one.trust(each.user, found[each.user])
            bodies = []
            for user in users:
                entry = one.entry(IN, user, found[user])
                bodies.append({0: one.room, 1: user, 2: entry.encode()})
                one.roster.take(entry.statement)
            done_at_once(alice, RequestType.INVITE, bodies)
            same(one.follow().kept.number, 256, "the number of statements")
            same(one.members, tuple(sorted(["alice", *users])), "the members")
            key = one.key_of(crowd[254])
            entry = one.entry(IN, crowd[254], key)
            do_not(ErrorCode.CONFLICT, alice, RequestType.INVITE, one.room, crowd[254], entry.encode())
            same(one.page(0).length, 256, "the number of statements")
            two = Insider(private, carol, one.room)
            two.join()
            same(two.follow(), one.roster.now, "the roster that carol follows")
            expect(len(list(two.add_key().add_bodies())) == 16, "it does not take 16 steps")
            two.said("to all 256 of you")
            same(one.hear().text, "to all 256 of you", "what was said")
            same(len(two.own.parts), 256, "for how many it is")
            # There is room again for who comes in another's place.
            one.kick(crowd[0])
            one.invite(crowd[254])
            two.hear()
            two.said("to all of you who are there now")
            same(one.hear().text, "to all of you who are there now", "what was said")
            # 17 at once are too many.
            recipients = [{0: mark, 1: part} for mark, part in list(two.own.parts.items())[:17]]
            body = (RequestType.ADD_SENDER_KEY, one.room, bytes(32), bytes(32), b"")
            do_not(ErrorCode.MALFORMED, carol, *body, recipients)
            do(carol, *body, recipients[:16])


@check("the server keeps a roster without looking inside, in pages, and up to 4096 statements; members look")
def private_roster_pages(site: Site) -> None:
    with another(site, *GENEROUS) as private, private.sessions("alice", "carol") as (alice, carol):
        one, two = new_private(private, alice, carol)
        room = one.room

        def keep(*statements: bytes) -> None:
            """Let carol in, again and again: that changes the roster alone."""
            numbered = enumerate(statements, len(whole) + 1)
            bodies = [{0: room, 1: "carol", 2: {0: number, 1: statement}} for number, statement in numbered]
            done_at_once(alice, RequestType.INVITE, bodies)
            whole.extend(statements)

        whole = list(one.page(0).statements)
        same(len(whole), 2, "the number of statements")
        # Whoever gets what he can't follow says nothing more, and shows nothing of it.
        one.said("before it")
        keep(b"")
        for insider in (one, two):
            does_not_follow("an empty statement", Why.NO_STATEMENT, lambda: insider.say("and after it"))
            same(insider.roster.kept.number, 2, "what to keep")
        for session in (alice, carol):
            same(len([event for event in drained(session) if isinstance(event, Message)]), 1, "how much was said")
        # A page has 256 KiB at most.
        keep(*(bytes([number]) * 4096 for number in range(100)))
        for session in (alice, carol):
            at, pages = 0, 0
            while at < len(whole):
                page = expect_type(ask(session, RequestType.ROSTER, room, at), RosterPage)
                same((page.length, page.members), (len(whole), ("alice", "carol")), "what is there in all")
                expect(0 < sum(map(len, page.statements)) <= 256 * 1024, "too much for a page, or nothing")
                same(list(page.statements), whole[at:at + len(page.statements)], "a page")
                at, pages = at + len(page.statements), pages + 1
            expect(2 <= pages <= 3, f"{pages} pages for 400 KiB")
        for after in (len(whole), len(whole) + 1, 2**32, 2**64 - 1):
            same(one.page(after), RosterPage((), len(whole), ("alice", "carol")), "what is behind the last")
        same(one.page(len(whole) - 1).statements, (whole[-1],), "the last one")
        # 4096 in all.
        keep(*([b"x"] * (roster.MOST_STATEMENTS - len(whole))))
        entry = {0: len(whole) + 1, 1: b"one too many"}
        do_not(ErrorCode.CONFLICT, alice, RequestType.INVITE, room, "carol", entry)
        do_not(ErrorCode.CONFLICT, alice, RequestType.KICK, room, "carol", None, entry)
        do_not(ErrorCode.CONFLICT, alice, RequestType.HAND_OVER, room, "carol", entry)
        same((one.page(4000).length, info_of(carol, room).statements), (4096, 4096), "the number of statements")
        same(list(one.page(4000).statements), whole[4000:], "the last of them")
        expect_type(ask(carol, RequestType.LEAVE, room), Done)


@check("private rooms: nothing is sealed to a key that the owner has not let in; who has a new one is let in again")
def private_key_changed(site: Site) -> None:
    with another(site) as private:
        new = {"carol": site.keys["bob"], "alice": rsa.generate_private_key(65537, 2048)}  # bob leaves
        private.run("keys", "remove", "--data-dir", private.data, "bob")
        with private.sessions("alice", "dave", "dave") as (alice, dave, stranger):
            carol = welcomed(login(private.connect(), private.server_key, "carol", private.keys["carol"]))
            one, two, three = new_private(private, alice, carol, dave)
            joined(stranger)
            one.said("to the old key")
            two.said("from the old key")
            same([three.hear().text for _ in range(2)], ["to the old key", "from the old key"], "what was said")
            drained(stranger)
            old = one.own
            private.replace("carol", new["carol"])
            expect_closed(carol, CloseCode.KEY_REMOVED)
            for session in (alice, dave):
                same(session.event(lambda event: isinstance(event, KeyChanged)), KeyChanged("carol"), "what is told")
            expect(not any(isinstance(event, KeyChanged) for event in drained(stranger)), "who is not there is told")

            expect_error(alice.request(RequestType.ADD_SENDER_KEY, old.add_body()), ErrorCode.CONFLICT)
            same(sorted(one.recipients()), ["alice", "dave"], "to whom one seals")
            one.said("neither to the old key nor to the new one")
            one.trust("carol", new["carol"].public_key())
            same(sorted(one.recipients()), ["alice", "dave"], "to whom one seals who trusts the new key")
            with private.session("carol") as carol:
                two = Insider(private, carol, one.room, two.roster.kept)
                two.join()
                state = two.follow()
                same(fingerprint(private.keys["bob"].public_key()) in state.keys.values(), False, "whether it is there")
                same(read_back(two), [NO_PART] * 3, "what opens for the new key")
                raised(NotTrusted, lambda: two.say("they would not believe me"))
                one.invite("carol")
                told(carol, brought_in(one.room, "alice", "carol"))
                one.said("to the new key")
                two.said("from the new key")
                # For dave it is another key than the one that he knows, until he trusts it.
                raised(DoesNotOpen, lambda: [three.hear() for _ in range(3)])
                raised(NotTrusted, lambda: three.say("to nobody, before I trust it"))
                three.trust("carol", new["carol"].public_key())
                three.said("good to see you")
                texts = ["neither to the old key nor to the new one", "to the new key", "from the new key"]
                same(read_back(three)[2:], [*texts, "good to see you"], "what opens for dave")
                texts = ["to the new key", "from the new key", "good to see you"]
                same(read_back(two)[3:], texts, "what opens for carol")
                # What the old key has signed still opens.
                one.opened.clear()
                same(read_back(one)[1], "from the old key", "what opens for alice")

                # The owner's own: signed with the one before.
                entry = one.entry(IN, "alice", new["alice"].public_key())
                expect_type(one.change(RequestType.INVITE, entry, "alice"), Done)
                private.replace("alice", new["alice"])
                expect_closed(alice, CloseCode.KEY_REMOVED)
                same(carol.event(lambda event: isinstance(event, KeyChanged)), KeyChanged("alice"), "what is told")
                with private.session("alice") as alice:
                    one = Insider(private, alice, one.room, one.roster.kept)
                    one.join()
                    same(one.follow().keys["alice"], fingerprint(new["alice"].public_key()), "her key in the roster")
                    one.kick("dave")
                    two.trust("alice", new["alice"].public_key())
                    one.said("to carol, who trusts the new key")
                    two.said("from carol")
                    same(read_back(one)[-2:], ["to carol, who trusts the new key", "from carol"], "what opens")
                    same(read_back(two)[-2:], ["to carol, who trusts the new key", "from carol"], "what opens")


@check("private rooms: who is not registered any more stays a member, to whom nothing is sealed")
def private_unregistered(site: Site) -> None:
    with another(site) as private, private.sessions("alice", "carol") as (alice, carol):
        dave = welcomed(login(private.connect(), private.server_key, "dave", private.keys["dave"]))
        one, two, three = new_private(private, alice, carol, dave)
        one.said("to all of you")
        with_dave = one.own
        private.run("keys", "remove", "--data-dir", private.data, "dave")
        expect_closed(dave, CloseCode.KEY_REMOVED)
        same(sorted(one.recipients()), ["alice", "carol"], "to whom one seals")
        same(one.members, ("alice", "carol", "dave"), "the members")
        expect_error(alice.request(RequestType.ADD_SENDER_KEY, with_dave.add_body()), ErrorCode.CONFLICT)
        one.said("without dave")
        entry = one.entry(IN, "dave", three.private_key.public_key())
        do_not(ErrorCode.NOT_FOUND, alice, RequestType.INVITE, one.room, "dave", entry.encode())
        drained(alice)
        private.register("dave", private.keys["dave"])
        for session in (alice, carol):
            same(session.event(lambda event: isinstance(event, KeyChanged)), KeyChanged("dave"), "what is told")
        same(sorted(one.recipients()), ["alice", "carol", "dave"], "to whom one seals")
        one.said("with dave again")
        with private.session("dave") as dave:
            expect(one.room in dave.welcome.rooms, "the room is not in the Welcome")
            three = Insider(private, dave, one.room, three.roster.kept)
            three.join()
            three.follow()
            same(read_back(three), ["to all of you", NO_PART, "with dave again"], "what opens for dave")
            # Who has left is no member: what happens to his key is nobody's business, whatever the roster says.
            do(dave, RequestType.LEAVE, one.room)
        private.run("keys", "remove", "--data-dir", private.data, "dave")
        until_unknown(alice, "dave")
        for session in (alice, carol):
            drained(session)
        private.register("dave", private.keys["dave"])
        until_known(alice, "dave")
        expect("dave" in one.follow().keys and "dave" not in one.members, "who is in it")
        for session in (alice, carol):
            expect(not any(isinstance(event, KeyChanged) for event in drained(session)), "a new key of dave's is told")


@check("private rooms: who changes the roster at the same time as another client is refused, and signs anew")
def private_race(site: Site) -> None:
    with site.sessions("alice", "alice", "carol") as (alice, other, carol):
        one, two = new_private(site, alice, carol)
        twin = Insider(site, other, one.room)
        twin.join()
        twin.follow()
        # Both sign statement 3; whoever comes second has to see what the first has said.
        first, second = one.entry(IN, "dave", one.key_of("dave")), twin.entry(OUT, "carol")
        expect_type(one.change(RequestType.INVITE, first, "dave"), Done)
        expect_error(twin.change(RequestType.KICK, second, "carol", None), ErrorCode.CONFLICT)
        told(carol, brought_in(one.room, "alice", "dave"))
        same(sorted(twin.follow().keys), ["alice", "carol", "dave"], "who is in it")
        twin.kick("carol")
        # The same one twice, as after a cut that has left it unanswered: it is there, once.
        expect_error(one.change(RequestType.INVITE, first, "dave"), ErrorCode.CONFLICT)
        same((sorted(one.follow().keys), one.members), (["alice", "dave"], ("alice", "dave")), "who is in it")
        # Many at once: each number is given once, and what was answered is there.
        entries = {insider: insider.entry(IN, "carol", insider.key_of("carol")) for insider in (one, twin)}
        same([entry.number for entry in entries.values()], [5, 5], "the numbers")
        numbers = {
            insider: insider.session.queue(RequestType.INVITE, {0: one.room, 1: "carol", 2: entry.encode()})
            for insider, entry in entries.items()
        }
        for insider in entries:
            insider.session.flush()
        answers = [insider.session.answer(number)[0] for insider, number in numbers.items()]
        same(sorted(type(answer).__name__ for answer in answers), ["Done", "Error"], "the answers")
        done = next(entries[insider] for insider, answer in zip(entries, answers) if isinstance(answer, Done))
        same(one.page(4).statements, (done.statement,), "the fifth statement")
        same(one.follow(), twin.follow(), "the roster")


@check("private rooms: after SIGKILL the roster, its members and what was said are there, as far as was answered")
def private_after_kill(site: Site) -> None:
    with another(site, *GENEROUS) as private:
        with private.sessions("alice", "carol", "dave") as (alice, carol, dave):
            one, two, three = new_private(private, alice, carol, dave)
            one.said("one")
            two.said("two")
            do(alice, RequestType.SET_TOPIC, one.room, "not sealed")
            do(alice, RequestType.MUTE, one.room, "carol", 3600)
            do(dave, RequestType.LEAVE, one.room)
            other = new_private(private, alice, carol)[0]
            other.hand_over("carol")
            page = one.page(0)
            private.server.end(signal.SIGKILL)
        private.start()
        with private.sessions("alice", "carol", "dave") as (alice, carol, dave):
            same({one.room, other.room} - set(carol.welcome.rooms), set(), "what is missing in the Welcome")
            after = [Insider(private, session, one.room, each.roster.kept)
                     for session, each in ((alice, one), (carol, two))]
            for insider in after:
                answer, _ = insider.join()
                info = answer.info
                same((info.topic, info.owner, info.members, info.statements, info.sealed),
                     ("not sealed", "alice", 2, 3, True), "the room")
                insider.follow()
                same(insider.page(0), page, "the roster")
                same(read_back(insider), ["one", "two"], "what was said")
            expect_error(after[1].say("still muted"), ErrorCode.FORBIDDEN)
            after[1].own = None
            invisible(dave, one.room)
            heir = Insider(private, carol, other.room)
            same((heir.follow().owner, info_of(carol, other.room).owner), ("carol", "carol"), "the other room's owner")
            heir.invite("dave")
            after[0].invite("dave")
            do(alice, RequestType.UNMUTE, one.room, "carol")
            after[1].said("after the restart")
            same(after[0].hear().text, "after the restart", "what is said after it")

            # While statements come in: what was answered is there, and nothing that nobody has sent.
            one, key = after[0], after[0].key_of("bob")
            sent, numbers = [], []
            for _ in range(MOST_AT_ONCE):
                entry = one.entry(IN, "bob", key)
                one.roster.take(entry.statement)
                sent.append(entry.statement)
                numbers.append(alice.queue(RequestType.INVITE, {0: one.room, 1: "bob", 2: entry.encode()}))
            alice.flush()
            answered = 50
            for number in numbers[:answered]:
                expect_type(alice.answer(number)[0], Done)
            private.server.end(signal.SIGKILL)
            with contextlib.suppress(rsac1.Rsac1Error):
                for number in numbers[answered:]:
                    expect_type(alice.answer(number)[0], Done)
                    answered += 1
        private.start()
        with private.sessions("alice", "bob") as (alice, bob):
            reader = Insider(private, bob, one.room)
            reader.join()
            length = reader.follow().kept.number - 4
            expect(answered <= length <= len(sent), f"{answered} were answered, and {length} are there")
            found: list[bytes] = []
            while len(found) < length + 4:
                found += reader.page(len(found)).statements
            same(found[4:], sent[:length], "the statements")
            expect("bob" in reader.members, "he is no member")
            # Who had been answered keeps that, and goes on from there.
            kept = one.roster.states[answered + 3].kept
            again = Insider(private, alice, one.room, kept)
            again.follow()
            again.kick("bob")


# --- Invitations ------------------------------------------------------------------------------------------

TURNED_AWAY = (1 + 1120 + 530, [(Kind.REFUSAL, bytes([RefusalCode.AUTHENTICATION_FAILED, 0, 0, 1, 1]))])
YEAR = 31536000


@functools.cache
def newcomer(number: int = 0) -> rsa.RSAPrivateKey:
    """A key that nobody is registered with: each takes a while to make."""
    return rsa.generate_private_key(65537, 2048)


def invited(admin: Session, user: str, seconds: Optional[int] = None) -> bytes:
    """The token of an invitation for somebody, for a day if nothing else is said."""
    begun = time.time()
    answer = expect_type(ask(admin, RequestType.INVITE_USER, user, seconds), rsac1.Invited)
    same(answer.user, user, "the user")
    made = answer.until / 1000 - (86400 if seconds is None else seconds)
    expect(begun - 1 < made < time.time() + 1, f"it is good until {answer.until}, asked for at {begun}")
    return answer.token


def let_in(site: Site, user: str, token: Optional[bytes], key: rsa.RSAPrivateKey) -> Session:
    """Somebody comes in, with an invitation if he has one."""
    return welcomed(login(site.connect(), site.server_key, user, key, token=token))


def turned_away(site: Site, user: str, token: Optional[bytes], key: Any, why: str) -> None:
    """Whether somebody is answered as who is unknown, to the last byte that is not random."""
    try:
        same(finish_and_listen(site, site.handshake(user, key, token)), TURNED_AWAY, "the answer")
    except (Failure, rsac1.Rsac1Error) as error:
        raise Failure(f"{user}, {why}: {error}") from None


def not_registered(session: Session, *users: str) -> None:
    for user in users:
        do_not(ErrorCode.NOT_FOUND, session, RequestType.WHOIS, user)


def taken_out(site: Site, session: Session, user: str) -> None:
    """Take somebody's key out of the directory, which leaves an invitation as it is, and wait until that is noticed."""
    (site.data / "keys" / f"key_{user}.pem").unlink()
    until_unknown(session, user)


def operators_line(site: Site, user: str, *options: str) -> rsac1.Address:
    """What the operator sends to somebody whom he lets in."""
    address = f"127.0.0.1:{site.server.port}"
    line = site.run("invite", user, "--address", address, "--data-dir", site.data, *options)
    found = re.fullmatch(r"rsachat connect '(rsachat://[^' ]+)'\n", line)
    expect(found is not None, f"no line to type: {line!r}")
    return rsac1.Address.parse(found[1])


@check("invitations: an admin lets somebody in, who is then registered, and may come with the same token again")
def invitation_lets_in(site: Site) -> None:
    with another(site) as place, place.sessions("alice", "bob") as (alice, bob):
        joined(alice)
        members = info_of(alice, LOBBY).members
        token = invited(bob, "erin")
        for session in (alice, bob):
            not_registered(session, "erin")
            same(expect_type(ask(session, RequestType.KEYS, ["erin"]), KeyList).keys, (), "the keys")
        same(info_of(alice, LOBBY).members, members, "the members")
        turned_away(place, "erin", None, newcomer(), "without her token")

        # Requests may stand right behind the finish, as in any handshake.
        erin = login(place.connect(), place.server_key, "erin", newcomer(), token=token)
        number = erin.queue(RequestType.WHOIS, {0: "erin"})
        erin.flush()
        mark = fingerprint(newcomer().public_key())
        info = expect_type(erin.answer(number)[0], UserInfo)
        found = (info.user, info.fingerprint, info.admin, info.connections)
        same(found, ("erin", mark, False, 1), "what is known of her")
        same(erin.opening, ["ticket", "welcome"], "what comes first")
        same((erin.welcome.user, erin.welcome.admin, erin.welcome.rooms), ("erin", False, (LOBBY,)), "the Welcome")
        same(expect_type(ask(alice, RequestType.WHOIS, "erin"), UserInfo).fingerprint, mark, "her key")
        [key] = expect_type(ask(alice, RequestType.KEYS, ["erin"]), KeyList).keys
        same(key.key, rsac1.encode_public_key(newcomer().public_key()), "her key")
        same(info_of(alice, LOBBY).members, members + 1, "the members")
        view = joined(erin)
        came(alice, LOBBY, "erin")
        expect_type(erin.post(LOBBY, "here I am"), Accepted)
        same(erin.message(view).text, "here I am", "what she said")
        do_not(ErrorCode.CONFLICT, bob, RequestType.INVITE_USER, "erin")

        # With her ticket, without the token, with it again while she is there, and with any other.
        with welcomed(resume(place.connect(), erin.ticket)) as again:
            same(again.welcome.user, "erin", "who resumes")
        for each in (None, token, bytes(16)):
            let_in(place, "erin", each, newcomer()).close()
        turned_away(place, "erin", token, newcomer(1), "her token with another key")
        same(expect_type(ask(erin, RequestType.WHOIS, "erin"), UserInfo).fingerprint, mark, "her key")
        erin.close()
        # She is registered as if the operator had added her: he can remove her, and her token is of no use then.
        erin = let_in(place, "erin", token, newcomer())
        place.run("keys", "remove", "--data-dir", place.data, "erin")
        expect_closed(erin, CloseCode.KEY_REMOVED)
        not_registered(alice, "erin")
        for key in (newcomer(), newcomer(1)):
            turned_away(place, "erin", token, key, "a token that has been used")
        expect_refused(lambda: resume(place.connect(), erin.ticket), RefusalCode.TICKET_REFUSED)
        # Invited again, with the same key, she is there again; the ticket of before has ended.
        let_in(place, "erin", invited(bob, "erin"), newcomer()).close()
        expect_refused(lambda: resume(place.connect(), erin.ticket), RefusalCode.TICKET_REFUSED)


@check("invitations: for admins, for who is not registered, for a year at most, and one at a time")
def invitation_errors(site: Site) -> None:
    with another(site, *GENEROUS) as place, place.sessions("alice", "bob", "bob") as (alice, bob, other):
        new_room(alice)  # which makes nobody an admin
        for user in ("erin", "alice", "bob", "nobody"):
            for seconds in (None, 0, 60, YEAR + 1):
                do_not(ErrorCode.FORBIDDEN, alice, RequestType.INVITE_USER, user, seconds)
        for user in ("alice", "bob", "carol"):
            for seconds in (None, 60):
                do_not(ErrorCode.CONFLICT, bob, RequestType.INVITE_USER, user, seconds)
        for seconds in (0, YEAR + 1, 2**32 - 1):
            do_not(ErrorCode.MALFORMED, bob, RequestType.INVITE_USER, "erin", seconds)
        for seconds in (1, 60, YEAR, None):
            invited(bob, "erin", seconds)
        # What is asked before the first is answered is refused, in this session alone.
        users = [f"user-{number}" for number in range(50)]
        numbers = [bob.queue(RequestType.INVITE_USER, {0: user}) for user in users]
        bob.flush()
        tokens = {"other": invited(other, "other")}
        answers = dict(zip(users, (bob.answer(number)[0] for number in numbers)))
        expect_type(answers[users[0]], rsac1.Invited)
        refused = {user: answer for user, answer in answers.items() if isinstance(answer, Error)}
        expect(bool(refused), "nothing was refused")
        for user, answer in answers.items():
            if user in refused:
                expect_error(answer, ErrorCode.RATE_LIMITED)
            else:
                tokens[user] = expect_type(answer, rsac1.Invited).token
        same(len(set(tokens.values())), len(tokens), "how many tokens there are")
        expect_type(ask(bob, RequestType.INVITE_USER, users[-1]), rsac1.Invited)
        not_registered(bob, "erin", *users)
        # A name that can't be one is no message.
        for user in ("", "Erin", "@alice@bob", "e" * 33):
            session = welcomed(login(place.connect(), place.server_key, "bob", place.keys["bob"]))
            session.queue(RequestType.INVITE_USER, {0: user})
            session.flush()
            expect_closed(session, CloseCode.PROTOCOL_ERROR)


@check("invitations: whatever is wrong with one, the answer is that to who is unknown, and it stays good")
def invitation_refused(site: Site) -> None:
    with another(site, *GENEROUS) as place, place.sessions("alice", "bob") as (alice, bob):
        token, others = invited(bob, "erin"), invited(bob, "frank")
        impostor = Impostor(newcomer().public_key(), newcomer(1))
        for user, tried, key, why in (
            ("nobody", None, newcomer(), "an unknown user without any"),
            ("nobody", bytes(16), newcomer(), "an unknown user with none that there is"),
            ("nobody", token, newcomer(), "an unknown user with somebody else's"),
            ("erin", None, newcomer(), "without the token"),
            ("erin", bytes(16), newcomer(), "another token"),
            ("erin", flip(token, 0), newcomer(), "a token that is almost right"),
            ("erin", flip(token, 15), newcomer(), "a token that is almost right"),
            ("erin", others, newcomer(), "somebody else's token"),
            ("frank", token, newcomer(), "the token for somebody else"),
            ("erin", token, place.keys["alice"], "with another user's key"),
            ("erin", token, place.keys["carol"], "with another user's key of 4096 bits"),
            ("alice", token, newcomer(), "as who is registered"),
            ("alice", token, place.keys["bob"], "as who is registered, with another user's key"),
            ("alice", bytes(16), newcomer(), "as who is registered, with none that there is"),
            ("alice", None, newcomer(), "as who is registered, without any"),
        ):
            turned_away(place, user, tried, key, why)
            not_registered(alice, "erin", "frank", "nobody")
        # An own key is enough, whatever token comes with it.
        for tried in (token, bytes(16)):
            let_in(place, "alice", tried, place.keys["alice"]).close()
        # Who has not the private key registers the public one: he had the token, and gets nowhere.
        turned_away(place, "frank", others, impostor, "without the private key")
        same(ask(alice, RequestType.WHOIS, "frank").fingerprint, fingerprint(newcomer().public_key()), "his key")
        turned_away(place, "erin", token, newcomer(), "with the key of who has come before")
        place.run("keys", "remove", "--data-dir", place.data, "frank")
        until_unknown(alice, "frank")

        # Somebody who is registered otherwise is invited no longer, also when he is removed again.
        place.register("erin", newcomer(1))
        turned_away(place, "erin", token, newcomer(), "while another key is registered")
        taken_out(place, alice, "erin")
        turned_away(place, "erin", token, newcomer(1), "of before another key was registered, and removed")
        token = invited(bob, "erin")
        # Of two who come at once, one is let in.
        handshakes = [place.handshake("erin", newcomer(number), token) for number in (0, 1)]
        wires = [Wire(place.connect()) for _ in handshakes]
        for wire, handshake in zip(wires, handshakes):
            wire.send(handshake.hello, WAIT)
        those_in = []
        for wire, handshake in zip(wires, handshakes):
            kind, payload = wire.frame(ANY_HANDSHAKE, time.monotonic() + WAIT)
            same((kind, len(payload)), (Kind.SERVER_HELLO, TURNED_AWAY[0]), "the answer")
            wire.send(handshake.server_hello(payload), WAIT)
            session = Session(wire, handshake.established)
            try:
                those_in.append(welcomed(session).welcome.user)
            except Refused as refused:
                same(refused.payload, TURNED_AWAY[1][0][1], "the refusal")
            session.close()
        same(those_in, ["erin"], "who was let in")


@check("invitations: a later one takes the place of an earlier one, whoever made them")
def invitation_replaced(site: Site) -> None:
    with another(site, *GENEROUS) as place, place.sessions("alice", "bob", "bob") as (alice, bob, other):
        ways = [
            lambda: invited(bob, "erin"), lambda: invited(other, "erin", 60),
            lambda: operators_line(place, "erin").token,
            lambda: operators_line(place, "erin", "--expires", "30m").token, lambda: invited(bob, "erin", YEAR),
        ]
        bystander, tokens = invited(bob, "frank"), [way() for way in ways]
        same(len(set(tokens)), len(ways), "how many tokens there are")
        for token in tokens[:-1]:
            turned_away(place, "erin", token, newcomer(), "a token that was replaced")
        not_registered(alice, "erin")
        let_in(place, "erin", tokens[-1], newcomer()).close()
        let_in(place, "frank", bystander, newcomer(1)).close()


@check("rsachat invite: the line lets in at once, as long as it is good, until the operator takes it back")
def operator_invites(site: Site) -> None:
    with another(site, *GENEROUS) as place, place.session("alice") as alice:
        address = operators_line(place, "erin", "--expires", "30m")
        mark = fingerprint(place.server_key)
        same((address.host, address.port), ("127.0.0.1", place.server.port), "the place")
        same((address.user, address.server), ("erin", mark), "user and server")
        not_registered(alice, "erin")
        for server in (newcomer(1).public_key(), place.keys["bob"].public_key()):
            raised(ServerNotAuthentic, lambda: rsac1.login_at(place.connect(), address, server, newcomer()))
        for _ in range(2):
            sock = socket.create_connection((address.host, address.port), timeout=WAIT)
            erin = welcomed(rsac1.login_at(sock, address, place.server_key, newcomer()))
            same(erin.welcome.user, "erin", "who has come")
            erin.close()
        turned_away(place, "erin", address.token, newcomer(1), "the line with another key")
        # For who is registered already there is none.
        for user in ("erin", "alice"):
            raised(RuntimeError, lambda: operators_line(place, user))
        raised(RuntimeError, lambda: operators_line(place, "frank", "--expires", "366d"))
        raised(RuntimeError, lambda: operators_line(place, "frank", "--expires", "0s"))
        taken_back = operators_line(place, "frank").token
        place.run("keys", "remove", "--data-dir", place.data, "frank")
        turned_away(place, "frank", taken_back, newcomer(1), "a line that was taken back")
        # It needs no server that runs.
        same(place.server.end(), 0, "the exit status")
        token = operators_line(place, "frank").token
        place.start()
        turned_away(place, "frank", taken_back, newcomer(1), "a line that was taken back")
        let_in(place, "frank", token, newcomer(1)).close()


@check("invitations end when their time is over, and not before")
def invitation_for_a_time(site: Site) -> None:
    with another(site, *GENEROUS) as place, place.session("bob") as bob:
        by_operator = operators_line(place, "grace", "--expires", "1s").token
        users = (("erin", newcomer()), ("frank", newcomer(1)))
        used, unused = invited(bob, "erin", 4), invited(bob, "frank", 1)
        begun = time.time()
        until_time(bob, begun + 1.1)
        for user, token in (("frank", unused), ("grace", by_operator)):
            turned_away(place, user, token, newcomer(1), "one that has ended")
        let_in(place, "erin", used, newcomer()).close()
        not_registered(bob, "frank", "grace")
        # Who has come in time stays, and may come with the same token.
        until_time(bob, begun + 4.1)
        let_in(place, "erin", used, newcomer()).close()
        let_in(place, "frank", invited(bob, "frank"), newcomer(1)).close()
        for user, key in users:
            let_in(place, user, None, key).close()


@check("invitations: after SIGKILL one that was answered is good, who came by one is registered, and none serves twice")
def invitation_after_kill(site: Site) -> None:
    with another(site, *GENEROUS) as place:
        with place.session("bob") as bob:
            early, late = invited(bob, "erin"), invited(bob, "frank")
            ended = invited(bob, "grace", 1)
            begun = time.time()
            line = operators_line(place, "heidi").token
            # erin comes, and the server is killed as soon as it has answered her hello.
            sock = place.connect()
            wire = Wire(sock)
            wire.send(place.handshake("erin", newcomer(), early).hello, WAIT)
            same(wire.frame(ANY_HANDSHAKE, time.monotonic() + WAIT)[0], Kind.SERVER_HELLO, "the answer to the hello")
            place.server.end(signal.SIGKILL)
            sock.close()
        place.start()
        with place.session("alice") as alice:
            mark = fingerprint(newcomer().public_key())
            same(expect_type(ask(alice, RequestType.WHOIS, "erin"), UserInfo).fingerprint, mark, "her key")
            let_in(place, "erin", early, newcomer()).close()
            taken_out(place, alice, "erin")
            for key in (newcomer(), newcomer(1)):
                turned_away(place, "erin", early, key, "a token that has been used")
            turned_away(place, "heidi", late, newcomer(1), "somebody else's token")
            let_in(place, "frank", late, newcomer(1)).close()
            let_in(place, "heidi", line, newcomer(2)).close()
            until_time(alice, begun + 1.1)
            turned_away(place, "grace", ended, newcomer(), "a token that has ended")
            place.server.end(signal.SIGKILL)
        place.start()
        with place.session("alice") as alice:
            not_registered(alice, "erin", "grace")
            turned_away(place, "erin", early, newcomer(), "a token that has been used")
        for user, key in (("frank", newcomer(1)), ("heidi", newcomer(2))):
            let_in(place, user, None, key).close()


@check("the block of a hello: of two sizes, each with its content, and refused as the page says with any other")
def hello_blocks(site: Site) -> None:
    with another(site, *GENEROUS) as place, place.session("bob") as bob:
        token, der = invited(bob, "erin"), rsac1.encode_public_key(newcomer().public_key())
        mark = hashlib.sha256(der).digest()
        whole = {0: "erin", 2: token, 3: der}

        def hello(block: bytes) -> Handshake:
            return Handshake.with_block(place.server_key, "erin", newcomer(), rsac1.SOFTWARE, block)

        def of(content: Any, size: int = 768) -> bytes:
            data = content if isinstance(content, bytes) else cbor2.dumps(content, canonical=True)
            return rsac1.pad_block(data, size)

        def without(key: int) -> dict:
            return {each: value for each, value in whole.items() if each != key}

        encoded = cbor2.dumps(whole, canonical=True)
        for size in (0, 1, 16, 127, 129, 256, 512, 767, 769, 1024, 4096):
            block = of(encoded, size) if size > len(encoded) + 2 else bytes(size)
            same(refusal_to(place, hello(block).hello), Refusal(RefusalCode.MALFORMED, 0, 1, 1), f"{size} bytes")
        bobs = fingerprint(place.keys["bob"].public_key())
        wrong = {
            "an identity in 768 bytes": of({0: "erin", 1: mark}),
            "an identity of who is registered in 768 bytes": of({0: "bob", 1: bobs}),
            "an invitation in 128 bytes": of({0: "erin", 2: token, 3: der[:60]}, 128),
            "nothing in 128 bytes": of({}, 128),
            "an identity without its fingerprint": of({0: "erin"}, 128),
            "an identity with a fingerprint of 31 bytes": of({0: "erin", 1: mark[:31]}, 128),
            "no CBOR": of(b""),
            "zeros": bytes(768),
            "ones": b"\xff" * 768,
            "an empty map": of({}),
            "no map": of([*whole.values()]),
            "no user": of(without(0)),
            "no token": of(without(2)),
            "no key": of(without(3)),
            "a name that can't be one": of({**whole, 0: "Erin"}),
            "an empty name": of({**whole, 0: ""}),
            "a direct room as a name": of({**whole, 0: "@bob@erin"}),
            "bytes as a name": of({**whole, 0: b"erin"}),
            "a token of 15 bytes": of({**whole, 2: token[:15]}),
            "a token of 17 bytes": of({**whole, 2: token + b"x"}),
            "an empty token": of({**whole, 2: b""}),
            "a token that is text": of({**whole, 2: "x" * 16}),
            "a key that is text": of({**whole, 3: "x" * 294}),
            "bytes after the content": of(encoded + b"\0"),
            "a content that ends too soon": of(encoded[:-1]),
            "a key that is no integer": of({**whole, "x": 1}),
            "padding that is not zero": flip(of(encoded), 767),
            "padding that is not zero right behind the content": flip(of(encoded), len(encoded) + 2),
            "a content that runs over its block": (767).to_bytes(2, "big") + of(encoded)[2:],
        }
        expected = Refusal(RefusalCode.AUTHENTICATION_FAILED, 0, 1, 1)
        for what, block in wrong.items():
            same(refusal_to(place, hello(block).hello), expected, f"the refusal of {what}")
            not_registered(bob, "erin")
        # A key that the protocol does not allow, or that is none: no registration, and the same code in the end.
        small = rsac1.encode_public_key(rsa.generate_private_key(65537, 1024).public_key())
        modulus = newcomer().public_key().public_numbers().n
        exponent = rsac1.encode_public_key(rsa.RSAPublicNumbers(3, modulus).public_key())
        other = Ed25519PublicKey.from_public_bytes(bytes(32)).public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        pem = newcomer().public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        for what, key in {
            "no bytes": b"", "nonsense": os.urandom(294), "1024 bits": small, "the exponent 3": exponent,
            "another algorithm": other, "PEM": pem, "a byte too many": der + b"\0", "a byte too few": der[:-1],
            "PKCS #1": der[24:], "another length": der[:2] + b"\x01\x23" + der[4:],
        }.items():
            found = refusal_to(place, hello(of({**whole, 3: key})).hello)
            same(found, expected, f"the refusal of a key that is {what}")
            not_registered(bob, "erin")
        # What a reader ignores: keys that it does not know, in both contents.
        for block in (of({**whole, 1: mark, 9: [{"any": None}]}), of({0: "erin", 1: mark, 2: token, 7: "x"}, 128)):
            with rsac1.open_session(place.connect(), hello(block)) as session:
                same(session.welcomed().user, "erin", "the user")


@check("invitations: keys of 4096 bits and the longest name fit into the block")
def invitation_longest(site: Site) -> None:
    with another(site) as place, place.session("bob") as bob:
        user = "e" * 32
        token = invited(bob, user)
        place.run("keys", "remove", "--data-dir", place.data, "carol")  # whose key has 4096 bits
        until_unknown(bob, "carol")
        key = place.keys["carol"]
        content = rsac1.invitation(user, token, key.public_key())
        expect(len(rsac1.pad_block(content, 768)) == 768, "it does not fit")
        with let_in(place, user, token, key) as session:
            same(session.welcome.user, user, "the user")


@check("who was let in is written to at once, and has what belonged to the name")
def invitation_then_talk(site: Site) -> None:
    with another(site, *GENEROUS) as place, place.sessions("alice", "bob") as (alice, bob):
        do_not(ErrorCode.NOT_FOUND, alice, RequestType.JOIN, "@alice@erin")
        token = invited(bob, "erin")
        do_not(ErrorCode.NOT_FOUND, alice, RequestType.JOIN, "@alice@erin")
        # Her connection breaks before the answer to her hello has come: she is registered, and written to.
        with place.connect() as sock:
            wire = Wire(sock)
            wire.send(place.handshake("erin", newcomer(), token).hello, WAIT)
            wire.frame(ANY_HANDSHAKE, time.monotonic() + WAIT)
        place.keys["erin"] = newcomer()
        one = talk(place, alice, "erin")
        one.said("welcome", "whenever you come")
        with let_in(place, "erin", token, newcomer()) as erin:
            same({each.room: each.last for each in erin.welcome.waiting}, {one.room: 2}, "what waits for her")
            two = Talker(place, erin, "alice")
            _, parts = two.join()
            same([two.open(part).text for part in parts], ["welcome", "whenever you come"], "what she is told")
            two.said("thank you")
            one.said("and now?")
            same([two.hear().text for _ in range(2)], ["thank you", "and now?"], "what she hears")
            same([one.hear().text for _ in range(4)][2:], ["thank you", "and now?"], "what alice hears")
            # So is a room that is private.
            host, guest = new_private(place, alice, erin)
            host.said("between us")
            same(guest.hear().text, "between us", "what she hears")

            # Removed and invited again, with another key, she has what belonged to her name, and others are told.
            place.run("keys", "remove", "--data-dir", place.data, "erin")
            expect_closed(erin, CloseCode.KEY_REMOVED)
        until_unknown(alice, "erin")
        drained(alice)
        token = invited(bob, "erin")
        not_registered(alice, "erin")
        place.keys["erin"] = newcomer(1)
        with let_in(place, "erin", token, newcomer(1)) as erin:
            same(alice.event(lambda event: isinstance(event, KeyChanged)), KeyChanged("erin"), "what is told")
            expect(host.room in erin.welcome.rooms, "the room is not in the Welcome")
            guest = Insider(place, erin, host.room)
            guest.join()
            guest.follow()
            same(read_back(guest), [NO_PART], "what opens for the new key")
            host.trust("erin", newcomer(1).public_key())
            host.invite("erin")
            host.said("to the new key")
            same(guest.hear().text, "to the new key", "what she hears")

            # So has who is banned: an invitation lifts nothing.
            do(bob, RequestType.BAN, None, "erin", 3600)
            expect_closed(erin, CloseCode.KICKED)
        place.run("keys", "remove", "--data-dir", place.data, "erin")
        until_unknown(alice, "erin")
        token = invited(bob, "erin")
        for _ in range(2):
            erin = login(place.connect(), place.server_key, "erin", newcomer(1), token=token)
            expect_closed(erin, CloseCode.KICKED)
        do(bob, RequestType.UNBAN, None, "erin")
        let_in(place, "erin", token, newcomer(1)).close()


# --- with the client of rsachat ---------------------------------------------------------------------------

class Program:
    """rsachat connect, whose input and output are pipes: each line typed is a message or a command.

    With arguments of its own it finds or makes its user's key itself, encrypted with PASSPHRASE.
    """

    PASSPHRASE = "correct horse battery staple"

    def __init__(self, site: Site, user: str, home: Optional[Path] = None, arguments: Optional[list[str]] = None):
        self.user = user
        self.home = home or Path(tempfile.mkdtemp(prefix="client-", dir=site.data.parent))
        identity, passphrase = self.home / "identity.pem", self.home / "passphrase"
        if home is None and arguments is None:
            pem = site.keys[user].private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            identity.touch(0o600)
            identity.write_bytes(pem)
        command = [site.program, "connect", "--no-input"]
        if arguments is None:
            command += ["--user", user, "--identity", identity]
            command += ["--server-key", site.data / "server_public_key.pem", f"127.0.0.1:{site.server.port}"]
        else:
            passphrase.write_text(f"{self.PASSPHRASE}\n")
            command += ["--passphrase-file", passphrase, *arguments]
        places = {name: str(self.home) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR")}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.home,
            env={**os.environ, **places},
        )
        self.lines: queue.Queue = queue.Queue()  # of what is said
        self.notes: queue.Queue = queue.Queue()  # of what is told besides
        self._readers = [
            threading.Thread(target=read, daemon=True) for read in (self._read_lines, self._read_notes)
        ]
        for reader in self._readers:
            reader.start()

    def _read_lines(self) -> None:
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def _read_notes(self) -> None:
        for line in self.process.stderr:
            self.notes.put(line.rstrip("\n"))

    def type(self, *lines: str) -> None:
        self.process.stdin.write("".join(f"{line}\n" for line in lines))
        self.process.stdin.flush()

    def shown(self, end: str) -> list[str]:
        """Wait for a line that ends so: all lines up to it, without the time before them."""
        found: list[str] = []
        while not found or not found[-1].endswith(end):
            try:
                line = self.lines.get(timeout=WAIT)
            except queue.Empty:
                line = None
            if line is None:
                raise Failure(f"{end!r} is not shown, but {found}, and told is {list(self.notes.queue)}")
            found.append(line[17:])
        return found

    def printed(self, pattern: str) -> re.Match:
        """Wait for a line that is just so, without a time before it."""
        found: list[str] = []
        while not found or not re.fullmatch(pattern, found[-1]):
            try:
                line = self.lines.get(timeout=WAIT)
            except queue.Empty:
                line = None
            if line is None:
                raise Failure(f"{pattern!r} is not shown, but {found}, and told is {list(self.notes.queue)}")
            found.append(line)
        return re.fullmatch(pattern, found[-1])

    def own_key(self) -> rsa.RSAPrivateKey:
        """The key that it has made for its user."""
        [file] = self.home.rglob(f"key_{self.user}.private.pem")
        same(file.stat().st_mode & 0o077, 0, "who else may read it")
        return serialization.load_pem_private_key(file.read_bytes(), self.PASSPHRASE.encode())

    def told(self, *parts: str) -> None:
        """Wait for a note in which all of these are."""
        found: list[str] = []
        while not found or not all(part in found[-1] for part in parts):
            try:
                found.append(self.notes.get(timeout=WAIT))
            except queue.Empty:
                raise Failure(f"{parts} are not told, but {found}") from None

    def end(self) -> int:
        self.process.stdin.close()
        status = self.process.wait(WAIT)
        for reader in self._readers:
            reader.join(WAIT)
        return status

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: Any) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(WAIT)


UNREADABLE = "(can't be read"  # how the program shows what does not open, in its place


def shown_as_said(shown: list[str], user: str) -> list[str]:
    """What the program shows as said by somebody."""
    said = [line.removeprefix(f"<{user}> ") for line in shown if line.startswith(f"<{user}> ")]
    return [text for text in said if not text.startswith(UNREADABLE)]


def expect_unreadable(shown: list[str], user: str, count: int) -> None:
    """Whether the program shows that so much was there which does not open."""
    same(sum(line.startswith(f"<{user}> {UNREADABLE}") for line in shown), count, "how much does not open")


@check("rsachat connect makes a private room: both clients follow one roster, and open what the other says")
def program_makes_private(site: Site) -> None:
    with another(site) as place, place.sessions("carol", "dave") as (carol, dave), Program(place, "alice") as alice:
        room = f"private-{next(ROOM_NUMBERS):02}"
        alice.type(f"/create #{room} --private", f"/join #{room}", "before carol", "/invite carol")
        same(carol.event(lambda event: isinstance(event, Membership)), Membership(room, True, "alice", None), "it")
        two = Insider(place, carol, room)
        _, parts = two.join()
        state = two.follow()
        marks = {user: fingerprint(place.keys[user].public_key()) for user in ("alice", "carol", "dave")}
        expected = {user: marks[user] for user in ("alice", "carol")}
        same((state.owner, dict(state.keys)), ("alice", expected), "the roster")
        same([part.seq for part in parts], [1], "what was said before")
        does_not_open("what was said before", lambda: two.open(parts[0]))
        alice.type("hello carol", "/me waves", "Grüße 👋", "x" * 2000)
        for kind, text in ((SAID, "hello carol"), (DONE, "waves"), (SAID, "Grüße 👋"), (SAID, "x" * 2000)):
            same(two.hear(), What(kind, text), "what the program said")
        two.said("hello alice", "Grüße zurück 👋", "y" * 2000)
        expect_type(two.say("waves back", DONE), Accepted)
        for _ in range(4):
            two.hear()
        shown = alice.shown("* carol waves back")
        said = ["<alice> before carol", "<alice> hello carol", "* alice waves", "<alice> Grüße 👋"]
        said += ["<alice> " + "x" * 2000, "<carol> hello alice", "<carol> Grüße zurück 👋", "<carol> " + "y" * 2000]
        same(shown, [*said, "* carol waves back"], "what the program shows")

        # The same user is there with a client of another make, too: each has its own sender keys, and sees what the
        # other one decides.
        with place.session("alice") as twin:
            one = Insider(place, twin, room)
            one.join()
            one.follow()
            one.invite("dave")
            alice.told("brought dave in")
            alice.type("/kick dave", "that was me, too")
            same([each.hear().text for each in (one, two)], ["that was me, too"] * 2, "what the program said")
            one.said("and this is me")
            same([each.hear().text for each in (one, two)], ["and this is me"] * 2, "what her other client said")
            alice.shown("<alice> and this is me")

        # It puts out, and lets in, as the roster says; and hands the room on to a client of another make.
        for line, text in (
            ("/invite dave", "hello dave"), ("/kick dave too loud", "without dave"), ("/invite dave", "back again?"),
            ("/owner carol", "it is yours"),
        ):
            alice.type(line, text)
            same(two.hear().text, text, "what the program said")
        two.follow()
        changes = [(each.change.kind, each.change.user) for each in two.roster.states]
        expected = [(MADE, "alice"), (IN, "carol"), *[(IN, "dave"), (OUT, "dave")] * 2, (IN, "dave"), (OWNER, "carol")]
        same(changes, expected, "what the program has signed, and its user's other client")
        three = Insider(place, dave, room)
        three.join()
        same(three.follow(), two.roster.now, "the roster that dave follows")
        texts = ["hello dave", NO_PART, "back again?", "it is yours"]
        same(read_back(three)[-4:], texts, "what opens for dave")
        two.kick("dave")
        two.said("without dave, too")
        alice.type("so be it")
        texts = ["without dave, too", "so be it"]
        same([two.hear().text for _ in texts], texts, "what was said")
        alice.shown("<carol> without dave, too")
        same(alice.end(), 0, "the exit status")


@check("rsachat connect is let into a private room: opens what it may, believes nothing else, and signs as its owner")
def program_joins_private(site: Site) -> None:
    with another(site) as place, place.sessions("carol", "dave") as (carol, dave), Program(place, "alice") as alice:
        # It is in the lobby; that it has come there shows when it answers.
        lobby = joined(carol)
        alice.type("here I am")
        same(carol.message(lobby).text, "here I am", "what the program said")
        one, three = new_private(place, carol, dave)
        one.said("before alice")
        one.invite("alice")
        alice.type(f"/join #{one.room}", "thank you")
        same([one.hear().text for _ in range(2)], ["before alice", "thank you"], "what was said")
        one.said("welcome")
        three.said("hello")
        shown = alice.shown("<dave> hello")
        same(shown[-2:], ["<carol> welcome", "<dave> hello"], "what the program shows")
        expect("<carol> before alice" not in shown, "what was not sealed to alice is shown")

        # What does not open, comes twice, or was said by who was put out, is not shown as said.
        id_, what = three.seal("said twice")
        expect_type(three.post(id_, what), Accepted)
        expect_type(three.post(new_id(), what), Accepted)
        key, again = three.own, new_id()
        data = sealed.seal_bytes(key, again, 0, sealed.pad(sealed.encode(What(SAID, "an old number").encode())))
        expect_type(three.post(again, What(SEALED, None, Sealed(key.id, data))), Accepted)
        expect_type(three.post(new_id(), What(SEALED, None, Sealed(key.id, b"nonsense"))), Accepted)
        expect_type(three.post(new_id(), What(SEALED, None, Sealed(bytes(32), b"nonsense"))), Accepted)
        # A sender key that dave has made for a membership of his own.
        lie, readers = Roster(one.room), {user: place.keys[user].public_key() for user in ("alice", "dave")}
        for kind, user in ((MADE, "dave"), (IN, "alice")):
            lie.take(lie.sign(Change(kind, user, fingerprint(readers[user])), three.private_key).statement)
        three.add_key(sealed.make_sender_key(one.room, "dave", three.private_key, readers, lie.now.membership))
        id_ = new_id()
        forged = sealed.seal_message(three.own, id_, What(SAID, "by a roster of my own"))
        expect_type(three.post(id_, What(SEALED, None, Sealed(three.own.id, forged))), Accepted)
        one.said("that was enough")
        shown = alice.shown("<carol> that was enough")
        same(shown_as_said(shown, "dave"), ["said twice"], "what is shown as said by dave")
        expect_unreadable(shown, "dave", 4)

        # Put out, it hears nothing more, nor does it say anything; let in again, it does.
        one.kick("alice")
        one.said("without alice")
        one.invite("alice")
        one.said("with alice, who has not come back")
        alice.type(f"/join #{one.room}", "I am back")
        one.hand_over("alice")
        one.said("it is yours")
        shown = alice.shown("<carol> it is yours")
        expect("<carol> without alice" not in shown, "what was said without alice is shown")
        expect("<carol> with alice, who has not come back" in shown, "what was said to alice is not shown")
        for line, text in (("/kick dave", "without dave"), ("/invite bob", "at last")):
            alice.type(line, text)
            one.hear_up_to(text)
        state = one.follow()
        same((state.owner, sorted(state.keys)), ("alice", ["alice", "bob", "carol"]), "the roster")
        same(alice.end(), 0, "the exit status")


@check("rsachat connect and a direct room: both begin, what waits is opened, and nothing else is believed")
def program_direct(site: Site) -> None:
    with another(site) as place, Program(place, "alice") as alice:
        with place.session("carol") as carol:
            two = talk(place, carol, "alice")
            alice.type("/join @carol", "hello carol", "/me waves")
            same([two.hear() for _ in range(2)], [What(SAID, "hello carol"), What(DONE, "waves")], "what was said")
            two.said("hello alice", "Grüße 👋")
            same(alice.shown("<carol> Grüße 👋")[-2:], ["<carol> hello alice", "<carol> Grüße 👋"], "what is shown")
            id_, what = two.seal("said twice")
            expect_type(two.post(id_, what), Accepted)
            expect_type(two.post(new_id(), what), Accepted)
            expect_type(two.post(new_id(), What(SEALED, None, Sealed(two.own.id, b"nonsense"))), Accepted)
            two.said("that was enough")
            shown = alice.shown("<carol> that was enough")
            same(shown_as_said(shown, "carol"), ["said twice", "that was enough"], "what is shown as said by carol")
            expect_unreadable(shown, "carol", 2)
        alice.type("are you still there?")
        alice.shown("<alice> are you still there?")
        # What it said to who was not there waits, and what it gets when it comes back, too.
        with place.session("carol") as carol:
            two = talk(place, carol, "alice")
            texts = ["hello carol", "waves", "hello alice", "Grüße 👋", "said twice"]
            same(read_back(two)[:5], texts, "what opens on another connection")
            same(read_back(two)[-1], "are you still there?", "what waited")
            same(alice.end(), 0, "the exit status")
            two.said("and you?")
            with Program(place, "alice", alice.home) as again:
                again.type("/join @carol", "here I am")
                again.shown("<alice> here I am")
                same(two.hear().text, "and you?", "what was said")
                same(two.hear().text, "here I am", "what was said")
                again.type("/history")
                again.shown("<carol> and you?")
                same(again.end(), 0, "the exit status")
        # Who begins is carol: on the first visit all is there that was not delivered.
        with place.sessions("dave") as [dave], Program(place, "bob") as bob:
            one = talk(place, dave, "bob")
            one.said("one", "two")
            bob.type("/join @dave", "three")
            bob.shown("<bob> three")
            same([one.hear().text for _ in range(3)], ["one", "two", "three"], "what was said")
            same(bob.end(), 0, "the exit status")


@check("rsachat connect seals to another key when the owner has let it in, and its user has said that he trusts it")
def program_trusts(site: Site) -> None:
    with another(site) as place, place.session("carol") as carol, Program(place, "alice") as alice:
        lobby = joined(carol)
        alice.type("here I am")
        same(carol.message(lobby).text, "here I am", "what the program said")
        dave = welcomed(login(place.connect(), place.server_key, "dave", place.keys["dave"]))
        one, three = new_private(place, carol, dave)
        direct = talk(place, dave, "alice")
        one.invite("alice")
        alice.type(f"/join #{one.room}", "to the old key", "/msg dave to the old key alone")
        three.hear_up_to("to the old key")
        same(direct.hear().text, "to the old key alone", "what the program said")
        place.replace("dave", rsa.generate_private_key(65537, 2048))
        expect_closed(dave, CloseCode.KEY_REMOVED)
        carol.event(lambda event: isinstance(event, KeyChanged))
        with place.session("dave") as dave:
            alice.type("not to the new key yet")
            one.hear_up_to("not to the new key yet")
            one.trust("dave", place.keys["dave"].public_key())
            one.invite("dave")
            alice.told("brought dave in")
            alice.type("nor now", "/msg dave nor this", "/join #common", "in the lobby", f"/join #{one.room}")
            while carol.message(lobby).text != "in the lobby":
                pass
            one.said("welcome back")
            alice.shown("<carol> welcome back")
            three, direct = Insider(place, dave, one.room), talk(place, dave, "alice")
            three.join()
            three.follow()
            texts = [text for text in read_back(three) if text != NO_PART]
            same((texts, read_back(direct)), (["welcome back"], [NO_PART]), "what opens for dave")
            three.said("it is me")
            one.said("is it?")
            expect("<dave> it is me" not in alice.shown("<carol> is it?"), "somebody else's key is taken for dave's")
            alice.type("/trust dave", "to the new key", "/msg dave to the new key alone")
            three.hear_up_to("to the new key")
            same(direct.hear().text, "to the new key alone", "what the program said")
            three.said("thank you")
            alice.shown("<dave> thank you")
        same(alice.end(), 6, "the exit status")


@check("rsachat connect says and shows nothing in a private room whose roster it can't follow")
def program_refuses_roster(site: Site) -> None:
    with another(site) as place, place.session("carol") as carol, Program(place, "alice") as alice:
        lobby = joined(carol)
        alice.type("here I am")
        same(carol.message(lobby).text, "here I am", "what the program said")
        one = Insider(place, carol, f"private-{next(ROOM_NUMBERS):02}")
        one.create()
        one.invite("alice")
        alice.type(f"/join #{one.room}", "thank you")
        same(one.hear().text, "thank you", "what was said")
        good = one.current_key()
        # One that carol has signed, of another room, and with the right number.
        entry = one.entry(IN, "dave", one.key_of("dave"))
        forged = Roster("elsewhere")
        forged.states.extend(one.roster.states)
        forged = forged.sign(Change(IN, "dave", fingerprint(place.keys["dave"].public_key())), one.private_key)
        same(forged.number, entry.number, "the number")
        do(carol, RequestType.INVITE, one.room, "dave", forged.encode())
        id_ = new_id()
        data = sealed.seal_message(good, id_, What(SAID, "after it"))
        expect_type(one.post(id_, What(SEALED, None, Sealed(good.id, data))), Accepted)
        alice.told(f"#{one.room}", "Nothing is sent there, and nothing shown")
        alice.type("nobody may read this", "/join #common", "and this everybody")
        same(carol.message(lobby).text, "and this everybody", "what the program said in the lobby")
        expect("<carol> after it" not in alice.shown("<alice> and this everybody"), "what was said after it is shown")
        same([part.sender for part in carol.history(one.room, 10)[1]], ["alice", "carol"], "who said something there")
        same(alice.end(), 6, "the exit status")


@check("rsachat connect refuses a roster that has gone back since it last ran; so does this client")
def roster_gone_back(site: Site) -> None:
    with another(site) as place:
        with place.session("carol") as carol, Program(place, "alice") as alice:
            lobby = joined(carol)
            alice.type("here I am")
            same(carol.message(lobby).text, "here I am", "what the program said")
            one = Insider(place, carol, f"private-{next(ROOM_NUMBERS):02}")
            one.create()
            one.invite("alice", "dave")
            alice.type(f"/join #{one.room}", "with dave")
            same(one.hear().text, "with dave", "what was said")
            same(alice.end(), 0, "the exit status")
        same(place.server.end(), 0, "the exit status")
        before = place.data.parent / "before.db"
        shutil.copy(place.data / "rsachat.db", before)
        place.start()
        with place.session("carol") as carol, Program(place, "alice", alice.home) as alice:
            one = Insider(place, carol, one.room, one.roster.kept)
            one.join()
            one.follow()
            one.kick("dave")
            alice.type(f"/join #{one.room}", "without dave")
            same(one.hear().text, "without dave", "what was said")
            same(alice.end(), 0, "the exit status")
        same(place.server.end(), 0, "the exit status")
        shutil.copy(before, place.data / "rsachat.db")
        place.start()
        with place.session("carol") as carol, Program(place, "alice", alice.home) as alice:
            lobby = joined(carol)
            alice.type(f"/join #{one.room}", "dave is back?", "/join #common", "here I am")
            same(carol.message(lobby).text, "here I am", "what the program said in the lobby")
            two = Insider(place, carol, one.room, one.roster.kept)
            two.join()
            raised(RosterRefused, lambda: two.say("dave is back?"))
            same([part.seq for part in carol.history(one.room, 10)[1]], [1], "what was said there")
            expect(not any(line.endswith("with dave") for line in alice.shown("<alice> here I am")), "it is shown")
            same(alice.end(), 6, "the exit status")


# --- tickets and restarts ---------------------------------------------------------------------------------

@check("rsachat connect comes by an invitation: with one line and a passphrase, and talks to the second client")
def program_invited(site: Site) -> None:
    with another(site) as place, place.sessions("alice", "bob") as (alice, bob):
        lobby, members = joined(alice), info_of(alice, LOBBY).members
        address = rsac1.Address(
            "127.0.0.1", place.server.port, "erin", fingerprint(place.server_key), invited(bob, "erin")
        )
        with Program(place, "erin", None, [str(address)]) as erin:
            erin.type("here I am")
            message = alice.message(lobby)
            same((message.sender, message.text), ("erin", "here I am"), "what the program said")
            key = erin.own_key()
            mark = fingerprint(key.public_key())
            same(expect_type(ask(alice, RequestType.WHOIS, "erin"), UserInfo).fingerprint, mark, "her key")
            same(info_of(alice, LOBBY).members, members + 1, "the members")
            expect_type(alice.post(LOBBY, "Grüße 👋"), Accepted)
            erin.shown("<alice> Grüße 👋")
            # Alone with alice, who writes first, and in a private room of hers.
            one = talk(place, alice, "erin")
            one.said("welcome")
            erin.type("/join @alice", "thank you")
            erin.shown("<erin> thank you")
            same([one.hear().text for _ in range(2)], ["welcome", "thank you"], "what was said")
            [host] = new_private(place, alice)
            host.invite("erin")
            erin.type(f"/join #{host.room}", "what is this?")
            host.hear_up_to("what is this?")
            host.said("ours")
            erin.shown("<alice> ours")
            same(erin.end(), 0, "the exit status")
        gone(alice, "erin")
        # She comes again with the same line, and without it, as herself; what was said to her waits.
        one.said("see you")
        for arguments in ([str(address)], ["--user", "erin", f"127.0.0.1:{place.server.port}"]):
            with Program(place, "erin", erin.home, arguments) as again:
                again.type("/join @alice", "back again")
                shown = again.shown("<erin> back again")
                expect("<alice> see you" in shown, f"what was said meanwhile is not shown, but {shown}")
                same(again.end(), 0, "the exit status")
        same([one.hear().text for _ in range(3)], ["see you", "back again", "back again"], "what was said")
        # Elsewhere there is another key: for that one the line is no good any more.
        with Program(place, "erin", None, [str(address)]) as elsewhere:
            expect(elsewhere.end() != 0, "somebody else has come in with a line that was used")
            expect(mark != fingerprint(elsewhere.own_key().public_key()), "the key is the same one")
        same(expect_type(ask(alice, RequestType.WHOIS, "erin"), UserInfo).fingerprint, mark, "her key")


def give_key(listener: socket.socket, key: rsa.RSAPublicKey) -> list[int]:
    """Give whoever connects this key, until the listener is shut down: the kinds of the frames that have come."""
    kinds = []
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return kinds
        wire = Wire(sock)
        with contextlib.suppress(rsac1.Rsac1Error, OSError):
            while True:
                kinds.append(wire.frame(frozenset(Kind), time.monotonic() + WAIT)[0])
                wire.send(frame(Kind.KEY_REPLY, bytes([rsac1.VERSION]) + rsac1.encode_public_key(key)), WAIT)
        wire.hang_up()


@check("rsachat connect brings an invitation to no other server, and refuses addresses that are none")
def program_addresses(site: Site) -> None:
    with another(site) as place, place.sessions("alice", "bob") as (alice, bob), socket.socket() as listener:
        token, port = invited(bob, "erin"), place.server.port
        right = rsac1.Address("127.0.0.1", port, "erin", fingerprint(place.server_key), token)
        other = dataclasses.replace(right, server=fingerprint(newcomer().public_key()))
        with Program(place, "erin", None, [str(other)]) as erin:
            expect(erin.end() != 0, "it has come to another server than that of the line")
        not_registered(alice, "erin")
        # Somebody with a key of his own, whom it takes for the server at first, hears nothing of the token.
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        heard = MEANWHILE.submit(give_key, listener, newcomer(1).public_key())
        elsewhere = dataclasses.replace(right, port=listener.getsockname()[1])
        with Program(place, "erin", erin.home, [str(elsewhere)]) as erin:
            expect(erin.end() != 0, "it has come to another server than that of the line")
        listener.shutdown(socket.SHUT_RDWR)
        same(set(heard.result(WAIT)), {Kind.KEY_REQUEST}, "what another server hears")
        whole = str(right)
        for text in (
            whole.replace("erin@", "erin:secret@"), whole.replace("/?", "/lobby?"), f"{whole}#lobby", f"{whole}#",
            f"{whole}&room=lobby", f"{whole}&invite={whole[-22:]}", whole[:-1], f"{whole}==",
            whole.replace("SHA256:", ""),
            whole.replace("erin@", "e!rin@"), whole.replace(f"{port}", "65536"), whole.replace("rsachat:", "http:"),
        ):
            raised(ValueError, lambda: rsac1.Address.parse(text))
            with Program(place, "erin", erin.home, [text]) as refused:
                expect(refused.end() != 0, f"{text} was taken")
        not_registered(alice, "erin")
        # None of this has spoiled it; nor does the order of its parts matter.
        turned = whole.replace("?", "?" + whole.partition("&")[2] + "&").rpartition("&")[0]
        same(rsac1.Address.parse(turned), right, "the address in another order")
        lobby = joined(alice)
        with Program(place, "erin", erin.home, [turned]) as erin:
            erin.type("here I am")
            same(alice.message(lobby).text, "here I am", "what the program said")
            same(erin.end(), 0, "the exit status")


@check("rsachat connect invites: the line that an admin is shown lets the second client in")
def program_invites(site: Site) -> None:
    with another(site) as place, place.session("alice") as alice, Program(place, "bob") as bob:
        lobby = joined(alice)
        bob.type("/invite-user erin 30m")
        line = bob.printed(r"rsachat connect '(.*)'")[1]
        address = rsac1.Address.parse(line)
        found = (address.host, address.port, address.user, address.server)
        same(found, ("127.0.0.1", place.server.port, "erin", fingerprint(place.server_key)), "the address")
        same(str(address), line, "what this client writes")
        with let_in(place, address.user, address.token, newcomer()) as erin:
            view = joined(erin)
            expect_type(erin.post(LOBBY, "here I am"), Accepted)
            bob.shown("<erin> here I am")
            bob.type("welcome")
            same([alice.message(lobby).text for _ in range(2)], ["here I am", "welcome"], "what was said")
            same([erin.message(view).text for _ in range(2)], ["here I am", "welcome"], "what was said")
            place.keys["erin"] = newcomer()
            bob.type("/msg erin to you alone")
            same(erin.event(lambda event: isinstance(event, Waiting)).room, "@bob@erin", "what is told")
            two = Talker(place, erin, "bob")
            _, parts = two.join()
            same([two.open(part).text for part in parts], ["to you alone"], "what was said")
            two.said("thank you")
            bob.type("/join @erin")
            bob.shown("<erin> thank you")
        # Who is registered can't be invited, and nobody by who is no admin.
        bob.type("/invite-user erin")
        bob.told("/invite-user", "registered")
        same(bob.end(), 6, "the exit status")
        with Program(place, "alice") as nobody:
            nobody.type("/invite-user frank")
            nobody.told("/invite-user", "admins")
            same(nobody.end(), 6, "the exit status")


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
        "a direct room whose users are in another order": [RequestType.JOIN, 1, {0: "@bob@alice"}],
        "a direct room of one user": [RequestType.JOIN, 1, {0: "@alice@alice"}],
        "a direct room of three users": [RequestType.JOIN, 1, {0: "@alice@bob@carol"}],
        "a direct room where a user should be": [RequestType.WHOIS, 1, {0: "@alice@bob"}],
        "a key id of 31 bytes": [RequestType.SENDER_KEYS, 1, {0: "@alice@bob", 1: [bytes(31)]}],
        "something sealed without its bytes": [
            RequestType.POST, 1, {0: "@alice@bob", 1: bytes(16), 2: [SEALED, {0: bytes(32)}], 3: False}
        ],
        "a Roster that does not say after which": [RequestType.ROSTER, 1, {0: "private"}],
        "a Roster after less than nothing": [RequestType.ROSTER, 1, {0: "private", 1: -1}],
        "an entry without its number": [RequestType.CREATE, 1, {0: "private", 1: {1: b"x"}}],
        "an entry without its statement": [RequestType.INVITE, 1, {0: "private", 1: "bob", 2: {0: 1}}],
        "an entry that is no map": [RequestType.KICK, 1, {0: "private", 1: "bob", 3: [1, b"x"]}],
        "a statement that is text": [RequestType.HAND_OVER, 1, {0: "private", 1: "bob", 2: {0: 1, 1: "x"}}],
        "a recipient without its part": [
            RequestType.ADD_SENDER_KEY, 1,
            {0: "@alice@bob", 1: bytes(32), 2: bytes(32), 3: b"", 4: [{0: bytes(32)}]},
        ],
    }
    streams = {name: cbor2.dumps(message, canonical=True) for name, message in encoded.items()}
    streams["an indefinite array"] = bytes.fromhex("9f0501a10063626f62ff")
    streams["an indefinite map"] = bytes.fromhex("830501bf0063626f62ff")
    streams["bytes after the message"] = bytes.fromhex("830501a10063626f6200")
    streams["no CBOR"] = b"\xff\xff\xff"
    streams = {name: len(data).to_bytes(3, "big") + data for name, data in streams.items()}
    streams["a length of 0"] = bytes(3)
    streams["a length over the limit"] = (rsac1.longest_request(LONGEST) + 1).to_bytes(3, "big")
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
