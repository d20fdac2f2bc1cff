"""A client for RSAC1, the wire protocol of rsachat, written from rsachat-protocol(7) alone.

The names of sections in the docstrings are those of that page.  Nothing in this module opens a connection or a
file: it is given connected sockets and keys, and everything that waits has a timeout.

What a client must check, by the numbers of the section of that name, is done here:

 1  request_key() only gives the key: a person has to compare its fingerprint before it is given to login()
 2  os.urandom(), and the generators of the cryptography package
 3  Handshake.server_hello(), unpad_block()
 4  oaep_decrypt_or_random(), as far as the library below it behaves the same in time
 5  Direction.open()
 6  Session._happened()
 7  RoomView
 8  FrameReader, StreamReader, Cursor, as_name(): nothing is waited for, or kept, beyond its limit
 9  Closed, Cut and Refused are different ends of a connection; none of them changes a key or a version
10  visible(), for whoever shows what comes from the network

Python cannot wipe memory.  Where the page says that a secret is wiped, this module drops its last reference.
"""

import base64
import enum
import hashlib
import hmac
import ipaddress
import os
import re
import socket
import time
import unicodedata
import urllib.parse
from collections import deque
from dataclasses import dataclass, field, fields
from typing import Any, Callable, Iterator, Optional

import cbor2
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = 1
ZERO = bytes(32)
TAG = 16

MAX_HANDSHAKE_PAYLOAD = 16384
MAX_PLAINTEXT = 16384
MAX_RECORD_PAYLOAD = MAX_PLAINTEXT + TAG
RECORDS_PER_KEY = 65536

# LIMITS, the column of the client.
MAX_HANDSHAKE_BYTES = 65536
HANDSHAKE_SECONDS = 20.0
MAX_MESSAGE = 1048576
PING_AFTER_SECONDS = 20.0
GIVE_UP_SECONDS = 45.0
CLOSE_WAIT_SECONDS = 2.0


class Kind(enum.IntEnum):
    """Kinds of frames (FRAMES)."""

    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    CLIENT_FINISH = 3
    KEY_REQUEST = 4
    KEY_REPLY = 5
    REFUSAL = 6
    RESUME_HELLO = 7
    DATA = 16
    CLOSE = 17
    PING = 18
    PONG = 19


RECORD_KINDS = frozenset({Kind.DATA, Kind.CLOSE, Kind.PING, Kind.PONG})


class RefusalCode(enum.IntEnum):
    """Why a handshake ends (HANDSHAKE, Refusal)."""

    UNSUPPORTED_VERSION = 1
    UNKNOWN_SERVER_KEY = 2
    AUTHENTICATION_FAILED = 3
    BUSY = 4
    TICKET_REFUSED = 5
    MALFORMED = 6


class CloseCode(enum.IntEnum):
    """Why a connection ends (CLOSING)."""

    BYE = 0
    SHUTDOWN = 1
    KEY_REMOVED = 2
    KICKED = 3
    TOO_SLOW = 4
    PROTOCOL_ERROR = 5
    IDLE_TIMEOUT = 6


class ErrorCode(enum.IntEnum):
    """Why a request was not done (WHAT HAPPENS ON A CONNECTION, Errors)."""

    MALFORMED = 1
    UNKNOWN_REQUEST = 2
    FORBIDDEN = 3
    NOT_FOUND = 4
    TOO_LARGE = 5
    RATE_LIMITED = 6
    STORAGE_UNAVAILABLE = 7
    SHUTTING_DOWN = 8
    CONFLICT = 9
    DO_NOT_DISTURB = 10


class RequestType(enum.IntEnum):
    """Types of the client's messages (MESSAGES, Requests)."""

    JOIN = 1
    POST = 2
    HISTORY = 3
    PEOPLE = 4
    WHOIS = 5
    SHUTDOWN = 6
    CREATE = 7
    LEAVE = 8
    ROOMS = 9
    SET_TOPIC = 10
    INVITE = 11
    KICK = 12
    BAN = 13
    UNBAN = 14
    MUTE = 15
    UNMUTE = 16
    HAND_OVER = 17
    SET_STATUS = 18
    SET_IDLE = 19
    KEYS = 20
    ADD_SENDER_KEY = 21
    SENDER_KEYS = 22
    SEEN = 23
    ROSTER = 24
    INVITE_USER = 25


class ActKind(enum.IntEnum):
    """What somebody decided (MESSAGES, Types of fields)."""

    TOPIC = 0
    BROUGHT_IN = 1
    PUT_OUT = 2
    BANNED = 3
    UNBANNED = 4
    MUTED = 5
    UNMUTED = 6
    OWNER = 7
    LEFT = 8


class Availability(enum.IntEnum):
    """Whether somebody wants to be talked to (MESSAGES, Types of fields)."""

    ONLINE = 0
    AWAY = 1
    DO_NOT_DISTURB = 2


class Rsac1Error(Exception):
    """Anything that ends a connection, or keeps one from being opened."""


class ProtocolError(Rsac1Error):
    """The server broke the protocol."""


class ServerNotAuthentic(Rsac1Error):
    """The ServerHello does not open: this is not the server, or somebody has meddled."""


class Cut(Rsac1Error):
    """The TCP stream ended without a Close (CLOSING)."""


class TimedOut(Rsac1Error):
    """What was waited for did not come in time.  The connection is still good."""


class Left(Rsac1Error):
    """This client has ended the connection itself."""


class Silent(Rsac1Error):
    """Nothing was heard for so long that the server was given up (LIMITS)."""


@dataclass(frozen=True)
class Refusal:
    """The payload of a Refusal: not authenticated, a hint (HANDSHAKE, Refusal)."""

    code: int
    retry_after: int
    lowest: int
    highest: int

    @classmethod
    def decode(cls, payload: bytes) -> "Refusal":
        if len(payload) < 5:
            raise ProtocolError("a Refusal that is too short")
        return cls(payload[0], int.from_bytes(payload[1:3], "big"), payload[3], payload[4])


class Refused(Rsac1Error):
    """The server refused the handshake."""

    def __init__(self, refusal: Refusal, payload: bytes):
        super().__init__(f"refused with code {refusal.code}")
        self.refusal = refusal
        self.payload = payload

    @property
    def code(self) -> int:
        """The code; those of later versions count as Malformed."""
        known = self.refusal.code in list(RefusalCode)
        return RefusalCode(self.refusal.code) if known else RefusalCode.MALFORMED


class Closed(Rsac1Error):
    """The server sent a Close: the orderly end of the connection (CLOSING)."""

    def __init__(self, code: int, text: str):
        super().__init__(f"closed with code {code}: {visible(text)}")
        self.code = code
        self.text = text

    @property
    def may_reconnect(self) -> bool:
        """The column "client reconnects" of the table; codes of later versions: no."""
        return self.code in (
            CloseCode.SHUTDOWN,
            CloseCode.TOO_SLOW,
            CloseCode.PROTOCOL_ERROR,
            CloseCode.IDLE_TIMEOUT,
        )


# --- CONVENTIONS ------------------------------------------------------------------------------------------

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}", re.ASCII)


def direct_room(one: str, other: str) -> str:
    """The name of the direct room of two users (CONVENTIONS, Names)."""
    if one == other:
        raise ValueError("nobody has a direct room with himself")
    return "@" + "@".join(sorted((one, other)))


def direct_users(room: str) -> Optional[tuple[str, ...]]:
    """The two users of a direct room, in the order of their names; None if it is another room."""
    users = tuple(room[1:].split("@"))
    if room[:1] != "@" or len(users) != 2 or users[0] >= users[1] or not all(map(NAME.fullmatch, users)):
        return None
    return users


_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Text from the network, fit for a terminal (WHAT A CLIENT MUST CHECK, 10)."""
    return _HIDDEN.sub(lambda found: f"<U+{ord(found.group()):04X}>", text)


def check_rsa_key(key: rsa.RSAPublicKey) -> None:
    """Size and exponent of an RSA key (CONVENTIONS, Keys and fingerprints)."""
    exponent = key.public_numbers().e
    if not 2048 <= key.key_size <= 4096:
        raise ValueError(f"an RSA key of {key.key_size} bits")
    if not 65537 <= exponent <= 2**33 - 1 or exponent % 2 == 0:
        raise ValueError("an RSA key with another exponent than the protocol allows")


def encode_public_key(key: rsa.RSAPublicKey) -> bytes:
    """The DER SubjectPublicKeyInfo (CONVENTIONS, Keys and fingerprints)."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def decode_public_key(der: bytes) -> rsa.RSAPublicKey:
    """The key in a DER SubjectPublicKeyInfo, if it is one that the protocol allows, in just that encoding."""
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("not a public key") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("not an RSA key")
    check_rsa_key(key)
    if encode_public_key(key) != der:
        raise ValueError("a public key in another encoding than the protocol's")
    return key


def fingerprint(key: rsa.RSAPublicKey) -> bytes:
    """SHA-256 over the encoded public key."""
    return hashlib.sha256(encode_public_key(key)).digest()


