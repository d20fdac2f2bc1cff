-- Format 4. Times are milliseconds since 1970, names are without their '#', bodies are the CBOR of the wire.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE room (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- The number of the last message, whether that is still kept or not.
    last INTEGER NOT NULL,
    topic TEXT NOT NULL DEFAULT '',
    owner TEXT
) STRICT;

CREATE TABLE member (
    room INTEGER NOT NULL REFERENCES room (id),
    user TEXT NOT NULL,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;

-- What users may not do.
CREATE TABLE sanction (
    -- 0: the server.
    room  INTEGER NOT NULL,
    user  TEXT NOT NULL,
    -- 0: come in; 1: speak.
    kind  INTEGER NOT NULL,
    -- Nothing: until it is lifted.
    until INTEGER,
    PRIMARY KEY (room, user, kind)
) STRICT, WITHOUT ROWID;

-- What users say of themselves: the CBOR of the wire.
CREATE TABLE status (
    user   TEXT PRIMARY KEY,
    status BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- How far the messages of a direct room have come with its users.
CREATE TABLE progress (
    room      INTEGER NOT NULL REFERENCES room (id),
    user      TEXT NOT NULL,
    delivered INTEGER NOT NULL,
    read      INTEGER NOT NULL,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;

-- What opens sealed messages, itself sealed to the members. Kept as long as messages are that it opens.
CREATE TABLE sender_key (
    room   INTEGER NOT NULL REFERENCES room (id),
    id     BLOB NOT NULL,
    epoch  BLOB NOT NULL,
    sender TEXT NOT NULL,
    head   BLOB NOT NULL,
    time   INTEGER NOT NULL,
    -- The number of the last message that it opens; 0 for none yet.
    used   INTEGER NOT NULL,
    PRIMARY KEY (room, id)
) STRICT, WITHOUT ROWID;

-- What each member needs besides, by the fingerprint of his key.
CREATE TABLE sender_key_part (
    room   INTEGER NOT NULL,
    id     BLOB NOT NULL,
    member BLOB NOT NULL,
    part   BLOB NOT NULL,
    PRIMARY KEY (room, id, member),
    FOREIGN KEY (room, id) REFERENCES sender_key (room, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Who is in private rooms, as their owners have signed it, one statement after the other.
CREATE TABLE roster (
    room      INTEGER NOT NULL REFERENCES room (id),
    number    INTEGER NOT NULL,
    statement BLOB NOT NULL,
    PRIMARY KEY (room, number)
) STRICT, WITHOUT ROWID;

-- In the order of rooms and, in each, of numbers.
CREATE TABLE message (
    -- room << 40 | number
    place  INTEGER PRIMARY KEY,
    time   INTEGER NOT NULL,
    sender TEXT NOT NULL,
    id     BLOB NOT NULL,
    body   BLOB NOT NULL
) STRICT;

-- The first number that each start of the server gave in a room. Outlives the messages.
CREATE TABLE start (
    room        INTEGER NOT NULL REFERENCES room (id),
    incarnation INTEGER NOT NULL,
    first       INTEGER NOT NULL,
    PRIMARY KEY (room, incarnation)
) STRICT, WITHOUT ROWID;

-- What was posted in the last days, in the order of posting, so that a retry is recognised. Outlives the messages.
CREATE TABLE posted (
    place  INTEGER PRIMARY KEY,
    sender TEXT NOT NULL,
    id     BLOB NOT NULL,
    seq    INTEGER NOT NULL,
    time   INTEGER NOT NULL,
    UNIQUE (id, sender)
) STRICT;
