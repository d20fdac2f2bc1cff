"""The rosters of private rooms of RSAC1 (SEALED ROOMS, Rosters), written from rsachat-protocol(7) alone.

    roster = Roster(room, kept)                             kept: what was noted of it before, if anything
    roster.take(statement)                                  for each statement of each RosterPage, in their order
    roster.check(length)                                    once all there is has come, by the server's count
    entry = roster.sign(Change(IN, "bob", mark), key)       for Create, Invite, Kick and HandOver
    roster.take(entry.statement)                            when that is answered
    recipients(roster.now, members, keys, pinned, trusted)  to whom what is said now is sealed
    roster.members                                          for sealed.open_sender_key()

Nothing here opens a connection or a file.  What a client has to keep for longer than it runs is roster.kept.
"""

import enum
import hashlib
from dataclasses import dataclass
from typing import Collection, Mapping, Optional

from cryptography.hazmat.primitives.asymmetric import rsa

from rsac1 import (
    Body, as_array, as_bytes, as_bytes_of, as_integer, as_name, decode_public_key, encode_public_key, fingerprint,
    optional, required,
)
from sealed import PRIVATE, WRONG, DoesNotOpen, Membership, as_pair, encode, sign, signed_payload, verify

MADE, IN, OUT, OWNER = range(4)  # the kinds of changes
LONGEST_STATEMENT = 4096
MOST_STATEMENTS = 4096
MOST_MEMBERS = 256


class Why(enum.Enum):
    """Why a statement does not follow from those before it."""

    NO_STATEMENT = "it is no statement of a roster"
    OUT_OF_PLACE = "it does not follow the statement before it"
    IMPOSSIBLE = "it says what can't be"
    NOT_THE_OWNER = "it was not signed by the room's owner"
    FORGED = "it was not signed by who is said to have signed it"
    TOO_MUCH = "it is more than a client takes"


class DoesNotFollow(Exception):
    """A statement that breaks the rules."""

    def __init__(self, why: Why, more: object = ""):
        super().__init__(f"{why.value}: {more!r}" if more else why.value)
        self.why = why


class RosterRefused(Exception):
    """A roster that is not all there is, or another one than before."""


class NotTrusted(Exception):
    """A member is in a roster with another key than the pinned: nothing is said before that is trusted (Rosters)."""


class UnknownStatement(DoesNotOpen):
    """A membership of which the roster has no statement: it is asked for once more (What a receiver checks)."""


@dataclass(frozen=True)
class Change:
    """What a statement says of somebody: the fingerprint of his key, where he gets one."""

    kind: int
    user: str
    key: Optional[bytes] = None

    def encode(self) -> list:
        return [self.kind, [[self.user, self.key] if self.kind in (MADE, IN) else self.user]]

    @classmethod
    def decode(cls, raw: bytes) -> "Change":
        kind, about = as_pair(raw, as_integer, as_array(lambda item: item))
        if kind > OWNER or len(about) != 1:
            raise ValueError("a change of another kind")
        if kind in (MADE, IN):
            return cls(kind, *as_pair(about[0], as_name, as_bytes_of(32)))
        return cls(kind, as_name(about[0]))


@dataclass(frozen=True)
class RosterStatement(Body):
    """One step of a roster."""

    number: int = required(0, as_integer)
    previous: Optional[bytes] = optional(1, as_bytes)
    change: Change = required(2, Change.decode)
    signer: bytes = required(3, as_bytes)


@dataclass(frozen=True)
class Kept:
    """The last statement that a client has seen: all of a roster that it keeps for longer than it runs."""

    number: int
    hash: bytes


@dataclass(frozen=True)
class State:
    """Who owns a room after a statement, and who is in it, with the fingerprints of their keys."""

    kept: Kept
    owner: str
    keys: Mapping[str, bytes]
    change: Change

    @property
    def membership(self) -> Membership:
        """What sender keys of this time name (Membership and epoch)."""
        return Membership(PRIVATE, ((self.kept.number, self.kept.hash),))


@dataclass(frozen=True)
class Entry:
    """A statement with its number, as Create, Invite, Kick and HandOver have it (MESSAGES, Types of fields)."""

    number: int
    statement: bytes

    def encode(self) -> dict:
        return {0: self.number, 1: self.statement}


def make_statement(number: int, previous: Optional[bytes], change: Change, signer: rsa.RSAPublicKey) -> bytes:
    """What is signed: of any content, for tests."""
    before = {} if previous is None else {1: previous}
    return encode({0: number, **before, 2: change.encode(), 3: encode_public_key(signer)})


def context(room: str, number: int) -> bytes:
    return encode(["rsachat roster", room, number])