def show_fingerprint(digest: bytes) -> str:
    """A fingerprint for people: SHA256: and base64 without padding."""
    return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")


def read_fingerprint(text: str) -> bytes:
    """The fingerprint that is written so for people."""
    digest = base64.b64decode(text.removeprefix("SHA256:") + "=", validate=True)
    if len(digest) != 32 or show_fingerprint(digest) != text:
        raise ValueError("not a fingerprint")
    return digest


PORT = 5000


@dataclass(frozen=True)
class Address:
    """Where a server is, who one is there, which key it has, and what lets one in (HANDSHAKE, Invitations)."""

    host: str
    port: int = PORT
    user: Optional[str] = None
    server: Optional[bytes] = None
    token: Optional[bytes] = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read an address.  ValueError for anything that is not one, or has parts that this client does not know."""
        found = _ADDRESS.fullmatch(text)
        if not found:
            raise ValueError("not an address")
        host, port, user = found["host"], PORT, None
        if found["user"] is not None:
            user = _percent_decoded(found["user"])
            if not NAME.fullmatch(user):
                raise ValueError("an address with a name that can't be one")
        if found["port"]:
            port = int(found["port"])
            if not 1 <= port <= 65535:
                raise ValueError("an address with a port that can't be one")
        if host.startswith("["):
            host = str(ipaddress.IPv6Address(host[1:-1]))
        parts: dict[str, str] = {}
        for part in found["query"].split("&") if found["query"] else ():
            name, _, value = map(_percent_decoded, part.partition("="))
            if name not in ("server", "invite") or name in parts:
                raise ValueError("an address with a part that is not known, or comes twice")
            parts[name] = value
        server = read_fingerprint(parts["server"]) if "server" in parts else None
        token = _read_token(parts["invite"]) if "invite" in parts else None
        return cls(host, port, user, server, token)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        parts = [] if self.server is None else [f"server={show_fingerprint(self.server)}"]
        parts += [] if self.token is None else [f"invite={_show_token(self.token)}"]
        return "".join((
            "rsachat://",
            "" if self.user is None else f"{self.user}@",
            host,
            "" if self.port == PORT else f":{self.port}",
            "/?" if parts else "",
            "&".join(parts),
        ))


# RFC 3986: a host is a name, an IPv4 address, or an IPv6 address in brackets; queries have no # in them.
_ADDRESS = re.compile(
    r"(?i:rsachat)://(?:(?P<user>[^@:/?#\[\]]*)@)?"
    r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._~-]+)(?::(?P<port>[0-9]{0,5}))?"
    r"/?(?:\?(?P<query>[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*))?",
    re.ASCII,
)


def _percent_decoded(text: str) -> str:
    """A part of a URI without its percent-encoding; a + stands for itself."""
    if re.search("%(?![0-9A-Fa-f]{2})", text):
        raise ValueError("a percent sign that encodes nothing")
    return urllib.parse.unquote(text, errors="strict")


def _show_token(token: bytes) -> str:
    return base64.urlsafe_b64encode(token).decode("ascii").rstrip("=")


def _read_token(text: str) -> bytes:
    if not re.fullmatch(r"[A-Za-z0-9_-]{22}", text, re.ASCII):
        raise ValueError("not a token")
    token = base64.urlsafe_b64decode(text + "==")
    if _show_token(token) != text:
        raise ValueError("a token with bits that stand for nothing")
    return token


# --- PRIMITIVES -------------------------------------------------------------------------------------------

LABEL_SERVER = b"RSAC1 handshake server"
LABEL_CLIENT = b"RSAC1 handshake client"


def hkdf_extract(salt: bytes, ikm: bytes) -> bytes:
    """HKDF-Extract of RFC 5869 with SHA-256."""
    return hmac.digest(salt, ikm, "sha256")


def hkdf_expand_32(prk: bytes, info: bytes) -> bytes:
    """HKDF-Expand of RFC 5869 with SHA-256, for 32 bytes: one block."""
    return hmac.digest(prk, info + b"\x01", "sha256")


def _oaep(label: bytes) -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=label)


def oaep_encrypt(key: rsa.RSAPublicKey, label: bytes, secret: bytes) -> bytes:
    """OAEP(key, label, secret)."""
    return key.encrypt(secret, _oaep(label))


def oaep_decrypt_or_random(key: rsa.RSAPrivateKey, label: bytes, ciphertext: bytes) -> bytes:
    """The secret in an OAEP ciphertext, or 32 random bytes if it has none (HANDSHAKE, ServerHello)."""
    substitute = os.urandom(32)
    try:
        secret = key.decrypt(ciphertext, _oaep(label))
    except ValueError:
        return substitute
    return secret if len(secret) == 32 else substitute


class XWingKey:
    """A private key of X-Wing, used once (PRIMITIVES, X-Wing)."""

    PUBLIC = 1216
    CIPHERTEXT = 1120

    def __init__(self, mlkem: MLKEM768PrivateKey, x25519: X25519PrivateKey):
        self._mlkem = mlkem
        self._x25519 = x25519
        self._x25519_public = x25519.public_key().public_bytes_raw()
        self.public = mlkem.public_key().public_bytes_raw() + self._x25519_public
        assert len(self.public) == self.PUBLIC

    @classmethod
    def generate(cls) -> "XWingKey":
        return cls(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> "XWingKey":
        """The key that the draft derives from a seed of 32 bytes; for its test vectors."""
        expanded = hashlib.shake_256(seed).digest(96)
        return cls(
            MLKEM768PrivateKey.from_seed_bytes(expanded[:64]),
            X25519PrivateKey.from_private_bytes(expanded[64:]),
        )

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """The secret in a ciphertext.  ValueError if there can be none."""
        if len(ciphertext) != self.CIPHERTEXT:
            raise ValueError("an X-Wing ciphertext of another length")
        ct_m, ct_x = ciphertext[:1088], ciphertext[1088:]
        ss_m = self._mlkem.decapsulate(ct_m)
        ss_x = self._x25519.exchange(X25519PublicKey.from_public_bytes(ct_x))
        combined = ss_m + ss_x + ct_x + self._x25519_public + bytes.fromhex("5c2e2f2f5e5c")
        return hashlib.sha3_256(combined).digest()


# --- HANDSHAKE: transcript, key schedule, sealed blocks ---------------------------------------------------

def expand(secret: bytes, label: bytes, context: bytes) -> bytes:
    """Expand(secret, label, context) (HANDSHAKE, Key schedule)."""
    info = b"\x00\x20" + bytes([len(label)]) + label + b"\x20" + context
    return hkdf_expand_32(secret, info)


def mix(secret: bytes, value: bytes) -> bytes:
    """Mix(secret, input) (HANDSHAKE, Key schedule)."""
    return hkdf_extract(expand(secret, b"rsac1 derived", ZERO), value)


def header(kind: int, length: int) -> bytes:
    """The four bytes before every payload (FRAMES)."""
    return bytes([kind]) + length.to_bytes(3, "big")


def frame(kind: int, payload: bytes) -> bytes:
    """A whole frame (FRAMES)."""
    return header(kind, len(payload)) + payload


def versions(version: int = VERSION, highest: int = VERSION) -> bytes:
    """The first six bytes of every first frame of a client (VERSIONS)."""
    return b"RSAC" + bytes([version, highest])


def pad_block(content: bytes, size: int) -> bytes:
    """A block: n (2) | content (n) | zeros (HANDSHAKE, Sealed blocks)."""
    if len(content) > size - 2:
        raise ValueError("content that does not fit into its block")
    return (len(content).to_bytes(2, "big") + content).ljust(size, b"\x00")


def unpad_block(block: bytes) -> bytes:
    """The content of a block, strictly."""
    length = int.from_bytes(block[:2], "big")
    if length > len(block) - 2:
        raise ProtocolError("a content that runs over its block")
    if any(block[2 + length:]):
        raise ProtocolError("padding that is not zero")
    return block[2:2 + length]


IDENTITY_BLOCK = 128
INVITATION_BLOCK = 768


def identity(user: str, key: rsa.RSAPublicKey) -> bytes:
    """What the block of a ClientHello holds (HANDSHAKE, ClientHello)."""
    return cbor2.dumps({0: user, 1: fingerprint(key)}, canonical=True)


def invitation(user: str, token: bytes, key: rsa.RSAPublicKey) -> bytes:
    """What it holds of who comes with an invitation (HANDSHAKE, ClientHello)."""
    return cbor2.dumps({0: user, 2: token, 3: encode_public_key(key)}, canonical=True)


class Transcript:
    """The transcript T, as a running hash (HANDSHAKE, Transcript)."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(b"RSAC1")

    def add(self, part: bytes) -> None:
        self._hash.update(part)

    def digest(self) -> bytes:
        """H(T)."""
        return self._hash.copy().digest()

    def seal(self, secret: bytes, label: bytes, head: bytes, block: bytes) -> bytes:
        """Take in the head of a frame and its sealed block, and give the whole frame."""
        self.add(head)
        digest = self.digest()
        sealed = AESGCM(expand(secret, label, digest)).encrypt(bytes(12), block, digest)
        self.add(sealed)
        return head + sealed

    def open(self, secret: bytes, label: bytes, head: bytes, sealed: bytes) -> bytes:
        """Take in a frame that came, and give its block.  InvalidTag if it does not open."""
        self.add(head)
        digest = self.digest()
        block = AESGCM(expand(secret, label, digest)).decrypt(bytes(12), sealed, digest)
        self.add(sealed)
        return block


