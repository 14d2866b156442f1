-- Statements of scrubbing: sums made to tell the truth about the columns.

-- places_of_nobody: where the table has rows of no ledger: one probe for each ledger, not one for each row
WITH RECURSIVE places AS (
  (SELECT host_no, ledger_no FROM {table} ORDER BY 1, 2 LIMIT 1)
  UNION ALL SELECT next.* FROM places p CROSS JOIN LATERAL (
    SELECT host_no, ledger_no FROM {table} WHERE (host_no, ledger_no) > (p.host_no, p.ledger_no) ORDER BY 1, 2 LIMIT 1
  ) next
)
SELECT host_no, ledger_no FROM places WHERE ledger_no NOT IN (SELECT ledger_no FROM ledgers WHERE host_no = places.host_no);

-- drop_rows: all rows of a place; how many there were
WITH gone AS (DELETE FROM {table} WHERE host_no = $1 AND ledger_no = $2 RETURNING 1) SELECT count(*) FROM gone;

-- end_of_slice: the session in which the $4th row from session $3 on lies; null = the rest is less
SELECT least(
  (SELECT session_key FROM events WHERE host_no = $1 AND ledger_no = $2 AND session_key >= $3
   ORDER BY session_key OFFSET $4 LIMIT 1),
  (SELECT session_key FROM messages WHERE host_no = $1 AND ledger_no = $2 AND session_key >= $3
   ORDER BY session_key OFFSET $4 LIMIT 1),
  (SELECT session_key FROM sessions WHERE host_no = $1 AND ledger_no = $2 AND session_key >= $3
   ORDER BY session_key OFFSET $4 LIMIT 1));

-- drop_impossible_events: rows that no agent can have sent, and no batch could replace
DELETE FROM events WHERE host_no = $1 AND ledger_no = $2 AND session_key >= $3 AND session_key <= $4 AND NOT ({possible});

-- drop_impossible_messages: the same
DELETE FROM messages WHERE host_no = $1 AND ledger_no = $2 AND session_key >= $3 AND session_key <= $4
  AND NOT ({possible});

-- drop_impossible_sessions: the same; the copy may have other rows
UPDATE sessions SET row_digest = NULL, started_at = NULL, stale = false
WHERE host_no = $1 AND ledger_no = $2 AND session_key >= $3 AND session_key <= $4 AND NOT ({possible});

-- copies_in_slice: the sums that a ledger's sessions have
SELECT session_key, rows, messages, digest, row_digest IS NULL AS without_row FROM sessions
WHERE host_no = $1 AND ledger_no = $2 AND session_key >= $3 AND session_key <= $4;

-- set_digest: what the columns of a row come to
UPDATE {table} SET row_digest = $4 WHERE host_no = $1 AND ledger_no = $2 AND {key} = $3;

-- set_cost: what an event costs by the price table that it names
UPDATE events SET cost_nanousd = $4, cache_savings_nanousd = $5 WHERE host_no = $1 AND ledger_no = $2 AND event_key = $3;

-- set_session_sums: the sums of a session's copy, which is made where it was lost
INSERT INTO sessions (host_no, ledger_no, session_key, chosen, rows, messages, digest) VALUES ($1, $2, $3, false, $4, $5, $6)
ON CONFLICT (host_no, ledger_no, session_key) DO UPDATE
SET rows = excluded.rows, messages = excluded.messages, digest = excluded.digest;

-- drop_lost_session: a copy of which nothing is left
DELETE FROM sessions WHERE host_no = $1 AND ledger_no = $2 AND session_key = $3;

-- digest_number: a digest as a number ({digest}: a uuid)
(SELECT ('x' || lpad(left(h, 8), 16, '0'))::bit(64)::int8::numeric * 79228162514264337593543950336
  + ('x' || lpad(substr(h, 9, 8), 16, '0'))::bit(64)::int8::numeric * 18446744073709551616
  + ('x' || lpad(substr(h, 17, 8), 16, '0'))::bit(64)::int8::numeric * 4294967296
  + ('x' || lpad(right(h, 8), 16, '0'))::bit(64)::int8 FROM replace({digest}::text, '-', '') h);

-- correct_ledger: makes a ledger's sums those of its sessions and rejections; no row where they are
WITH stored AS (
  SELECT mod(coalesce(sum(digest), 0), 340282366920938463463374607431768211456) AS digest,
    count(*) FILTER (WHERE row_digest IS NOT NULL AND NOT stale) AS sessions,
    coalesce(sum(messages), 0) AS messages, coalesce(sum(rows), 0) AS rows
  FROM sessions WHERE host_no = $1 AND ledger_no = $2
), refused AS (
  SELECT count(*) AS rows, mod(coalesce(sum({digest_number}), 0), 340282366920938463463374607431768211456) AS digest
  FROM rejections WHERE host_no = $1 AND ledger_no = $2
), sums AS (
  SELECT s.digest, r.digest AS rejected_digest, r.rows AS rejected, s.sessions, s.messages,
    s.rows - s.sessions - s.messages AS events
  FROM stored s, refused r
)
UPDATE ledgers l SET digest = s.digest, rejected_digest = s.rejected_digest, rejected = s.rejected,
  sessions = s.sessions, messages = s.messages, events = s.events,
  verdict = CASE WHEN l.digest + l.rejected_digest = s.digest + s.rejected_digest THEN l.verdict
    WHEN {head_number} = mod(s.digest + s.rejected_digest, 340282366920938463463374607431768211456) THEN 'converged'
    ELSE 'diverged' END
