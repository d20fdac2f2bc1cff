"""What is said in sealed rooms of RSAC1 (SEALED ROOMS), written from rsachat-protocol(7) alone.

    own = make_sender_key(room, sender, private_key, members)        for AddSenderKey: own.head and own.parts
    key = open_sender_key(room, epoch, sender, id, head, part, private_key, pinned)
    sealed = seal_message(own, message_id, what)
    number, what = open_message(key, sender, message_id, sealed)

Who is in a private room says a roster (module roster): make_sender_key() is given its membership, and
open_sender_key() its members().

The COSE layers are those of pycose: COSE_Encrypt with recipients of RSAES-OAEP, COSE_Sign1 with PS256 and EdDSA,
COSE_Encrypt0, and COSE_Key.  These parts of them it does not do, or not as the page wants it, and they are done here:

 -  Messages stand without their tags, and pycose decodes only what has one: take_apart() does.  There and in only() it
    is also that what has another encoding, or other headers, than the page's is refused.
 -  pycose drops leading zeros of a nonce that is made with a partial IV: see _Encrypt0.
 -  A content key that does not decrypt is an exception in pycose, told apart from a tag that is wrong: see
    open_sender_key().  There and in _Sign1 the private key is used as it is, as pycose takes long to make it anew.
 -  Fingerprints and their key ids, contexts, padding and the cut into head and parts are rsachat's own.

Nothing here opens a connection or a file.  All that does not open raises DoesNotOpen.
"""

import hashlib
import os
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Collection, Iterable, Iterator, Mapping, Optional

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pycose.algorithms import A256GCM, EdDSA, Ps256, RsaesOaepSha256
from pycose.exceptions import CoseException
from pycose.headers import IV, KID, Algorithm, PartialIV
from pycose.keys import OKPKey, RSAKey, SymmetricKey
from pycose.keys.curves import Ed25519
from pycose.keys.keyparam import KpAlg, KpBaseIV
from pycose.messages import Enc0Message, EncMessage, Sign1Message
from pycose.messages.recipient import KeyWrap

from rsac1 import (
    ANSWER, CODE, DONE, QUESTION, SAID, Body, ProtocolError, What, as_array, as_bytes, as_bytes_of, as_integer, as_name, as_whole,
    decode_public_key, direct_users, encode_public_key, fingerprint, oaep_decrypt_or_random, required,
)

DIRECT, PRIVATE = 0, 1  # the kinds of membership, by those of the rooms
LEAST_PADDED = 128
MEMBERS_AT_ONCE = 16
MESSAGES_PER_KEY = 10000
SECONDS_PER_KEY = 7 * 24 * 3600


class DoesNotOpen(Exception):
    """A sender key or a message that is not what the page says, and why."""


# --- Membership and epoch ---------------------------------------------------------------------------------

@dataclass(frozen=True)
class Membership:
    """Who is in a room: in a direct one names and fingerprints, in a private one a statement's number and hash."""

    kind: int
    entries: tuple[tuple[Any, bytes], ...]

    def encode(self) -> list:
        return [self.kind, [list(entry) for entry in self.entries]]

    @classmethod
    def decode(cls, raw: bytes) -> "Membership":
        items = as_array(lambda item: item)(raw)
        if len(items) != 2:
            raise ProtocolError("something else where a membership should be")
        kind = as_integer(items[0])
        if kind not in (DIRECT, PRIVATE):
            raise ProtocolError("a membership of another kind than a room's")
        entries = as_array(lambda item: as_pair(item, as_name if kind == DIRECT else as_integer, as_bytes_of(32)))
        return cls(kind, entries(items[1]))


def as_pair(raw: bytes, first: Callable[[bytes], Any], second: Callable[[bytes], Any]) -> tuple[Any, Any]:
    """An array of these two."""
    items = as_array(lambda item: item)(raw)
    if len(items) != 2:
        raise ProtocolError("something else where a pair should be")
    return first(items[0]), second(items[1])


def membership_of(members: Mapping[str, rsa.RSAPublicKey]) -> Membership:
    """Who the users of a direct room are, in the order of their names, and which keys they have."""
    return Membership(DIRECT, tuple((name, fingerprint(members[name])) for name in sorted(members)))