def follow(room: str, before: Optional[State], signed: bytes) -> State:
    """What holds after a statement, if it follows from what held before it."""
    if len(signed) > LONGEST_STATEMENT or (before and before.kept.number >= MOST_STATEMENTS):
        raise DoesNotFollow(Why.TOO_MUCH)
    try:
        statement = RosterStatement.decode(signed_payload(signed))
        signer = decode_public_key(statement.signer)
        genuine = verify(signed, context(room, statement.number), signer)
    except (DoesNotOpen, *WRONG) as error:
        raise DoesNotFollow(Why.NO_STATEMENT, error) from error
    number, previous = (before.kept.number, before.kept.hash) if before else (0, None)
    if (statement.number, statement.previous) != (number + 1, previous):
        raise DoesNotFollow(Why.OUT_OF_PLACE)
    change = statement.change
    owner, keys = (before.owner, dict(before.keys)) if before else (change.user, {})
    possible = {
        MADE: before is None,
        IN: before is not None,
        OUT: change.user in keys and change.user != owner,
        OWNER: change.user in keys and change.user != owner,
    }
    if not possible[change.kind]:
        raise DoesNotFollow(Why.IMPOSSIBLE, change)
    # Who makes the room signs with the key that he says; all others with that which was said of the owner before.
    if fingerprint(signer) != (keys[owner] if before else change.key):
        raise DoesNotFollow(Why.NOT_THE_OWNER)
    if not genuine:
        raise DoesNotFollow(Why.FORGED)
    if change.kind == OUT:
        del keys[change.user]
    elif change.kind == OWNER:
        owner = change.user
    else:
        keys[change.user] = change.key
    if len(keys) > MOST_MEMBERS:
        raise DoesNotFollow(Why.TOO_MUCH)
    return State(Kept(number + 1, hashlib.sha256(signed).digest()), owner, keys, change)


class Roster:
    """A roster as a client follows it."""

    def __init__(self, room: str, kept: Optional[Kept] = None):
        self.room = room
        self.states: list[State] = []
        self._kept = kept
        self._broken: Optional[DoesNotFollow] = None  # there is nothing after a statement that breaks the rules

    @property
    def now(self) -> State:
        """What holds after the last statement there is."""
        if not self.states:
            raise RosterRefused("there is no statement")
        return self.states[-1]

    @property
    def kept(self) -> Optional[Kept]:
        """What to keep for longer than the client runs: the last statement, of a roster that is the one of before."""
        return self.states[-1].kept if self.states and self._goes_on() else self._kept

    def take(self, signed: bytes) -> State:
        """Follow one more statement.  DoesNotFollow if it breaks the rules: then there is none after it, either."""
        if self._broken:
            raise self._broken
        try:
            self.states.append(follow(self.room, self.states[-1] if self.states else None, signed))
        except DoesNotFollow as broken:
            self._broken = broken
            raise
        return self.states[-1]

    def check(self, length: int) -> None:
        """Whether it is all there is, by the server's count, and the one that it was before."""
        if self._broken:
            raise self._broken
        if not self.states or len(self.states) != length:
            raise RosterRefused(f"{length} statements, where there are {len(self.states)}")
        if not self._goes_on():
            raise RosterRefused(f"statement {self._kept} is not the one that was seen")

    def _goes_on(self) -> bool:
        """Whether it has the statement that was seen before."""
        kept = self._kept
        return kept is None or (len(self.states) >= kept.number and self.states[kept.number - 1].kept == kept)

    def sign(self, change: Change, private_key: rsa.RSAPrivateKey) -> Entry:
        """The next statement, for the server.  It is no part of the roster before that has answered."""
        last = self.states[-1].kept if self.states else Kept(0, b"")
        number = last.number + 1
        statement = make_statement(number, last.hash or None, change, private_key.public_key())
        return Entry(number, sign(context(self.room, number), statement, private_key))

    def members(self, membership: Membership) -> Mapping[str, bytes]:
        """Who was in the room by a membership, with which keys (What a receiver checks)."""
        if membership.kind != PRIVATE or len(membership.entries) != 1:
            raise DoesNotOpen("a membership of another room")
        [(number, hash_)] = membership.entries
        if not 1 <= number <= len(self.states) or self.states[number - 1].kept.hash != hash_:
            raise UnknownStatement("a statement that the roster has not")
        return self.states[number - 1].keys


def recipients(
    state: State,
    members: Collection[str],
    registered: Mapping[str, rsa.RSAPublicKey],
    pinned: Mapping[str, bytes],
    trusted: Mapping[str, Collection[bytes]],
) -> dict[str, rsa.RSAPublicKey]:
    """To whom what is said is sealed (Rosters): with those keys, of the members that the server tells.

    trusted are the pinned keys and those that were, before the user trusted a new one.  NotTrusted if the owner has
    let in a member with a key that is not among them: then nothing is said at all.
    """
    for user, key in state.keys.items():
        if user in members and user in pinned and key != pinned[user] and key not in trusted.get(user, ()):
            raise NotTrusted(f"{user} is in the roster with a key that was never trusted")
    return {
        user: registered[user]
        for user, key in state.keys.items()
        if user in members and user in registered and key == fingerprint(registered[user]) == pinned.get(user, key)
    }