@dataclass(frozen=True)
class Ticket:
    """A ticket with all that it takes to use it (HANDSHAKE, ResumeHello).  As good as a password."""

    ticket: bytes = field(repr=False)
    secret: bytes = field(repr=False)
    expires: float  # by the clock of time.monotonic()
    user: str
    server: bytes  # the fingerprint of the server that gave it


@dataclass
class Established:
    """What a handshake leaves behind."""

    user: str
    server: bytes
    resumption: bytes = field(repr=False)
    sender: "Direction" = field(repr=False)
    receiver: "Direction" = field(repr=False)


class Handshake:
    """The client's side of a handshake, without any input or output.

    Make one with full() or resumed(), send `hello`, give the payload of the ServerHello to server_hello(), and
    send what that returns.  `established` is then what the connection goes on with.
    """

    def __init__(
        self, user: str, server: bytes, private_key: Optional[rsa.RSAPrivateKey], software: str,
        xwing: Optional[XWingKey] = None,
    ):
        if len(software.encode("utf-8")) > 64:
            raise ValueError("a software name over the limit")
        self._user = user
        self._server = server
        self._private_key = private_key
        self._software = software
        self._transcript = Transcript()
        self._xwing: Optional[XWingKey] = xwing or XWingKey.generate()
        self._early = b""
        self.hello = b""
        self.established: Optional[Established] = None

    @classmethod
    def full(
        cls, server_key: rsa.RSAPublicKey, user: str, private_key: rsa.RSAPrivateKey, software: str,
        token: Optional[bytes] = None,
    ) -> "Handshake":
        """A handshake that begins with a ClientHello, with the token of an invitation if there is one (HANDSHAKE,
        ClientHello and Invitations).
        """
        check_rsa_key(private_key.public_key())
        if not NAME.fullmatch(user):
            raise ValueError("not a user's name")
        if token is None:
            block = pad_block(identity(user, private_key.public_key()), IDENTITY_BLOCK)
        else:
            block = pad_block(invitation(user, token, private_key.public_key()), INVITATION_BLOCK)
        return cls.with_block(server_key, user, private_key, software, block)

    @classmethod
    def with_block(
        cls, server_key: rsa.RSAPublicKey, user: str, private_key: rsa.RSAPrivateKey, software: str, block: bytes
    ) -> "Handshake":
        """A handshake whose ClientHello has this block: of any content, for tests."""
        check_rsa_key(server_key)
        self = cls(user, fingerprint(server_key), private_key, software)
        k_s = os.urandom(32)
        self.begin(k_s, oaep_encrypt(server_key, LABEL_SERVER, k_s), block)
        return self

    def begin(self, k_s: bytes, oaep: bytes, block: bytes) -> None:
        """Make the ClientHello."""
        self._early = hkdf_extract(ZERO, k_s)
        payload = versions() + self._server + self._xwing.public + len(oaep).to_bytes(2, "big") + oaep
        self._seal_hello(Kind.CLIENT_HELLO, payload, b"rsac1 identity", block)

    @classmethod
    def resumed(cls, ticket: Ticket, software: str, xwing: Optional[XWingKey] = None) -> "Handshake":
        """A handshake that begins with a ResumeHello (HANDSHAKE, ResumeHello)."""
        if time.monotonic() >= ticket.expires:
            raise ValueError("a ticket after its lifetime")
        self = cls(ticket.user, ticket.server, None, software, xwing)
        self._early = hkdf_extract(ZERO, ticket.secret)
        length = len(ticket.ticket).to_bytes(2, "big")
        payload = versions() + self._xwing.public + length + ticket.ticket
        self._seal_hello(Kind.RESUME_HELLO, payload, b"rsac1 binder", b"")
        return self

    def _seal_hello(self, kind: Kind, payload: bytes, label: bytes, block: bytes) -> None:
        head = header(kind, len(payload) + len(block) + TAG) + payload
        self.hello = self._transcript.seal(self._early, label, head, block)

    def server_hello(self, payload: bytes) -> bytes:
        """Check a ServerHello, and give the ClientFinish (HANDSHAKE, ServerHello and ClientFinish)."""
        xwing, self._xwing = self._xwing, None
        early, self._early = self._early, b""
        if xwing is None:
            raise ProtocolError("a second ServerHello")
        full = self._private_key is not None
        clear = 1 + XWingKey.CIPHERTEXT
        if len(payload) != clear + (514 if full else 0) + TAG:
            raise ProtocolError("a ServerHello of another length")
        if payload[0] != VERSION:
            raise ProtocolError("a ServerHello of another version")
        try:
            hello = mix(early, xwing.decapsulate(payload[1:clear]))
            head = header(Kind.SERVER_HELLO, len(payload)) + payload[:clear]
            block = self._transcript.open(hello, b"rsac1 server hello", head, payload[clear:])
        except (InvalidTag, ValueError) as error:
            raise ServerNotAuthentic("the ServerHello does not open") from error
        last = ZERO
        if full:
            last = oaep_decrypt_or_random(self._private_key, LABEL_CLIENT, unpad_block(block))
        auth = mix(hello, last)
        resumption = expand(auth, b"rsac1 resumption", self._transcript.digest())

        content = cbor2.dumps({0: self._software, 1: []}, canonical=True)
        finish = self._transcript.seal(
            auth, b"rsac1 client finish", header(Kind.CLIENT_FINISH, 128 + TAG), pad_block(content, 128)
        )
        digest = self._transcript.digest()
        self.established = Established(
            user=self._user,
            server=self._server,
            resumption=resumption,
            sender=Direction(expand(auth, b"rsac1 client traffic", digest)),
            receiver=Direction(expand(auth, b"rsac1 server traffic", digest)),
        )
        return finish


# --- RECORDS ----------------------------------------------------------------------------------------------

class Direction:
    """The keys of one direction of a connection, and its count (RECORDS)."""

    def __init__(self, secret: bytes):
        self.count = 0
        self.ratchets = 0
        self._use(secret)

    def _use(self, secret: bytes) -> None:
        self._secret = secret
        self._aead = AESGCM(expand(secret, b"rsac1 key", ZERO))
        self._iv = int.from_bytes(expand(secret, b"rsac1 iv", ZERO)[:12], "big")

    def _nonce(self) -> bytes:
        return (self._iv ^ self.count).to_bytes(12, "big")

    def _advance(self) -> None:
        self.count += 1
        if self.count == RECORDS_PER_KEY:
            self._use(expand(self._secret, b"rsac1 ratchet", ZERO))
            self.count = 0
            self.ratchets += 1

    def seal(self, kind: int, plaintext: bytes) -> bytes:
        """A whole record."""
        if len(plaintext) > MAX_PLAINTEXT:
            raise ValueError("a plaintext over the limit")
        head = header(kind, len(plaintext) + TAG)
        record = head + self._aead.encrypt(self._nonce(), plaintext, head)
        self._advance()
        return record

    def open(self, kind: int, payload: bytes) -> bytes:
        """The plaintext of a record.  InvalidTag if it does not open."""
        if len(payload) < TAG:
            raise InvalidTag
        plaintext = self._aead.decrypt(self._nonce(), payload, header(kind, len(payload)))
        self._advance()
        return plaintext


