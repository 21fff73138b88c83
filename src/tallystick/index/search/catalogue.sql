-- What the search index calls tenants and paths, and how far it has read each tenant's log.

CREATE TABLE about (
    version INTEGER NOT NULL,
    secret BLOB NOT NULL
);

-- `after` is the cursor as of the first commit of the index behind `base`, `before` as of `base`.
-- No document occurred later than `latest_ms`.
CREATE TABLE tenants (
    tenant TEXT PRIMARY KEY,
    ordinal INTEGER NOT NULL UNIQUE,
    base INTEGER NOT NULL,
    before INTEGER NOT NULL,
    after INTEGER NOT NULL,
    latest_ms INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE paths (
    tenant INTEGER NOT NULL,
    path TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    sketch BLOB NOT NULL,
    PRIMARY KEY (tenant, path)
) WITHOUT ROWID;