FROM sums s WHERE l.host_no = $1 AND l.ledger_no = $2
  AND (l.digest, l.rejected_digest, l.rejected, l.sessions, l.messages, l.events)
    IS DISTINCT FROM (s.digest, s.rejected_digest, s.rejected, s.sessions, s.messages, s.events)
RETURNING l.verdict;

-- note_corrected: rows that were found altered or lost
UPDATE ledgers SET corrected = corrected + $3, corrected_at = now() WHERE host_no = $1 AND ledger_no = $2;

-- note_scrubbed: rows, ownership and rollups of these ledgers were gone through
UPDATE ledgers SET scrubbed_at = now() WHERE ledger_no = ANY($1::int4[]);

-- note_owners_scrubbed: all owners and claims were gone through
UPDATE hub_state SET scrubbed_at = now();

-- due_hosts: hosts with ledgers that were not scrubbed within $1
SELECT DISTINCT host_no FROM ledgers WHERE coalesce(scrubbed_at < now() - $1::interval, true) ORDER BY 1;

-- ledgers_of: the ledgers of a host
SELECT ledger_no FROM ledgers WHERE host_no = $1 ORDER BY ledger_no;

-- owners_due: whether owners and claims were not gone through within $1
SELECT coalesce(scrubbed_at < now() - $1::interval, true) FROM hub_state;

-- hosts_of_all: every host that has anything
SELECT host_no FROM hosts UNION SELECT host_no FROM usage_slots UNION SELECT host_no FROM activity_slots
UNION SELECT host_no FROM session_totals WHERE host_no <> -1 ORDER BY 1;

-- host_id_of: for hints
SELECT host_id::text FROM hosts WHERE host_no = $1;

-- begin_life: a hub runs on this database from now on; whether the one before ended in order
UPDATE hub_state s SET stopped = false FROM (SELECT stopped FROM hub_state FOR UPDATE) before RETURNING before.stopped;

-- end_life: it ended in order
UPDATE hub_state SET stopped = true;

-- scrub_all_ledgers: everything is to be gone through again
UPDATE ledgers SET scrubbed_at = NULL;

-- scrub_all_owners: owners and claims too
UPDATE hub_state SET scrubbed_at = NULL;

-- uncount_stale: stale rows never count; how many did
WITH found AS (
  UPDATE events SET counted = false
  WHERE host_no = $1 AND ledger_no = $2 AND session_key >= $3 AND session_key <= $4 AND stale AND counted RETURNING 1
)
SELECT count(*) FROM found;

-- doubtful_events: owner keys of a ledger's events that owner, claims and flags do not agree on, or that are contested
SELECT owner_key, bool_or(doubtful) AS doubtful FROM (
  SELECT coalesce(e.owner_key, e.event_key) AS owner_key, o.contested,
    o.ledger_no IS NOT DISTINCT FROM e.ledger_no AS owned,
    CASE WHEN e.stale THEN c.owner_key IS NOT NULL OR (e.owner_key IS NULL AND o.ledger_no = e.ledger_no)
    ELSE (o.ledger_no IS NOT DISTINCT FROM e.ledger_no) <> e.counted OR (c.owner_key IS NULL) <> e.counted
      OR (NOT e.counted AND (NOT o.contested OR o.ledger_no IS NULL)) END AS doubtful
  FROM events e
  LEFT JOIN LATERAL (
    SELECT * FROM event_owners WHERE owner_key = coalesce(e.owner_key, e.event_key) OFFSET 0
  ) o ON true
  LEFT JOIN LATERAL (
    SELECT owner_key FROM event_claims WHERE owner_key = coalesce(e.owner_key, e.event_key) AND host_no = e.host_no
      AND ledger_no = e.ledger_no OFFSET 0
  ) c ON true
  WHERE e.host_no = $1 AND e.ledger_no = $2 AND e.session_key >= $3 AND e.session_key <= $4
) copies
WHERE doubtful OR (contested AND owned) GROUP BY 1;