class FrameReader:
    """Cuts what comes from a socket into frames, and judges each by its header (FRAMES)."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._start = 0

    def feed(self, data: bytes) -> None:
        if self._start:
            del self._buffer[:self._start]
            self._start = 0
        self._buffer += data

    @property
    def inside(self) -> bool:
        """Whether part of a frame has come."""
        return self._start < len(self._buffer)

    def next(self, allowed: frozenset) -> Optional[tuple[int, bytes]]:
        """The next whole frame, or None.  ProtocolError for a header that has no place now."""
        start = self._start
        if len(self._buffer) < start + 4:
            return None
        kind = self._buffer[start]
        length = int.from_bytes(self._buffer[start + 1:start + 4], "big")
        if kind not in allowed:
            raise ProtocolError(f"a frame of kind {kind}, which has no place now")
        if length > (MAX_RECORD_PAYLOAD if kind in RECORD_KINDS else MAX_HANDSHAKE_PAYLOAD):
            raise ProtocolError("a frame over the limit")
        end = start + 4 + length
        if len(self._buffer) < end:
            return None
        self._start = end
        return kind, bytes(self._buffer[start + 4:end])


class StreamReader:
    """Puts messages together from the plaintexts of Data records (STREAM OF MESSAGES)."""

    def __init__(self, longest: int = MAX_MESSAGE):
        self._buffer = bytearray()
        self._longest = longest
        self.spanning = 0  # messages that came in more than one record
        self.most = 0  # the most messages that ended in one record

    def feed(self, plaintext: bytes) -> Iterator[bytes]:
        begun = bool(self._buffer)
        self._buffer += plaintext
        start = count = 0
        while len(self._buffer) - start >= 3:
            length = int.from_bytes(self._buffer[start:start + 3], "big")
            if not 1 <= length <= self._longest:
                raise ProtocolError(f"a message of {length} bytes")
            if len(self._buffer) - start - 3 < length:
                break
            yield bytes(self._buffer[start + 3:start + 3 + length])
            start += 3 + length
            self.spanning += begun and count == 0
            count += 1
        self.most = max(self.most, count)
        del self._buffer[:start]


# --- MESSAGES: encoding -----------------------------------------------------------------------------------

UINT, NINT, BYTES, TEXT, ARRAY, MAP, TAGGED, OTHER = range(8)


class Cursor:
    """Walks over CBOR.  It takes only what senders must write (MESSAGES, Encoding rules): definite lengths,
    everything in the shortest form, the keys of maps ascending and none twice.  It skips what is nested
    however deep without recursion, and without decoding it.
    """

    def __init__(self, data: bytes):
        self.data = data
        self.position = 0

    def head(self) -> tuple[int, int, int]:
        """Read the head of an item: its major type, additional information, and argument."""
        data, position = self.data, self.position
        if position >= len(data):
            raise ProtocolError("CBOR that ends too soon")
        major, info = data[position] >> 5, data[position] & 31
        position += 1
        argument = info
        if info > 27:
            raise ProtocolError("CBOR with an indefinite length, or a reserved head")
        if info > 23:
            size = 1 << (info - 24)
            argument = int.from_bytes(data[position:position + size], "big")
            position += size
            if position > len(data):
                raise ProtocolError("CBOR that ends too soon")
            least = (24 if major != OTHER else 32, 1 << 8, 1 << 16, 1 << 32)[info - 24]
            if argument < least and (major != OTHER or info == 24):
                raise ProtocolError("CBOR that is not in the shortest form")
        if major in (BYTES, TEXT) and argument > len(data) - position:
            raise ProtocolError("CBOR that ends too soon")
        self.position = position
        return major, info, argument

    def skip(self) -> None:
        """Go past one whole item."""
        # One entry for each open container: [items left, whether it is a map, start of the key, last key]
        stack: list[list] = [[1, False, 0, b""]]
        while stack:
            top = stack[-1]
            if top[0] == 0:
                stack.pop()
                if stack:
                    self._ended(stack[-1])
                continue
            if top[1]:
                top[2] = self.position if top[0] % 2 == 0 else top[2]
            major, _, argument = self.head()
            if major in (BYTES, TEXT):
                if major == TEXT:
                    self._utf8(argument)
                self.position += argument
            elif major in (ARRAY, MAP, TAGGED):
                count = 1 if major == TAGGED else argument * (2 if major == MAP else 1)
                if count > len(self.data) - self.position:
                    raise ProtocolError("CBOR that ends too soon")
                stack.append([count, major == MAP, 0, b""])
                continue
            self._ended(top)

    def _ended(self, container: list) -> None:
        """An item of a container has ended: if it was a key, compare it with the one before."""
        if container[1] and container[0] % 2 == 0:
            key = self.data[container[2]:self.position]
            if key <= container[3]:
                raise ProtocolError("a CBOR map with keys that do not ascend")
            container[3] = key
        container[0] -= 1

    def _utf8(self, length: int) -> None:
        try:
            self.data[self.position:self.position + length].decode("utf-8")
        except UnicodeDecodeError as error:
            raise ProtocolError("CBOR text that is not UTF-8") from error

    def raw(self) -> bytes:
        """Go past one whole item, and give its bytes."""
        start = self.position
        self.skip()
        return self.data[start:self.position]

    def end(self) -> None:
        if self.position != len(self.data):
            raise ProtocolError("bytes after the CBOR")


def _whole(raw: bytes, major: int, what: str) -> None:
    """Whether it is one whole item, well-formed, and of that major type."""
    if not raw or raw[0] >> 5 != major:
        raise ProtocolError(f"something else where {what} should be")
    as_whole(raw)


def as_whole(raw: bytes) -> None:
    """Whether it is one whole item, in the encoding that senders must use, and nothing after it."""
    cursor = Cursor(raw)
    cursor.skip()
    cursor.end()


def as_integer(raw: bytes, limit: int = 2**64) -> int:
    _whole(raw, UINT, "an integer")
    value = cbor2.loads(raw)
    if value >= limit:
        raise ProtocolError("an integer over its limit")
    return value


def as_u32(raw: bytes) -> int:
    return as_integer(raw, 2**32)


def as_text(raw: bytes) -> str:
    _whole(raw, TEXT, "a text")
    return cbor2.loads(raw)


def as_bytes(raw: bytes) -> bytes:
    _whole(raw, BYTES, "a byte string")
    return cbor2.loads(raw)


def as_bytes_of(length: int) -> Callable[[bytes], bytes]:
    def decode(raw: bytes) -> bytes:
        value = as_bytes(raw)
        if len(value) != length:
            raise ProtocolError(f"a byte string that has not {length} bytes")
        return value

    return decode


def as_bool(raw: bytes) -> bool:
    if raw not in (b"\xf4", b"\xf5"):
        raise ProtocolError("something else where a boolean should be")
    return raw == b"\xf5"


def as_name(raw: bytes) -> str:
    name = as_text(raw)
    if not NAME.fullmatch(name):
        raise ProtocolError("a name that can't be one")
    return name


def as_room(raw: bytes) -> str:
    """The name of a room, a direct one among them."""
    name = as_text(raw)
    if not NAME.fullmatch(name) and direct_users(name) is None:
        raise ProtocolError("a room's name that can't be one")
    return name


def as_number(raw: bytes) -> int:
    """A seq that counts a message: 1 and up."""
    value = as_integer(raw)
    if value == 0:
        raise ProtocolError("a message with the number 0")
    return value


def as_array(decode: Callable[[bytes], Any]) -> Callable[[bytes], tuple]:
    def decode_array(raw: bytes) -> tuple:
        _whole(raw, ARRAY, "an array")
        cursor = Cursor(raw)
        _, _, count = cursor.head()
        return tuple(decode(cursor.raw()) for _ in range(count))

    return decode_array


def check_map(raw: bytes) -> None:
    """Whether it is a map, and nothing after it; what is in it matters not."""
    _whole(raw, MAP, "a map")


def as_map(raw: bytes) -> dict[int, bytes]:
    """The values of a map with integer keys, each still encoded."""
    check_map(raw)
    cursor = Cursor(raw)
    _, _, count = cursor.head()
    values = {}
    for _ in range(count):
        key_major, _, key = cursor.head()
        if key_major not in (UINT, NINT):
            raise ProtocolError("a map with a key that is no integer")
        value = cursor.raw()
        if key_major == UINT:
            values[key] = value
    return values


def as_variant(raw: bytes) -> tuple[int, bytes]:
    """A kind, and the map that belongs to it, still encoded: a what or an act."""
    items = as_array(lambda item: item)(raw)
    if len(items) != 2:
        raise ProtocolError("something else where an array of two should be")
    check_map(items[1])
    return as_integer(items[0]), items[1]


# --- MESSAGES: types --------------------------------------------------------------------------------------

def required(key: int, decode: Callable[[bytes], Any]) -> Any:
    """A field of a body that must be there."""
    return field(metadata={"key": key, "decode": decode, "optional": False})


def optional(key: int, decode: Callable[[bytes], Any]) -> Any:
    """A field of a body that may be absent, and is None then."""
    return field(metadata={"key": key, "decode": decode, "optional": True})


class Body:
    """A map with integer keys, as a dataclass: each field tells its key and its type."""

    @classmethod
    def decode(cls, raw: bytes) -> Any:
        entries = as_map(raw)
        values = []
        for each in fields(cls):
            encoded = entries.get(each.metadata["key"])
            if encoded is None and not each.metadata["optional"]:
                raise ProtocolError(f"a {cls.__name__} without its {each.name}")
            values.append(None if encoded is None else each.metadata["decode"](encoded))
        return cls(*values)


SAID, DONE, SEALED, CODE, QUESTION, ANSWER = range(6)


@dataclass(frozen=True)
class Text(Body):
    """The map in a what of a known kind."""

    text: str = required(0, as_text)


@dataclass(frozen=True)
class Sealed(Body):
    """The map in a what that is sealed: what is in it, the module sealed tells."""

    key: bytes = required(0, as_bytes_of(32))
    sealed: bytes = required(1, as_bytes)


def as_choice(raw: bytes) -> str:
    choice = as_text(raw)
    has_control = any(unicodedata.category(character) == "Cc" for character in choice)
    if not 1 <= len(choice.encode()) <= 64 or choice.strip() != choice or has_control:
        raise ProtocolError("a choice that can't be one")
    return choice


def as_choices(raw: bytes) -> tuple[str, ...]:
    choices = as_array(as_choice)(raw)
    if not 2 <= len(choices) <= 9 or len(set(choices)) != len(choices):
        raise ProtocolError("a question with choices that can't be its")
    return choices


@dataclass(frozen=True)
class Question(Body):
    """The map in a what that asks."""

    text: str = required(0, as_text)
    choices: tuple[str, ...] = required(1, as_choices)

    def asked(self) -> bytes:
        """What names it in an answer (QUESTIONS)."""
        return hashlib.sha256(cbor2.dumps([QUESTION, {0: self.text, 1: list(self.choices)}], canonical=True)).digest()


@dataclass(frozen=True)
class Answer(Body):
    """The map in a what that answers."""

    question: bytes = required(0, as_bytes_of(16))
    asked: bytes = required(1, as_bytes_of(32))
    choice: str = required(2, as_choice)


@dataclass(frozen=True)
class What:
    """What a message says (MESSAGES, Types of fields).  There is nothing but the kind if that is not known."""

    kind: int
    text: Optional[str]
    sealed: Optional[Sealed] = None
    question: Optional[Question] = None
    answer: Optional[Answer] = None

    def encode(self) -> list:
        if self.sealed is not None:
            return [self.kind, {0: self.sealed.key, 1: self.sealed.sealed}]
        if self.question is not None:
            return [self.kind, {0: self.question.text, 1: list(self.question.choices)}]
        if self.answer is not None:
            return [self.kind, {0: self.answer.question, 1: self.answer.asked, 2: self.answer.choice}]
        return [self.kind, {0: self.text}]

    @classmethod
    def decode(cls, raw: bytes) -> "What":
        kind, body = as_variant(raw)
        if kind == SEALED:
            return cls(kind, None, sealed=Sealed.decode(body))
        if kind == QUESTION:
            return cls(kind, None, question=Question.decode(body))
        if kind == ANSWER:
            return cls(kind, None, answer=Answer.decode(body))
        return cls(kind, Text.decode(body).text if kind in (SAID, DONE, CODE) else None)


@dataclass(frozen=True)
class Named(Body):
    """The map in most acts: to whom it was done."""

    user: str = required(0, as_name)


@dataclass(frozen=True)
class PutOut(Body):
    user: str = required(0, as_name)
    why: Optional[str] = optional(1, as_text)


@dataclass(frozen=True)
class Banned(Body):
    user: str = required(0, as_name)
    until: Optional[int] = optional(1, as_integer)
    why: Optional[str] = optional(2, as_text)


@dataclass(frozen=True)
class Muted(Body):
    user: str = required(0, as_name)
    until: Optional[int] = optional(1, as_integer)


@dataclass(frozen=True)
class Nothing(Body):
    """An act of which there is nothing more to say."""


ACTS: dict[int, type[Body]] = {
    ActKind.TOPIC: Text,
    ActKind.BROUGHT_IN: Named,
    ActKind.PUT_OUT: PutOut,
    ActKind.BANNED: Banned,
    ActKind.UNBANNED: Named,
    ActKind.MUTED: Muted,
    ActKind.UNMUTED: Named,
    ActKind.OWNER: Named,
    ActKind.LEFT: Nothing,
}


# Those that have a statement in the roster of a private room.
ACTS_OF_ROSTERS = frozenset({ActKind.BROUGHT_IN, ActKind.PUT_OUT, ActKind.OWNER})


@dataclass(frozen=True)
class Act:
    """What somebody decided (MESSAGES, Types of fields).  The body is None if the kind is not known."""

    kind: int
    body: Any

    @classmethod
    def decode(cls, raw: bytes) -> "Act":
        kind, body = as_variant(raw)
        known = ACTS.get(kind)
        return cls(kind, known.decode(body) if known else None)


@dataclass(frozen=True)
class Position:
    """The last message that a client has of a room (WHAT HAPPENS ON A CONNECTION, Places)."""

    incarnation: int
    seq: int


@dataclass(frozen=True)
class Receipt(Body):
    """How far a user's clients have got a room's messages, and shown them; also event 71 (Direct rooms)."""

    room: str = required(0, as_room)
    user: str = required(1, as_name)
    delivered: int = required(2, as_integer)
    read: int = required(3, as_integer)


@dataclass(frozen=True)
class Waiting(Body):
    """A direct room in which there is something new; also event 70 (Direct rooms)."""

    room: str = required(0, as_room)
    last: int = required(1, as_integer)


@dataclass(frozen=True)
class Info(Body):
    """What is said about a room (MESSAGES, Types of fields)."""

    room: str = required(0, as_room)
    topic: str = required(1, as_text)
    owner: Optional[str] = optional(2, as_name)
    members: int = required(3, as_integer)
    present: int = required(4, as_integer)
    joined: bool = required(5, as_bool)
    last: int = required(6, as_integer)
    people: tuple[str, ...] = required(7, as_array(as_name))
    sealed: bool = required(8, as_bool)
    receipts: tuple[Receipt, ...] = required(9, as_array(Receipt.decode))
    statements: int = required(10, as_integer)


@dataclass(frozen=True)
class Status(Body):
    """Whether somebody wants to be talked to (MESSAGES, Types of fields).  Later versions have other availabilities."""

    availability: int = required(0, as_integer)
    text: Optional[str] = optional(1, as_text)
    until: Optional[int] = optional(2, as_integer)


@dataclass(frozen=True)
class StatusOf(Body):
    """Somebody's new status, in a Presence."""

    user: str = required(0, as_name)
    status: Status = required(1, Status.decode)


