-- Statements about what stands beside the log: public files and the content of blobs.

-- name: publishers
-- All tenants: who has public files.
SELECT tenant FROM publications ORDER BY tenant;

-- name: publication
-- How far a tenant's public files have come.
SELECT leaves, sealed, tail FROM publications WHERE tenant = %(tenant)b;

-- name: begin_publication
-- The first cursor of a tenant, unless somebody else wrote one.
INSERT INTO publications VALUES (%(tenant)b, %(leaves)b, %(sealed)b, %(tail)b)
ON CONFLICT DO NOTHING RETURNING true;

-- name: move_publication
-- The next cursor, if the files are where they are thought to be.
UPDATE publications SET leaves = %(leaves)b, sealed = %(sealed)b, tail = %(tail)b
WHERE tenant = %(tenant)b AND leaves = %(old_leaves)b AND sealed = %(old_sealed)b
    AND tail = %(old_tail)b RETURNING true;

-- name: end_publication
-- The cursor of a tenant goes, and with it the public files.
DELETE FROM publications WHERE tenant = %(tenant)b AND leaves = %(leaves)b
    AND sealed = %(sealed)b AND tail = %(tail)b RETURNING true;

-- name: remove_seals
-- All seals of a tenant.
DELETE FROM public_seals WHERE tenant = %(tenant)b;

-- name: remove_chunks
-- All chunks of a tenant's public files.
DELETE FROM public_chunks WHERE tenant = %(tenant)b;

-- name: remove_files
-- All sizes of a tenant's public files.
DELETE FROM public_files WHERE tenant = %(tenant)b;

-- name: file_size
-- How many bytes a public file has.
SELECT size FROM public_files WHERE tenant = %(tenant)b AND file = %(file)b;

-- name: file_chunks
-- Chunks of a public file.
SELECT chunk, data FROM public_chunks
WHERE tenant = %(tenant)b AND file = %(file)b AND chunk BETWEEN %(first)b AND %(last)b;

-- name: chunks_at
-- Chunks of any public files of a tenant.
SELECT file, chunk, data FROM public_chunks
WHERE tenant = %(tenant)b
    AND (file, chunk) IN (SELECT * FROM unnest(%(files)b::bigint[], %(chunks)b::bigint[]));

-- name: put_chunks
-- Chunks as they are from now on.
INSERT INTO public_chunks SELECT %(tenant)b, file, chunk, data
FROM unnest(%(files)b::bigint[], %(chunks)b::bigint[], %(data)b::bytea[]) AS given (file, chunk, data)
ON CONFLICT (tenant, file, chunk) DO UPDATE SET data = excluded.data;

-- name: put_sizes
-- Sizes of files, which never shrink.
INSERT INTO public_files SELECT %(tenant)b, file, size
FROM unnest(%(files)b::bigint[], %(sizes)b::bigint[]) AS given (file, size)
ON CONFLICT (tenant, file) DO UPDATE SET size = greatest(public_files.size, excluded.size);

-- name: put_seals
-- The latest seals of files.
INSERT INTO public_seals SELECT %(tenant)b, file, leaves, data
FROM unnest(%(files)b::bigint[], %(leaves)b::bigint[], %(data)b::bytea[]) AS given (file, leaves, data)
ON CONFLICT (tenant, file) DO UPDATE SET leaves = excluded.leaves, data = excluded.data;

-- name: file_seal
-- The latest seal of a file.
SELECT file, leaves, data FROM public_seals WHERE tenant = %(tenant)b AND file = %(file)b;

-- name: put_blob
-- Content of a blob, unless it is there.
INSERT INTO blobs VALUES (%(tenant)b, %(digest)b, %(size)b) ON CONFLICT DO NOTHING RETURNING true;

-- name: put_blob_chunk
-- A piece of a blob.
INSERT INTO blob_chunks VALUES (%(tenant)b, %(digest)b, %(chunk)b, %(data)b);

-- name: blob_size
-- How large a blob is.
SELECT size FROM blobs WHERE tenant = %(tenant)b AND digest = %(digest)b;

-- name: blob_chunks
-- Pieces of a blob.
SELECT chunk, data FROM blob_chunks
WHERE tenant = %(tenant)b AND digest = %(digest)b AND chunk BETWEEN %(first)b AND %(last)b
ORDER BY chunk;

-- name: blob_digests
-- The digests of all content of a tenant.
SELECT digest FROM blobs WHERE tenant = %(tenant)b ORDER BY digest;

-- name: delete_blob
-- Content of a blob, but for its pieces.
DELETE FROM blobs WHERE tenant = %(tenant)b AND digest = %(digest)b;

-- name: delete_blob_chunks
-- The pieces of a blob.
DELETE FROM blob_chunks WHERE tenant = %(tenant)b AND digest = %(digest)b;

-- name: note_removed_chunks
-- The table that pieces were deleted from, for the vacuum that destroys them.
INSERT INTO erased VALUES (%(tenant)b, convert_to('blob_chunks', 'UTF8'), pg_current_xact_id(), false)
ON CONFLICT (tenant, relation) DO UPDATE SET xid = excluded.xid, vacuumed = false;
