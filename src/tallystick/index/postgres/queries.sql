-- Statements that keep lists, totals and resources up to date, and those that read them whose form
-- does not depend on the question; the others are put together in `pages`. Each one is about one
-- tenant, but for those whose comment begins with "All tenants:".

-- name: state
-- How far a tenant's lists have come, and how far its log.
SELECT lists_key, lists_rules, lists_next, lists_stale, lists_changes, size FROM logs
WHERE tenant = %(tenant)b;

-- name: behind
-- All tenants: those whose logs are not listed to the end, and how many entries they lack.
SELECT tenant, size - lists_next FROM logs WHERE size > lists_next ORDER BY tenant;

-- name: begin_lists
-- The lists of a tenant begin, or begin again; what was listed is to be removed first.
UPDATE logs SET lists_key = %(key)b, lists_rules = %(rules)b, lists_next = 0,
    lists_stale = greatest(lists_next, lists_stale), lists_changes = lists_changes + 1
WHERE tenant = %(tenant)b;

-- name: advance_lists
-- The lists have come further.
UPDATE logs SET lists_next = %(next)b WHERE tenant = %(tenant)b;

-- name: change_lists
-- Entries that were listed before look different, or more is counted.
UPDATE logs SET lists_changes = lists_changes + 1 WHERE tenant = %(tenant)b;

-- name: copy_lists
-- Many entries of one tenant.
COPY lists (tenant, idx, ms, seen, kind, actor_id, target_id, document, terms)
FROM STDIN (FORMAT binary);

-- name: copy_places
-- The terms that they are looked up by.
COPY places (tenant, term, ms, idx, seen) FROM STDIN (FORMAT binary);

-- name: insert_lists
-- A few entries; the terms of all come in one array, cut up here.
INSERT INTO lists SELECT %(tenant)b, l.idx, l.ms, l.seen, l.kind, l.actor_id, l.target_id,
    l.document, (%(terms)b::bigint[])[l.first:l.last]
FROM unnest(%(idx)b::bigint[], %(ms)b::bigint[], %(seen)b::bigint[], %(kind)b::bigint[],
    %(actor_id)b::bigint[], %(target_id)b::bigint[], %(document)b::boolean[],
    %(first)b::bigint[], %(last)b::bigint[])
    AS l (idx, ms, seen, kind, actor_id, target_id, document, first, last);

-- name: insert_places
-- The terms that they are looked up by.
INSERT INTO places SELECT %(tenant)b, * FROM unnest(%(terms)b::bigint[], %(ms)b::bigint[],
    %(idx)b::bigint[], %(seen)b::bigint[]);

-- name: old_rows
-- How entries are listed that look different now.
SELECT idx, ms, seen, kind, actor_id, target_id, terms FROM lists
WHERE tenant = %(tenant)b AND idx = ANY(%(idx)b::bigint[]);

-- name: delete_places
-- The terms by which some entries are looked up; some of their terms are no such terms.
DELETE FROM places USING (
    SELECT l.idx, l.ms, unnest(l.terms) AS term FROM lists AS l
    WHERE l.tenant = %(tenant)b AND l.idx = ANY(%(idx)b::bigint[])
) AS old
WHERE places.tenant = %(tenant)b AND places.term = old.term AND places.ms = old.ms
    AND places.idx = old.idx AND places.idx = ANY(%(idx)b::bigint[]);

-- name: delete_lists
-- Entries that are listed again.
DELETE FROM lists WHERE tenant = %(tenant)b AND idx = ANY(%(idx)b::bigint[]);

-- name: stale_rows
-- Entries that were listed under an older key, the last ones first.
SELECT idx FROM lists WHERE tenant = %(tenant)b AND idx < %(stop)b
ORDER BY idx DESC LIMIT %(limit)b;

-- name: set_stale
-- Fewer entries are left that were listed under an older key.
UPDATE logs SET lists_stale = %(stale)b WHERE tenant = %(tenant)b;

-- name: add_totals
-- More or fewer entries.
INSERT INTO totals SELECT %(tenant)b, * FROM unnest(%(axes)b::bigint[], %(buckets)b::bigint[],
    %(kinds)b::bigint[], %(seen)b::bigint[], %(n)b::bigint[])
ON CONFLICT (tenant, axis, bucket, kind, seen) DO UPDATE SET n = totals.n + excluded.n;

-- name: buckets
-- How many entries that somebody sees are in each bucket, of all kinds or of some.
SELECT bucket, sum(n)::bigint FROM totals
WHERE tenant = %(tenant)b AND axis = %(axis)b AND bucket BETWEEN %(low)b AND %(high)b
    AND seen & %(seen)b <> 0 AND (%(kinds)b::bigint[] IS NULL OR kind = ANY(%(kinds)b::bigint[]))
GROUP BY bucket HAVING sum(n) > 0 ORDER BY bucket;

-- name: counted_members
-- What is counted, and by which terms.
SELECT term, members FROM counts WHERE tenant = %(tenant)b AND seen = 0;

