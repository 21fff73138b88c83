-- floor: 1
-- Partitions on one level, version 1: what an engine that shards by tenant can distribute.
--
-- Everything that grows with the log is partitioned: by stretches of 2^22 positions where the
-- position is in the key, else by a hash of the key. A program makes further stretches ahead of the
-- longest log; older ones go by the names of whole tables, and work beside this.

-- What holds a position in its key. Tables with nothing in them are made again on one level; where
-- there are entries, the first stretch stays cut up by tenant, and only the open end goes.
DO $$
DECLARE
    stretch constant bigint := 4194304;
    name text;
    part record;
    filled boolean;
    has_rest boolean;
BEGIN
    FOREACH name IN ARRAY ARRAY['log', 'lists', 'places'] LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', name) INTO filled;
        IF filled THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM %I)', name || '_rest') INTO has_rest;
            IF NOT has_rest THEN
                EXECUTE format('DROP TABLE %I', name || '_rest');
            END IF;
        ELSE
            FOR part IN SELECT inhrelid::regclass AS child FROM pg_inherits
                WHERE inhparent = name::regclass LOOP
                EXECUTE format('DROP TABLE %s', part.child);
            END LOOP;
            FOR n IN 0..1 LOOP
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s)',
                    name || '_' || n, name, n * stretch, (n + 1) * stretch);
            END LOOP;
        END IF;
    END LOOP;
END $$;

-- Where there is a position already, the table as it is becomes the first stretches.
ALTER TABLE sources RENAME TO sources_0;
ALTER INDEX sources_pkey RENAME TO sources_0_pkey;
CREATE TABLE sources (
    tenant bytea  NOT NULL,
    idx    bigint NOT NULL,
    number bigint NOT NULL,
    type   bytea  NOT NULL,
    id     bytea  NOT NULL,
    PRIMARY KEY (tenant, idx, number)
) PARTITION BY RANGE (idx);
DO $$
DECLARE
    stretch constant bigint := 4194304;
    stop bigint;
BEGIN
    SELECT coalesce(max(idx) / stretch, 0) + 1 INTO stop FROM sources_0;
    EXECUTE format('ALTER TABLE sources ATTACH PARTITION sources_0 FOR VALUES FROM (0) TO (%s)',
        stop * stretch);
    EXECUTE format('CREATE TABLE %I PARTITION OF sources FOR VALUES FROM (%s) TO (%s)',
        'sources_' || stop, stop * stretch, (stop + 1) * stretch);
END $$;

-- What is found by a key: one partition of all there is, where there is something, else eight.
ALTER TABLE claims RENAME TO claims_0;
ALTER INDEX claims_pkey RENAME TO claims_0_pkey;
CREATE TABLE claims (
    tenant bytea  NOT NULL,
    claim  bytea  NOT NULL,
    digest bytea  NOT NULL,
    idx    bigint NOT NULL,
    PRIMARY KEY (tenant, claim)
) PARTITION BY HASH (claim);

ALTER TABLE heads RENAME TO heads_0;
ALTER INDEX heads_pkey RENAME TO heads_0_pkey;
CREATE TABLE heads (
    tenant bytea   NOT NULL,
    key    bytea   NOT NULL,
    idx    bigint  NOT NULL,
    live   boolean NOT NULL,
    PRIMARY KEY (tenant, key)
) PARTITION BY HASH (key);

ALTER TABLE resources RENAME TO resources_0;
ALTER INDEX resources_pkey RENAME TO resources_0_pkey;
ALTER INDEX resources_by_name RENAME TO resources_0_by_name;
ALTER INDEX resources_that_are_items RENAME TO resources_0_that_are_items;
CREATE TABLE resources (
    tenant   bytea  NOT NULL,
    type     bigint NOT NULL,
    id       bytea  NOT NULL,
    name     bytea,
    document bigint,
    parents  bytea  NOT NULL,
    named    bigint,
    PRIMARY KEY (tenant, type, id)
) PARTITION BY HASH (id);
CREATE INDEX resources_by_name ON resources (tenant, type, named, id) WHERE named IS NOT NULL;
CREATE INDEX resources_that_are_items ON resources (tenant, type, id) WHERE document IS NOT NULL;

DO $$
DECLARE
    given constant text[][] := ARRAY[
        ['claims', ''],
        ['heads', 'WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02)'],
        ['resources', 'WITH (fillfactor = 90)']];
    filled boolean;
BEGIN
    FOR i IN 1..3 LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', given[i][1] || '_0') INTO filled;
        IF filled THEN
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I'
                ' FOR VALUES WITH (MODULUS 1, REMAINDER 0)', given[i][1], given[i][1] || '_0');
        ELSE
            EXECUTE format('DROP TABLE %I', given[i][1] || '_0');
            FOR n IN 0..7 LOOP
                EXECUTE format('CREATE TABLE %I PARTITION OF %I'
                    ' FOR VALUES WITH (MODULUS 8, REMAINDER %s) %s',
                    given[i][1] || '_' || n, given[i][1], n, given[i][2]);
            END LOOP;
        END IF;
    END LOOP;
END $$;
