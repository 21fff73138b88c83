-- Lists, totals and resources, version 2. Derived from the log: may be thrown away at any time.
-- pos = number of the block * 2^16 + row number.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tenants (
    number INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL UNIQUE,
    next   INTEGER NOT NULL, -- every entry below is in the lists
    mark   BLOB NOT NULL,    -- of the cursor there
    shape  INTEGER NOT NULL  -- grows when blocks or what is gone of them change
) STRICT;

CREATE TABLE blocks (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    sealed INTEGER NOT NULL, -- 0: its rows stand in arrivals; 1: in the file named after its id
    rows   INTEGER NOT NULL,
    gone   INTEGER NOT NULL,
    erased INTEGER NOT NULL, -- rows that are gone because their content was destroyed
    bytes  INTEGER NOT NULL,
    digest BLOB NOT NULL     -- of the file
) STRICT;
CREATE INDEX blocks_by_tenant ON blocks (tenant);

CREATE TABLE arrivals (
    pos   INTEGER PRIMARY KEY,
    idx   INTEGER NOT NULL,
    ms    INTEGER NOT NULL,
    terms BLOB NOT NULL
) STRICT;

CREATE TABLE gone (
    pos INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE kinds (
    tenant INTEGER NOT NULL,
    kind   TEXT NOT NULL,
    PRIMARY KEY (tenant, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE resources (
    tenant    INTEGER NOT NULL,
    type      TEXT NOT NULL,
    id        TEXT NOT NULL,
    name      TEXT,
    document  INTEGER, -- its latest document, if it is an item now
    parents   TEXT,    -- JSON: scopes where it was last a target
    PRIMARY KEY (tenant, type, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX resources_by_name ON resources (tenant, type, name, id) WHERE name IS NOT NULL;
CREATE INDEX resources_live ON resources (tenant, type, id) WHERE document IS NOT NULL;

CREATE TABLE children (
    tenant      INTEGER NOT NULL,
    parent_type TEXT NOT NULL,
    parent_id   TEXT NOT NULL,
    type        TEXT NOT NULL,
    id          TEXT NOT NULL,
    PRIMARY KEY (tenant, parent_type, parent_id, type, id)
) STRICT, WITHOUT ROWID;

-- Which entries a resource owes its row to, so that an erasure finds it.
CREATE TABLE sources (
    tenant INTEGER NOT NULL,
    idx    INTEGER NOT NULL,
    type   TEXT NOT NULL,
    id     TEXT NOT NULL,
    PRIMARY KEY (tenant, idx, type, id)
) STRICT, WITHOUT ROWID;
