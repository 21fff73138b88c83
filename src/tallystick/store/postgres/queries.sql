-- Every statement the store sends while it serves. Each one is about one tenant, but for those
-- whose comment begins with "All tenants:".

-- name: lock_head
-- The head of a log, kept from everybody else who would extend it, how far its lists are, and what
-- time it is where the log is kept.
SELECT origin, key_id, size, frontier, root, checkpoint, recorded_ms,
    lists_key, lists_rules, lists_next, lists_stale, lists_changes,
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint
FROM logs WHERE tenant = %(tenant)b FOR UPDATE;

-- name: insert_head
-- A place to lock where there is no log yet; it never gets committed as it is.
INSERT INTO logs VALUES (%(tenant)b, '', '', 0, '', '', '', 0) ON CONFLICT (tenant) DO NOTHING;

-- name: update_head
-- Moves a locked head on, and with it the lists that were written with the batch.
UPDATE logs SET origin = %(origin)b, key_id = %(key_id)b, size = %(size)b,
    frontier = %(frontier)b, root = %(root)b, checkpoint = %(checkpoint)b,
    recorded_ms = %(recorded_ms)b, lists_next = %(lists_next)b
WHERE tenant = %(tenant)b;

-- name: insert_rows
-- A few entries; many go through copy_rows.
INSERT INTO log SELECT %(tenant)b, * FROM unnest(%(idx)b::bigint[], %(entry)b::bytea[],
    %(leaf)b::bytea[], %(actor)b::bytea[], %(target)b::bytea[], %(place)b::bytea[],
    %(data)b::bytea[], %(previous)b::bytea[]);

-- name: copy_rows
-- Many entries of one tenant.
COPY log (tenant, idx, entry, leaf, actor, target, place, data, previous) FROM STDIN (FORMAT binary);

-- name: insert_tile
-- One complete tile.
INSERT INTO tiles VALUES (%(tenant)b, %(level)b, %(number)b, %(root)b, %(hashes)b);

-- name: upsert_heads
-- Where resources stand now.
INSERT INTO heads SELECT %(tenant)b, * FROM unnest(%(keys)b::bytea[], %(idx)b::bigint[],
    %(live)b::boolean[])
ON CONFLICT (tenant, key) DO UPDATE SET idx = excluded.idx, live = excluded.live;

-- name: insert_claims
-- Ids and keys that are taken from now on.
INSERT INTO claims SELECT %(tenant)b, * FROM unnest(%(claims)b::bytea[], %(digests)b::bytea[],
    %(idx)b::bigint[]);

-- name: erase
-- Destroys sections of entries, each named by its flag.
UPDATE log SET
    actor = CASE WHEN e.actor THEN NULL ELSE log.actor END,
    target = CASE WHEN e.target THEN NULL ELSE log.target END,
    place = CASE WHEN e.place THEN NULL ELSE log.place END,
    data = CASE WHEN e.data THEN NULL ELSE log.data END,
    previous = CASE WHEN e.previous THEN NULL ELSE log.previous END
FROM unnest(%(idx)b::bigint[], %(actor)b::boolean[], %(target)b::boolean[], %(place)b::boolean[],
    %(data)b::boolean[], %(previous)b::boolean[]) AS e (idx, actor, target, place, data, previous)
WHERE log.tenant = %(tenant)b AND log.idx = e.idx AND log.idx = ANY(%(idx)b::bigint[]);

-- name: note_changed
-- A table whose rows were changed by an erasure, noted with it.
INSERT INTO erased VALUES (%(tenant)b, %(relation)b, pg_current_xact_id(), false)
ON CONFLICT (tenant, relation) DO UPDATE SET xid = excluded.xid, vacuumed = false;

-- name: delete_lookups
-- Lookups all belong to the empty tenant.
DELETE FROM lookups
WHERE tenant = %(tenant)b AND owner = %(owner)b AND kind = %(kind)b AND id = %(id)b;

-- name: insert_lookup
-- One lookup; it may be taken.
INSERT INTO lookups VALUES (%(tenant)b, %(namespace)b, %(text)b, %(owner)b, %(kind)b, %(id)b);

-- name: delete_identity
-- One record, if it is still as it was read.
DELETE FROM identity
WHERE tenant = %(tenant)b AND kind = %(kind)b AND id = %(id)b AND doc = %(replaces)b
RETURNING true;

-- name: insert_identity
-- A record that must be new.
INSERT INTO identity VALUES (%(tenant)b, %(kind)b, %(id)b, %(doc)b);

