-- Format 1. Times are milliseconds since 1970, names are without their '#', bodies are the CBOR of the wire.
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

CREATE TABLE message (
    room   INTEGER NOT NULL REFERENCES room (id),
    seq    INTEGER NOT NULL,
    time   INTEGER NOT NULL,
    sender TEXT NOT NULL,
    id     BLOB NOT NULL,
    body   BLOB NOT NULL,
    UNIQUE (room, seq)
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
    UNIQUE (sender, id)
) STRICT;

-- What two starts left, and a retry may still ask for.
INSERT INTO meta VALUES ('incarnation', 7);
INSERT INTO room VALUES (1, 'common', 5), (2, 'other', 1);
INSERT INTO start VALUES (1, 6, 1), (1, 7, 4), (2, 7, 1);
INSERT INTO message VALUES
    (1, 4, 86400000000, 'alice', x'00000000000000000000000000000004', x'04'),
    (2, 1, 86400000000, 'alice', x'00000000000000000000000000000009', x'09'),
    (1, 5, 86400000000, 'alice', x'00000000000000000000000000000005', x'05');
INSERT INTO posted VALUES
    (1, 'alice', x'00000000000000000000000000000003', 3, 86400000000),
    (2, 'alice', x'00000000000000000000000000000004', 4, 86400000000);
PRAGMA application_id = 0x52534143;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