@dataclass(frozen=True)
class Done(Body):
    pass


@dataclass(frozen=True)
class Joined(Body):
    info: Info = required(0, Info.decode)
    caught_up: bool = required(1, as_bool)
    last: int = required(2, as_integer)
    gone: int = required(3, as_integer)
    withdrawn_after: Optional[int] = optional(4, as_integer)


@dataclass(frozen=True)
class Accepted(Body):
    seq: int = required(0, as_number)
    time: int = required(1, as_integer)


@dataclass(frozen=True)
class HistoryEnd(Body):
    room: str = required(0, as_room)
    more: bool = required(1, as_bool)


@dataclass(frozen=True)
class Person(Body):
    user: str = required(0, as_name)
    since: int = required(1, as_integer)
    connections: int = required(2, as_u32)
    status: Status = required(3, Status.decode)


@dataclass(frozen=True)
class PeopleList(Body):
    room: str = required(0, as_room)
    people: tuple[Person, ...] = required(1, as_array(Person.decode))
    total: int = required(2, as_integer)


@dataclass(frozen=True)
class UserInfo(Body):
    user: str = required(0, as_name)
    fingerprint: bytes = required(1, as_bytes_of(32))
    admin: bool = required(2, as_bool)
    since: Optional[int] = optional(3, as_integer)
    connections: int = required(4, as_u32)
    status: Status = required(5, Status.decode)


@dataclass(frozen=True)
class RoomList(Body):
    rooms: tuple[Info, ...] = required(0, as_array(Info.decode))


@dataclass(frozen=True)
class KeyOf(Body):
    """Somebody's public key, in a KeyList."""

    user: str = required(0, as_name)
    key: bytes = required(1, as_bytes)


@dataclass(frozen=True)
class KeyList(Body):
    keys: tuple[KeyOf, ...] = required(0, as_array(KeyOf.decode))


@dataclass(frozen=True)
class SealedSenderKey(Body):
    """A sender key as the server has it, in a SenderKeyList.  The part is the user's own."""

    id: bytes = required(0, as_bytes_of(32))
    epoch: bytes = required(1, as_bytes_of(32))
    sender: str = required(2, as_name)
    head: bytes = required(3, as_bytes)
    part: Optional[bytes] = optional(4, as_bytes)


@dataclass(frozen=True)
class SenderKeyList(Body):
    keys: tuple[SealedSenderKey, ...] = required(0, as_array(SealedSenderKey.decode))


@dataclass(frozen=True)
class Message(Body):
    """Event 66; as an answer, a Part."""

    room: str = required(0, as_room)
    seq: int = required(1, as_number)
    time: int = required(2, as_integer)
    sender: str = required(3, as_name)
    id: bytes = required(4, as_bytes_of(16))
    what: Optional[What] = optional(5, What.decode)

    @property
    def text(self) -> Optional[str]:
        return self.what.text if self.what else None


@dataclass(frozen=True)
class Error(Body):
    code: int = required(0, as_integer)
    text: str = required(1, as_text)
    hint: Optional[str] = optional(2, as_text)
    retry_after: Optional[int] = optional(3, as_integer)


@dataclass(frozen=True)
class UnknownAnswer:
    """An answer of a type that this client does not know: it ends its request."""

    type: int


@dataclass(frozen=True)
class TicketEvent(Body):
    ticket: bytes = required(0, as_bytes)
    lifetime: int = required(1, as_u32)