-- name: begin_count
-- Something is counted from here on.
INSERT INTO counts VALUES (%(tenant)b, %(term)b, 0, 0, %(members)b::bigint[]);

-- name: count_of
-- How many entries that somebody sees have a term; no row if that is not kept.
SELECT coalesce(sum(n) FILTER (WHERE seen & %(seen)b <> 0), 0)::bigint FROM counts
WHERE tenant = %(tenant)b AND term = %(term)b HAVING count(*) > 0;

-- name: counts_of
-- How many entries have each of some terms, where that is kept.
SELECT term, sum(n)::bigint FROM counts
WHERE tenant = %(tenant)b AND term = ANY(%(terms)b::bigint[]) GROUP BY term;

-- name: late_entries
-- How many entries of a stretch have one of some terms, by who sees them; OFFSET keeps the planner from
-- going through all that have it.
SELECT seen, count(*) FROM (
    SELECT seen, actor_id, target_id, terms FROM lists
    WHERE tenant = %(tenant)b AND idx >= %(start)b AND idx < %(stop)b OFFSET 0
) AS late
WHERE terms && %(members)b::bigint[] OR actor_id = ANY(%(members)b::bigint[])
    OR target_id = ANY(%(members)b::bigint[])
GROUP BY seen;

-- name: add_counts
-- More or fewer entries that have terms.
INSERT INTO counts SELECT %(tenant)b, * FROM unnest(%(terms)b::bigint[], %(seen)b::bigint[],
    %(n)b::bigint[])
ON CONFLICT (tenant, term, seen) DO UPDATE SET n = counts.n + excluded.n;

-- name: insert_kinds
-- Kinds that were not seen before.
INSERT INTO kinds SELECT %(tenant)b, * FROM unnest(%(kinds)b::bytea[])
ON CONFLICT (tenant, kind) DO NOTHING;

-- name: kinds
-- All kinds of a tenant.
SELECT kind FROM kinds WHERE tenant = %(tenant)b;

-- name: resource_states
-- What is known of some resources. Each is looked up: OFFSET keeps the planner, which may take the
-- table for small, from reading all that the tenant has.
SELECT r.type, r.id, r.name, r.document, r.parents
FROM unnest(%(types)b::bigint[], %(ids)b::bytea[]) AS wanted (type, id)
CROSS JOIN LATERAL (
    SELECT * FROM resources
    WHERE tenant = %(tenant)b AND type = wanted.type AND id = wanted.id OFFSET 0
) AS r;

-- name: upsert_resources
-- What is known of them now.
INSERT INTO resources SELECT %(tenant)b, * FROM unnest(%(types)b::bigint[], %(ids)b::bytea[],
    %(names)b::bytea[], %(documents)b::bigint[], %(parents)b::bytea[], %(named)b::bigint[])
ON CONFLICT (tenant, type, id) DO UPDATE SET name = excluded.name, document = excluded.document,
    parents = excluded.parents, named = excluded.named;

-- name: delete_resource
-- A resource that nobody names any more.
DELETE FROM resources WHERE tenant = %(tenant)b AND type = %(type)b AND id = %(id)b;

-- name: put_children
-- Resources that stand in others, or no longer do: nothing has to be looked for.
INSERT INTO children SELECT %(tenant)b, * FROM unnest(%(parents)b::bigint[], %(types)b::bigint[],
    %(ids)b::bytea[], %(live)b::boolean[])
ON CONFLICT (tenant, parent, type, id) DO UPDATE SET live = excluded.live;

-- name: delete_child
-- A resource that nobody names any more, from where it stands.
DELETE FROM children WHERE tenant = %(tenant)b AND parent = ANY(%(parents)b::bigint[])
    AND type = %(type)b AND id = %(id)b;

-- name: delete_left_child
-- And from where it stood.
DELETE FROM children
WHERE tenant = %(tenant)b AND type = %(type)b AND id = %(id)b AND NOT live;

-- name: insert_sources
-- Which entries told something of a resource.
INSERT INTO sources SELECT %(tenant)b, * FROM unnest(%(idx)b::bigint[], %(numbers)b::bigint[],
    %(types)b::bytea[], %(ids)b::bytea[])
ON CONFLICT (tenant, idx, number) DO NOTHING;

-- name: sourced_by
-- The resources that owe something to an entry.
SELECT type, id FROM sources WHERE tenant = %(tenant)b AND idx = %(idx)b;

-- name: delete_sources
-- An entry tells nothing any more.
DELETE FROM sources WHERE tenant = %(tenant)b AND idx = %(idx)b;

-- name: sightings
-- Entries that name a resource, the last to occur first; each list is walked from its end.
SELECT ms, idx FROM (
    (SELECT ms, idx FROM lists WHERE tenant = %(tenant)b AND idx < %(before)b
        AND (ms, idx) < (%(ms)b, %(idx)b) AND target_id = %(target_id)b
        AND terms && %(named)b::bigint[] ORDER BY ms DESC, idx DESC LIMIT %(limit)b)
    UNION (SELECT ms, idx FROM lists WHERE tenant = %(tenant)b AND idx < %(before)b
        AND (ms, idx) < (%(ms)b, %(idx)b) AND actor_id = %(actor_id)b
        AND terms && %(named)b::bigint[] ORDER BY ms DESC, idx DESC LIMIT %(limit)b)
    UNION (SELECT ms, idx FROM places WHERE tenant = %(tenant)b AND idx < %(before)b
        AND (ms, idx) < (%(ms)b, %(idx)b) AND term = %(scope)b
        ORDER BY ms DESC, idx DESC LIMIT %(limit)b)
) AS named ORDER BY ms DESC, idx DESC LIMIT %(limit)b;