def epoch_of(room: str, membership: Membership) -> bytes:
    """The epoch of a room with that membership."""
    return hashlib.sha256(encode([room, membership.encode()])).digest()


def direct_members(room: str, membership: Membership) -> Mapping[str, bytes]:
    """The fingerprints of the keys of the users of a direct room, as its membership says."""
    if membership.kind != DIRECT or tuple(name for name, _ in membership.entries) != direct_users(room):
        raise DoesNotOpen("a membership of another room")
    return dict(membership.entries)


# --- Sender keys ------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Statement(Body):
    """What a sender says of the secret halves of his key."""

    key: bytes = required(0, as_bytes)
    verifying_key: bytes = required(1, as_bytes)
    membership: Membership = required(2, Membership.decode)
    signer: bytes = required(3, as_bytes)


@dataclass
class SenderKey:
    """What opens a sender's messages."""

    room: str
    epoch: bytes
    sender: str
    id: bytes
    membership: Membership
    signer: bytes  # the fingerprint of the sender's RSA key
    key: SymmetricKey = field(repr=False)
    verifying_key: OKPKey = field(repr=False)
    next: int = 0  # the number after the last that was seen, for who has seen all of the sender key's

    def take(self, number: int) -> int:
        """Note the number of a message: how many are missing before it, or less than 0 if it has been before."""
        missing = number - self.next
        self.next = max(self.next, number + 1)
        return missing

    def context(self, number: int, id_: bytes) -> bytes:
        return encode(["rsachat message", self.room, self.epoch, self.sender, self.id, number, id_])


@dataclass
class OwnSenderKey(SenderKey):
    """A sender key with its secret halves, and how it travels."""

    signing_key: Optional[OKPKey] = field(default=None, repr=False)
    head: bytes = field(default=b"", repr=False)
    parts: dict[bytes, bytes] = field(default_factory=dict, repr=False)  # by the recipients' fingerprints
    made: float = field(default_factory=time.monotonic)

    def add_body(self) -> dict:
        """The body of an AddSenderKey for all members, if they are few enough."""
        [body] = self.add_bodies()
        return body

    def add_bodies(self) -> Iterator[dict]:
        """The bodies of the AddSenderKey that it takes for all members (Users' keys and sender keys)."""
        recipients = [{0: recipient, 1: part} for recipient, part in self.parts.items()]
        for start in range(0, len(recipients), MEMBERS_AT_ONCE):
            some = recipients[start:start + MEMBERS_AT_ONCE]
            yield {0: self.room, 1: self.id, 2: self.epoch, 3: self.head, 4: some}

    def serves(self, membership: Membership, members: Mapping[str, rsa.RSAPublicKey]) -> bool:
        """Whether what is said to these members can still be sealed with it (When to make a new sender key)."""
        return (
            self.epoch == epoch_of(self.room, membership)
            and set(self.parts) == {fingerprint(key) for key in members.values()}
            and self.next < MESSAGES_PER_KEY
            and time.monotonic() - self.made < SECONDS_PER_KEY
        )


def make_sender_key(
    room: str,
    sender: str,
    private_key: rsa.RSAPrivateKey,
    members: Mapping[str, rsa.RSAPublicKey],
    membership: Optional[Membership] = None,
) -> OwnSenderKey:
    """A new sender key for these members, of whom the sender is one.

    A private room has the membership that its roster says, and those members to whom it may be sealed by it.
    """
    membership = membership or membership_of(members)
    signer = encode_public_key(private_key.public_key())
    signer_fingerprint = hashlib.sha256(signer).digest()
    if sender not in members or fingerprint(members[sender]) != signer_fingerprint:
        raise ValueError("a sender who is no member with that key")
    epoch = epoch_of(room, membership)
    key = SymmetricKey(os.urandom(32), {KpAlg: A256GCM, KpBaseIV: os.urandom(12)})
    signing_key = Ed25519PrivateKey.generate()
    verifying_key = _okp_key(signing_key.public_key().public_bytes_raw())
    statement = encode({0: key.encode(), 1: verifying_key.encode(), 2: membership.encode(), 3: signer})
    signed = sign_statement(room, epoch, sender, statement, private_key)
    id_ = hashlib.sha256(signed).digest()
    head, parts = encrypt_signed(room, epoch, sender, id_, signed, members.values())
    return OwnSenderKey(
        room, epoch, sender, id_, membership, signer_fingerprint, key, verifying_key,
        signing_key=OKPKey._from_cryptography_key(signing_key, {KpAlg: EdDSA}), head=head, parts=parts,
    )


