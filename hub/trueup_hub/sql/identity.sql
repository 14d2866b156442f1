-- Which ledgers of a host took the place of which (design section 6).

-- heard_of: a sign of life; at most every 30 s, or at once when it tells that two machines share a credential
UPDATE ledgers SET heard_at = now()
WHERE host_no = $1 AND ledger_id = $2
  AND (heard_at IS NULL OR heard_at < now() - interval '30 s' OR heard_at <= replaced_at OR superseded_at IS NOT NULL)
RETURNING superseded_at IS NOT NULL;

-- revive: its agent begins at 0; what it brings again is compared row by row, so nothing is counted twice.
-- It keeps its last batch, by which its agent is told from one with an older file of the same ledger.
UPDATE ledgers SET heard_at = now(), superseded_at = NULL, dropped_at = NULL, acked_seq = 0,
  generation = 0, open_generation = 0, full_seq = 0, full_target = 0, committed = NULL, verdict = 'behind', head_digest = NULL,
  converged_at = NULL
WHERE host_no = $1 AND ledger_id = $2 AND superseded_at IS NOT NULL
RETURNING ledger_no;

-- drop_confirmations: of a generation that is open no more
DELETE FROM confirmations WHERE host_no = $1 AND ledger_no = $2;

-- ledger_number: of a ledger that is known
SELECT ledger_no FROM ledgers WHERE host_no = $1 AND ledger_id = $2;

-- first_contact: a ledger is known from its first sign of life; of a host that is not being forgotten and has fewer than $3
INSERT INTO ledgers (host_no, ledger_id, first_contact_at)
SELECT host_no, $2, now() FROM hosts
WHERE host_no = $1 AND forgotten_at IS NULL AND (SELECT count(*) FROM ledgers l WHERE l.host_no = $1) < $3
ON CONFLICT (host_no, ledger_id) DO NOTHING;

-- is_kept: a host that is not being forgotten
SELECT EXISTS (SELECT FROM hosts WHERE host_no = $1 AND forgotten_at IS NULL);

-- replace: ledgers whose place this one took, and those whose place they took; what it says again changes nothing
WITH old AS (SELECT ledger_no FROM ledgers WHERE host_no = $1 AND ledger_id = ANY($3::uuid[]) AND ledger_id <> $2),
successor AS (SELECT ledger_no FROM ledgers WHERE host_no = $1 AND ledger_id = $2)
UPDATE ledgers l SET replaced_by = s.ledger_no, replaced_at = now(), superseded_at = NULL, dropped_at = NULL
FROM successor s
WHERE l.host_no = $1 AND l.ledger_no <> s.ledger_no AND l.replaced_by IS DISTINCT FROM s.ledger_no
  AND ((l.ledger_no IN (TABLE old) AND l.replaced_by IS NULL) OR l.replaced_by IN (TABLE old));

-- replacing: as its agent says; a ledger that takes the place of its own successor is back (restored from a backup)
WITH old AS (SELECT ledger_no FROM ledgers WHERE host_no = $1 AND ledger_id = ANY($3::uuid[]))
UPDATE ledgers SET replaces = $3::uuid[],
  replaced_at = CASE WHEN replaced_by IN (TABLE old) THEN NULL ELSE replaced_at END,
  replaced_by = CASE WHEN replaced_by IN (TABLE old) THEN NULL ELSE replaced_by END
WHERE host_no = $1 AND ledger_id = $2 AND (replaces IS DISTINCT FROM $3::uuid[] OR replaced_by IN (TABLE old));

-- predecessors: ledgers whose place this one took, unless another machine writes them
SELECT old.ledger_no FROM ledgers old JOIN ledgers new ON new.host_no = old.host_no AND new.ledger_no = old.replaced_by
LEFT JOIN host_status s ON s.host_no = old.host_no AND s.ledger_no = old.ledger_no
WHERE new.host_no = $1 AND new.ledger_id = $2
  AND (old.superseded_at IS NOT NULL OR NOT coalesce(greatest(old.heard_at, old.last_batch_at, s.seen_at) > old.replaced_at, false))
ORDER BY old.ledger_no;

-- supersede: successors have converged, and nobody writes these any more
UPDATE ledgers old SET superseded_at = now()
FROM ledgers new
WHERE new.host_no = old.host_no AND new.ledger_no = old.replaced_by AND new.verdict = 'converged'
  AND old.superseded_at IS NULL AND NOT coalesce(greatest(old.heard_at, old.last_batch_at) > old.replaced_at, false)
  AND NOT EXISTS (
    SELECT FROM host_status s
    WHERE s.host_no = old.host_no AND s.ledger_no = old.ledger_no AND s.seen_at > old.replaced_at
  );

-- to_drop_from: superseded ledgers that still have what their successors have
SELECT host_no, ledger_no, replaced_by FROM ledgers WHERE superseded_at IS NOT NULL AND dropped_at IS NULL
ORDER BY host_no, ledger_no;

-- dropped: a superseded ledger has only what its successor has not
UPDATE ledgers SET dropped_at = now() WHERE host_no = $1 AND ledger_no = $2 AND superseded_at IS NOT NULL;

-- is_frozen: whether a ledger whose row is locked is still superseded by that one
SELECT superseded_at IS NOT NULL FROM ledgers WHERE host_no = $1 AND ledger_no = $2 AND replaced_by = $3;

-- page_of_events: a superseded ledger's events in the order of their keys
SELECT {columns} FROM events WHERE host_no = $1 AND ledger_no = $2 AND event_key > $3 ORDER BY event_key LIMIT $4;

-- page_of_messages: its messages, and whether the successor has them in a copy of the session that is no smaller
SELECT m.message_key, EXISTS (
    SELECT FROM messages n WHERE n.host_no = $1 AND n.ledger_no = $5 AND n.message_key = m.message_key AND NOT n.stale
  ) AND EXISTS (
    SELECT FROM sessions a JOIN sessions b USING (host_no, session_key)
    WHERE a.host_no = $1 AND a.ledger_no = $2 AND a.session_key = m.session_key AND b.ledger_no = $5
      AND length(ltrim(b.messages::bit(32)::text, '0')) >= length(ltrim(a.messages::bit(32)::text, '0'))
  ) AS droppable
FROM messages m WHERE m.host_no = $1 AND m.ledger_no = $2 AND m.message_key > $3 ORDER BY m.message_key LIMIT $4;

-- page_of_sessions: its session rows, and whether the successor has them
SELECT s.session_key, s.row_digest IS NOT NULL AND EXISTS (
    SELECT FROM sessions n WHERE n.host_no = $1 AND n.ledger_no = $5 AND n.session_key = s.session_key
      AND n.row_digest IS NOT NULL AND NOT n.stale
      AND length(ltrim(n.messages::bit(32)::text, '0')) >= length(ltrim(s.messages::bit(32)::text, '0'))
  ) AS droppable
FROM sessions s WHERE s.host_no = $1 AND s.ledger_no = $2 AND s.session_key > $3 ORDER BY s.session_key LIMIT $4;
