-- floor: 1
-- The log of record and identity, version 1.
--
-- The tenant is the first column of every key, so that the tables can be sharded by it. Names are
-- bytea: NUL is legal in JSON and not in text, and bytes compare the same under every collation.
-- There are no foreign keys and no sequences: both would make tenants wait for each other.

CREATE TABLE logs (
    tenant      bytea  NOT NULL,
    origin      bytea  NOT NULL,
    key_id      bytea  NOT NULL,
    size        bigint NOT NULL,
    frontier    bytea  NOT NULL,
    root        bytea  NOT NULL,
    checkpoint  bytea  NOT NULL,
    recorded_ms bigint NOT NULL,
    PRIMARY KEY (tenant)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Partitioned by index: whatever the size of a log, what is being written to, and what one
-- vacuum looks at, is a stretch of 2^22 entries. The first stretch, which every tenant has, is
-- partitioned again, by tenant. The last one is open-ended.
CREATE TABLE log (
    tenant   bytea  NOT NULL,
    idx      bigint NOT NULL,
    entry    bytea  NOT NULL,
    leaf     bytea  NOT NULL,
    actor    bytea,
    target   bytea,
    place    bytea,
    data     bytea,
    previous bytea,
    PRIMARY KEY (tenant, idx)
) PARTITION BY RANGE (idx);

CREATE TABLE log_0 PARTITION OF log FOR VALUES FROM (0) TO (4194304) PARTITION BY HASH (tenant);

DO $$
DECLARE
    stretch constant bigint := 4194304;
BEGIN
    FOR n IN 0..7 LOOP
        EXECUTE format(
            'CREATE TABLE log_0_%s PARTITION OF log_0 FOR VALUES WITH (MODULUS 8, REMAINDER %s)',
            n, n);
    END LOOP;
    FOR n IN 1..23 LOOP
        EXECUTE format('CREATE TABLE log_%s PARTITION OF log FOR VALUES FROM (%s) TO (%s)',
            n, n * stretch, (n + 1) * stretch);
    END LOOP;
    EXECUTE format('CREATE TABLE log_rest PARTITION OF log FOR VALUES FROM (%s) TO (MAXVALUE)',
        24 * stretch);
END $$;

CREATE TABLE tiles (
    tenant bytea  NOT NULL,
    level  bigint NOT NULL,
    number bigint NOT NULL,
    root   bytea  NOT NULL,
    hashes bytea  NOT NULL,
    PRIMARY KEY (tenant, level, number)
);
-- Hashes are random bytes.
ALTER TABLE tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE heads (
    tenant bytea   NOT NULL,
    key    bytea   NOT NULL,
    idx    bigint  NOT NULL,
    live   boolean NOT NULL,
    PRIMARY KEY (tenant, key)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE claims (
    tenant bytea  NOT NULL,
    claim  bytea  NOT NULL,
    digest bytea  NOT NULL,
    idx    bigint NOT NULL,
    PRIMARY KEY (tenant, claim)
);

CREATE TABLE identity (
    tenant bytea NOT NULL,
    kind   bytea NOT NULL,
    id     bytea NOT NULL,
    doc    bytea NOT NULL,
    PRIMARY KEY (tenant, kind, id)
);

-- Lookups are unique in the whole store, so they all belong to one tenant of their own, the
-- empty one; `owner` is the tenant of the record.
CREATE TABLE lookups (
    tenant    bytea NOT NULL,
    namespace bytea NOT NULL,
    text      bytea NOT NULL,
    owner     bytea NOT NULL,
    kind      bytea NOT NULL,
    id        bytea NOT NULL,
    PRIMARY KEY (tenant, namespace, text)
);
CREATE INDEX lookups_by_record ON lookups (tenant, owner, kind, id);

-- Tables with erased rows: the transaction that erased, and whether a vacuum came after it.
CREATE TABLE erased (
    tenant   bytea   NOT NULL,
    relation bytea   NOT NULL,
    xid      xid8    NOT NULL,
    vacuumed boolean NOT NULL,
    PRIMARY KEY (tenant, relation)
);
