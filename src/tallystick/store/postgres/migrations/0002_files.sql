-- floor: 1
-- What stands beside the log, version 2: public files and the content of blobs.
--
-- Both are truth: what was published or uploaded cannot be made again.

CREATE TABLE publications (
    tenant bytea  NOT NULL,
    leaves bigint NOT NULL,
    sealed bigint NOT NULL,
    tail   bytea  NOT NULL,
    PRIMARY KEY (tenant)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE public_files (
    tenant bytea  NOT NULL,
    file   bigint NOT NULL,
    size   bigint NOT NULL,
    PRIMARY KEY (tenant, file)
) WITH (fillfactor = 50);

-- Small enough to stand in a page: the last ones of a file change with every step.
CREATE TABLE public_chunks (
    tenant bytea  NOT NULL,
    file   bigint NOT NULL,
    chunk  bigint NOT NULL,
    data   bytea  NOT NULL,
    PRIMARY KEY (tenant, file, chunk)
);
ALTER TABLE public_chunks ALTER COLUMN data SET STORAGE PLAIN;

CREATE TABLE public_seals (
    tenant bytea  NOT NULL,
    file   bigint NOT NULL,
    leaves bigint NOT NULL,
    data   bytea  NOT NULL,
    PRIMARY KEY (tenant, file)
);

CREATE TABLE blobs (
    tenant bytea  NOT NULL,
    digest bytea  NOT NULL,
    size   bigint NOT NULL,
    PRIMARY KEY (tenant, digest)
);

CREATE TABLE blob_chunks (
    tenant bytea  NOT NULL,
    digest bytea  NOT NULL,
    chunk  bigint NOT NULL,
    data   bytea  NOT NULL,
    PRIMARY KEY (tenant, digest, chunk)
);
-- Files are mostly compressed already.
ALTER TABLE blob_chunks ALTER COLUMN data SET STORAGE EXTERNAL;
