-- What the search index calls tenants and paths, and how far it has read each tenant's log.

CREATE TABLE about (
    version INTEGER NOT NULL,
    id TEXT NOT NULL,         -- of this index; the segments have it in their schema
    secret BLOB NOT NULL,
    commits INTEGER NOT NULL, -- of the segments, as far as they are known to have happened
    stamp INTEGER NOT NULL,   -- of the latest of them, in the library's count
    erased INTEGER NOT NULL   -- whether words of what was erased may be in the files
);

-- The cursor after commit number `base + 1`, and the one before it, which counts until that commit
-- is known to have happened.
-- No document occurred later than `latest_ms`.
CREATE TABLE tenants (
    tenant TEXT PRIMARY KEY,
    ordinal INTEGER NOT NULL UNIQUE,
    base INTEGER NOT NULL,
    before INTEGER NOT NULL,
    before_mark BLOB NOT NULL,
    after INTEGER NOT NULL,
    after_mark BLOB NOT NULL,
    latest_ms INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE paths (
    tenant INTEGER NOT NULL,
    path TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    sketch BLOB NOT NULL,
    PRIMARY KEY (tenant, path)
) WITHOUT ROWID;