-- name: replace_identity
-- A record, if it is still as it was read.
UPDATE identity SET doc = %(doc)b
WHERE tenant = %(tenant)b AND kind = %(kind)b AND id = %(id)b AND doc = %(replaces)b
RETURNING true;

-- name: log_head
-- The committed head of a log.
SELECT origin, key_id, size, frontier, root, checkpoint, recorded_ms
FROM logs WHERE tenant = %(tenant)b;

-- name: now
-- All tenants: what time it is here.
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint;

-- name: log_heads
-- All tenants: the committed head of every log.
SELECT tenant, origin, key_id, size, frontier, root, checkpoint, recorded_ms
FROM logs ORDER BY tenant;

-- name: rows
-- A stretch of entries.
SELECT idx, entry, leaf, actor, target, place, data, previous FROM log
WHERE tenant = %(tenant)b AND idx >= %(start)b AND idx < %(stop)b ORDER BY idx;

-- name: rows_at
-- Entries here and there.
SELECT idx, entry, leaf, actor, target, place, data, previous FROM log
WHERE tenant = %(tenant)b AND idx = ANY(%(idx)b::bigint[]);

-- name: rows_within
-- Entries here and there, in the order asked for, as many as have so many bytes, one at least.
-- Lengths are known without reading what is stored out of line; OFFSET has each one looked up.
SELECT idx, entry, leaf, actor, target, place, data, previous FROM (
  SELECT found.*, wanted.n, row_number() OVER following AS place_in_order, sum(
    coalesce(octet_length(actor), 0) + coalesce(octet_length(target), 0)
    + coalesce(octet_length(place), 0) + coalesce(octet_length(data), 0)
    + coalesce(octet_length(previous), 0)
  ) OVER following AS bytes
  FROM unnest(%(idx)b::bigint[]) WITH ORDINALITY AS wanted (idx, n)
  CROSS JOIN LATERAL (
    SELECT * FROM log WHERE tenant = %(tenant)b AND log.idx = wanted.idx OFFSET 0
  ) AS found
  WINDOW following AS (ORDER BY wanted.n ROWS UNBOUNDED PRECEDING)
) AS sized
WHERE bytes <= %(max_bytes)b OR place_in_order = 1 ORDER BY n;

-- name: entries
-- The entry bytes of a stretch.
SELECT entry FROM log
WHERE tenant = %(tenant)b AND idx >= %(start)b AND idx < %(stop)b ORDER BY idx;

-- name: system_indexes
-- Where entries of op system stand; the condition is that of the index log_system.
SELECT idx FROM log
WHERE tenant = %(tenant)b AND idx >= %(start)b AND idx < %(stop)b
    AND substring(entry FROM 50 FOR 15) = '","op":"system"'::bytea ORDER BY idx;

-- name: act_indexes
-- Where entries of op system stand that do more than report; the condition is that of log_acts.
SELECT idx FROM log
WHERE tenant = %(tenant)b AND idx >= %(start)b AND idx < %(stop)b
    AND substring(entry FROM 50 FOR 15) = '","op":"system"'::bytea
    AND substring(entry FROM 74 FOR 17) <> 'stream.delivered"'::bytea
    AND substring(entry FROM 74 FOR 7) <> 'access.'::bytea ORDER BY idx;

-- name: leaves
-- The leaf hashes of a stretch.
SELECT leaf FROM log
WHERE tenant = %(tenant)b AND idx >= %(start)b AND idx < %(stop)b ORDER BY idx;

-- name: tile
-- One complete tile.
SELECT hashes FROM tiles
WHERE tenant = %(tenant)b AND level = %(level)b AND number = %(number)b;

-- name: tile_roots
-- The roots of a stretch of complete tiles.
SELECT root FROM tiles
WHERE tenant = %(tenant)b AND level = %(level)b AND number >= %(start)b AND number < %(stop)b
ORDER BY number;

-- name: resource_heads
-- Where some resources stand; each is looked up in the one partition that may have it.
SELECT h.key, h.idx, h.live FROM unnest(%(keys)b::bytea[]) AS wanted (key)
CROSS JOIN LATERAL (
    SELECT key, idx, live FROM heads
    WHERE tenant = %(tenant)b AND key = wanted.key OFFSET 0
) AS h;

-- name: claims
-- Those of some ids and keys that are taken; as above.
SELECT c.claim, c.digest, c.idx FROM unnest(%(claims)b::bytea[]) AS wanted (claim)
CROSS JOIN LATERAL (
    SELECT claim, digest, idx FROM claims
    WHERE tenant = %(tenant)b AND claim = wanted.claim OFFSET 0
) AS c;

