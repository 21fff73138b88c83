-- States of streams, version 1: positions in the log, and nothing of what stands there.

CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;
INSERT INTO schema_version VALUES (1);

CREATE TABLE states (
    tenant TEXT NOT NULL,
    stream TEXT NOT NULL,
    doc    BLOB NOT NULL,
    PRIMARY KEY (tenant, stream)
) STRICT, WITHOUT ROWID;

CREATE TABLE letters (
    tenant     TEXT NOT NULL,
    stream     TEXT NOT NULL,
    start      INTEGER NOT NULL,
    start_part INTEGER NOT NULL,
    stop       INTEGER NOT NULL,
    stop_part  INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    due_ms     INTEGER,
    problem    TEXT NOT NULL,
    PRIMARY KEY (tenant, stream, stop, stop_part)
) STRICT, WITHOUT ROWID;

CREATE INDEX letters_due ON letters (tenant, stream, due_ms);

CREATE TABLE deliveries (
    number INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    stream TEXT NOT NULL,
    doc    BLOB NOT NULL
) STRICT;

CREATE INDEX deliveries_of ON deliveries (tenant, stream, number);