def sign_statement(room: str, epoch: bytes, sender: str, statement: bytes, private_key: rsa.RSAPrivateKey) -> bytes:
    """The COSE_Sign1 that holds a statement."""
    return sign(_sender_key_context(room, epoch, sender), statement, private_key)


def sign(context: bytes, payload: bytes, private_key: rsa.RSAPrivateKey) -> bytes:
    """A COSE_Sign1 by an RSA key (Sender keys; Rosters)."""
    headers = {Algorithm: Ps256, KID: fingerprint(private_key.public_key())}
    return _Sign1(headers, {}, payload, context, private_key=private_key).encode(tag=False)


class _Sign1(Sign1Message):
    """pycose makes an RSA key anew for each signature, from its numbers, and finds out again whether they are prime."""

    def __init__(self, *arguments: Any, private_key: rsa.RSAPrivateKey):
        super().__init__(*arguments)
        self._private_key = private_key

    def compute_signature(self, *_: Any, **__: Any) -> bytes:
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
        return self._private_key.sign(self._create_sig_structure(), pss, hashes.SHA256())


def signed_payload(signed: bytes) -> bytes:
    """What is in a COSE_Sign1.  Who has signed it, verify() tells."""
    payload = take_apart(signed, 4)[2]
    if not isinstance(payload, bytes):
        raise DoesNotOpen("something signed that has no payload")
    return payload


def verify(signed: bytes, context: bytes, signer: rsa.RSAPublicKey) -> bool:
    """Whether an RSA key has signed a COSE_Sign1.  DoesNotOpen if it says that another one has."""
    protected, unprotected, payload, signature = take_apart(signed, 4)
    only([protected, unprotected, payload, signature],
         [encode({1: Ps256.identifier, 4: fingerprint(signer)}), {}, payload, signature])
    message = Sign1Message.from_cose_obj([protected, unprotected, payload, signature], False)
    message.external_aad = context
    message.key = RSAKey._from_cryptography_key(signer)
    return message.verify_signature()


def encrypt_signed(
    room: str, epoch: bytes, sender: str, id_: bytes, signed: bytes, members: Iterable[rsa.RSAPublicKey]
) -> tuple[bytes, dict[bytes, bytes]]:
    """The head of the COSE_Encrypt that holds a signed statement, and the part of each member by his fingerprint."""
    encrypted = EncMessage(
        {Algorithm: A256GCM},
        {IV: os.urandom(12)},
        signed,
        _sender_key_context(room, epoch, sender, id_),
        recipients=[
            KeyWrap({}, {Algorithm: RsaesOaepSha256, KID: fingerprint(key)}, key=RSAKey._from_cryptography_key(key))
            for key in members
        ],
    ).encode(tag=False)
    recipients = cbor2.loads(encrypted)[3]
    head = encrypted[:-len(encode(recipients))]
    return head, {recipient[1][KID.identifier]: encode(recipient) for recipient in recipients}


