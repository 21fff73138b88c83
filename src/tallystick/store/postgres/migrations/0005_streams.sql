-- floor: 1
-- How far streams have come, version 1: positions in the log, and nothing of what stands there.

CREATE TABLE stream_states (
    tenant bytea       NOT NULL,
    stream text        NOT NULL,
    doc    bytea,
    owner  text        NOT NULL,
    until  timestamptz NOT NULL,
    PRIMARY KEY (tenant, stream)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE stream_letters (
    tenant     bytea   NOT NULL,
    stream     text    NOT NULL,
    start      bigint  NOT NULL,
    start_part bigint  NOT NULL,
    stop       bigint  NOT NULL,
    stop_part  bigint  NOT NULL,
    attempts   bigint  NOT NULL,
    due_ms     bigint,
    problem    text    NOT NULL,
    PRIMARY KEY (tenant, stream, stop, stop_part)
);

CREATE INDEX stream_letters_due ON stream_letters (tenant, stream, due_ms);

CREATE TABLE stream_deliveries (
    tenant bytea  NOT NULL,
    stream text   NOT NULL,
    number bigint NOT NULL,
    doc    bytea  NOT NULL,
    PRIMARY KEY (tenant, stream, number)
);
