-- Format 3. Times are milliseconds since 1970, names are without their '#', bodies are the CBOR of the wire.
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