def open_sender_key(
    room: str,
    epoch: bytes,
    sender: str,
    id_: bytes,
    head: bytes,
    part: bytes,
    private_key: rsa.RSAPrivateKey,
    pinned: Collection[bytes],
    members: Optional[Callable[[Membership], Mapping[str, bytes]]] = None,
) -> SenderKey:
    """Open a sender key that the server tells for that room, epoch and sender (What a receiver checks).

    `pinned` are the fingerprints of the key that is pinned for the sender, and of those that were before.  `members`
    tells who is in a private room by a membership, with which keys, or raises DoesNotOpen.
    """
    members = members or (lambda membership: direct_members(room, membership))
    own = fingerprint(private_key.public_key())
    try:
        protected, unprotected, ciphertext, recipients = take_apart(head + b"\x81" + part, 4)
        iv, recipient = unprotected.get(IV.identifier), recipients[0]
        expected_recipient = [b"", {1: RsaesOaepSha256.identifier, 4: own}, recipient[2]]
        only([protected, unprotected, ciphertext, recipients],
             [encode({1: A256GCM.identifier}), {5: iv}, ciphertext, [expected_recipient]])
        if len(iv) != 12:
            raise DoesNotOpen("an IV of another length")
        encrypted = EncMessage.from_cose_obj([protected, unprotected, ciphertext, recipients], False)
        encrypted.external_aad = _sender_key_context(room, epoch, sender, id_)
        # As in the handshake: a content key that does not decrypt is one that fails at the tag.  EncMessage.decrypt()
        # would decrypt it itself, so it is decrypted before, and the layer below that method is called.
        content_key = oaep_decrypt_or_random(private_key, b"", encrypted.recipients[0].payload)
        encrypted.key = SymmetricKey(content_key, {KpAlg: A256GCM})
        signed = super(EncMessage, encrypted).decrypt()
        if hashlib.sha256(signed).digest() != id_:
            raise DoesNotOpen("another key than its name says")
        return _open_statement(room, epoch, sender, id_, signed, own, pinned, members)
    except WRONG as error:
        raise DoesNotOpen(f"no sender key: {error!r}") from error


def _open_statement(
    room: str,
    epoch: bytes,
    sender: str,
    id_: bytes,
    signed: bytes,
    own: bytes,
    pinned: Collection[bytes],
    members: Callable[[Membership], Mapping[str, bytes]],
) -> SenderKey:
    statement = Statement.decode(signed_payload(signed))
    signer = decode_public_key(statement.signer)
    by = fingerprint(signer)
    if not verify(signed, _sender_key_context(room, epoch, sender), signer):
        raise DoesNotOpen("a signature that is not the signer's")
    membership = statement.membership
    if epoch_of(room, membership) != epoch:
        raise DoesNotOpen("a membership of another epoch")
    keys = members(membership)
    if keys.get(sender) != by:
        raise DoesNotOpen("a signer who is not the sender")
    if own not in keys.values():
        raise DoesNotOpen("a membership with another key than the own")
    if by not in pinned:
        raise DoesNotOpen("a signer whose key is not the one that is pinned")
    return SenderKey(
        room, epoch, sender, id_, membership, by, _symmetric_key(statement.key), _verifying_key(statement.verifying_key)
    )


def _sender_key_context(room: str, epoch: bytes, sender: str, *id_: bytes) -> bytes:
    return encode(["rsachat sender key", room, epoch, sender, *id_])


def _okp_key(public: bytes) -> OKPKey:
    return OKPKey(Ed25519, public, optional_params={KpAlg: EdDSA})


def _symmetric_key(encoded: bytes) -> SymmetricKey:
    """The COSE_Key of a sender key, in just that form."""
    as_whole(encoded)
    values = cbor2.loads(encoded)
    key = SymmetricKey(values[-1], {KpAlg: A256GCM, KpBaseIV: values[5]})
    if len(key.k) != 32 or len(key.base_iv) != 12 or key.encode() != encoded:
        raise DoesNotOpen("another COSE_Key than a sender key's")
    return key


def _verifying_key(encoded: bytes) -> OKPKey:
    as_whole(encoded)
    key = _okp_key(cbor2.loads(encoded)[-2])
    if len(key.x) != 32 or key.encode() != encoded:
        raise DoesNotOpen("another COSE_Key than one that verifies")
    return key


# --- Messages ---------------------------------------------------------------------------------------------

class _Encrypt0(Enc0Message):
    """pycose makes the nonce from a number, and so drops the zeros before it: one nonce in 256 gets too short."""

    def _get_nonce(self) -> bytes:
        partial = self.get_attr(PartialIV).rjust(12, b"\x00")
        return bytes(one ^ other for one, other in zip(partial, self.key.base_iv))


