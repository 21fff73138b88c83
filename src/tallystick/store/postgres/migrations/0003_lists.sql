-- floor: 1
-- Lists, totals and resources, version 1: derived from the log, so everything here may be made
-- again. They are written with the batch whose entries they list.
--
-- Numbers of terms are 64 bits of a hash under the tenant's own random key: nothing readable.

-- How far the lists of a log have come stands beside its head, which a writer holds anyway.
-- An older program lets these columns be, and lists nothing.
ALTER TABLE logs
    ADD COLUMN lists_key   bytea, -- what terms are hashed under; none: nothing was listed yet
    ADD COLUMN lists_rules bytea, -- what the dialects show, by name and version
    ADD COLUMN lists_next  bigint NOT NULL DEFAULT 0, -- every entry below is listed
    ADD COLUMN lists_stale bigint NOT NULL DEFAULT 0, -- entries below were listed under an older key
    ADD COLUMN lists_changes bigint NOT NULL DEFAULT 0; -- how often listed entries changed, or counts

-- A row for each entry.
CREATE TABLE lists (
    tenant    bytea    NOT NULL,
    idx       bigint   NOT NULL,
    ms        bigint   NOT NULL,
    seen      bigint   NOT NULL, -- a bit for each dialect that shows it
    kind      bigint   NOT NULL,
    actor_id  bigint,
    target_id bigint,
    document  boolean  NOT NULL, -- whether it is a document of its target
    terms     bigint[] NOT NULL, -- every other term it has
    PRIMARY KEY (tenant, idx) INCLUDE (seen)
) PARTITION BY RANGE (idx);

CREATE INDEX lists_by_time ON lists (tenant, ms, idx) INCLUDE (seen);
CREATE INDEX lists_by_kind ON lists (tenant, kind, ms, idx) INCLUDE (seen);
-- An actor does much: with the kind in its key, the index alone says what to pass over.
CREATE INDEX lists_by_actor ON lists (tenant, actor_id, ms, idx, kind) INCLUDE (seen)
    WHERE actor_id IS NOT NULL;
CREATE INDEX lists_by_target ON lists (tenant, target_id, ms, idx) INCLUDE (seen)
    WHERE target_id IS NOT NULL;
CREATE INDEX lists_of_documents ON lists (tenant, target_id, idx) WHERE document;

-- Terms of which an entry has several, and by which it is looked up: a row for each.
CREATE TABLE places (
    tenant bytea  NOT NULL,
    term   bigint NOT NULL,
    ms     bigint NOT NULL,
    idx    bigint NOT NULL,
    seen   bigint NOT NULL,
    PRIMARY KEY (tenant, term, ms, idx) INCLUDE (seen)
) PARTITION BY RANGE (idx);

-- Partitioned as the log is.
DO $$
DECLARE
    stretch constant bigint := 4194304;
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['lists', 'places'] LOOP
        EXECUTE format('CREATE TABLE %1$s_0 PARTITION OF %1$s FOR VALUES FROM (0) TO (%2$s)'
            ' PARTITION BY HASH (tenant)', name, stretch);
        FOR n IN 0..7 LOOP
            EXECUTE format('CREATE TABLE %1$s_0_%2$s PARTITION OF %1$s_0'
                ' FOR VALUES WITH (MODULUS 8, REMAINDER %2$s)', name, n);
        END LOOP;
        FOR n IN 1..23 LOOP
            EXECUTE format('CREATE TABLE %1$s_%2$s PARTITION OF %1$s FOR VALUES FROM (%3$s) TO (%4$s)',
                name, n, n * stretch, (n + 1) * stretch);
        END LOOP;
        EXECUTE format('CREATE TABLE %1$s_rest PARTITION OF %1$s FOR VALUES FROM (%2$s) TO (MAXVALUE)',
            name, 24 * stretch);
    END LOOP;
END $$;

-- How many entries of a kind that are seen alike there are: in the whole log, in an hour in which
-- they occurred, in a stretch of indexes.
CREATE TABLE totals (
    tenant bytea  NOT NULL,
    axis   bigint NOT NULL, -- 0 all, 1 hours, 2 stretches
    bucket bigint NOT NULL,
    kind   bigint NOT NULL,
    seen   bigint NOT NULL,
    n      bigint NOT NULL,
    PRIMARY KEY (tenant, axis, bucket, kind, seen)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- How many entries have a term, or name a resource, where many do; the row for entries that nobody
-- sees (seen = 0) is always there and says which terms count.
CREATE TABLE counts (
    tenant  bytea  NOT NULL,
    term    bigint NOT NULL,
    seen    bigint NOT NULL,
    n       bigint NOT NULL,
    members bigint[],
    PRIMARY KEY (tenant, term, seen)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE kinds (
    tenant bytea NOT NULL,
    kind   bytea NOT NULL,
    PRIMARY KEY (tenant, kind)
);

CREATE TABLE resources (
    tenant   bytea  NOT NULL,
    type     bigint NOT NULL, -- the number of the type, so that a key is not longer than a page
    id       bytea  NOT NULL,
    name     bytea,
    document bigint, -- its latest document, if it is an item now
    parents  bytea  NOT NULL, -- JSON: the scopes where it was last a target
    named    bigint, -- the number of the name
    PRIMARY KEY (tenant, type, id)
) WITH (fillfactor = 90);
CREATE INDEX resources_by_name ON resources (tenant, type, named, id) WHERE named IS NOT NULL;
CREATE INDEX resources_that_are_items ON resources (tenant, type, id) WHERE document IS NOT NULL;

CREATE TABLE children (
    tenant bytea  NOT NULL,
    parent bigint NOT NULL,
    type   bigint NOT NULL,
    id     bytea  NOT NULL,
    live   boolean NOT NULL, -- whether it still stands there
    PRIMARY KEY (tenant, parent, type, id)
) WITH (fillfactor = 90);
CREATE INDEX children_that_left ON children (tenant, type, id) WHERE NOT live;

-- Which entries a resource owes its row to, so that an erasure finds it.
CREATE TABLE sources (
    tenant bytea  NOT NULL,
    idx    bigint NOT NULL,
    number bigint NOT NULL, -- of the resource
    type   bytea  NOT NULL,
    id     bytea  NOT NULL,
    PRIMARY KEY (tenant, idx, number)
);
