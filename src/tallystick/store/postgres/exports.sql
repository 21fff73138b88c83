-- Statements about the states of exports.

-- name: acquire
-- The lease of an export, taken, kept, or taken over from a server that says nothing any more.
INSERT INTO export_states VALUES (%(tenant)b, %(export)b, NULL, %(owner)b, now() + %(lease)b)
ON CONFLICT (tenant, export) DO UPDATE SET owner = excluded.owner, until = excluded.until
WHERE export_states.owner = excluded.owner OR export_states.until < now()
RETURNING true;

-- name: release
-- A lease given back.
UPDATE export_states SET until = now() - interval '1 second'
WHERE tenant = %(tenant)b AND export = %(export)b AND owner = %(owner)b;

-- name: state
-- How far an export is.
SELECT doc FROM export_states
WHERE tenant = %(tenant)b AND export = %(export)b AND doc IS NOT NULL;

-- name: put_state
-- How far an export is, as its writer knows it.
UPDATE export_states SET doc = %(doc)b, until = now() + %(lease)b
WHERE tenant = %(tenant)b AND export = %(export)b AND owner = %(owner)b
RETURNING true;

-- name: forget_state
-- An export that was deleted.
DELETE FROM export_states WHERE tenant = %(tenant)b AND export = %(export)b;

-- name: keys
-- The exports that have a state.
SELECT tenant, export FROM export_states ORDER BY 1, 2;