@dataclass(frozen=True)
class Welcome(Body):
    software: str = required(0, as_text)
    user: str = required(1, as_name)
    admin: bool = required(2, as_bool)
    incarnation: int = required(3, as_integer)
    time: int = required(4, as_integer)
    longest_text: int = required(5, as_u32)
    history_limit: int = required(6, as_u32)
    rooms: tuple[str, ...] = required(7, as_array(as_room))
    waiting: tuple[Waiting, ...] = required(8, as_array(Waiting.decode))


@dataclass(frozen=True)
class RosterPage(Body):
    statements: tuple[bytes, ...] = required(0, as_array(as_bytes))
    length: int = required(1, as_integer)
    members: tuple[str, ...] = required(2, as_array(as_name))


@dataclass(frozen=True)
class Invited(Body):
    """An invitation: who has the token may become the user (InviteUser)."""

    user: str = required(0, as_name)
    token: bytes = field(repr=False, metadata={"key": 1, "decode": as_bytes_of(16), "optional": False})
    until: int = required(2, as_integer)


@dataclass(frozen=True)
class Presence(Body):
    room: str = required(0, as_room)
    came: tuple[str, ...] = required(1, as_array(as_name))
    left: tuple[str, ...] = required(2, as_array(as_name))
    statuses: tuple[StatusOf, ...] = required(3, as_array(StatusOf.decode))


@dataclass(frozen=True)
class Acted(Body):
    room: str = required(0, as_room)
    by: str = required(1, as_name)
    act: Optional[Act] = optional(2, Act.decode)


@dataclass(frozen=True)
class Membership(Body):
    room: str = required(0, as_room)
    member: bool = required(1, as_bool)
    by: str = required(2, as_name)
    why: Optional[str] = optional(3, as_text)


@dataclass(frozen=True)
class KeyChanged(Body):
    user: str = required(0, as_name)


@dataclass(frozen=True)
class CloseReason(Body):
    """What a Close record holds (CLOSING)."""

    code: int = required(0, as_integer)
    text: str = required(1, as_text)


PART = 62
ANSWERS = {
    32: Done, 33: Joined, 34: Accepted, 35: HistoryEnd, 36: PeopleList, 37: UserInfo, 38: RoomList, 39: KeyList,
    40: SenderKeyList, 41: RosterPage, 42: Invited, PART: Message, 63: Error,
}
EVENTS = {
    64: TicketEvent, 65: Welcome, 66: Message, 67: Presence, 68: Acted, 69: Membership, 70: Waiting, 71: Receipt,
    72: KeyChanged,
}

ANSWERED_BY = {
    RequestType.JOIN: Joined,
    RequestType.POST: Accepted,
    RequestType.HISTORY: HistoryEnd,
    RequestType.PEOPLE: PeopleList,
    RequestType.WHOIS: UserInfo,
    RequestType.SHUTDOWN: Done,
    RequestType.CREATE: Done,
    RequestType.LEAVE: Done,
    RequestType.ROOMS: RoomList,
    RequestType.SET_TOPIC: Done,
    RequestType.INVITE: Done,
    RequestType.KICK: Done,
    RequestType.BAN: Done,
    RequestType.UNBAN: Done,
    RequestType.MUTE: Done,
    RequestType.UNMUTE: Done,
    RequestType.HAND_OVER: Done,
    RequestType.SET_STATUS: Done,
    RequestType.SET_IDLE: Done,
    RequestType.KEYS: KeyList,
    RequestType.ADD_SENDER_KEY: Done,
    RequestType.SENDER_KEYS: SenderKeyList,
    RequestType.SEEN: Done,
    RequestType.ROSTER: RosterPage,
    RequestType.INVITE_USER: Invited,
}


def encode_message(type_: int, request: int, body: dict) -> bytes:
    """A message with its length before it, as it stands in the stream."""
    encoded = cbor2.dumps([type_, request, body], canonical=True)
    return len(encoded).to_bytes(3, "big") + encoded


def decode_message(data: bytes) -> tuple[int, int, Any]:
    """Type, request id and body of a message of the server.  The body is None for a type that is not known."""
    cursor = Cursor(data)
    major, _, count = cursor.head()
    if (major, count) != (ARRAY, 3):
        raise ProtocolError("a message that is no array of three")
    type_, request = as_integer(cursor.raw()), as_integer(cursor.raw())
    body = cursor.raw()
    cursor.end()
    check_map(body)
    if type_ in EVENTS and request != 0:
        raise ProtocolError("an event with a request id")
    known = ANSWERS.get(type_) or EVENTS.get(type_)
    return type_, request, known.decode(body) if known else None