-- doubtful_owners: of the owner keys from $1 on the first $2: the last of them, and those that stand for no copy. LATERAL …
-- OFFSET 0 probes: EXISTS may read all events for each slice
WITH part AS (SELECT * FROM event_owners WHERE owner_key >= $1 ORDER BY owner_key LIMIT $2)
SELECT (SELECT owner_key FROM part ORDER BY 1 DESC LIMIT 1) AS last, ARRAY (
  SELECT o.owner_key FROM part o
  LEFT JOIN LATERAL (SELECT true AS here FROM event_claims WHERE owner_key = o.owner_key LIMIT 1) c ON true
  LEFT JOIN LATERAL (SELECT true AS here FROM events WHERE host_no = o.host_no AND ledger_no = o.ledger_no
    AND event_key = o.owner_key AND owner_key IS NULL AND NOT stale OFFSET 0) e ON true
  LEFT JOIN LATERAL (SELECT true AS here FROM events WHERE e.here IS NULL AND owner_key = o.owner_key
    AND ledger_no = o.ledger_no AND NOT stale LIMIT 1) s ON true
  WHERE o.contested <> coalesce(c.here, false) OR (o.ledger_no IS NOT NULL AND e.here IS NULL AND s.here IS NULL)
) AS doubtful;

-- doubtful_claims: the same of copies set aside
WITH wanted AS (SELECT DISTINCT owner_key FROM event_claims WHERE owner_key >= $1 ORDER BY owner_key LIMIT $2),
part AS (SELECT c.* FROM wanted w CROSS JOIN LATERAL (SELECT * FROM event_claims WHERE owner_key = w.owner_key OFFSET 0) c)
SELECT (SELECT owner_key FROM part ORDER BY 1 DESC LIMIT 1) AS last, ARRAY (
  SELECT DISTINCT c.owner_key FROM part c
  LEFT JOIN LATERAL (SELECT true AS here FROM event_owners WHERE owner_key = c.owner_key OFFSET 0) o ON true
  LEFT JOIN LATERAL (SELECT true AS here FROM events WHERE host_no = c.host_no AND ledger_no = c.ledger_no
    AND event_key = c.owner_key AND owner_key IS NULL AND NOT stale OFFSET 0) e ON true
  LEFT JOIN LATERAL (SELECT true AS here FROM events WHERE e.here IS NULL AND owner_key = c.owner_key
    AND ledger_no = c.ledger_no AND NOT stale LIMIT 1) s ON true
  WHERE o.here IS NULL OR (e.here IS NULL AND s.here IS NULL)
) AS doubtful;

-- doubtful_sessions: sessions of a ledger whose chosen copy is not the one that the rule names
WITH ranked AS (
  SELECT s.session_key, s.host_no, s.ledger_no, s.chosen, row_number() OVER (
    PARTITION BY s.session_key
    ORDER BY CASE WHEN s.messages > 0 THEN floor(log(2, s.messages)) ELSE -1 END DESC, h.enrolled_at, h.host_id, l.ledger_id
  ) AS place
  FROM sessions here
  CROSS JOIN LATERAL (SELECT * FROM sessions WHERE session_key = here.session_key AND rows > 0 OFFSET 0) s
  JOIN hosts h ON h.host_no = s.host_no JOIN ledgers l ON l.ledger_no = s.ledger_no
  WHERE here.host_no = $1 AND here.ledger_no = $2 AND here.session_key >= $3 AND here.session_key <= $4
)
SELECT DISTINCT session_key FROM ranked r LEFT JOIN session_owners o USING (session_key)
WHERE r.chosen <> (r.place = 1) OR (o.ledger_no IS NOT DISTINCT FROM r.ledger_no) <> r.chosen;

-- end_of_sessions: the session in which the $3th event or cell of a host from session $2 on lies; null = the rest is less
SELECT least(
  (SELECT session_key FROM events WHERE host_no = $1 AND session_key >= $2 ORDER BY session_key OFFSET $3 LIMIT 1),
  (SELECT session_key FROM session_slots WHERE host_no = $1 AND session_key >= $2 ORDER BY session_key OFFSET $3 LIMIT 1));

-- one_mends_rollups: until the transaction ends, of all replicas and commands; who writes the row does not wait for it
LOCK TABLE hub_state IN SHARE UPDATE EXCLUSIVE MODE;

-- of_session_slots: what usage_slots are made of
SELECT * FROM session_slots WHERE host_no = $1;

-- of_usage_slots: what days are made of
SELECT * FROM usage_slots WHERE host_no = $1;

-- of_activity_slots: the same of messages, tool calls and starts
SELECT * FROM activity_slots WHERE host_no = $1;

-- sessions_in_slice: of a host, from session $2 to $3: those that it has, and those that are said to be its own
SELECT session_key FROM sessions WHERE host_no = $1 AND session_key >= $2 AND session_key <= $3
UNION SELECT session_key FROM session_totals WHERE host_no IN ($1, -1) AND session_key >= $2 AND session_key <= $3;

-- cells_of_sessions: what session_totals are made of: cells of {sessions}, of whichever host
SELECT cells.* FROM (SELECT DISTINCT c.host_no, c.session_key FROM ({sessions}) t JOIN sessions c USING (session_key)) copies
CROSS JOIN LATERAL (
  SELECT * FROM session_slots s WHERE s.host_no = copies.host_no AND s.session_key = copies.session_key OFFSET 0
) cells;