-- name: claims_of
-- Those that lead to some entries.
SELECT claim, digest, idx FROM claims WHERE tenant = %(tenant)b AND idx = ANY(%(idx)b::bigint[]);

-- name: forget_claims
-- Takes the digests from claims.
UPDATE claims SET digest = ''::bytea
WHERE tenant = %(tenant)b AND claim = ANY(%(claims)b::bytea[]);

-- name: identity
-- One record.
SELECT tenant, kind, id, doc FROM identity
WHERE tenant = %(tenant)b AND kind = %(kind)b AND id = %(id)b;

-- name: identities
-- The records of one kind of a tenant.
SELECT tenant, kind, id, doc FROM identity
WHERE tenant = %(tenant)b AND kind = %(kind)b ORDER BY id;

-- name: all_identities
-- All tenants: the records of one kind.
SELECT tenant, kind, id, doc FROM identity WHERE kind = %(kind)b ORDER BY tenant, id;

-- name: find_lookup
-- Whose a lookup is; lookups all belong to the empty tenant.
SELECT owner, kind, id FROM lookups
WHERE tenant = %(tenant)b AND namespace = %(namespace)b AND text = %(text)b;

-- name: scan_heads
-- A slice of the heads, by key.
SELECT key, idx, live FROM heads
WHERE tenant = %(tenant)b AND key > %(after)b ORDER BY key LIMIT %(limit)b;

-- name: scan_claims
-- A slice of the claims.
SELECT claim, digest, idx FROM claims
WHERE tenant = %(tenant)b AND claim > %(after)b ORDER BY claim LIMIT %(limit)b;

-- name: scan_identity
-- All tenants: a slice of the identity records.
SELECT tenant, kind, id, doc FROM identity
WHERE (tenant, kind, id) > (%(tenant)b, %(kind)b, %(id)b)
ORDER BY tenant, kind, id LIMIT %(limit)b;

-- name: lookups_of
-- The lookups of one record; they all belong to the empty tenant.
SELECT namespace, text FROM lookups
WHERE tenant = %(tenant)b AND owner = %(owner)b AND kind = %(kind)b AND id = %(id)b
ORDER BY namespace, text;

-- name: erased_relations
-- All tenants: tables with erased rows; whether they were vacuumed since, and whether an old
-- snapshot still keeps those rows from being removed.
SELECT tenant, relation, xid::text, vacuumed, xid < pg_snapshot_xmax(pg_current_snapshot())
    AND EXISTS (
        SELECT FROM (
            SELECT backend_xmin AS horizon FROM pg_stat_activity WHERE pid <> pg_backend_pid()
            UNION ALL SELECT backend_xid FROM pg_stat_activity WHERE pid <> pg_backend_pid()
            UNION ALL SELECT xmin FROM pg_replication_slots
            UNION ALL SELECT transaction FROM pg_prepared_xacts
        ) AS held
        WHERE age(horizon) >= age(xid::xid)
    )
FROM erased ORDER BY xid;

-- name: mark_vacuumed
-- A table whose erased rows were freed.
UPDATE erased SET vacuumed = true
WHERE tenant = %(tenant)b AND relation = %(relation)b AND xid = %(xid)b::text::xid8;

-- name: forget_erasure
-- A table that was rewritten, so that nothing of its erased rows is left.
DELETE FROM erased
WHERE tenant = %(tenant)b AND relation = %(relation)b AND xid = %(xid)b::text::xid8;

-- name: erasure_horizon
-- All tenants: where bytes may stand that no query returns any more.
SELECT (SELECT count(*) FROM erased WHERE NOT vacuumed), (SELECT count(*) FROM erased),
    current_setting('archive_mode') <> 'off',
    ARRAY(SELECT coalesce(application_name, '') FROM pg_stat_replication),
    ARRAY(SELECT slot_name::text FROM pg_replication_slots), current_setting('max_wal_size');

-- name: evict_stuck
-- All tenants: ends those of our transactions that have sent nothing for seconds. PostgreSQL ends
-- an idle one by itself, but not one that is in the middle of a COPY.
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user
    AND application_name = %(application)b::text AND pid <> pg_backend_pid()
    AND wait_event = 'ClientRead' AND xact_start IS NOT NULL
    AND state_change < clock_timestamp() - %(idle_ms)b * interval '1 millisecond';