def padded_length(length: int) -> int:
    """How long something becomes that has this length with the byte 80: Padmé, and 128 at least."""
    length = max(length, LEAST_PADDED)
    exponent = length.bit_length() - 1
    step = 1 << (exponent - exponent.bit_length())
    return -(-length // step) * step


def pad(body: bytes) -> bytes:
    return (body + b"\x80").ljust(padded_length(len(body) + 1), b"\x00")


def unpad(padded: bytes) -> bytes:
    body = padded.rstrip(b"\x00")
    if body[-1:] != b"\x80" or pad(body[:-1]) != padded:
        raise DoesNotOpen("padding that is not right")
    return body[:-1]


def seal_message(key: OwnSenderKey, id_: bytes, what: What) -> bytes:
    """Seal what is said under the next number of the own sender key.  A message is never sealed twice."""
    if key.next >= MESSAGES_PER_KEY:
        raise ValueError("a sender key that has sealed enough")
    number, key.next = key.next, key.next + 1
    return seal_bytes(key, id_, number, pad(encode(what.encode())))


def seal_bytes(key: OwnSenderKey, id_: bytes, number: int, padded: bytes) -> bytes:
    """Seal anything, under any number: for tests."""
    context = key.context(number, id_)
    signed = Sign1Message({Algorithm: EdDSA}, {}, padded, context, key.signing_key).encode(tag=False)
    partial_iv = number.to_bytes(8, "big")
    return _Encrypt0({Algorithm: A256GCM}, {PartialIV: partial_iv}, signed, context, key.key).encode(tag=False)


def open_message(key: SenderKey, sender: str, id_: bytes, sealed: bytes) -> tuple[int, What]:
    """The number and the content of a message that is said to be of that sender (What a receiver checks).

    Whether the number is the next one, SenderKey.take() tells.
    """
    if sender != key.sender:
        raise DoesNotOpen("a message under somebody else's sender key")
    try:
        protected, unprotected, ciphertext = take_apart(sealed, 3)
        partial_iv = unprotected.get(PartialIV.identifier)
        only([protected, unprotected, ciphertext], [encode({1: A256GCM.identifier}), {6: partial_iv}, ciphertext])
        if len(partial_iv) != 8:
            raise DoesNotOpen("a number of another length")
        number = int.from_bytes(partial_iv, "big")
        encrypted = _Encrypt0.from_cose_obj([protected, unprotected, ciphertext], False)
        encrypted.external_aad = key.context(number, id_)
        encrypted.key = key.key
        protected, unprotected, payload, signature = take_apart(encrypted.decrypt(), 4)
        only([protected, unprotected, payload, signature],
             [encode({1: EdDSA.identifier}), {}, payload, signature])
        signed = Sign1Message.from_cose_obj([protected, unprotected, payload, signature], False)
        signed.external_aad = key.context(number, id_)
        signed.key = key.verifying_key
        if not signed.verify_signature():
            raise DoesNotOpen("a signature that is not the sender key's")
        what = What.decode(unpad(payload))
    except WRONG as error:
        raise DoesNotOpen(f"no message: {error!r}") from error
    if what.kind not in (SAID, DONE, CODE, QUESTION, ANSWER):
        raise DoesNotOpen("something sealed of another kind")
    return number, what


# --- CBOR and COSE ----------------------------------------------------------------------------------------

# What pycose, cbor2 and the cryptography package raise on bytes that are something else.
WRONG = (
    CoseException, InvalidTag, ProtocolError, cbor2.CBORError, AttributeError, IndexError, KeyError, TypeError,
    ValueError,
)


def encode(value: Any) -> bytes:
    return cbor2.dumps(value, canonical=True)


def take_apart(data: bytes, count: int) -> list:
    """The items of an array, in deterministic encoding, and nothing behind it."""
    as_whole(data)
    items = cbor2.loads(data)
    if not isinstance(items, list) or len(items) != count:
        raise DoesNotOpen("another structure")
    return items


def only(found: list, expected: list) -> None:
    """Whether there are just these headers."""
    if encode(found) != encode(expected):
        raise DoesNotOpen("other headers than there may be")