def longest_request(longest_text: int) -> int:
    """How long a message of the client may be, without its length (LIMITS)."""
    return max(24576, longest_text + longest_text // 8 + 832)


def decode_close(plaintext: bytes) -> CloseReason:
    """The code and text of a Close record (CLOSING)."""
    reason = CloseReason.decode(plaintext)
    if len(reason.text.encode("utf-8")) > 512:
        raise ProtocolError("a Close with a text over the limit")
    return reason


# --- WHAT HAPPENS ON A CONNECTION -------------------------------------------------------------------------

class RoomView:
    """What a client has of a room: checks that numbers ascend without gaps, and keeps the position with its
    incarnation (Places, and incarnations; Joining).
    """

    def __init__(self, name: str, position: Optional[Position] = None, backlog: bool = False):
        self.name = name
        self.position = position
        self.backlog = backlog  # the next Join asks for it

    def join_body(self) -> dict:
        body: dict = {0: self.name}
        if self.position:
            body[1] = {0: self.position.incarnation, 1: self.position.seq}
        if self.backlog:
            body[2] = True
        return body

    def joined(self, parts: list[Message], answer: Joined, incarnation: int) -> None:
        """Take the answer to a Join, and go on from there."""
        self._check(answer.info.room)
        base = self.position.seq if self.position else None
        if answer.withdrawn_after is not None:
            if base is None or answer.withdrawn_after >= base:
                raise ProtocolError("messages withdrawn that the client does not have")
            base = answer.withdrawn_after
        if base is None and answer.gone != 0:
            raise ProtocolError("messages gone that the client never had")
        expected = None if base is None else base + answer.gone + 1
        if self.backlog and expected is not None and parts and answer.gone == 0:
            expected = min(expected, parts[0].seq)
        for part in parts:
            self._check(part.room)
            if expected is not None and part.seq != expected:
                raise ProtocolError(f"a Part with the number {part.seq} for {expected}")
            expected = part.seq + 1
        if expected is not None and answer.last != expected - 1:
            raise ProtocolError("a Joined whose last is not the last Part")
        if not answer.caught_up and not parts:
            raise ProtocolError("a Joined without a Part, and yet not caught up")
        self.position = Position(incarnation, answer.last)
        self.backlog = False

    def event(self, message: Message, incarnation: int) -> bool:
        """Take a Message event: whether it is a new one."""
        self._check(message.room)
        assert self.position is not None
        if message.seq <= self.position.seq:
            return False
        if message.seq != self.position.seq + 1:
            raise ProtocolError(f"message {message.seq} after {self.position.seq}")
        self.position = Position(incarnation, message.seq)
        return True

    def _check(self, room: str) -> None:
        if room != self.name:
            raise ProtocolError("a message of another room")


class Wire:
    """A socket, read frame by frame and written whole (FRAMES)."""

    def __init__(self, sock: socket.socket):
        self._sock = sock
        self._frames = FrameReader()
        self.received = 0

    def send(self, data: bytes, timeout: float) -> None:
        """Send all of it.  A connection that is broken shows when it is read: a Close may still be there."""
        self._sock.settimeout(timeout)
        try:
            self._sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def buffered(self, allowed: frozenset) -> Optional[tuple[int, bytes]]:
        return self._frames.next(allowed)

    def receive(self, timeout: float) -> bool:
        """Read something: false if nothing came in time, Cut at the end of the stream."""
        self._sock.settimeout(max(timeout, 0.001))
        try:
            data = self._sock.recv(65536)
        except (TimeoutError, BlockingIOError):
            return False
        except ConnectionResetError as error:
            raise Cut("the connection was reset") from error
        if not data:
            raise Cut("the stream ended inside a frame" if self._frames.inside else "the stream ended")
        self.received += len(data)
        self._frames.feed(data)
        return True

    def frame(self, allowed: frozenset, deadline: float) -> tuple[int, bytes]:
        """The next frame of a handshake."""
        while True:
            found = self.buffered(allowed)
            if found:
                return found
            if self.received > MAX_HANDSHAKE_BYTES:
                raise ProtocolError("a handshake over the limit")
            if not self.receive(deadline - time.monotonic()) and time.monotonic() >= deadline:
                raise TimedOut("the handshake took too long")

    def hang_up(self, wait: float = 0.0) -> None:
        """Close the connection; before that, wait a while for the peer to do so, and ignore what comes."""
        deadline = time.monotonic() + wait
        try:
            while wait and time.monotonic() < deadline:
                self._sock.settimeout(max(deadline - time.monotonic(), 0.001))
                if not self._sock.recv(65536):
                    break
        except OSError:
            pass
        self._sock.close()


def _refuse(payload: bytes) -> Refused:
    return Refused(Refusal.decode(payload), payload)


def request_key(sock: socket.socket, timeout: float = HANDSHAKE_SECONDS) -> rsa.RSAPublicKey:
    """Ask a server for its public key (THE SERVER'S KEY).  It proves nothing: a person has to compare its
    fingerprint before it is used.  The socket is closed: a handshake is done on another connection.
    """
    wire = Wire(sock)
    try:
        deadline = time.monotonic() + timeout
        wire.send(frame(Kind.KEY_REQUEST, versions()), timeout)
        kind, payload = wire.frame(frozenset({Kind.KEY_REPLY, Kind.REFUSAL}), deadline)
        if kind == Kind.REFUSAL:
            raise _refuse(payload)
        if payload[:1] != bytes([VERSION]):
            raise ProtocolError("a KeyReply of another version")
        try:
            return decode_public_key(payload[1:])
        except ValueError as error:
            raise ProtocolError(f"a KeyReply with {error}") from error
    finally:
        wire.hang_up()


SOFTWARE = "rsac1.py/1"


def login(
    sock: socket.socket,
    server_key: rsa.RSAPublicKey,
    user: str,
    private_key: rsa.RSAPrivateKey,
    software: str = SOFTWARE,
    timeout: float = HANDSHAKE_SECONDS,
    token: Optional[bytes] = None,
) -> "Session":
    """A full handshake with a server whose key is known, with an invitation if there is one (HANDSHAKE)."""
    return open_session(sock, Handshake.full(server_key, user, private_key, software, token), timeout)


def login_at(
    sock: socket.socket, address: Address, server_key: rsa.RSAPublicKey, private_key: rsa.RSAPrivateKey
) -> "Session":
    """A full handshake as an address says, which is not begun with a server of another key (Invitations)."""
    if address.user is None:
        raise ValueError("an address that does not say who comes")
    if address.server not in (None, fingerprint(server_key)):
        raise ServerNotAuthentic("the server has another key than the address says")
    return login(sock, server_key, address.user, private_key, token=address.token)


def resume(
    sock: socket.socket, ticket: Ticket, software: str = SOFTWARE, timeout: float = HANDSHAKE_SECONDS
) -> "Session":
    """A resumed handshake.  Each ticket should be used once only (HANDSHAKE, ResumeHello)."""
    return open_session(sock, Handshake.resumed(ticket, software), timeout)


def open_session(sock: socket.socket, handshake: Handshake, timeout: float = HANDSHAKE_SECONDS) -> "Session":
    """Carry out a handshake.  Until a record of the server has opened, it may still refuse."""
    wire = Wire(sock)
    try:
        deadline = time.monotonic() + timeout
        wire.send(handshake.hello, timeout)
        kind, payload = wire.frame(frozenset({Kind.SERVER_HELLO, Kind.REFUSAL}), deadline)
        if kind == Kind.REFUSAL:
            raise _refuse(payload)
        wire.send(handshake.server_hello(payload), timeout)
        assert handshake.established is not None
        return Session(wire, handshake.established)
    except BaseException:
        wire.hang_up()
        raise


class Session:
    """An open connection.

    Requests may be sent at once.  What comes is taken in while something is waited for: with welcomed(),
    request(), answer(), event() or pong().  Pings are answered on the way.  When the connection has ended, all
    of these raise what it ended with: Closed, Cut, Refused, ProtocolError or Silent.
    """

    def __init__(self, wire: Wire, established: Established):
        self._wire = wire
        self._established = established
        self._stream = StreamReader()
        self._outgoing = bytearray()
        self._opened = False
        self._ended: Optional[Rsac1Error] = None
        self._last_request = 0
        self._waiting: dict[int, tuple[int, list[Message], Optional[str]]] = {}
        self._answers: dict[int, tuple[Any, list[Message]]] = {}
        self._heard = time.monotonic()
        self._pinged = False
        self.welcome: Optional[Welcome] = None
        self.ticket: Optional[Ticket] = None
        self.opening: list[str] = []  # the order in which the ticket and the Welcome came
        self.events: deque = deque()
        self.inside: set[str] = set()  # the rooms of which events may come
        self.private: set[str] = set()  # those that were private when they were joined
        self.statements: dict[str, int] = {}  # how many statements their rosters have, by what has come
        self.said_at: dict[tuple[str, int], int] = {}  # and how many they had when a message came as an event
        self.answers_pings = True  # can be changed for tests
        self.keeps_alive = True  # likewise: whether a silent server is asked, and given up
        self.pings = 0
        self.pongs = 0

    # -- what can be looked at

    @property
    def sender(self) -> Direction:
        return self._established.sender

    @property
    def receiver(self) -> Direction:
        return self._established.receiver

    @property
    def stream(self) -> StreamReader:
        return self._stream

    # -- sending

    def send_record(self, kind: int, plaintext: bytes = b"", timeout: float = 20.0) -> None:
        """Send one record."""
        self._check_open()
        self._wire.send(self.sender.seal(kind, plaintext), timeout)

    def send_raw(self, data: bytes, timeout: float = 20.0) -> None:
        """Send bytes as they are: for tests."""
        self._check_open()
        self._wire.send(data, timeout)

    def send_pings(self, count: int, timeout: float = 20.0) -> None:
        """Send many Pings with one write."""
        self._check_open()
        seal = self.sender.seal
        self._wire.send(b"".join(seal(Kind.PING, b"") for _ in range(count)), timeout)

    def new_request(self) -> int:
        """A request id that is not in use: the simplest is to count (MESSAGES)."""
        self._last_request += 1
        return self._last_request

    def expect(self, number: int, type_: int, room: Optional[str] = None) -> int:
        """Note that a request of that type and id, about that room, waits for its answer."""
        self._waiting[number] = (type_, [], room)
        return number

    def queue(self, type_: int, body: dict) -> int:
        """Put a request into the stream, without sending it yet.  Gives its id."""
        number = self.expect(self.new_request(), type_, body.get(0))
        message = encode_message(type_, number, body)
        if self.welcome is not None and len(message) - 3 > longest_request(self.welcome.longest_text):
            raise ValueError("a message over the server's limit")
        self._outgoing += message
        return number

    def flush(self, piece: int = MAX_PLAINTEXT, timeout: float = 20.0) -> int:
        """Send what is queued, in records of at most that many bytes (STREAM OF MESSAGES)."""
        self._check_open()
        data, self._outgoing = bytes(self._outgoing), bytearray()
        pieces = [data[start:start + piece] for start in range(0, len(data), piece)]
        self._wire.send(b"".join(self.sender.seal(Kind.DATA, each) for each in pieces), timeout)
        return len(pieces)

    # -- requests

    def request(self, type_: int, body: dict, timeout: float = 20.0) -> Any:
        """Send a request and wait for its answer.  An Error is given back like any answer."""
        return self.request_with_parts(type_, body, timeout)[0]

    def request_with_parts(self, type_: int, body: dict, timeout: float = 20.0) -> tuple[Any, list[Message]]:
        number = self.queue(type_, body)
        self.flush()
        return self.answer(number, timeout)

    def join(self, view: RoomView, timeout: float = 20.0) -> tuple[Any, list[Message]]:
        """Join a room, in as many steps as it takes, and as slowly as the server asks for (Joining; Errors)."""
        everything: list[Message] = []
        while True:
            answer, parts = self.request_with_parts(RequestType.JOIN, view.join_body(), timeout)
            if isinstance(answer, Error) and answer.code == ErrorCode.RATE_LIMITED and answer.retry_after:
                self.attend(answer.retry_after / 1000)
                continue
            if not isinstance(answer, Joined):
                return answer, everything
            assert self.welcome is not None
            self._checked(lambda: view.joined(parts, answer, self.welcome.incarnation))
            everything += parts
            if answer.caught_up:
                return answer, everything

    def queue_post(
        self, room: str, what: What, id_: bytes, retry: bool = False, after: Optional[bytes] = None,
        urgent: bool = False,
    ) -> int:
        """Queue a Post (Posting)."""
        behind = {} if after is None else {4: after}
        pressing = {5: True} if urgent else {}
        return self.queue(RequestType.POST, {0: room, 1: id_, 2: what.encode(), 3: retry, **behind, **pressing})

    def post(self, room: str, text: str, id_: Optional[bytes] = None, retry: bool = False) -> Any:
        """Post what is said, and wait for the answer (Posting)."""
        number = self.queue_post(room, What(SAID, text), id_ or os.urandom(16), retry)
        self.flush()
        return self.answer(number)[0]

    def history(self, room: str, limit: int, before: Optional[int] = None) -> tuple[Any, list[Message]]:
        """Read back what was said (History)."""
        body = {0: room, 2: limit} if before is None else {0: room, 1: before, 2: limit}
        answer, parts = self.request_with_parts(RequestType.HISTORY, body)

        def check() -> None:
            for index, part in enumerate(parts):
                if part.room != room or part.seq != parts[0].seq + index:
                    raise ProtocolError("a history with a gap")
            if len(parts) > limit or (before is not None and parts and parts[-1].seq >= before):
                raise ProtocolError("a history of other messages than were asked for")

        self._checked(check)
        return answer, parts

    # -- waiting

    def welcomed(self, timeout: float = 20.0) -> Welcome:
        """Wait for the Welcome, and for the ticket with it (Welcome)."""
        self._until(lambda: self.welcome is not None and self.ticket is not None, timeout, "a Welcome")
        assert self.welcome is not None
        return self.welcome

    def answer(self, request: int, timeout: float = 20.0) -> tuple[Any, list[Message]]:
        """Wait for the answer to a request, and give it with the Parts before it."""
        self._until(lambda: request in self._answers, timeout, "an answer")
        return self._answers.pop(request)

    def event(self, match: Callable[[Any], bool], timeout: float = 20.0) -> Any:
        """Wait for an event, and take it out of those that have come."""
        found: list = []

        def look() -> bool:
            while self.events and not found:
                event = self.events.popleft()
                if match(event):
                    found.append(event)
                else:
                    passed.append(event)
            return bool(found)

        passed: list = []
        try:
            self._until(look, timeout, "an event")
        finally:
            self.events.extendleft(reversed(passed))
        return found[0]

    def message(self, view: RoomView, timeout: float = 20.0) -> Message:
        """Wait for the next new message of a joined room."""
        while True:
            event = self.event(lambda each: isinstance(each, Message) and each.room == view.name, timeout)
            assert self.welcome is not None
            incarnation = self.welcome.incarnation
            new: list[bool] = []
            self._checked(lambda: new.append(view.event(event, incarnation)))
            if new[0]:
                return event

    def ping(self, count: int, timeout: float = 20.0) -> None:
        """Wait until so many Pings have come in all."""
        self._until(lambda: self.pings >= count, timeout, "a Ping")

    def pong(self, count: int, timeout: float = 20.0) -> None:
        """Wait until so many Pongs have come in all."""
        self._until(lambda: self.pongs >= count, timeout, "a Pong")

    def attend(self, seconds: float) -> None:
        """Take in what comes for a while."""
        deadline = time.monotonic() + seconds
        try:
            self._until(lambda: time.monotonic() >= deadline, seconds, "anything")
        except TimedOut:
            pass

    def ended(self, timeout: float = 20.0) -> Rsac1Error:
        """Wait for the end of the connection, and give what it ended with."""
        try:
            self._until(lambda: False, timeout, "the end of the connection")
        except Rsac1Error as error:
            if self._ended is None:
                raise
            return error
        raise AssertionError

    def close(self, code: int = CloseCode.BYE, text: str = "") -> None:
        """Leave: send a Close, wait a short while for the server to hang up, and hang up (CLOSING)."""
        if self._ended is None:
            self._send_close(code, text)
            self._end(Left("this client has left"), CLOSE_WAIT_SECONDS)

    def drop(self) -> None:
        """Hang up without a Close: for tests."""
        if self._ended is None:
            self._end(Left("this client has hung up"), 0)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # -- the inside

    def _check_open(self) -> None:
        if self._ended is not None:
            raise self._ended

    def _end(self, error: Rsac1Error, wait: float) -> None:
        self._ended = error
        self._wire.hang_up(wait)

    def _send_close(self, code: int, text: str) -> None:
        try:
            self.send_record(Kind.CLOSE, cbor2.dumps({0: int(code), 1: text}, canonical=True), CLOSE_WAIT_SECONDS)
        except OSError:
            pass

    def _checked(self, check: Callable[[], None]) -> None:
        """Do something that raises ProtocolError if the server broke the protocol, and then end."""
        try:
            check()
        except ProtocolError as error:
            if self._ended is None:
                self._send_close(CloseCode.PROTOCOL_ERROR, str(error))
                self._end(error, CLOSE_WAIT_SECONDS)
            raise

    def _until(self, done: Callable[[], bool], timeout: float, what: str) -> None:
        deadline = time.monotonic() + timeout
        while not done():
            self._check_open()
            if self._checked_frame():
                continue
            now = time.monotonic()
            if now >= deadline:
                raise TimedOut(f"no sign of {what}")
            next_duty = deadline
            if self.keeps_alive:
                self._keep_alive(now)
                next_duty = self._heard + (GIVE_UP_SECONDS if self._pinged else PING_AFTER_SECONDS)
            try:
                self._wire.receive(min(deadline, next_duty) - now)
            except Cut as cut:
                self._end(cut, 0)
                raise

    def _keep_alive(self, now: float) -> None:
        """LIMITS: one Ping after a silence, and the end after a longer one."""
        silence = now - self._heard
        if silence >= GIVE_UP_SECONDS:
            self._send_close(CloseCode.IDLE_TIMEOUT, "nothing heard")
            self._end(Silent("nothing heard from the server"), 0)
            self._check_open()
        if silence >= PING_AFTER_SECONDS and not self._pinged:
            self._pinged = True
            self.send_record(Kind.PING)

    def _checked_frame(self) -> bool:
        """Take in one frame of those that have come: whether there was one."""
        taken = False

        def take() -> None:
            nonlocal taken
            # Until a record of the server opens, it may still refuse (HANDSHAKE).
            allowed = RECORD_KINDS if self._opened else RECORD_KINDS | {Kind.REFUSAL}
            found = self._wire.buffered(allowed)
            if found:
                taken = True
                self._take(*found)

        self._checked(take)
        return taken

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == Kind.REFUSAL:
            refused = _refuse(payload)
            self._end(refused, 0)
            raise refused
        try:
            plaintext = self.receiver.open(kind, payload)
        except InvalidTag as error:
            raise ProtocolError("a record that does not open") from error
        self._opened = True
        self._heard = time.monotonic()
        self._pinged = False
        if kind == Kind.DATA:
            for data in self._stream.feed(plaintext):
                self._message(*decode_message(data))
        elif kind == Kind.PING:
            self.pings += 1
            if self.answers_pings:
                self.send_record(Kind.PONG)
        elif kind == Kind.PONG:
            self.pongs += 1
        else:
            reason = decode_close(plaintext)
            closed = Closed(reason.code, reason.text)
            self._end(closed, 0)
            raise closed

    def _message(self, type_: int, request: int, body: Any) -> None:
        if type_ < 32:
            raise ProtocolError("a request from the server")
        if type_ < 64:
            self._answered(type_, request, body)
        elif body is not None:
            self._happened(body)

    def _answered(self, type_: int, request: int, body: Any) -> None:
        if self.welcome is None:
            raise ProtocolError("an answer before the Welcome")
        if request not in self._waiting:
            raise ProtocolError("an answer to no request")
        asked, parts, room = self._waiting[request]
        if type_ == PART:
            parts.append(body)
            return
        expected = ANSWERED_BY.get(asked)
        if body is not None and expected and not isinstance(body, (expected, Error)):
            raise ProtocolError("an answer to another request")
        del self._waiting[request]
        if isinstance(body, Joined) and body.caught_up:
            self.inside.add(body.info.room)
            if body.info.sealed and direct_users(body.info.room) is None:
                self.private.add(body.info.room)
                self.statements[body.info.room] = body.info.statements
        elif isinstance(body, Done) and asked == RequestType.LEAVE:
            self.inside.discard(room)
        self._answers[request] = (UnknownAnswer(type_) if body is None else body, parts)

    def _happened(self, event: Any) -> None:
        if isinstance(event, TicketEvent):
            self.ticket = Ticket(
                ticket=event.ticket,
                secret=self._established.resumption,
                expires=time.monotonic() + event.lifetime,
                user=self._established.user,
                server=self._established.server,
            )
            self.opening.append("ticket")
        elif isinstance(event, Welcome):
            if self.welcome is not None:
                raise ProtocolError("a second Welcome")
            if event.user != self._established.user:
                raise ProtocolError("a Welcome for another user")
            self.welcome = event
            self.opening.append("welcome")
        else:
            if self.welcome is None:
                raise ProtocolError("an event before the Welcome")
            if isinstance(event, Membership):
                if not event.member:
                    self.inside.discard(event.room)
            elif isinstance(event, Waiting):
                if event.room in self.inside:
                    raise ProtocolError("a Waiting of a room that this session is in")
            elif isinstance(event, KeyChanged):
                own = event.user == self.welcome.user
                direct = not own and direct_room(self.welcome.user, event.user) in self.inside
                if own or not (direct or self.private & self.inside):
                    raise ProtocolError("a KeyChanged of somebody with whom this session is in no sealed room")
            elif event.room not in self.inside:
                raise ProtocolError(f"a {type(event).__name__} of a room that this session is not in")
            if isinstance(event, Message) and event.room in self.private:
                self.said_at[event.room, event.seq] = self.statements[event.room]
            if not isinstance(event, Acted) or (event.act and event.act.body):
                if isinstance(event, Acted) and event.room in self.private:
                    self.statements[event.room] += event.act.kind in ACTS_OF_ROSTERS
                self.events.append(event)
