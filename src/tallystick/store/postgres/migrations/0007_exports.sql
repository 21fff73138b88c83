-- floor: 1
-- How far exports are, version 1: positions, counts and digests, and nothing of what is in them.

CREATE TABLE export_states (
    tenant bytea       NOT NULL,
    export text        NOT NULL,
    doc    bytea,
    owner  text        NOT NULL,
    until  timestamptz NOT NULL,
    PRIMARY KEY (tenant, export)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