-- name: history
-- The documents of a resource, the latest first.
SELECT idx FROM lists WHERE tenant = %(tenant)b AND idx < %(before)b AND document
    AND target_id = %(target_id)b AND terms && ARRAY[%(target)b::bigint]
ORDER BY idx DESC LIMIT %(limit)b OFFSET %(offset)b;

-- name: extent
-- Where and when a resource is named, each entry once.
SELECT min(ms), max(ms), max(idx), count(*) FROM (
    SELECT ms, idx FROM lists WHERE tenant = %(tenant)b AND idx < %(before)b
        AND target_id = %(target_id)b AND seen & 1 <> 0 AND terms && %(named)b::bigint[]
    UNION SELECT ms, idx FROM lists WHERE tenant = %(tenant)b AND idx < %(before)b
        AND actor_id = %(actor_id)b AND seen & 1 <> 0 AND terms && %(named)b::bigint[]
    UNION SELECT ms, idx FROM places WHERE tenant = %(tenant)b AND idx < %(before)b
        AND term = %(scope)b AND seen & 1 <> 0
) AS named;

-- name: naming_by_sight
-- How many entries name a resource, by who sees them, each entry once.
SELECT seen, count(*) FROM (
    SELECT idx, seen FROM lists WHERE tenant = %(tenant)b AND idx < %(before)b
        AND target_id = %(target_id)b AND terms && %(named)b::bigint[]
    UNION SELECT idx, seen FROM lists WHERE tenant = %(tenant)b AND idx < %(before)b
        AND actor_id = %(actor_id)b AND terms && %(named)b::bigint[]
    UNION SELECT idx, seen FROM places WHERE tenant = %(tenant)b AND idx < %(before)b
        AND term = %(scope)b
) AS named GROUP BY seen;

-- name: ends
-- When a resource was first and last named, each read from the end of a list, and which of the
-- latest entries did so last.
SELECT least(
        (SELECT ms FROM lists WHERE tenant = %(tenant)b AND idx < %(before)b
            AND target_id = %(target_id)b AND seen & 1 <> 0 AND terms && %(named)b::bigint[]
            ORDER BY ms, idx LIMIT 1),
        (SELECT ms FROM lists WHERE tenant = %(tenant)b AND idx < %(before)b
            AND actor_id = %(actor_id)b AND seen & 1 <> 0 AND terms && %(named)b::bigint[]
            ORDER BY ms, idx LIMIT 1),
        (SELECT ms FROM places WHERE tenant = %(tenant)b AND idx < %(before)b
            AND term = %(scope)b AND seen & 1 <> 0 ORDER BY ms, idx LIMIT 1)),
    greatest(
        (SELECT ms FROM lists WHERE tenant = %(tenant)b AND idx < %(before)b
            AND target_id = %(target_id)b AND seen & 1 <> 0 AND terms && %(named)b::bigint[]
            ORDER BY ms DESC, idx DESC LIMIT 1),
        (SELECT ms FROM lists WHERE tenant = %(tenant)b AND idx < %(before)b
            AND actor_id = %(actor_id)b AND seen & 1 <> 0 AND terms && %(named)b::bigint[]
            ORDER BY ms DESC, idx DESC LIMIT 1),
        (SELECT ms FROM places WHERE tenant = %(tenant)b AND idx < %(before)b
            AND term = %(scope)b AND seen & 1 <> 0 ORDER BY ms DESC, idx DESC LIMIT 1)),
    (SELECT idx FROM lists WHERE tenant = %(tenant)b AND idx < %(before)b AND idx >= %(lately)b
        AND seen & 1 <> 0 AND terms && %(members)b::bigint[] ORDER BY idx DESC LIMIT 1);

-- name: resource
-- What is known of one resource.
SELECT id, name, document, parents FROM resources
WHERE tenant = %(tenant)b AND type = %(type)b AND id = %(id)b;

-- name: clear_totals
-- Totals that are made again; as below.
DELETE FROM totals WHERE tenant = %(tenant)b;

-- name: clear_counts
-- Counts.
DELETE FROM counts WHERE tenant = %(tenant)b;

-- name: clear_kinds
-- Kinds.
DELETE FROM kinds WHERE tenant = %(tenant)b;

-- name: clear_resources
-- Resources.
DELETE FROM resources WHERE tenant = %(tenant)b;

-- name: clear_children
-- What stands in them.
DELETE FROM children WHERE tenant = %(tenant)b;

-- name: clear_sources
-- What recorded them.
DELETE FROM sources WHERE tenant = %(tenant)b;
