-- Format 2. Times are milliseconds since 1970, names are without their '#', bodies are the CBOR of the wire.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE room (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- The number of the last message, whether that is still kept or not.
    last INTEGER NOT NULL
) STRICT;

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
