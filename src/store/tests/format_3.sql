-- A database of format 3: a room with five messages, of which the last two are kept, by two starts of a server.
PRAGMA application_id = 0x52534143;
PRAGMA user_version = 3;
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE room (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    last INTEGER NOT NULL,
    topic TEXT NOT NULL DEFAULT '',
    owner TEXT
) STRICT;
CREATE TABLE member (
    room INTEGER NOT NULL REFERENCES room (id),
    user TEXT NOT NULL,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;
CREATE TABLE sanction (
    room  INTEGER NOT NULL,
    user  TEXT NOT NULL,
    kind  INTEGER NOT NULL,
    until INTEGER,
    PRIMARY KEY (room, user, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE status (
    user   TEXT PRIMARY KEY,
    status BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE message (
    place  INTEGER PRIMARY KEY,
    time   INTEGER NOT NULL,
    sender TEXT NOT NULL,
    id     BLOB NOT NULL,
    body   BLOB NOT NULL
) STRICT;
CREATE TABLE start (
    room        INTEGER NOT NULL REFERENCES room (id),
    incarnation INTEGER NOT NULL,
    first       INTEGER NOT NULL,
    PRIMARY KEY (room, incarnation)
) STRICT, WITHOUT ROWID;
CREATE TABLE posted (
    place  INTEGER PRIMARY KEY,
    sender TEXT NOT NULL,
    id     BLOB NOT NULL,
    seq    INTEGER NOT NULL,
    time   INTEGER NOT NULL,
    UNIQUE (id, sender)
) STRICT;
INSERT INTO meta VALUES ('incarnation', 7);
INSERT INTO room VALUES (1, 'common', 5, 'work', 'alice'), (2, 'dev', 0, '', 'bob');
INSERT INTO member VALUES (2, 'bob');
INSERT INTO sanction VALUES (2, 'carol', 0, NULL);
INSERT INTO status VALUES ('bob', x'a1');
INSERT INTO start VALUES (1, 6, 1), (1, 7, 4);
INSERT INTO message VALUES
    (1 << 40 | 4, 86400000000, 'alice', x'00000000000000000000000000000004', x'04'),
    (1 << 40 | 5, 86400000000, 'alice', x'00000000000000000000000000000005', x'05');
INSERT INTO posted VALUES
    (1, 'alice', x'00000000000000000000000000000004', 4, 86400000000),
    (2, 'alice', x'00000000000000000000000000000005', 5, 86400000000);
