-- Statements about the states of streams.

-- name: acquire
-- The lease of a stream, taken, kept, or taken over from a sender that says nothing any more.
INSERT INTO stream_states VALUES (%(tenant)b, %(stream)b, NULL, %(owner)b, now() + %(lease)b)
ON CONFLICT (tenant, stream) DO UPDATE SET owner = excluded.owner, until = excluded.until
WHERE stream_states.owner = excluded.owner OR stream_states.until < now()
RETURNING true;

-- name: release
-- A lease given back.
UPDATE stream_states SET until = now() - interval '1 second'
WHERE tenant = %(tenant)b AND stream = %(stream)b AND owner = %(owner)b;

-- name: state
-- How far a stream has come.
SELECT doc FROM stream_states WHERE tenant = %(tenant)b AND stream = %(stream)b;

-- name: states
-- How far all streams have come.
SELECT tenant, stream, doc, owner FROM stream_states WHERE doc IS NOT NULL ORDER BY 1, 2;

-- name: put_state
-- How far a stream has come, as its sender knows it.
UPDATE stream_states SET doc = %(doc)b, until = now() + %(lease)b
WHERE tenant = %(tenant)b AND stream = %(stream)b AND owner = %(owner)b
RETURNING true;

-- name: put_letter
-- A message that waits or is dead.
INSERT INTO stream_letters VALUES (%(tenant)b, %(stream)b, %(start)b, %(start_part)b, %(stop)b,
    %(stop_part)b, %(attempts)b, %(due_ms)b::bigint, %(problem)b)
ON CONFLICT (tenant, stream, stop, stop_part) DO UPDATE SET attempts = excluded.attempts,
    due_ms = excluded.due_ms, problem = excluded.problem;

-- name: settle_letter
-- A message that is over.
DELETE FROM stream_letters WHERE tenant = %(tenant)b AND stream = %(stream)b
    AND stop = %(stop)b AND stop_part = %(stop_part)b;

-- name: due_letters
-- Messages that are to be tried now.
SELECT start, start_part, stop, stop_part, attempts, due_ms, problem FROM stream_letters
WHERE tenant = %(tenant)b AND stream = %(stream)b AND due_ms <= %(now_ms)b
ORDER BY due_ms, stop, stop_part LIMIT %(count)b;

-- name: dead_letters
-- Messages that are not tried any more.
SELECT start, start_part, stop, stop_part, attempts, due_ms, problem FROM stream_letters
WHERE tenant = %(tenant)b AND stream = %(stream)b AND due_ms IS NULL
ORDER BY stop, stop_part LIMIT %(count)b;

-- name: letter_counts
-- How many messages wait and are dead.
SELECT count(due_ms), count(*) - count(due_ms) FROM stream_letters
WHERE tenant = %(tenant)b AND stream = %(stream)b;

-- name: revive_letters
-- All dead messages as if they had never been tried.
UPDATE stream_letters SET due_ms = %(now_ms)b, attempts = 0
WHERE tenant = %(tenant)b AND stream = %(stream)b AND due_ms IS NULL;

-- name: put_delivery
-- A delivery, behind the latest.
INSERT INTO stream_deliveries SELECT %(tenant)b, %(stream)b, coalesce(max(number), 0) + 1, %(doc)b
FROM stream_deliveries WHERE tenant = %(tenant)b AND stream = %(stream)b;

-- name: tidy_deliveries
-- Only the latest deliveries stay.
DELETE FROM stream_deliveries WHERE tenant = %(tenant)b AND stream = %(stream)b AND number <= (
    SELECT max(number) - %(count)b FROM stream_deliveries
    WHERE tenant = %(tenant)b AND stream = %(stream)b);

-- name: latest_deliveries
-- The latest deliveries of a stream.
SELECT doc FROM stream_deliveries WHERE tenant = %(tenant)b AND stream = %(stream)b
ORDER BY number DESC LIMIT %(count)b;

-- name: forget_state
-- A stream that was deleted.
DELETE FROM stream_states WHERE tenant = %(tenant)b AND stream = %(stream)b;

-- name: forget_letters
-- What waited of it.
DELETE FROM stream_letters WHERE tenant = %(tenant)b AND stream = %(stream)b;

-- name: forget_deliveries
-- What was delivered of it.
DELETE FROM stream_deliveries WHERE tenant = %(tenant)b AND stream = %(stream)b;
