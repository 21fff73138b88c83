-- The log of record and identity, version 1.
-- pos = tenant number * 2^40 + index: one B-tree, clustered by tenant and index.

CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;
INSERT INTO schema_version VALUES (1);

CREATE TABLE logs (
    number      INTEGER PRIMARY KEY,
    tenant      TEXT NOT NULL UNIQUE,
    origin      TEXT NOT NULL,
    key_id      BLOB NOT NULL,
    size        INTEGER NOT NULL,
    frontier    BLOB NOT NULL,
    root        BLOB NOT NULL,
    checkpoint  TEXT NOT NULL,
    recorded_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE log (
    pos      INTEGER PRIMARY KEY,
    entry    BLOB NOT NULL,
    leaf     BLOB NOT NULL,
    actor    BLOB,
    target   BLOB,
    place    BLOB,
    data     BLOB,
    previous BLOB
) STRICT;

-- pos = tenant number * 2^35 + level * 2^32 + number of the tile; complete tiles only.
CREATE TABLE tiles (
    pos    INTEGER PRIMARY KEY,
    root   BLOB NOT NULL,
    hashes BLOB NOT NULL
) STRICT;

CREATE TABLE heads (
    number INTEGER NOT NULL,
    key    BLOB NOT NULL,
    idx    INTEGER NOT NULL,
    live   INTEGER NOT NULL,
    PRIMARY KEY (number, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE claims (
    number INTEGER NOT NULL,
    claim  BLOB NOT NULL,
    digest BLOB NOT NULL,
    idx    INTEGER NOT NULL,
    PRIMARY KEY (number, claim)
) STRICT, WITHOUT ROWID;

CREATE TABLE identity (
    tenant TEXT NOT NULL,
    kind   TEXT NOT NULL,
    id     TEXT NOT NULL,
    doc    BLOB NOT NULL,
    PRIMARY KEY (tenant, kind, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE lookups (
    namespace TEXT NOT NULL,
    text      TEXT NOT NULL,
    tenant    TEXT NOT NULL,
    kind      TEXT NOT NULL,
    id        TEXT NOT NULL,
    PRIMARY KEY (namespace, text)
) STRICT, WITHOUT ROWID;
CREATE INDEX lookups_by_record ON lookups (tenant, kind, id);
