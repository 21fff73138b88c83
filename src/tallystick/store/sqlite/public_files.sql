-- Public files of the tenants, version 1. A chunk that was never written is not there: it is zero.

CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;
INSERT INTO schema_version VALUES (1);

CREATE TABLE publications (
    number INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL UNIQUE,
    leaves INTEGER NOT NULL,
    sealed INTEGER NOT NULL,
    tail   BLOB NOT NULL
) STRICT;

CREATE TABLE files (
    number INTEGER NOT NULL,
    file   INTEGER NOT NULL,
    size   INTEGER NOT NULL,
    PRIMARY KEY (number, file)
) STRICT, WITHOUT ROWID;

CREATE TABLE chunks (
    number INTEGER NOT NULL,
    file   INTEGER NOT NULL,
    chunk  INTEGER NOT NULL,
    data   BLOB NOT NULL,
    PRIMARY KEY (number, file, chunk)
) STRICT;

CREATE TABLE seals (
    number INTEGER NOT NULL,
    file   INTEGER NOT NULL,
    leaves INTEGER NOT NULL,
    data   BLOB NOT NULL,
    PRIMARY KEY (number, file)
) STRICT;
